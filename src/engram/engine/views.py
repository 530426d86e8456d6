"""Windows and sessions: views over turns, computed when asked for, with ids that name their bounds."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import timedelta

from engram.kernel.clock import micros
from engram.kernel.protocols import Select, Store
from engram.kernel.record import Interval, Record

__all__ = ["SESSION_GAP", "is_view", "transcript", "view_record"]

SESSION_GAP = timedelta(minutes=30)
_LEVELS = {"w": 1, "s": 2}
_LIMIT = 1000


def is_view(id: str) -> bool:
    """Whether the id names a window or a session."""
    return id[:2] in ("w~", "s~")


def view_record(store: Store, id: str, seen: Callable[[Sequence[Record]], list[Record]]) -> Record | None:
    """The window or session of that id, or `None` where its bounds are gone or of two scopes.

    `seen` gives the versions that may be shown of the latest versions of turns, in their order.
    """
    mark, first_id, last_id = [*id.split("~"), "", ""][:3]
    bounds = store.select(Select(ids=(first_id, last_id), closed=True))
    if not bounds or {record.id for record in bounds} != {first_id, last_id}:
        return None
    first, last = bounds[0], bounds[-1]
    if first.scope != last.scope:
        return None
    turns = seen(_between(store, first, last))
    if not turns:
        return None
    return replace(
        turns[0],
        id=id,
        level=_LEVELS[mark],
        text=transcript(turns),
        origin=None,
        role=None,
        name=None,
        payload=None,
        metadata={},
        sources=tuple(turn.id for turn in turns),
        valid=Interval(turns[0].time),
        expires=None,
        version=1,
    )


def transcript(turns: Sequence[Record]) -> str:
    """The turns as lines of "name: text"."""
    return "\n".join(f"{turn.name or turn.role or 'unknown'}: {turn.text}" for turn in turns if turn.text)


def _between(store: Store, first: Record, last: Record) -> list[Record]:
    """Latest versions of the turns from `first` to `last` in (time, arrival) order, both included."""
    after = (micros(first.time), first.arrival - 1)
    turns: list[Record] = []
    while True:
        page = store.select(
            Select(
                scope=first.scope, kinds=("episode",), by_time=True, after=after, limit=_LIMIT, closed=True
            )
        )
        for turn in page:
            if (turn.time, turn.arrival) > (last.time, last.arrival):
                return turns
            if turn.scope == first.scope:
                turns.append(turn)
        if len(page) < _LIMIT:
            return turns
        after = (micros(page[-1].time), page[-1].arrival)
