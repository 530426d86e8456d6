"""What the plain store holds, and how a failed commit leaves no trace of itself."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any, TypeVar

from engram.kernel.clock import micros
from engram.kernel.protocols import Entry, Job, StateRow
from engram.kernel.record import Edge, Record
from engram.kernel.scope import Scope

__all__ = ["Row", "Tables"]

K = TypeVar("K")
V = TypeVar("V")
_GONE: Any = object()


@dataclass(frozen=True, slots=True)
class Row:
    """A version of a record with its index entry, under the sequence of its last change."""

    record: Record
    words: bytes
    vector: bytes | None
    sequence: int

    def entry(self, *, history: bool) -> Entry:
        """What an index needs to know; without `history` nothing of the text of a closed version."""
        record = self.record
        hidden = not record.current and not history
        return Entry(
            self.sequence,
            record.arrival,
            record.id,
            record.version,
            record.kind,
            record.scope.user_id,
            record.scope.agent_id,
            record.scope.run_id,
            record.role,
            record.name,
            micros(record.time),
            maybe_micros(record.valid.start),
            maybe_micros(record.valid.end),
            micros(record.known.start or record.time),
            maybe_micros(record.known.end),
            maybe_micros(record.expires),
            record.strength,
            record.trust,
            record.made_by,
            int(not record.current),
            b"" if hidden else self.words,
            b"" if hidden else self.vector,
        )


class Tables:
    """All that the store holds, with an undo list so that a failed commit leaves no trace."""

    def __init__(self) -> None:
        self.rows: dict[str, tuple[Row, ...]] = {}
        self.origins: dict[tuple[Scope, str], str] = {}
        self.arrivals: dict[int, str] = {}
        self.edges: dict[tuple[str, int], Edge] = {}
        self.edge_versions: dict[str, tuple[int, ...]] = {}
        self.tied: dict[str, dict[tuple[str, int], None]] = {}
        self.edge_log: list[tuple[int, tuple[str, int]]] = []
        self.states: dict[tuple[str, Scope, str], StateRow] = {}
        self.jobs: dict[str, Job] = {}
        self.info: dict[str, str] = {}
        self.staged: dict[tuple[str, int], tuple[bytes, bytes]] = {}
        self.log: list[tuple[int, str]] = []
        self.last = 0
        self.erasures = 0
        self._undo: list[tuple[dict[Any, Any], Any, Any]] = []
        self._before = (0, 0)
        self._logs = (self.log, 0, self.edge_log, 0)

    def begin(self) -> None:
        """Start a commit."""
        self._undo.clear()
        self._before = (self.last, self.erasures)
        self._logs = (self.log, len(self.log), self.edge_log, len(self.edge_log))

    def set(self, table: dict[K, V], key: K, value: V) -> None:
        """Set a row, to be undone if the commit fails."""
        self._undo.append((table, key, table.get(key, _GONE)))
        table[key] = value

    def drop(self, table: dict[K, V], key: K) -> None:
        """Remove a row, to be undone if the commit fails."""
        if key in table:
            self._undo.append((table, key, table.pop(key)))

    def rollback(self) -> None:
        """Undo the commit under way."""
        for table, key, value in reversed(self._undo):
            if value is _GONE:
                table.pop(key, None)
            else:
                table[key] = value
        self.last, self.erasures = self._before
        self.log, length, self.edge_log, edges = self._logs
        del self.log[length:]
        del self.edge_log[edges:]

    @property
    def size(self) -> int:
        """How many rows there are."""
        return len(self.rows) + len(self.edges) + len(self.jobs) + len(self.states)

    @property
    def changed(self) -> bool:
        """Whether the commit under way did anything."""
        return bool(self._undo) or self.erasures != self._before[1]


def maybe_micros(moment: datetime | None) -> int | None:
    return None if moment is None else micros(moment)
