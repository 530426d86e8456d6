"""What a summary of a lane covers: up to which turn, and which turns wait behind it."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from datetime import datetime
from typing import Any

from engram.kernel.clock import parse_time
from engram.kernel.effects import Read, Told
from engram.kernel.errors import InvalidInput
from engram.kernel.record import Record
from engram.kernel.scope import Scope

__all__ = ["LAST", "UNTIL", "blocks_of", "covers", "in_order", "until_of", "waiting"]

UNTIL = "until"
"""The key of a summary's metadata that holds the time of the last turn that it covers."""
LAST = "last"
"""The key of a summary's metadata that holds the id of that turn."""


def covers(turns: Sequence[Record]) -> Mapping[str, Any]:
    """What the metadata of a summary that covers all up to the last of these turns say of it."""
    last = in_order(turns)[-1]
    return {UNTIL: last.time.isoformat(), LAST: last.id}


def until_of(summary: Record | None) -> datetime | None:
    """The time of the last turn that a summary covers; `None` where it does not say so."""
    found = None if summary is None else summary.metadata.get(UNTIL)
    try:
        return parse_time(found)[0] if isinstance(found, str) else None
    except InvalidInput:  # somebody has edited it
        return None


async def waiting(lane: Scope, summary: Record | None, but: Collection[str] = ()) -> list[Record]:
    """The turns of a lane, but for those ids, that the summary does not cover, oldest first."""
    known = {*but, *(() if summary is None else summary.sources)}
    told = [id for _, id in await Told(start=until_of(summary))]
    last = None if summary is None else summary.metadata.get(LAST)
    told = told[told.index(last) + 1 :] if last in told else told  # others may have been told at that moment
    found = await Read(tuple(id for id in told if id not in known)) if told else []
    return [turn for turn in found if turn.scope.lane == lane and turn.kind == "episode"]


async def blocks_of(lane: Scope, but: Collection[str] = ()) -> list[Record]:
    """The core blocks of a lane, said or the policy's own, in order of arrival.

    Those that stand on the ids of `but` alone are left out: who derives from these makes them anew.
    """
    told = await Told(kinds=("core",))
    found = await Read(tuple(id for _, id in told)) if told else []
    again = set(but)
    held = [
        record
        for record in found
        if record.scope.lane == lane and not (record.sources and again.issuperset(record.sources))
    ]
    return sorted(held, key=lambda record: (record.arrival, record.id))


def in_order(turns: Sequence[Record]) -> list[Record]:
    """The turns by time and arrival."""
    return sorted(turns, key=lambda turn: (turn.time, turn.arrival, turn.id))
