"""What was decided on facts, as steps of a logbook: one for each question that the manager was asked."""

from __future__ import annotations

from collections.abc import Sequence

from engram.kernel.changes import Add, Changes
from engram.kernel.record import Record
from engram.operators.consolidation.compare import Decided
from engram.operators.managing.logbook import Call, Step

__all__ = ["steps_of"]

_AGENT = "memory manager"
_REFUSED = "names no memory shown, or cannot be done to it"


def steps_of(changes: Changes, decided: Sequence[Decided]) -> list[Step]:
    """The decisions as steps, in the order of the facts; a question is known by what it showed.

    `changes` are what came of them, in which what was added has its place.
    """
    added = [change.text for change in changes if isinstance(change, Add)]
    groups: dict[tuple[str, ...], list[Decided]] = {}
    for item in decided:
        groups.setdefault(tuple(record.id for record in item.shown), []).append(item)
    first: dict[str, int] = {}
    steps: list[Step] = []
    for group in groups.values():
        turns: dict[str, Record] = {item.item.turn.id: item.item.turn for item in group}
        start = next(iter(turns))
        part = first.get(start, 0)
        first[start] = part + 1
        calls = tuple(_call(item, added) for item in group)
        steps.append(Step(_AGENT, tuple(turns.values()), group[0].shown, calls, part))
    return steps


def _call(item: Decided, added: Sequence[str]) -> Call:
    decision, number = item.decision, item.decision.memory
    known = number is not None and 1 <= number <= len(item.shown)
    target = item.shown[number - 1] if number is not None and known and decision.action != "ADD" else None
    new = item.item.fact.text if decision.action == "ADD" else None
    return Call(
        decision.action,
        "fact",
        item.done,
        record=None if target is None else target.id,
        version=None if target is None else target.version,
        added=added.index(new) if new in added else None,
        note="" if item.done else _REFUSED,
    )
