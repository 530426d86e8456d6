"""Thoughts in the middle of a write: new ones and those kept, which are merged and forgotten."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Any

from engram.kernel.changes import Add, Change, Changes, Merge, Retire, Revise
from engram.kernel.record import Record
from engram.operators.notes.note import borrowed
from engram.operators.retrieval.stated import folded

__all__ = ["Held", "Merged", "Working"]

_EARLIEST = datetime.min.replace(tzinfo=UTC)
_TOLD = 200  # characters of a reason


@dataclass
class Held:
    """A thought as it stands: `old` as it is kept, or `new` as it would be added."""

    text: str
    sources: tuple[str, ...]
    since: datetime
    old: Record | None = None
    new: Add | None = None
    settled: bool = False

    @classmethod
    def kept(cls, record: Record) -> Held:
        """One that is kept."""
        return cls(record.text, record.sources, record.valid.start or record.time, record)

    @classmethod
    def added(cls, add: Add) -> Held:
        """A new one."""
        return cls(add.text, add.sources, add.time or add.valid_start or _EARLIEST, new=add)


@dataclass(frozen=True)
class Merged:
    """What several thoughts become: one text, and what its record keeps beside it."""

    text: str
    metadata: Mapping[str, Any]
    reason: str = ""


@dataclass
class Working:
    """What is decided on thoughts, one after the other; each is merged or forgotten once at most."""

    adds: list[Add] = field(default_factory=list)
    changes: list[Change] = field(default_factory=list)
    refused: int = 0
    said: set[str] = field(default_factory=set)

    def forget(self, one: Held, by: Sequence[Held], reason: str) -> bool:
        """Hide a thought from when `by`, the new ones beside it, were said; a new one is not added at all."""
        if one.settled or not reason.strip():
            self.refused += 1
            return False
        one.settled = True
        if one.old is not None:
            others = [other for other in by if other is not one and other.new is not None]
            causes = tuple(dict.fromkeys(id for other in others for id in other.sources))
            end = max([one.since, *(other.since for other in others)])
            why = " ".join(reason.split())[:_TOLD]
            self.changes.append(Retire(one.old.id, one.old.version, end, causes, why))
        return True

    def merge(self, chosen: Sequence[Held], into: Merged, beside: Iterable[Held]) -> bool:
        """Let thoughts become one, in the place of the oldest that is kept.

        It stands on all that they stand on, and on those `beside` them that lent it words. What another one
        says already is refused.
        """
        others = {str(place): one for place, one in enumerate(beside) if one not in chosen}
        taken = {folded(one.text) for one in others.values()} | self.said
        usable = len(chosen) > 1 and into.text.strip() and folded(into.text) not in taken
        if not usable or any(one.settled for one in chosen):
            self.refused += 1
            return False
        self.said.add(folded(into.text))
        texts = {place: one.text for place, one in others.items()}
        lent = borrowed(into.text, "\n".join(one.text for one in chosen), texts)
        stands_on = [*chosen, *(others[place] for place in lent)]
        sources = tuple(dict.fromkeys(id for one in stands_on for id in one.sources))
        why = " ".join(filter(None, ("merged;", *into.reason.split())))[:_TOLD].rstrip(";")
        for one in chosen:
            one.settled = True
        old = [one.old for one in chosen if one.old is not None]
        old.sort(key=lambda record: (record.arrival, record.id))
        if not old:
            first = chosen[0].new
            if first is not None:
                why = "; ".join(filter(None, (first.reason, why)))
                merged = replace(first, text=into.text, metadata=into.metadata, sources=sources, reason=why)
                self.adds.append(merged)
        elif len(old) == 1:
            self.changes.append(Revise(old[0].id, old[0].version, into.text, into.metadata, sources, why))
        else:
            rest = tuple((record.id, record.version) for record in old[1:])
            self.changes.append(
                Merge(old[0].id, old[0].version, rest, into.text, why, into.metadata, sources)
            )
        return True

    def remark(self, new: Iterable[Held], note: str) -> None:
        """Tell something with the first that is added, else with the first that is changed."""
        for one in new:
            if one.new is not None and not one.settled:
                one.new = replace(one.new, reason=_joined(one.new.reason, note))
                return
        if self.adds:
            self.adds[0] = replace(self.adds[0], reason=_joined(self.adds[0].reason, note))
        elif self.changes and isinstance(first := self.changes[0], Revise | Retire | Merge):
            self.changes[0] = replace(first, reason=_joined(first.reason, note))

    def finished(self, new: Iterable[Held]) -> Changes:
        """All that is decided; the `new` ones that nothing befell are added as they are."""
        plain = [one.new for one in new if one.new is not None and not one.settled]
        return Changes((*plain, *self.adds, *self.changes))


def _joined(*reasons: str) -> str:
    return "; ".join(filter(None, reasons))
