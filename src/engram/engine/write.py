"""Adding: the raw text is committed first; only then does the policy's work begin."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from engram.engine.core import Core
from engram.engine.ingest import Draft, Once, drafts
from engram.engine.jobs import Outcome, run_lane
from engram.engine.results import Item, Receipt
from engram.kernel.effects import Task
from engram.kernel.errors import InvalidInput
from engram.kernel.operations import INTERACTIVE
from engram.kernel.protocols import Batch, Committed, Job, Op, Put, PutJob
from engram.kernel.scope import Scope
from engram.kernel.triple import fact_message, triples_of
from engram.operators.extraction.schema import misfit

__all__ = ["AddRequest", "add", "add_triples", "facts"]

_BESIDE_TRIPLE = ("id", "time", "metadata")


@dataclass(frozen=True, slots=True)
class AddRequest:
    """The arguments of one `add`."""

    messages: object
    scope: Scope
    metadata: Mapping[str, Any] | None = None
    kind: str | None = None
    infer: bool = True
    expires: object = None
    wait: bool = True


async def add(core: Core, request: AddRequest) -> Receipt:
    """Store messages, then let the policy derive from them, now or (`wait=False`) later."""
    parsed = drafts(
        request.messages,
        request.scope,
        core.now(),
        kind=request.kind,
        metadata=request.metadata,
        expires=request.expires,
    )
    _check_facts(core, parsed)
    committed = await Task.of(_store, core, request, parsed)
    items = _items(parsed, committed)
    change_set = None if all(committed.duplicates) else str(committed.change_set)
    if not committed.jobs:
        return Receipt(items, change_set)
    job = committed.jobs[-1]
    if not request.wait:
        waiting = Item("pending", None, reason="what is derived from it, and remote vectors, follow by a job")
        return Receipt((*items, waiting), change_set, job)
    outcomes: dict[str, Outcome] = await run_lane(core, request.scope.lane, until=job)
    ours = [outcomes[id] for id in committed.jobs if id in outcomes]
    usage: dict[str, float] = {}
    for outcome in ours:
        items = (*items, *outcome.items)
        for name, amount in outcome.usage.items():
            usage[name] = usage.get(name, 0) + amount
    owed = next((id for id in committed.jobs if id not in outcomes or outcomes[id].left), None)
    made = [outcome.change_set for outcome in ours if outcome.change_set is not None]
    return Receipt(items, change_set, owed, usage, derived=str(made[-1]) if made else None)


def _check_facts(core: Core, parsed: Sequence[Draft]) -> None:
    """Refuse facts, given with subject, relation and object, that break what the memory's schema declares."""
    for number, draft in enumerate(parsed if core.schema.facts else ()):
        if draft.record.kind == "fact" and (problem := misfit(core.schema, draft.record.metadata)):
            raise InvalidInput(f"messages[{number}].metadata.{problem}; the memory's schema says so")


def _store(core: Core, request: AddRequest, parsed: Sequence[Draft]) -> Committed:
    """Commit the raw records with their entries, and the jobs that follow from them, in one transaction."""
    records = [draft.record for draft in parsed]
    ops: list[Op] = [
        Put(record, words, vector)
        for record, (words, vector) in zip(records, core.encode(records), strict=True)
    ]
    now, lane = core.now(), request.scope.lane
    if not core.embedder.local:
        job = Job("", "embed", lane, now, priority=INTERACTIVE, journal=core.watch.owing())
        ops.append(PutJob(job, fresh=True))
    if request.infer and any(map(core.policy.wants, records)):
        job = Job(
            "", "write", lane, now, core.policy.made_by, priority=INTERACTIVE, journal=core.watch.owing()
        )
        ops.append(PutJob(job, fresh=True))
    return core.store.commit(Batch(tuple(ops)))


def _items(parsed: Sequence[Draft], committed: Committed) -> tuple[Item, ...]:
    return tuple(
        Item("duplicate", id, draft.record.origin, "the same content is stored under this id")
        if duplicate
        else Item("stored", id, draft.record.origin, draft.note)
        for draft, id, duplicate in zip(parsed, committed.ids, committed.duplicates, strict=True)
    )


async def add_triples(
    core: Core, triples: object, scope: Scope, metadata: Mapping[str, Any] | None, *, wait: bool
) -> Receipt:
    """Store triples. Raises `InvalidInput` naming the one that is none, before anything is stored."""
    return await add(core, AddRequest(facts(triples), scope, metadata, "fact", wait=wait))


def facts(triples: object) -> list[object]:
    """The messages of triples. Raises `InvalidInput` naming the one that is none."""
    if not isinstance(triples, Sequence) or isinstance(triples, str | bytes | bytearray):
        raise InvalidInput(f"triples: expected a list of triples, got {type(triples).__name__}")
    if not triples:
        raise InvalidInput("triples: the list is empty; give at least one")
    return [_fact(item, f"triples[{number}]") for number, item in enumerate(triples)]


def _fact(item: object, place: str) -> object:
    """The message of one triple; a mapping may have the caller's `id`, a `time` and `metadata` besides."""
    if isinstance(item, Once):
        return Once(_fact(item.message, place), item.id)
    beside: dict[str, Any] = {}
    if isinstance(item, Mapping):
        beside = {key: value for key, value in item.items() if key in _BESIDE_TRIPLE and value is not None}
        item = {key: value for key, value in item.items() if key not in _BESIDE_TRIPLE}
    try:
        triple = triples_of([item])[0]
    except InvalidInput as error:
        raise InvalidInput(str(error).replace("triples[0]", place, 1)) from error
    return fact_message(triple, beside)
