"""A working context on the desk: lines of blocks and what is archived, as a model's calls leave them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime

from engram.kernel.changes import Add, Change, Retire, Revise
from engram.kernel.effects import Find
from engram.kernel.record import Record
from engram.operators.consolidation.diary import BLOCK
from engram.operators.extraction.borrowed import borrowed
from engram.operators.extraction.fact import Fact
from engram.operators.packing import label
from engram.operators.summaries.calls import PERSONA, SYSTEM, USER, Call
from engram.operators.summaries.quoting import line, message
from engram.operators.summaries.sizes import shortened

__all__ = ["ARCHIVED", "Desk", "Line"]

ARCHIVED = {"archival": True}
"""The metadata of what a model has put into archival storage."""
_PAGE = 5
_PAGES = 10
_MOST = 500  # tokens of what one call writes
_SHOWN = 200  # tokens of a message that a search gives


@dataclass
class Line:
    """A line of a block, and what stands behind what is new in it; `record` is what it was before."""

    block: str
    text: str
    sources: tuple[str, ...] = ()
    record: Record | None = None
    since: datetime | None = None


@dataclass
class Desk:
    """The working context, of `limit` characters a block, and what was archived.

    `new` are the messages of the present event and `shown` what the model sees besides: whatever it writes
    stands on the new message that has most of its words, and on whoever lends it others (`borrowed`).
    """

    limit: int
    lines: list[Line] = field(default_factory=list)
    archive: list[Line] = field(default_factory=list)
    new: Sequence[Record] = ()
    shown: list[Record] = field(default_factory=list)

    @classmethod
    def of(cls, limit: int, blocks: Sequence[Record], *beside: Record) -> Desk:
        """The desk with the blocks that are kept; `beside` them, other records are seen."""
        lines = [Line(label(record), record.text, record=record) for record in blocks]
        return cls(limit, lines, shown=[*beside, *blocks])

    def quoted(self) -> list[str]:
        """The blocks as quoted lines of a question."""
        names = dict.fromkeys([PERSONA, USER, *(item.block for item in self.lines)])
        return [
            line(block=name, characters=f"{self._used(name)} of {self.limit}", lines=self.texts(name))
            for name in names
        ]

    def texts(self, block: str) -> list[str]:
        """The lines of a block, those taken away left out."""
        return [item.text for item in self.lines if item.block == block and item.text]

    async def do(self, call: Call) -> tuple[str, bool]:
        """Carry out a call: what it gave, as a quoted line, and whether it could be done."""
        wrong = ""
        found: list[str] = []
        match call.action:
            case "append":
                wrong = self._append(call.block, shortened(call.content, _MOST))
            case "replace":
                wrong = self._replace(call.block, call.old, shortened(call.content, _MOST))
            case "archive":
                wrong = self._archive(shortened(call.content, _MOST))
            case "search_recall" | "search_archive":
                found = await self._search(call)
        gave = found if call.action.startswith("search") else wrong or "done"
        return line(action=call.action, gave=gave), not wrong

    def changes(self, now: datetime, note: str = "") -> list[Change]:
        """What became of the lines and of the archive; `note` is the receipt's."""
        made: list[Change] = [
            Add(
                item.text,
                "core",
                item.sources,
                valid_start=min(now, item.since or now),
                metadata={BLOCK: item.block},
                reason=note,
            )
            for item in self.lines
            if item.record is None and item.text
        ]
        made += [
            Add(item.text, "fact", item.sources, metadata=ARCHIVED, reason=note) for item in self.archive
        ]
        for item in self.lines:
            old = item.record
            if old is not None and not item.text:
                made.append(Retire(old.id, old.version, reason="taken away", sources=item.sources))
            elif old is not None and item.text != old.text:
                made.append(Revise(old.id, old.version, item.text, sources=item.sources, reason=note))
        return made

    def note(self, fact: Fact, turn: Record, *, single: bool) -> None:
        """Take down a fact about the user, as far as there is room; a `single` one in place of an earlier."""
        self.new = (turn,)
        opening = fact.text.removesuffix(fact.object)
        held = next((text for text in self.texts(USER) if single and text.startswith(opening)), None)
        if held is None:
            self._append(USER, fact.text)
        elif held != fact.text:
            self._replace(USER, held, fact.text)

    def _append(self, block: str, text: str) -> str:
        name = block.strip().casefold()
        if name not in (PERSONA, USER):
            return f"there is no block {block[:40]!r}: name '{PERSONA}' or '{USER}'"
        if not text or text in self.texts(name):
            return ""
        if self._used(name) + len(text) > self.limit:
            return f"the block is full ({self.limit} characters): replace what matters less, or archive"
        since = min(turn.time for turn in self.new)
        self.lines.append(Line(name, text, self._stands_on(text), since=since))
        return ""

    def _replace(self, block: str, old: str, text: str) -> str:
        name = block.strip().casefold()
        found = next((item for item in self.lines if item.block == name and old and old in item.text), None)
        if found is None:
            return "no line of that block has `old` in it: give an exact part of one"
        if found.record is not None and found.record.made_by is None:
            return "that line was given by the memory's owner: append beside it instead"
        replaced = " ".join(found.text.replace(old, text).split())
        if self._used(name) - len(found.text) + len(replaced) > self.limit:
            return f"the block would be too long ({self.limit} characters): say it in fewer"
        stands = self._stands_on(text)
        if found.text == old.strip() and text:  # nothing of it stays
            found.text, found.sources = "", stands
            return self._append(name, text)
        found.text = replaced
        found.sources = tuple(dict.fromkeys([*found.sources, *stands]))
        return ""

    def _archive(self, text: str) -> str:
        if text and text not in {item.text for item in self.archive}:
            self.archive.append(Line("", text, self._stands_on(text)))
        return ""

    async def _search(self, call: Call) -> list[str]:
        page = min(max(0, call.page), _PAGES)
        kinds = ("episode",) if call.action == "search_recall" else ("fact",)
        hits = await Find(call.query[:1000], _PAGE * (page + 1), kinds)
        records = [hit.record for hit in hits[_PAGE * page :]]
        self.shown = [*records, *self.shown]
        return [message(record, _SHOWN) for record in records]

    def _used(self, block: str) -> int:
        return sum(map(len, self.texts(block)))

    def _stands_on(self, text: str) -> tuple[str, ...]:
        """The new message with most of its words, and those that lend it others."""
        words = set(text.casefold().split())
        turn = max(self.new, key=lambda turn: len(words & set(turn.text.casefold().split())))
        others = [item for item in self.new if item is not turn]
        fact = Fact("", "", text)
        return (turn.id, *borrowed(fact, turn, [*self.shown, *others], SYSTEM))
