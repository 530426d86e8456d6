"""Calls to the tools of a memory: the question that shows turns and memories, the reply, and what is done."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Protocol

from engram.kernel.effects import Ask, Find, Read, Told
from engram.kernel.record import Record
from engram.kernel.scope import Scope
from engram.operators.extraction.turns import speaker_of
from engram.operators.managing.desk import Desk, Entry, Shelf
from engram.operators.managing.logbook import Call

__all__ = ["Calling", "GivenCall", "Made", "chunks", "desks"]

_SHOWN = 400  # characters shown of an entry
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
        shown = [(name, key, entry) for name, desk in desks.items() for key, entry in desk.held().items()]
        reply = await Ask[Any](self._prompt(turns, shown), self.reply, self.system)
        calls: list[Call] = []
        contents: list[str] = []
        keys: list[str | None] = []
        for given in reply.calls[: self.most]:
            call, key = _done(given, turns, shown, desks)
            calls.append(call)
            keys.append(key)
            contents.append("" if given.action.endswith("_delete") else given.content)
        records = tuple(entry.record for _, _, entry in shown if entry.record is not None)
        return Made(tuple(turns), records, tuple(calls), tuple(contents), tuple(keys))

    def _prompt(self, turns: Sequence[Record], shown: Sequence[tuple[str, str, Entry]]) -> str:
        held = [
            {"number": number, "memory": name, "text": entry.text[:_SHOWN]}
            for number, (name, _, entry) in enumerate(shown, 1)
        ]
        said = [
            {
                "turn": number,
                "speaker": speaker_of(turn),
                "time": f"{turn.time:%Y-%m-%d %H:%M}, {turn.time:%A}",
                "text": turn.text[: self.longest],
            }
            for number, turn in enumerate(turns, 1)
        ]
        parts = (("Entries of the memory", held), ("The turns", said))
        quoted = "\n\n".join(f"{title}, quoted:\n{_lines(part)}" for title, part in parts if part)
        return f"{quoted}\n\nWhich calls keep the memory up to date? {self.most} at most."


def _done(
    given: GivenCall,
    turns: Sequence[Record],
    shown: Sequence[tuple[str, str, Entry]],
    desks: Mapping[str, Desk],
) -> tuple[Call, str | None]:
    """A call that was done or refused, and the key of the entry that it touched."""
    name, tool = given.action.rsplit("_", 1)
    desk, number = desks[name], given.number
    named = [turns[place - 1] for place in dict.fromkeys(given.turns) if 1 <= place <= len(turns)] or turns
    sources, at = tuple(turn.id for turn in named), max(turn.time for turn in named)
    place = shown[number - 1] if number is not None and 1 <= number <= len(shown) else None
    key = desk.newest if desk.shelf.single else place[1] if place is not None and place[0] == name else None
    entry = desk.held().get(key or "")
    match tool:
        case "insert":
            note = desk.insert(given.content, sources)
            key, entry = (None if note else desk.newest), None
        case "update":
            note = desk.update(key, given.content, sources)
            key = desk.newest if key is None and not note else key
        case _:
            note = desk.delete(key, sources, at)
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
            if record.made_by is not None and record.scope.lane == lane and record.valid.end is None
        ]
        own.sort(key=lambda record: (record.time, record.arrival))
        found[shelf.name] = Desk(shelf, own)
    return found


def _lines(items: Sequence[object]) -> str:
    return "\n".join(json.dumps(item, ensure_ascii=False) for item in items)
