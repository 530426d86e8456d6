"""What an erasure opens again: the valid times of records whose end the erased ones had caused."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime

from engram.engine.core import Core
from engram.kernel.protocols import Select, SelectEdges
from engram.kernel.record import Edge, Interval, Record, derived_id
from engram.kernel.scope import Scope
from engram.operators.consolidation.ledger import key_of
from engram.operators.consolidation.timeline import PLACED, holds_one, same_object
from engram.operators.extraction.fact import Fact

__all__ = ["RETIRED_BY", "Freed", "freed"]

RETIRED_BY = "retired_by"
_APART = 2_000_000  # where the ordinals of the edges made here begin
_EARLIEST = datetime.min.replace(tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Freed:
    """A valid time without the causes that go, and the edge to what ends it instead, if anything does."""

    valid: Interval
    edge: Edge | None = None


def freed(core: Core, gone: Mapping[str, Record]) -> dict[str, Freed]:
    """The records that survive and had an end because of some in `gone`, each as it holds without them.

    It ends where another cause that stays ended it. A fact of a relation with one value at a time ends at
    the latest where the next value that is known begins.
    """
    found: dict[str, Freed] = {}
    for tenant in sorted({record.scope.tenant for record in gone.values()}):
        asked = SelectEdges(Scope(tenant), tuple(gone), "in", types=(RETIRED_BY,))
        retired = sorted({edge.source for edge in core.store.edges(asked)} - gone.keys())
        causes: dict[str, list[Edge]] = {id: [] for id in retired}
        if not retired:
            continue
        for edge in core.store.edges(replace(asked, touching=tuple(retired), direction="out")):
            causes[edge.source].append(edge)
        versions: dict[str, list[Record]] = {}
        for record in core.store.select(Select(ids=tuple(retired), history=True)):
            versions.setdefault(record.id, []).append(record)
        for id, known in versions.items():
            without = _without(core, known, causes[id], gone)
            if without.valid != known[-1].valid:
                found[id] = without
    return found


def _without(
    core: Core, versions: Sequence[Record], causes: Sequence[Edge], gone: Mapping[str, Record]
) -> Freed:
    """The valid time of a record, as its versions and the causes that stay give it."""
    last, start = versions[-1], versions[-1].valid.start
    ends = {version.opened: version.valid.end for version in versions}
    stay = [ends.get(edge.opened, last.valid.end) for edge in causes if edge.target not in gone]
    end = min((held for held in (_own(versions[0]), *stay) if held is not None), default=None)
    makers = {None, last.made_by, *(edge.made_by for edge in causes)}
    following = _next(core, last, gone, makers)
    if following is None or (end is not None and end <= (following.valid.start or _EARLIEST)):
        return Freed(Interval(start, end))
    edge = Edge(
        id=derived_id(last.id, _APART + last.version),
        source=last.id,
        target=following.id,
        type=RETIRED_BY,
        scope=Scope.shared([last.scope, following.scope]),
        valid=Interval(core.now()),
        known=Interval(core.now()),
        sources=(following.id,),
        made_by=causes[0].made_by,
    )
    return Freed(Interval(start, following.valid.start), edge)


def _own(first: Record) -> datetime | None:
    """The end that a record was given from the start, but for one where another value was known to begin."""
    return None if first.metadata.get(PLACED) else first.valid.end


def _next(
    core: Core, record: Record, gone: Mapping[str, Record], makers: Collection[str | None]
) -> Record | None:
    """The value that is known to begin next, of a fact whose relation holds one at a time."""
    subject, relation, value = (record.metadata.get(name) for name in ("subject", "relation", "object"))
    declared = core.schema.relation(str(relation))
    fact = Fact(str(subject), str(relation), str(value), single=None if declared is None else declared.single)
    start = record.valid.start or _EARLIEST
    if record.kind != "fact" or not holds_one(fact):
        return None
    scope = replace(record.scope, run_id=None)
    with core.present.index(scope) as index:
        ids = index.stated.ids(fact.subject, fact.relation, core.present.records)
    later = [
        other
        for other in core.present.records([id for id in ids if id not in gone])
        if other.made_by in makers
        and key_of(other) == key_of(record)
        and scope.covers(other.scope)
        and (other.valid.start or _EARLIEST) > start
        and not same_object(str(other.metadata.get("object")), fact.object)
    ]
    return min(later, key=lambda other: (other.valid.start or _EARLIEST, other.id), default=None)
