"""Where a new fact belongs among those that say the same kind of thing of the same subject.

Facts arrive in any order: "we moved to Porto in 2023" may be said after "we moved to Lisbon in May". What
ends what is settled in valid time, not in order of arrival, and only between facts of the same subject and
relation whose relation holds one value at a time. Everything else stands side by side: ending a fact too
eagerly loses what was true.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime

from engram.kernel.changes import Add, Change, Retire, Revise
from engram.kernel.record import Record
from engram.operators.extraction.fact import Fact
from engram.operators.retrieval.stated import folded

__all__ = ["SINGLE", "holds_one", "place", "same_object"]

# Relations of which one value holds at a time; "favourite …" is another.
SINGLE = frozenset(
    {"name", "age", "birthday", "lives_in", "works_at", "weight", "height", "email", "phone"}
    | {"wife", "husband", "spouse", "partner", "fiance", "fiancee"}
)
_EARLIEST = datetime.min.replace(tzinfo=UTC)
_LATEST = datetime.max.replace(tzinfo=UTC)


def same_object(one: str, other: str) -> bool:
    """Whether two objects are the same words, whatever their case and spacing."""
    return folded(one) == folded(other)


def place(
    fact: Fact,
    said: datetime,
    sources: tuple[str, ...],
    known: Sequence[Record],
    *,
    single: bool | None = None,
) -> list[Change]:
    """What a fact said at `said` changes: it is added where it belongs, or one that is known is confirmed.

    `known` are the facts believed now of the same subject and relation, those that have ended included.
    `single` says whether the relation holds one value at a time (default: by its name). A fact that is
    ended by another one, or by what was said, is retired with the reason; none is ever removed.
    """
    valid = fact.valid(said)
    same = [record for record in known if same_object(str(record.metadata.get("object", "")), fact.object)]
    if fact.ended:
        return _end(fact, valid.end or said, sources, same)
    start = valid.start or said
    holding = next((record for record in same if start in record.valid), None)
    if holding is not None:
        return [Revise(holding.id, holding.version, sources=sources, reason="said again")]
    one_at_a_time = single if single is not None else holds_one(fact)
    if not one_at_a_time or fact.lasting != "state":
        return [_add(fact, said, sources, start, valid.end)]
    changes: list[Change] = [
        Retire(record.id, record.version, start, sources, _reason(record, fact, start))
        for record in known
        if _start(record) <= start < (record.valid.end or _LATEST)
    ]
    later = [_start(record) for record in known if _start(record) > start]
    return [_add(fact, said, sources, start, min(later, default=None)), *changes]


def _end(fact: Fact, end: datetime, sources: tuple[str, ...], same: Sequence[Record]) -> list[Change]:
    holding = [record for record in same if _start(record) < end <= (record.valid.end or _LATEST)]
    if holding:
        reason = f"said to have ended: {fact.quote}"
        return [
            Retire(record.id, record.version, end, sources, reason)
            for record in holding
            if record.valid.end != end
        ]
    return [_add(fact, end, sources, None, end)]


def _add(
    fact: Fact, said: datetime, sources: tuple[str, ...], start: datetime | None, end: datetime | None
) -> Add:
    return Add(
        fact.text,
        "fact",
        sources,
        valid_start=start,
        valid_end=end,
        time=said,
        metadata=fact.metadata(),
        trust=fact.confidence,
    )


def holds_one(fact: Fact) -> bool:
    """Whether the fact's relation has one value at a time."""
    return fact.lasting == "state" and (fact.relation in SINGLE or fact.relation.startswith("favourite "))


def _start(record: Record) -> datetime:
    return record.valid.start or _EARLIEST


def _reason(old: Record, new: Fact, start: datetime) -> str:
    return f"{old.metadata.get('object')} until {start:%Y-%m-%d}, when {new.object} begins"
