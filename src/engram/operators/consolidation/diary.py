"""A diary: a summary record for every day that is over, and two blocks that stand on all of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from engram.kernel.changes import Add, Change, Changes, Revise
from engram.kernel.effects import Model, Read, Told, each
from engram.kernel.record import Record
from engram.kernel.scope import Scope
from engram.operators.consolidation.days import DAY, Day, midnight, own, summaries
from engram.operators.consolidation.digest import INSIGHTS, Digest, Summarise, Whole
from engram.operators.consolidation.portrait import day_by_rules, whole_by_rules

__all__ = ["BLOCK", "EVENTS", "PORTRAIT", "Diary"]

BLOCK = "block"
"""The key of a block's metadata that names it."""
EVENTS, PORTRAIT = "events", "portrait"
"""The names of the block of all events and of the user's portrait."""
_BY_RULES = "by rules: no model is configured"


@dataclass(frozen=True)
class _Page:
    """A day as the blocks are made of it; `ref` is its record's id, or "#n" for the n-th that is added."""

    ref: str
    date: str
    text: str
    metadata: Mapping[str, Any]


@dataclass(frozen=True)
class Diary:
    """Keeps a diary, by model where there is one, else by rules (and says so).

    Days are of kind `summary`, valid from the day's beginning; the blocks of all events and of the portrait
    are of kind `core`, which every context begins with. By model, the blocks are brought up to date by the
    new days; where they are not there yet, or were erased, and by rules, they are made of the last `shown`
    days.
    """

    summarise: Summarise
    shown: int = 60

    async def closed(self, days: Sequence[Day], lane: Scope) -> Changes:
        """What summing up `days` changes. Raises what `Ask` raises."""
        days = sorted(days, key=lambda day: day.date)
        modelled = await Model() is not None
        made = await each(
            self.summarise.day(day) if modelled else day_by_rules(day, _BY_RULES) for day in days
        )
        changes, pages = _of_days(days, made)
        before = [_page(record) for record in await summaries(lane, self.shown)]
        found = own(await Read(tuple(id for _, id in await Told(kinds=("core",)))), lane, BLOCK)
        blocks = {str(record.metadata[BLOCK]): record for record in found}
        if not pages and (EVENTS in blocks or not before):
            return Changes()
        if not modelled or EVENTS not in blocks:
            new = {page.date for page in pages}
            pages = sorted(
                [*(page for page in before if page.date not in new), *pages], key=lambda page: page.date
            )[-self.shown :]
        if modelled:
            known = Whole(*(blocks[name].text if name in blocks else "" for name in (EVENTS, PORTRAIT)))
            told = [(page.date, page.text, str(page.metadata.get(INSIGHTS, ""))) for page in pages]
            whole = await self.summarise.whole(known, told)
        else:
            whole = whole_by_rules([(page.date, page.text, page.metadata) for page in pages])
        return Changes((*changes, *await _blocks(whole, blocks, pages, "" if modelled else _BY_RULES)))


def _of_days(days: Sequence[Day], made: Sequence[Digest]) -> tuple[list[Change], list[_Page]]:
    """A record for each day that has none, a version for each that was extended; and the days' pages."""
    changes: list[Change] = []
    pages: list[_Page] = []
    added = 0
    for day, digest in zip(days, made, strict=True):
        metadata = {DAY: str(day.date), "turns": len(day.turns), **digest.metadata}
        if (old := day.summary) is not None:
            late = f"extended by {len(day.new)} turns that came late"
            reason = "; ".join(filter(None, (late, digest.note)))
            changes.append(Revise(old.id, old.version, digest.text, metadata, day.new, reason))
            pages.append(_Page(old.id, str(day.date), digest.text, metadata))
            continue
        sources = tuple(turn.id for turn in day.turns)
        start = midnight(day.date)
        changes.append(
            Add(
                digest.text,
                "summary",
                sources,
                valid_start=start,
                metadata=metadata,
                reason=digest.note,
            )
        )
        pages.append(_Page(f"#{added}", str(day.date), digest.text, metadata))
        added += 1
    return changes, pages


async def _blocks(
    whole: Whole, blocks: Mapping[str, Record], pages: Sequence[_Page], note: str
) -> list[Change]:
    """The blocks that are new, and versions of those that say something else now."""
    stood = tuple(dict.fromkeys(id for block in blocks.values() for id in block.sources))
    changes: list[Change] = []
    for name, text in ((EVENTS, whole.summary), (PORTRAIT, whole.portrait)):
        block = blocks.get(name)
        if not text or (block is not None and block.text == text):
            continue
        held = set() if block is None else set(block.sources)
        others = await Read(tuple(id for id in stood if id not in held))
        sources = tuple(dict.fromkeys([*(record.id for record in others), *(page.ref for page in pages)]))
        if block is None:
            changes.append(Add(text, "core", sources, metadata={BLOCK: name}, reason=note))
        else:
            changes.append(Revise(block.id, block.version, text, sources=sources, reason=note))
    return changes


def _page(record: Record) -> _Page:
    return _Page(record.id, str(record.metadata[DAY]), record.text, record.metadata)
