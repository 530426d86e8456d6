"""What one commit of the SQLite store does to index entries, and to all that is derived from records."""

from __future__ import annotations

from engram.kernel.protocols import PutInfo, Rebuild, Reindex, RequireInfo, Stage, Switch, Unstage
from engram.stores.shared import check_info, fact_moved, not_staged
from engram.stores.sqlite.queries import queries
from engram.stores.sqlite.records import RecordOps
from engram.stores.sqlite.rows import scope_key_of

__all__ = ["EntryOp", "EntryOps"]

EntryOp = RequireInfo | Reindex | Stage | Unstage | Switch | Rebuild
"""The operations of `EntryOps`."""

_SQL = queries("entries")
_AGAIN = queries("rebuild")
_READS = ("edge", "state", "job")


class EntryOps(RecordOps):
    """A commit under way, as far as index entries and other derived rows go."""

    def _entry(self, op: EntryOp) -> None:
        match op:
            case RequireInfo():
                self._require_info(op)
            case Reindex():
                self._reindex(op)
            case Stage():
                if self._place(op.id, op.version) is not None:
                    self._do(_SQL["stage"], (op.id, op.version, op.words, op.vector))
                    self._changed = True
            case Unstage():
                self._changed |= self._do(_SQL["unstage"]).rowcount > 0
            case Switch():
                self._switch(op)
            case Rebuild():
                self._rebuild()

    def _put_info(self, op: PutInfo) -> None:
        check_info(op)
        if op.value is not None:
            self._do(_SQL["put_info"], (op.key, op.value))
            self._changed = True
        elif self._do(_SQL["drop_info"], (op.key,)).rowcount:
            self._changed = True

    def _require_info(self, op: RequireInfo) -> None:
        for key, value in op.facts:
            row = self._do(_SQL["fact"], (key,)).fetchone()
            present = None if row is None else row[0]
            if present != value:
                raise fact_moved(key, value, present)

    def _place(self, id: str, version: int) -> tuple[str, int] | None:
        """Table and sequence of a version, if it is there."""
        for table, query in (("records", "place_latest"), ("versions", "place_older")):
            row = self._do(_SQL[query], (id, version)).fetchone()
            if row is not None:
                return table, row[0]
        return None

    def _reindex(self, op: Reindex) -> None:
        place = self._place(op.id, op.version)
        if place is not None:
            table, sequence = place
            sql = _SQL["reindex"].format(table=table)
            self._do(sql, (self._take(), op.words, op.vector, sequence))

    def _switch(self, op: Switch) -> None:
        (lacking,) = self._do(_SQL["lacking"]).fetchone()
        if lacking is not None:
            raise not_staged(lacking)
        for table in ("records", "versions"):
            self._do(_SQL["switch"].format(table=table))
        self._do(_SQL["unstage"])
        for key, value in op.facts:
            self._put_info(PutInfo(key, value))
        self._start_over()

    def _start_over(self) -> None:
        """Tell everyone who follows the entries to drop what was made of them."""
        self._scopes.clear()
        self._last_scope = None, 0
        self._erasures += 1
        self._changed = True

    def _rebuild(self) -> None:
        self._do(_AGAIN["indexes"])
        for id, *fields in self._do(_AGAIN["wrong_keys"]).fetchall():
            self._do(_AGAIN["set_key"], (scope_key_of(*fields), id))
        for name in ("follow", "ends"):
            self._do(_AGAIN[name])
        self._raise_counter(self._do(_AGAIN["highest"]).fetchone()[0])
        for (sequence,) in self._do(_AGAIN["same_places"]).fetchall():
            self._do(_AGAIN["move_version"], (self._take(), sequence))
        for (id,) in self._do(_AGAIN["same_arrivals"]).fetchall():
            arrival = self._take()
            for table in ("records", "versions"):
                self._do(_AGAIN["move_arrival"].format(table=table), (arrival, id))
        for name in ("drop_lineage", "lineage", "staged", "scopes"):
            self._do(_AGAIN[name])
        for what in _READS:
            self._do(_AGAIN[f"drop_{what}_reads"])
            self._do(_AGAIN[f"{what}_reads"])
        self._start_over()
