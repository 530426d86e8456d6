"""From a policy's changes to store operations: checked first, then one batch, all or nothing."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from math import isfinite
from typing import Any

from engram.engine.core import Core, with_entries
from engram.engine.erasing import RETIRED_BY, erasure
from engram.engine.ingest import check_text, json_value
from engram.engine.relations import Relations
from engram.engine.results import Item
from engram.engine.surviving import grown
from engram.kernel import changes as ch
from engram.kernel.errors import Conflict, InvalidInput
from engram.kernel.policy import Policy
from engram.kernel.protocols import (
    Close,
    Mark,
    Op,
    Put,
    PutState,
    Require,
    StateRow,
    Supersede,
)
from engram.kernel.record import KINDS, Interval, Record, derived_id
from engram.kernel.scope import Scope

__all__ = ["Compiled", "compile_changes"]

_PAGE = 1000
_WIDENED = 2_000_000  # where the ordinals of records begin that take the place of others


@dataclass
class Compiled:
    """The operations of a set of changes, and what the receipt will say of them."""

    ops: list[Op] = field(default_factory=list)
    items: list[Item] = field(default_factory=list)


def compile_changes(
    core: Core, policy: Policy, scope: Scope, changes: Sequence[ch.Change], job: str, reads: frozenset[str]
) -> Compiled:
    """Check `changes` against the store and turn them into operations.

    `job` keys the ids of what is added. Raises `InvalidInput` for a change that makes no sense,
    `Conflict` for one whose target moved on (the program should run again).
    """
    compiler = _Compiler(core, policy, scope, job, reads)
    compiler.foresee(changes)
    for change in changes:
        compiler.compile(change)
    return compiler.finish()


class _Compiler:
    def __init__(self, core: Core, policy: Policy, scope: Scope, job: str, reads: frozenset[str]) -> None:
        self.core, self.policy, self.scope, self.job, self.reads = core, policy, scope, job, reads
        self.now = core.now()
        self.out = Compiled()
        self.added: list[Record] = []
        self.new: dict[str, Record] = {}
        self.seen: dict[str, Record] = {}
        self.made_by = policy.made_by
        self.relations = Relations(core, job, self.made_by, scope, self.now)
        self.merged: dict[str, str] = {}
        self.required: dict[str, int | None] = {}

    def foresee(self, changes: Sequence[ch.Change]) -> None:
        """Read the records that the changes name, all at once."""
        named: dict[str, None] = {}
        for change in changes:
            named.update(dict.fromkeys(_names(change)))
        ids = [id for id in named if not id.startswith("#")]
        for first in range(0, len(ids), _PAGE):
            found = self.core.present.records(ids[first : first + _PAGE])
            self.seen.update((record.id, record) for record in found)

    def compile(self, change: ch.Change) -> None:
        match change:
            case ch.Add():
                self._add(change)
            case ch.Revise():
                self._revise(change)
            case ch.Retire():
                self._retire(change)
            case ch.Merge():
                self._merge(change)
            case ch.Connect():
                self._connect(change)
            case ch.Disconnect():
                self.relations.disconnect(change.id, change.version, change.end)
            case ch.Reinforce():
                self._reinforce(change)
            case ch.SetState():
                self._set_state(change)
            case ch.Erase():
                self._erase(change)

    def finish(self) -> Compiled:
        """The operations, the checks on everything that they stand on in front."""
        self.out.ops.extend(self.relations.operations())
        if self.required:
            self.out.ops.insert(0, Require(tuple(self.required.items())))
        self.out.ops = with_entries(self.core, self.out.ops)
        return self.out

    def _resolve(self, id: str) -> str:
        """The id itself, or that of the n-th `Add` of these changes for "#n"; of what it became part of."""
        if id.startswith("#"):
            try:
                id = self.added[int(id[1:])].id
            except (ValueError, IndexError):
                raise InvalidInput(f"{id!r} names no Add before it in these changes") from None
        while id in self.merged:
            id = self.merged[id]
        return id

    def _target(self, id: str, version: int | None = None, *, own: bool = True, ends: bool = False) -> Record:
        """A record in scope, at the version read: the policy's own; one may end what was added as a fact."""
        record = self.seen.get(id) or next(iter(self.core.present.records([id])), None)
        if record is None or not self.scope.covers(record.scope):
            raise Conflict(f"record {id} is not in this scope any more")
        given = ends and record.made_by is None and record.kind == "fact"
        if own and not given and record.made_by != self.made_by:
            raise InvalidInput(f"record {id} was not made by {self.made_by}; a policy changes its own only")
        if version is not None and record.version != version:
            raise Conflict(f"record {id} is at version {record.version}, not {version}")
        self.required[record.id] = version
        return record

    def _sources(self, ids: Sequence[str]) -> list[Record]:
        return [self.new.get(id) or self._target(id, own=False) for id in map(self._resolve, ids)]

    def _add(self, change: ch.Add) -> None:
        if change.kind not in KINDS or change.kind == "episode":
            raise InvalidInput(f"Add: kind {change.kind!r}; a policy adds one of {', '.join(KINDS[1:])}")
        if not change.sources:
            raise InvalidInput("Add: a derived record names at least one source")
        sources = self._sources(change.sources)
        start = change.valid_start or _since(change, min(source.time for source in sources))
        if change.valid_end is not None and start is not None and change.valid_end < start:
            raise InvalidInput(f"Add: valid time ends ({change.valid_end}) before it starts ({start})")
        record = Record(
            id=derived_id(self.job, len(self.added)),
            kind=change.kind,
            text=check_text(change.text, "Add.text"),
            scope=Scope.shared(source.scope for source in sources),
            time=change.time or max(source.time for source in sources),
            valid=Interval(start, change.valid_end),
            known=Interval(self.now),
            name=change.name,
            sources=tuple(source.id for source in sources),
            made_by=self.made_by,
            strength=_unit(change.strength),
            trust=_unit(min([change.trust, *(source.trust for source in sources)])),
            metadata=_plain(change.metadata, "Add.metadata"),
            payload=json_value(change.payload, "Add.payload"),
        )
        self.added.append(record)
        self.new[record.id] = record
        self.out.ops.append(Put(record))
        for cause in self._sources(change.ended_by):
            self.relations.connect(record, cause, RETIRED_BY, Interval(self.now), (cause,))
        self.out.items.append(Item("stored", record.id, reason=change.reason))

    def _next(self, old: Record, reason: str, **fields: Any) -> None:
        known = Interval(max(self.now, old.known.start or self.now))
        self.out.ops.append(Supersede(replace(old, known=known, **fields), expected=old.version))
        self.out.items.append(Item("superseded", old.id, reason=reason))

    def _revise(self, change: ch.Revise) -> None:
        old = self._target(change.id, change.version)
        more = self._sources(change.sources)
        self._grow(
            old,
            more,
            change.reason,
            text=old.text if change.text is None else check_text(change.text, "Revise.text"),
            metadata=old.metadata if change.metadata is None else _plain(change.metadata, "Revise.metadata"),
            sources=grown(old, [source.id for source in more]),
        )

    def _grow(self, old: Record, more: Sequence[Record], reason: str, **fields: Any) -> Record:
        """What stands on `more` as well. Where they do not all share its scope, a new record takes its place.

        Else whoever asks within the narrower scope would be told what was said outside of it.
        """
        scope = Scope.shared([old.scope, *(source.scope for source in more)])
        if scope == old.scope:
            self._next(old, reason, **fields)
            return old
        at = max(self.now, old.known.start or self.now)
        bare = replace(old, id=derived_id(self.job, _WIDENED + len(self.merged)), scope=scope, version=1)
        record = replace(bare, known=Interval(at), arrival=0, opened=0, closed=None, **fields)
        self.new[record.id] = record
        self.merged[old.id] = record.id
        self.out.ops += [Put(record), Close(old.id, old.version, at)]
        self.out.items.append(Item("superseded", record.id, reason="; ".join(filter(None, (
            reason, f"in place of {old.id}, which belongs to one run, as its sources lie in several"
        )))))  # fmt: skip
        self.relations.move([old.id], record)
        return record

    def _retire(self, change: ch.Retire) -> None:
        old = self._target(change.id, change.version, ends=True)
        end = change.end or self.now
        if old.valid.start is not None and end < old.valid.start:
            raise InvalidInput(
                f"Retire: {end} lies before the record's valid time starts ({old.valid.start})"
            )
        self._next(old, change.reason, valid=Interval(old.valid.start, end))
        for cause in self._sources(change.sources):
            self.relations.connect(old, cause, RETIRED_BY, Interval(self.now), (cause,))

    def _merge(self, change: ch.Merge) -> None:
        into = self._target(change.into, change.version)
        others = [self._target(id, version) for id, version in change.others]
        if into.id in {other.id for other in others}:
            raise InvalidInput(f"Merge: {into.id} cannot become part of itself")
        more = self._sources(change.sources)
        told = [*(source for other in others for source in other.sources), *(source.id for source in more)]
        if change.text is not None and into.kind == "fact":  # what it says now, it says by all of them
            sources = grown(into, [*into.sources, *told])
        else:
            sources = _union(into.sources, told)
        into = self._grow(
            into,
            [*others, *more],
            change.reason,
            text=into.text if change.text is None else check_text(change.text, "Merge.text"),
            metadata=into.metadata if change.metadata is None else _plain(change.metadata, "Merge.metadata"),
            sources=sources,
        )
        for other in others:
            self.out.ops.append(Close(other.id, other.version, max(self.now, other.known.start or self.now)))
            self.out.items.append(Item("merged", other.id, reason=f"into {into.id}"))
            self.merged[other.id] = into.id
        self.relations.move([other.id for other in others], into)

    def _connect(self, change: ch.Connect) -> None:
        source, target = self._sources([change.source, change.target])
        causes = self._sources(change.sources)
        said = min((cause.time for cause in causes), default=self.now)
        start = change.valid_start or _since(change, said)
        if change.valid_end is not None and start is not None and change.valid_end < start:
            raise InvalidInput(f"Connect: valid time ends ({change.valid_end}) before it starts ({start})")
        if not isfinite(change.weight):
            raise InvalidInput(f"Connect: weight {change.weight!r} is no finite number")
        if not check_text(change.type, "Connect.type"):
            raise InvalidInput("Connect: type is empty; name the relation")
        metadata = _plain(change.metadata, "Connect.metadata")
        valid = Interval(start, change.valid_end)
        weight = float(change.weight)
        self.relations.connect(
            source, target, change.type, valid, causes, weight, metadata, single=change.single
        )

    def _reinforce(self, change: ch.Reinforce) -> None:
        old = self._target(change.id, own=False)
        self.out.ops.append(
            Mark(
                old.id, strength=_unit(old.strength + change.strength), trust=_unit(old.trust + change.trust)
            )
        )

    def _set_state(self, change: ch.SetState) -> None:
        row = StateRow(
            policy=self.made_by,
            scope=self.scope,
            name=change.name,
            value=json_value(change.value, "SetState.value"),
            version=change.version + 1,
            reads=tuple(sorted(self.reads)),
        )
        self.out.ops.append(PutState(row))

    def _erase(self, change: ch.Erase) -> None:
        record = self._target(change.id)
        plan = erasure(self.core, [record.id])
        self.out.ops.extend(plan.ops)
        self.out.items.extend(replace(item, reason=item.reason or change.reason) for item in plan.items)


def _names(change: ch.Change) -> Iterator[str]:
    """The records that a change stands on or is about."""
    match change:
        case ch.Add():
            yield from (*change.sources, *change.ended_by)
        case ch.Revise() | ch.Retire():
            yield from (change.id, *change.sources)
        case ch.Merge():
            yield from (change.into, *(id for id, _ in change.others), *change.sources)
        case ch.Connect():
            yield from (change.source, change.target, *change.sources)
        case ch.Reinforce() | ch.Erase():
            yield change.id
        case ch.Disconnect() | ch.SetState():
            pass


def _union(first: Sequence[str], more: Sequence[str]) -> tuple[str, ...]:
    return tuple(dict.fromkeys([*first, *more]))


def _since(change: ch.Add | ch.Connect, said: datetime) -> datetime | None:
    """When it began, where that is not told: when it was said, unless it was over by then."""
    return None if change.valid_end is not None and change.valid_end <= said else said


def _unit(value: float) -> float:
    return min(1.0, max(0.0, float(value)))


def _plain(metadata: Mapping[str, Any], place: str) -> dict[str, Any]:
    return dict(json_value(metadata, place))
