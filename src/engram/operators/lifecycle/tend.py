"""What the scheduler changes when memories are tended: states by use, and candidates for other tiers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from engram.kernel.changes import Change, Changes, Revise
from engram.kernel.effects import Now, Read, Told
from engram.kernel.record import Record
from engram.kernel.scope import Scope
from engram.operators.consolidation.days import own
from engram.operators.lifecycle.schedule import Schedule, uses_of
from engram.operators.lifecycle.states import STATE, moved
from engram.operators.lifecycle.tiers import Tiers, marked

__all__ = ["cubes_of", "lived", "targets"]


async def cubes_of(lane: Scope) -> list[Record]:
    """The memories of a lane that hold, oldest first."""
    found = await Read(tuple(id for _, id in await Told(kinds=("fact",))))
    return [record for record in own(found, lane, STATE) if record.valid.end is None]


async def targets(changes: Sequence[Change]) -> dict[str, Record]:
    """The records that the changes are of, by id."""
    ids = {id for change in changes if isinstance(id := getattr(change, "id", None), str)}
    return {record.id: record for record in await Read(tuple(sorted(ids)))} if ids else {}


async def lived(cubes: Sequence[Record], schedule: Schedule, tiers: Tiers) -> Changes:
    """A version of every memory whose state is another now, or that is a candidate for another tier."""
    now, uses = await Now(), await uses_of([cube.id for cube in cubes])
    changed: dict[str, Revise] = {}
    after: list[Record] = []
    for cube in cubes:
        state = schedule.due(cube, uses.get(cube.id), now)
        if state is not None:
            changed[cube.id] = moved(cube, state, now, f"{state} by the scheduler")
        after.append(cube if state is None else replace(cube, metadata=changed[cube.id].metadata or {}))
    named = tiers.named(after, uses, now)
    for cube in after:
        candidate = named.get(cube.id)
        metadata = marked(cube.metadata, candidate)
        if metadata != dict(cube.metadata):
            why = f"a candidate for {candidate.tier}" if candidate is not None else "no candidate any more"
            move = changed.get(cube.id, Revise(cube.id, cube.version, reason=why))
            changed[cube.id] = replace(move, metadata=metadata)
    return Changes(tuple(changed[cube.id] for cube in cubes if cube.id in changed))
