"""Where a new fact belongs among those that say the same kind of thing of the same subject.

Facts arrive in any order: "we moved to Porto in 2023" may be said after "we moved to Lisbon in May". What
ends what is settled in valid time, not in order of arrival, and only between facts of the same subject and
relation whose relation holds one value at a time. Everything else stands side by side: ending a fact too
eagerly loses what was true.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import suppress
from datetime import UTC, datetime
from typing import Any

from engram.kernel.changes import Add, Change, Retire, Revise
from engram.kernel.record import Record
from engram.kernel.schema import plain_name
from engram.operators.extraction.fact import Fact
from engram.operators.retrieval.stated import folded

__all__ = ["PLACED", "SINGLE", "holds_one", "place", "same_object", "settle"]

# Relations of which one value holds at a time, as `plain_name` gives them; "favourite …" is another.
SINGLE = frozenset(
    {"name", "age", "birthday", "lives_in", "works_at", "weight", "height", "email", "phone"}
    | {"wife", "husband", "spouse", "partner", "fiance", "fiancee"}
)
_SAID = "said"  # the key of a fact's metadata that holds when it was said again, and by which source
PLACED = "placed"
"""The key of the metadata of a fact that was added with an end because a later one was known already."""
_TIMES = 50
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
    ended by another one, or by what was said, is retired with the reason; none is ever removed. Where it was
    said again later than the other one begins, it is added anew from then on. Where a fact that was added
    directly says it already, nothing changes.
    """
    valid = fact.valid(said)
    same = [record for record in known if same_object(str(record.metadata.get("object", "")), fact.object)]
    if fact.ended or (valid.start is None and valid.end is not None):
        return _end(fact, valid.end or said, sources, same)
    start = valid.start or said
    one_at_a_time = (holds_one(fact) if single is None else single) and fact.lasting == "state"
    holding = next((record for record in same if start in record.valid), None)
    if holding is not None and holding.made_by is None:
        return []
    if holding is not None:
        metadata = _with_time(holding, start, sources) if one_at_a_time else None
        if fact.labels.keys() - holding.metadata.keys():
            metadata = {**fact.labels, **(metadata or holding.metadata)}
        return [Revise(holding.id, holding.version, metadata=metadata, sources=sources, reason="said again")]
    if not one_at_a_time:
        return [_add(fact, said, sources, start, valid.end)]
    until, causes, others = _between(fact, start, sources, known)
    if until is None or (valid.end is not None and valid.end <= until):
        until, causes = valid.end, ()
    return [_add(fact, said, sources, start, until, causes), *others]


def settle(record: Record, fact: Fact, known: Sequence[Record]) -> list[Change]:
    """What a fact that was added directly as `record` changes among those known of subject and relation.

    Its words stay as they are. Of a relation that holds one value at a time, it ends the value before and
    is ended by the next, as if it were placed there; nothing changes where nobody knows since when it holds.
    """
    start, end = record.valid.start, record.valid.end
    if start is None or not holds_one(fact):
        return []
    others = [
        other
        for other in known
        if other.id != record.id and not same_object(str(other.metadata.get("object", "")), fact.object)
    ]
    until, causes, changes = _between(fact, start, (record.id,), others)
    if until is None or (end is not None and end <= until):
        return changes
    reason = f"{fact.object} until {until:%Y-%m-%d}, when another value begins"
    return [Retire(record.id, record.version, until, causes, reason), *changes]


def _between(
    fact: Fact, start: datetime, sources: tuple[str, ...], known: Sequence[Record]
) -> tuple[datetime | None, tuple[str, ...], list[Change]]:
    """When the next value begins after one that begins at `start`, by what, and what that ends or resumes."""
    ended = [record for record in known if _start(record) <= start < (record.valid.end or _LATEST)]
    again = [added for record in ended if (added := _resumed(record, start, known)) is not None]
    later: list[tuple[datetime, tuple[str, ...]]] = [
        (_start(record), (record.id,)) for record in known if _start(record) > start
    ]
    later += [(added.valid_start, added.sources) for added in again if added.valid_start is not None]
    until, causes = min(later, default=(None, ()))
    retired = (Retire(old.id, old.version, start, sources, _reason(old, fact, start)) for old in ended)
    return until, causes, [*retired, *again]


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
    fact: Fact,
    said: datetime,
    sources: tuple[str, ...],
    start: datetime | None,
    end: datetime | None,
    ended_by: tuple[str, ...] = (),
) -> Add:
    return Add(
        fact.text,
        "fact",
        sources,
        valid_start=start,
        valid_end=end,
        time=said,
        metadata={**fact.metadata(), **({PLACED: True} if ended_by else {})},
        trust=fact.confidence,
        ended_by=ended_by,
    )


def _with_time(record: Record, moment: datetime, sources: Sequence[str]) -> Mapping[str, Any] | None:
    """The record's metadata with when it was said again, and by what; `None` where that adds nothing."""
    if moment <= _start(record):
        return None
    times = sorted({*_times(record), *((moment, source) for source in sources)})[-_TIMES:]
    return {**record.metadata, _SAID: [[time.isoformat(), source] for time, source in times]}


def _times(record: Record) -> list[tuple[datetime, str]]:
    """When a fact was said again, oldest first, by sources that it still has."""
    found: list[tuple[datetime, str]] = []
    for item in record.metadata.get(_SAID) or ():
        with suppress(ValueError, TypeError):  # somebody may have edited it
            time, source = item
            moment = datetime.fromisoformat(time)
            if source in record.sources and moment.tzinfo is not None:
                found.append((moment, source))
    return sorted(found)


def _resumed(record: Record, start: datetime, known: Sequence[Record]) -> Add | None:
    """The fact anew, from when it was first said again after `start`; `None` where it was not."""
    times = [(time, source) for time, source in _times(record) if time > start]
    if not times or times[0][0] >= (record.valid.end or _LATEST):
        return None
    first = times[0][0]
    metadata = {key: value for key, value in record.metadata.items() if key != _SAID}
    if rest := [[time.isoformat(), source] for time, source in times if time > first]:
        metadata[_SAID] = rest
    return Add(
        record.text,
        "fact",
        tuple(dict.fromkeys(source for _, source in times)),
        valid_start=first,
        valid_end=record.valid.end,
        time=first,
        metadata=metadata,
        trust=record.trust,
        reason=f"said again on {first:%Y-%m-%d}",
        ended_by=tuple(other.id for other in known if other.valid.start == record.valid.end is not None),
    )


def holds_one(fact: Fact) -> bool:
    """Whether the fact's relation has one value at a time: as its schema says, else by its name."""
    if fact.single is not None:
        return fact.single
    relation = plain_name(fact.relation)
    return fact.lasting == "state" and (relation in SINGLE or relation.startswith("favourite_"))


def _start(record: Record) -> datetime:
    return record.valid.start or _EARLIEST


def _reason(old: Record, new: Fact, start: datetime) -> str:
    return f"{old.metadata.get('object')} until {start:%Y-%m-%d}, when {new.object} begins"
