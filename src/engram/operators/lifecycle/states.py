"""The states of a memory, which of them may follow which, and changes held to that."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from typing import Any, Literal

from engram.kernel.changes import Add, Change, Changes, Retire, Revise
from engram.kernel.record import Record

__all__ = ["CHANGED", "SINCE", "STATE", "State", "governed", "may_follow", "moved", "state_of"]

State = Literal["generated", "activated", "merged", "archived", "frozen"]
STATE = "state"
"""The key of a memory's metadata that holds its state."""
SINCE = "since"
"""The key that holds when that state began, in ISO 8601."""
CHANGED = "changed"
"""The key that holds when the memory's words last changed, in ISO 8601."""
_AFTER: Mapping[State, frozenset[State]] = {
    "generated": frozenset({"activated", "merged", "archived", "frozen"}),
    "activated": frozenset({"merged", "archived", "frozen"}),
    "merged": frozenset({"activated", "merged", "archived", "frozen"}),
    "archived": frozenset({"activated", "merged", "frozen"}),
    "frozen": frozenset(),
}
_NAMED: Mapping[str, State] = {state: state for state in _AFTER}
_BESIDE = "beside a frozen memory"


def state_of(record: Record) -> State:
    """The state of a memory; `generated` where its metadata names none that there is."""
    return _NAMED.get(str(record.metadata.get(STATE)), "generated")


def may_follow(after: State, before: State) -> bool:
    """Whether a memory in the state `before` may come into the state `after`. Nothing follows `frozen`."""
    return after in _AFTER[before]


def moved(record: Record, state: State, now: datetime, reason: str = "") -> Revise:
    """The version of a memory that begins with its new state. Raises `ValueError` where that may not be."""
    before = state_of(record)
    if not may_follow(state, before):
        raise ValueError(f"a memory that is {before} cannot become {state}: {record.id}")
    metadata = {**record.metadata, STATE: state, SINCE: now.isoformat()}
    return Revise(record.id, record.version, metadata=metadata, reason=reason)


def governed(changes: Sequence[Change], targets: Mapping[str, Record], now: datetime) -> Changes:
    """The same changes of memories with their states; `targets` are the records that they change.

    What is added is generated, what says more or is said again is merged. A frozen memory stays as it is:
    it does not end, and words that would have taken the place of its own are a memory of their own.
    """
    made: list[Change] = []
    beside: list[Change] = []
    for change in changes:
        match change:
            case Add(kind="fact"):
                made.append(_generated(change, now))
            case Revise() if change.id in targets:
                (made if _open(targets[change.id]) else beside).extend(
                    _merged(change, targets[change.id], now)
                )
            case Retire() if change.id in targets and not _open(targets[change.id]):
                continue
            case _:
                made.append(change)
    return Changes((*made, *beside))


def _open(record: Record) -> bool:
    return may_follow("merged", state_of(record)) or state_of(record) == "activated"


def _generated(add: Add, now: datetime) -> Add:
    return replace(add, metadata={**add.metadata, **_marks("generated", now)})


def _merged(change: Revise, record: Record, now: datetime) -> list[Change]:
    if record.made_by is None:  # added directly: it is nobody's to move
        return [change]
    metadata = record.metadata if change.metadata is None else change.metadata
    if not _open(record):
        if change.text is None or change.text == record.text:
            return []
        beside = Add(change.text, "fact", change.sources, metadata=metadata, reason=_BESIDE)
        return [_generated(beside, now)]
    kept = {name: value for name, value in record.metadata.items() if name not in metadata}
    return [replace(change, metadata={**kept, **metadata, **_marks("merged", now)})]


def _marks(state: State, now: datetime) -> dict[str, Any]:
    return {STATE: state, SINCE: now.isoformat(), CHANGED: now.isoformat()}
