"""What several facts of one batch change, decided one after the other and given out once."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from datetime import UTC, datetime

from engram.kernel.changes import Add, Change, Changes, Retire, Revise
from engram.kernel.record import Interval, Record
from engram.kernel.scope import Scope
from engram.operators.consolidation.timeline import PLACED, place, settle
from engram.operators.extraction.fact import Fact
from engram.operators.retrieval.stated import folded, said_of

__all__ = ["Ledger", "key_of"]

_EARLIEST = datetime.min.replace(tzinfo=UTC)
_LATEST = datetime.max.replace(tzinfo=UTC)
_NEW = "#"  # who makes what is being added


def key_of(fact: Fact | Record) -> tuple[str, str]:
    """Subject and relation, as they are compared."""
    if isinstance(fact, Fact):
        return said_of(fact.subject, fact.relation)
    return said_of(fact.metadata.get("subject", ""), fact.metadata.get("relation", ""))


class Ledger:
    """The facts believed, as what is decided leaves them; each decision sees those before it.

    `known` are the policy's own records, which may be changed, and facts that were added directly, which may
    be ended and no more. What is added stands among them as "#0", "#1" … until `changes` gives out one change
    a record: two would contradict each other at the commit.
    """

    def __init__(self, known: Iterable[Record]) -> None:
        self._facts = {record.id: record for record in known}
        self._adds: list[Add] = []
        self._revised: dict[str, Revise] = {}
        self._retired: dict[str, Retire] = {}

    def place(
        self,
        fact: Fact,
        said: datetime,
        sources: tuple[str, ...],
        *,
        single: bool | None = None,
        reason: str = "",
    ) -> list[str]:
        """Put a fact where it belongs in valid time (`timeline.place`); gives the places of what is new."""
        known = [record for record in self._facts.values() if key_of(record) == key_of(fact)]
        first = len(self._adds)
        self._apply(place(fact, said, sources, known, single=single), reason)
        return [f"#{number}" for number in range(first, len(self._adds))]

    def settle(self, record: Record, fact: Fact) -> None:
        """Let a fact that was added directly take its place in valid time (`timeline.settle`)."""
        self._facts.setdefault(record.id, record)
        known = [other for other in self._facts.values() if key_of(other) == key_of(fact)]
        self._apply(settle(self._facts[record.id], fact, known), "")

    def confirm(self, id: str, fact: Fact, sources: tuple[str, ...], reason: str) -> None:
        """One that is known tells `fact` too; what was added directly stays as it is.

        Where it says so in other words, these stand on its own sources besides.
        """
        known = self._facts[id]
        if known.made_by is None:
            return
        if folded(known.text) != folded(fact.text):
            sources = _union(sources, known.sources)
        self._apply([Revise(id, known.version, sources=sources, reason=reason)], "")

    def reword(self, id: str, fact: Fact, sources: tuple[str, ...], reason: str) -> None:
        """One that is known says what `fact` says from now on; its older version is kept."""
        version = self._facts[id].version
        self._apply([Revise(id, version, fact.text, fact.metadata(), sources, reason)], "")

    def end(self, id: str, at: datetime, sources: tuple[str, ...], reason: str) -> bool:
        """One that is known held until `at`; whether it began before and had not ended by then."""
        record = self._facts[id]
        if not (record.valid.start or _EARLIEST) < at < (record.valid.end or _LATEST):
            return False
        self._apply([Retire(id, record.version, at, sources, reason)], "")
        return True

    def changes(self) -> Changes:
        """What was decided: additions first. What was both said again and ended is ended."""
        revised = [change for id, change in self._revised.items() if id not in self._retired]
        return Changes((*self._adds, *revised, *self._retired.values()))

    def _apply(self, changes: Sequence[Change], reason: str) -> None:
        for change in changes:
            match change:
                case Add():
                    self._add(replace(change, reason=change.reason or reason))
                case Revise():
                    self._revise(change)
                case Retire():
                    self._retire(change)
                case _:
                    raise TypeError(f"a ledger takes no {type(change).__name__}")

    def _add(self, add: Add) -> None:
        id, valid = f"#{len(self._adds)}", Interval(add.valid_start, add.valid_end)
        said = add.time or _EARLIEST
        self._facts[id] = Record(
            id,
            add.kind,
            add.text,
            Scope(),
            said,
            valid,
            Interval(said),
            sources=add.sources,
            made_by=_NEW,
            metadata=add.metadata,
        )
        self._adds.append(add)

    def _revise(self, change: Revise) -> None:
        record = self._facts[change.id]
        text = record.text if change.text is None else change.text
        metadata = record.metadata if change.metadata is None else change.metadata
        sources = _union(record.sources, change.sources)
        self._facts[change.id] = replace(record, text=text, metadata=metadata, sources=sources)
        if change.id.startswith("#"):
            number = int(change.id[1:])
            self._adds[number] = replace(self._adds[number], text=text, metadata=metadata, sources=sources)
            return
        before = self._revised.get(change.id)
        if before is not None:
            change = replace(
                change,
                text=before.text if change.text is None else change.text,
                metadata=before.metadata if change.metadata is None else change.metadata,
                sources=_union(before.sources, change.sources),
            )
        self._revised[change.id] = change

    def _retire(self, change: Retire) -> None:
        record = self._facts[change.id]
        self._facts[change.id] = record.at(valid=Interval(record.valid.start, change.end))
        if change.id.startswith("#"):
            number = int(change.id[1:])
            add = self._adds[number]
            metadata = {**add.metadata, PLACED: True}
            self._adds[number] = replace(
                add, valid_end=change.end, metadata=metadata, ended_by=change.sources
            )
        else:
            self._retired[change.id] = change


def _union(first: Sequence[str], more: Sequence[str]) -> tuple[str, ...]:
    return tuple(dict.fromkeys([*first, *more]))
