"""Calls to the tools of a memory: the question that shows turns and memories, the reply, and what is done."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Protocol

from engram.kernel.effects import Ask, Find, Read, Told
from engram.kernel.record import Record
from engram.kernel.scope import Scope
from engram.operators.extraction.borrowed import lent
from engram.operators.extraction.turns import speaker_of
from engram.operators.managing.desk import MEMORY, Desk, Entry, Shelf
from engram.operators.managing.logbook import Call
from engram.operators.quoting import lines, turn_line

__all__ = [
    "Asked",
    "Calling",
    "GivenCall",
    "Made",
    "Take",
    "Taken",
    "as_given",
    "chunks",
    "desks",
    "quoted_turns",
]

_UNSEEN = "was not shown whole"
_QUERY = 2000  # characters of a chunk by which memories are looked for


class GivenCall(Protocol):
    """A call as a reply has it: `action` is the memory's name, "_", and `insert`, `update` or `delete`."""

    @property
    def action(self) -> str:
        """Which tool of which memory."""
        ...

    @property
    def content(self) -> str:
        """What the entry is to say."""
        ...

    @property
    def number(self) -> int | None:
        """The number of the entry that is updated or deleted, as it was shown."""
        ...

    @property
    def turns(self) -> Sequence[int]:
        """The numbers of the turns that it was made from; all where none of them was shown."""
        ...

    @property
    def metadata(self) -> Mapping[str, Any]:
        """What the entry keeps beside its text."""
        ...


@dataclass(frozen=True)
class Taken:
    """What a call is to write: its text, what is kept beside it, and the ids of what it stands on."""

    content: str
    metadata: Mapping[str, Any]
    sources: tuple[str, ...]


Take = Callable[[GivenCall, tuple[str, ...]], Taken]
"""Makes of a call and the turns that it names what is written."""


def as_given(given: GivenCall, sources: tuple[str, ...]) -> Taken:
    """What the call says."""
    return Taken(given.content, given.metadata, sources)


@dataclass(frozen=True)
class Made:
    """What came of one question: the turns, the records shown, the calls, and what they were to write."""

    turns: tuple[Record, ...]
    shown: tuple[Record, ...]
    calls: tuple[Call, ...]
    contents: tuple[str, ...]
    keys: tuple[str | None, ...]

    def placed(self, all: Mapping[str, Desk]) -> tuple[Call, ...]:
        """The calls, those on new entries with their place among all that the desks add."""
        first: dict[str, int] = {}
        so_far = 0
        for name, desk in all.items():
            first[name] = so_far
            so_far += len(desk.changes()[0])
        return tuple(_placed(call, key, all, first) for call, key in zip(self.calls, self.keys, strict=True))


def _placed(call: Call, key: str | None, all: Mapping[str, Desk], first: Mapping[str, int]) -> Call:
    place = None if key is None else all[call.memory].place(key)
    return call if place is None else replace(call, added=first[call.memory] + place)


@dataclass(frozen=True)
class Calling:
    """Asks the model for calls on what is on the desks, by what was said in a chunk of turns.

    `reply` is the type of the reply, whose `calls` are `GivenCall`s; at most `most` of them count. Of a turn,
    `longest` characters are shown.
    """

    reply: type[Any]
    system: str
    longest: int = 6000
    most: int = 30

    async def made(self, turns: Sequence[Record], desks: Mapping[str, Desk]) -> Made:
        """What the model does about a chunk of turns, done on the desks. Raises what `Ask` raises."""
        return (await self.asked(turns, desks)).done(desks)

    async def asked(self, turns: Sequence[Record], desks: Mapping[str, Desk]) -> Asked:
        """What the model wants done about a chunk of turns. Raises what `Ask` raises."""
        shown = [(name, key, entry) for name, desk in desks.items() for key, entry in desk.held().items()]
        held = [
            {"number": number, "memory": name, "text": desks[name].shelf.cut(entry.text)}
            for number, (name, _, entry) in enumerate(shown, 1)
        ]
        quoted = f"Entries of the memory, quoted:\n{lines(held)}\n\n" if held else ""
        asked = f"Which calls keep the memory ({', '.join(desks)}) up to date? {self.most} at most."
        prompt = f"{quoted}{quoted_turns(turns, self.longest)}\n\n{asked}"
        reply = await Ask[Any](prompt, self.reply, self.system)
        return Asked(tuple(turns), tuple(shown), tuple(reply.calls[: self.most]))


@dataclass(frozen=True)
class Asked:
    """A reply that is not done yet: the turns, what was shown by number, and the calls."""

    turns: tuple[Record, ...]
    shown: tuple[tuple[str, str, Entry], ...]
    given: tuple[GivenCall, ...]

    def done(self, desks: Mapping[str, Desk], take: Take = as_given) -> Made:
        """The calls, done on the desks; `take` has the last word on what each writes."""
        done = [_done(given, self.turns, self.shown, desks, take) for given in self.given]
        contents = ["" if given.action.endswith("_delete") else given.content for given in self.given]
        records = tuple(entry.record for _, _, entry in self.shown if entry.record is not None)
        calls, keys = [call for call, _ in done], [key for _, key in done]
        return Made(self.turns, records, tuple(calls), tuple(contents), tuple(keys))


def quoted_turns(turns: Sequence[Record], longest: int) -> str:
    """Turns as a question shows them, with number, speaker and time."""
    said = [
        turn_line(number, turn, turn.text[:longest]) | {"time": f"{turn.time:%Y-%m-%d %H:%M, %A}"}
        for number, turn in enumerate(turns, 1)
    ]
    return f"The turns, quoted:\n{lines(said)}"


def _done(
    given: GivenCall,
    turns: Sequence[Record],
    shown: Sequence[tuple[str, str, Entry]],
    desks: Mapping[str, Desk],
    take: Take,
) -> tuple[Call, str | None]:
    """A call that was done or refused, and the key of the entry that it touched."""
    name, tool = given.action.rsplit("_", 1)
    desk, number = desks[name], given.number
    named = [turns[place - 1] for place in dict.fromkeys(given.turns) if 1 <= place <= len(turns)] or turns
    at = max(turn.time for turn in named)
    taken = take(given, _sources(given, named, turns, shown))
    place = shown[number - 1] if number is not None and 1 <= number <= len(shown) else None
    key = desk.newest if desk.shelf.single else place[1] if place is not None and place[0] == name else None
    entry = desk.held().get(key or "")
    match tool:
        case "insert":
            note = desk.insert(taken.content, taken.sources, taken.metadata)
            key, entry = (None if note else desk.newest), None
        case "update":
            unseen = key is not None and entry is not None and not desk.shelf.whole(entry.text)
            note = _UNSEEN if unseen else desk.update(key, taken.content, taken.sources, taken.metadata)
            key = desk.newest if key is None and not note else key
        case _:
            note = desk.delete(key, taken.sources, at)
    record = None if entry is None else entry.record
    call = Call(
        tool,
        name,
        not note,
        record=None if record is None else record.id,
        version=None if record is None else record.version,
        note=note,
    )
    return call, key


def _sources(
    given: GivenCall,
    named: Sequence[Record],
    turns: Sequence[Record],
    shown: Sequence[tuple[str, str, Entry]],
) -> tuple[str, ...]:
    """The turns that a call names, and those that what else was shown and lent it words stands on."""
    own = [turn.id for turn in named]
    said = [(f"{speaker_of(turn)} {turn.text}", (turn.id,)) for turn in turns if turn.id not in own]
    entries = [(entry.text, [id for id in entry.sources if not id.startswith("#")]) for _, _, entry in shown]
    words = [value for value in vars(given).values() if isinstance(value, str | list)]
    text = " ".join(" ".join(map(str, value)) if isinstance(value, list) else value for value in words)
    common = f"{given.action} " + " ".join(f"{speaker_of(turn)} {turn.text}" for turn in named)
    return tuple(dict.fromkeys([*own, *lent(text, common, [*entries, *said])]))


def chunks(turns: Sequence[Record], longest: int) -> Iterator[list[Record]]:
    """Turns that hold text, in groups of one run and of at most `longest` characters."""
    group: list[Record] = []
    size = 0
    for turn in turns:
        length = min(len(turn.text), longest)
        if group and (size + length > longest or turn.scope != group[0].scope):
            yield group
            group, size = [], 0
        if turn.text.strip():
            group.append(turn)
            size += length
    if group:
        yield group


async def desks(shelves: Sequence[Shelf], turns: Sequence[Record], recent: int, near: int) -> dict[str, Desk]:
    """A desk for each shelf, by name: the `recent` last entries of the lane, and the `near` nearest.

    These to what the turns say. Of a single memory, its entry.
    """
    lane: Scope = turns[0].scope.lane
    query = "\n".join(turn.text for turn in turns)[:_QUERY]
    found: dict[str, Desk] = {}
    for shelf in shelves:
        told = await Told(kinds=(shelf.kind,), last=None if shelf.single else recent)
        hits = await Find(query, near, (shelf.kind,)) if near and not shelf.single else []
        records = await Read(tuple(dict.fromkeys([*(id for _, id in told), *(hit.id for hit in hits)])))
        own = [
            record
            for record in records
            if record.made_by is not None
            and record.scope.lane == lane
            and record.valid.end is None
            and record.metadata.get(MEMORY, shelf.name) == shelf.name
        ]
        own.sort(key=lambda record: (record.time, record.arrival))
        found[shelf.name] = Desk(shelf, own)
    return found
