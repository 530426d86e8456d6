"""Sessions of a lane that are over, and which of their turns were reflected on already."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import timedelta

from engram.kernel.changes import Connect, Revise
from engram.kernel.effects import Neighbours, Read, Recent, Told
from engram.kernel.record import Record
from engram.kernel.scope import Scope

__all__ = ["REFLECTED", "Session", "confirmed", "due", "marks", "sessions_of", "waiting"]

Session = tuple[Record, ...]
"""Turns of one session that hold text, oldest first."""
REFLECTED = "reflected"
"""The type of the edge that says of a turn that it was reflected on."""
_GAP = timedelta(minutes=30)
_LONGEST = 1000  # turns of one session that are read together
_PAGE = 500


def marks(pairs: Iterable[tuple[Record, str]]) -> list[Connect]:
    """The edges that say that turns were reflected on: (turn, what was made of it, or the turn's own id).

    One goes when what was made of its turn does, and when the turn is edited.
    """
    return [Connect(turn.id, ref, REFLECTED, sources=(turn.id,), single=True) for turn, ref in pairs]


async def confirmed(episodes: Sequence[Record]) -> list[Revise]:
    """Versions that keep what was made of these episodes alone, where a rebuild would end it."""
    ids = {episode.id for episode in episodes}
    edges = await Neighbours(tuple(sorted(ids)), (REFLECTED,), "out")
    made = await Read(tuple(sorted({edge.target for edge in edges} - ids)))
    return [
        Revise(record.id, record.version, reason="still stands")
        for record in made
        if record.made_by is not None and ids.issuperset(record.sources)
    ]


def sessions_of(turns: Sequence[Record]) -> list[Session]:
    """The turns by session: by run, those without one by gaps of more than 30 minutes; oldest first."""
    groups: list[list[Record]] = []
    last: dict[str | None, list[Record]] = {}
    for turn in sorted(turns, key=lambda turn: (turn.time, turn.arrival, turn.id)):
        group = last.get(turn.scope.run_id)
        if group is None or not _together(group[-1], turn):
            group = []
            groups.append(group)
            last[turn.scope.run_id] = group
        group.append(turn)
    return [tuple(group) for group in groups]


async def due(episodes: Sequence[Record]) -> list[Session]:
    """The sessions that are over now that `episodes` are there.

    A session is over when a later turn belongs to another one. Of a session, only the turns that were not
    reflected on are given.
    """
    turns = [episode for episode in episodes if episode.text.strip()]
    done = await _reflected([turn.id for turn in turns])
    new = sessions_of([turn for turn in turns if turn.id not in done])
    if not new:
        return []
    ends = [group[-1] for group in new[:-1]]
    first, last = new[0][0], new[-1][-1]
    before = await _before(first, {turn.id for turn in turns})
    if before is not None and not _together(before, first):
        ends.insert(0, before)
    after = await _one(await Told(start=last.time, last=1))
    if after is not None and after.time > last.time and not _together(last, after):
        ends.append(last)
    found = [await _open(end) for end in ends]
    return [session for session in found if session]


async def waiting(lane: Scope) -> list[Session]:
    """Every session of a lane with turns that were not reflected on, over or not."""
    ids = [id for _, id in await Told()]
    done = await _reflected(ids)
    left = [id for id in ids if id not in done]
    turns = [turn for start in range(0, len(left), _PAGE) for turn in await Read(tuple(left[start:][:_PAGE]))]
    return sessions_of([turn for turn in turns if turn.scope.lane == lane and turn.text.strip()])


async def _open(end: Record) -> Session:
    """The turns of the session that ends with that turn, but for those that were reflected on."""
    before = [turn for turn in await Recent(_LONGEST - 1, before=end.id) if turn.text.strip()]
    session = next(group for group in sessions_of([*before, end]) if end in group)
    done = await _reflected([turn.id for turn in session])
    return tuple(turn for turn in session if turn.id not in done)


async def _reflected(ids: Sequence[str]) -> set[str]:
    done: set[str] = set()
    for start in range(0, len(ids), _PAGE):
        edges = await Neighbours(tuple(ids[start : start + _PAGE]), (REFLECTED,), "out")
        done |= {edge.source for edge in edges}
    return done


async def _before(first: Record, own: set[str]) -> Record | None:
    """The last turn of the lane before that one, besides its `own`; of one time the last to arrive."""
    recent = [turn for turn in await Recent(len(own) + 1) if turn.id not in own and turn.time <= first.time]
    found = recent[-1] if recent else await _one(await Told(end=first.time, last=1))
    return found if found is not None and found.scope.lane == first.scope.lane else None


async def _one(told: Sequence[tuple[object, str]]) -> Record | None:
    return next(iter(await Read((told[-1][1],))), None) if told else None


def _together(one: Record, other: Record) -> bool:
    """Whether two turns, the earlier one first, belong to one session."""
    if one.scope.run_id != other.scope.run_id or one.scope.lane != other.scope.lane:
        return False
    return one.scope.run_id is not None or other.time - one.time <= _GAP
