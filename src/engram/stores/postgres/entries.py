"""What one commit of the PostgreSQL store does to index entries, and to all that is derived from records."""

from __future__ import annotations

from typing import Any

from engram.kernel.protocols import PutInfo, Rebuild, Reindex, RequireInfo, Stage, Switch, Unstage
from engram.stores.postgres.queries import queries
from engram.stores.postgres.records import RecordOps
from engram.stores.shared import check_info, fact_moved, not_staged

__all__ = ["EntryOp", "EntryOps"]

EntryOp = RequireInfo | Reindex | Stage | Unstage | Switch | Rebuild
"""The operations of `EntryOps`."""

_SQL = queries("entries")
_AGAIN = queries("rebuild")
_ANN = queries("ann")


class EntryOps(RecordOps):
    """A commit under way, as far as index entries and other derived rows go."""

    def _entry(self, op: EntryOp) -> None:
        match op:
            case RequireInfo():
                self._require_info(op)
            case Reindex():
                self._reindex(op)
            case Stage():
                tenant = self._place(op.id, op.version)
                if tenant is not None:
                    self._do(_SQL["stage"], tenant, op.id, op.version, op.words, op.vector)
                    self._changed = True
            case Unstage():
                self._changed |= self._count(_SQL["unstage"]) > 0
            case Switch():
                self._switch(op)
            case Rebuild():
                self._rebuild()

    def _count(self, statement: Any, **values: object) -> int:
        """The single number that a statement gives, carried out now."""
        self._put_rows()
        return int(self._session.ask((statement, values))[0][0][0] or 0)

    def _put_info(self, op: PutInfo) -> None:
        check_info(op)
        facts = self._known.facts
        if op.value is not None:
            self._do(_SQL["put_info"], op.key, op.value)
            facts[op.key] = op.value
            self._changed = True
        elif facts.pop(op.key, None) is not None:
            self._do(_SQL["drop_info"], op.key)
            self._changed = True

    def _require_info(self, op: RequireInfo) -> None:
        for key, value in op.facts:
            present = self._known.facts.get(key)
            if present != value:
                raise fact_moved(key, value, present)

    def _place(self, id: str, version: int) -> str | None:
        """The tenant of a version that is there."""
        latest = self._known.heads.get(id)
        return latest.scope.tenant if latest is not None and 0 < version <= latest.version else None

    def _reindex(self, op: Reindex) -> None:
        tenant = self._place(op.id, op.version)
        if tenant is not None:
            latest = op.version == self._known.heads[op.id].version
            sql = _SQL["reindex"].format(table="records" if latest else "versions")
            self._do(sql, self._take(), op.words, op.vector, tenant, op.id, op.version)

    def _switch(self, op: Switch) -> None:
        self._put_rows()
        lacking = self._session.rows(_SQL["lacking"])[0][0]
        if lacking is not None:
            raise not_staged(lacking)
        self._do(_ANN["void"])
        for table in ("records", "versions"):
            self._do(_SQL["switch"].format(table=table))
        self._count(_SQL["unstage"])
        for key, value in op.facts:
            self._put_info(PutInfo(key, value))
        self._start_over()

    def _start_over(self) -> None:
        """Tell everyone who follows the entries to drop what was made of them."""
        self._erasures += 1
        self._changed = True

    def _rebuild(self) -> None:
        for name in ("follow", "ends"):
            self._do(_AGAIN[name])
        self._raise_counter(self._count(_AGAIN["highest"]))
        for key in self._session.rows(_AGAIN["same_places"]):
            self._do(_AGAIN["move_version"], self._take(), *key)
        for key in self._session.rows(_AGAIN["same_arrivals"]):
            arrival = self._take()
            for table in ("records", "versions"):
                self._do(_AGAIN["move_arrival"].format(table=table), arrival, *key)
        for name in ("drop_lineage", "lineage", "staged"):
            self._do(_AGAIN[name])
        self._start_over()
