"""Reading: search, packed context, listings, single records and their history."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from engram.engine.compile import compile_changes
from engram.engine.core import Core
from engram.engine.ingest import MAX_TEXT, check_text, id_text, whole_number
from engram.engine.lens import AsOf, Lens, expired
from engram.engine.performer import Performer
from engram.engine.results import Page
from engram.engine.views import is_view
from engram.kernel.changes import Changes
from engram.kernel.clock import micros, parse_time
from engram.kernel.effects import Read, Task, Under
from engram.kernel.errors import Conflict, Forbidden, InvalidInput, NotFound
from engram.kernel.policy import Query, Recall
from engram.kernel.protocols import Batch, Select
from engram.kernel.record import KINDS, Hit, Record, new_id
from engram.kernel.scope import Scope
from engram.operators.filters import Predicate, compile_filters, wanted_kinds, wanted_level
from engram.operators.packing import Context, pack, pack_all
from engram.operators.retrieval.rerank import reranked

__all__ = [
    "MAX_BUDGET",
    "ListRequest",
    "SearchRequest",
    "beside",
    "blocks",
    "check_listing",
    "checked",
    "commit_changes",
    "context",
    "get",
    "get_all",
    "history",
    "joined",
    "packed",
    "room",
    "search",
    "unit_score",
    "wordless",
]

CONTEXT_DEPTH = 60
_CONTEXT_BUDGET = 1500
_EVERYTHING = 1 << 31
MAX_BUDGET = 10_000_000
_CHANGE_TRIES = 5
_MAX_K = 10_000
_MAX_PAGE = 1000
_LAST_PLACE = (1 << 63) - 1
_Usage = dict[str, float]


@dataclass(frozen=True, slots=True)
class SearchRequest:
    """The arguments of one `search`."""

    query: str
    scope: Scope
    everyone: bool = False
    k: int = 10
    filters: Mapping[str, Any] | None = None
    at: object = None
    min_score: float = 0.0
    explain: bool = False


async def search(
    core: Core, lens: Lens, request: SearchRequest, usage: _Usage | None = None, *, to_pack: bool = False
) -> list[Hit]:
    """The best records for a query, current ones of one scope only, best first; `usage` counts model calls.

    `to_pack`: all there are, where the policy gives everything. With a reranker, as many as it looks at are
    put in its order before the best `k` are cut off. What the policy's read wants changed is committed,
    except through a view of the past; where the memory moved on meanwhile, it reads again.
    """
    query, keep = checked(request, core.policy.aside)
    query, depth = _deepened(core, replace(query, past=isinstance(lens, AsOf)), to_pack=to_pack)
    tries = _CHANGE_TRIES
    if wordless(query.text):
        return []
    while True:
        counted = {} if usage is None else usage
        performer = Performer(core, core.policy, query.scope, lens, usage=counted, depth=query.depth)
        recall: Recall = await Under(core.policy.read(query), core.driven(performer))
        hits = [
            hit
            for hit in recall.hits
            if hit.score >= request.min_score
            and (keep is None or keep(hit.record))
            and lens.shows(hit.record)
        ]
        if len(hits) < max(query.k, depth) and len(recall.hits) >= query.depth:
            query = replace(query, depth=query.depth * 4)
            continue
        if recall.changes and not isinstance(lens, AsOf):
            tries -= 1
            if not await Task.of(commit_changes, core, query.scope, recall.changes, performer, tries == 0):
                continue
        if depth:
            again = reranked(query.text, hits, depth, explain=query.explain)
            hits = await Under(again, core.driven(performer))
        return hits[: query.k]


def _deepened(core: Core, query: Query, *, to_pack: bool) -> tuple[Query, int]:
    """The query as deep as it has to be, and how many hits are ranked again: none of everything."""
    if to_pack and core.policy.whole is not None:
        return replace(query, k=_EVERYTHING, depth=_EVERYTHING), 0
    depth = _rerank_depth(core)
    return replace(query, depth=max(query.depth, depth)), depth


def wordless(query: str) -> bool:
    """Whether there is nothing in it to look for."""
    return not any(character.isalnum() or ord(character) > 0x2000 for character in query)


def _rerank_depth(core: Core) -> int:
    """How many hits are ranked again; 0 without a reranker, or where the policy sees to it itself."""
    return 0 if core.reranker is None or core.policy.reranks else core.reranker.depth


async def context(
    core: Core, lens: Lens, request: SearchRequest, budget: int | None, count: Callable[[str], int] | None
) -> Context:
    """Pinned blocks and hits packed into at most `budget` tokens, as quoted data with citations."""
    tokens = room(core, budget, _CONTEXT_BUDGET)
    hits = await search(core, lens, replace(request, k=max(request.k, CONTEXT_DEPTH)), to_pack=True)
    hits = joined(await beside(core, lens, request), hits)
    return await packed(core, hits, tokens, count, await blocks(core, lens, request.scope))


def room(core: Core, budget: int | None, usual: int) -> int:
    """The tokens that a prompt has for memory: `budget`, else the policy's window, else what is usual."""
    if budget is not None:
        whole_number(budget, "budget", 1, MAX_BUDGET)
        return budget
    return usual if core.policy.whole is None else core.policy.whole


async def packed(
    core: Core,
    hits: Sequence[Hit],
    budget: int,
    count: Callable[[str], int] | None,
    pinned: Sequence[Record] = (),
) -> Context:
    """Pinned blocks and the best hits; of a policy that gives everything, all of them or the last."""
    way = pack if core.policy.whole is None else pack_all
    found: Context = await Task.of(way, hits, budget, count or core.embedder.count, pinned)
    return found


async def beside(core: Core, lens: Lens, request: SearchRequest) -> list[Hit]:
    """What the policy shows in every prompt besides blocks and hits, as far as the filters let it."""
    query, keep = checked(request, core.policy.aside)
    performer = Performer(core, core.policy, request.scope, lens)
    query = replace(query, past=isinstance(lens, AsOf))
    found: tuple[Record, ...] = await Under(core.policy.beside(query), core.driven(performer))
    return [Hit(record, 1.0) for record in found if lens.shows(record) and (keep is None or keep(record))]


def joined(first: Sequence[Hit], hits: Sequence[Hit]) -> list[Hit]:
    """Those of `first`, then the others."""
    ids = {hit.id for hit in first}
    return [*first, *(hit for hit in hits if hit.id not in ids)]


async def blocks(core: Core, lens: Lens, scope: Scope) -> list[Record]:
    """The core blocks of a scope that are current, in order of arrival."""
    performer = Performer(core, core.policy, scope, lens)
    ids = await Task.of(_pinned_ids, core, lens, scope)
    found: list[Record] = await Under(_records(ids), core.driven(performer))
    return sorted(filter(lens.shows, found), key=lambda record: (record.arrival, record.id))


def _pinned_ids(core: Core, lens: Lens, scope: Scope) -> list[str]:
    with lens.index(scope) as index:
        return index.ids_of("core", now=micros(lens.moment), made_by=core.policy.made_by)


async def _records(ids: Sequence[str]) -> list[Record]:
    return await Read(tuple(ids))


def get(_core: Core, lens: Lens, id: str, scope: Scope) -> Record:
    """One record; raises `NotFound`, also where it exists in another scope."""
    found = lens.records([id_text(id)])
    if not found or not scope.covers(found[0].scope):
        raise NotFound(f"there is no record {id!r} in this scope")
    return found[0]


@dataclass(frozen=True, slots=True)
class ListRequest:
    """The arguments of one `get_all`."""

    scope: Scope
    everyone: bool
    filters: Mapping[str, Any] | None
    after: str | None
    limit: int


def get_all(core: Core, lens: Lens, request: ListRequest) -> Page:
    """Current records of a scope in order of arrival, a page at a time."""
    scope, limit = request.scope, request.limit
    _require_scope("get_all", scope, request.everyone)
    keep, place = check_listing(request)
    found: list[Record] = []
    while place is not None:
        records, following = lens.page(scope, place, limit + 1)
        for record in records:
            if _listed(core, record) and lens.shows(record) and (keep is None or keep(record)):
                if len(found) == limit:
                    return Page(tuple(found), str(found[-1].arrival))
                found.append(record)
        place = following
    return Page(tuple(found))


def check_listing(request: ListRequest) -> tuple[Predicate | None, int | None]:
    """Which records a listing wants, and where it begins. Raises `InvalidInput`."""
    whole_number(request.limit, "limit", 1, _MAX_PAGE)
    keep, after = compile_filters(request.filters), request.after
    try:
        return keep, 0 if after is None else min(max(int(after), 0), _LAST_PLACE)
    except (TypeError, ValueError):
        raise InvalidInput(f"after: {after!r:.40} is no place in a listing; give a page's next") from None


def history(core: Core, id: str, scope: Scope, known: datetime | None = None) -> list[Record]:
    """Every version of a record, of those known by `known` if given, oldest first; raises `NotFound`."""
    if is_view(id_text(id)):
        raise InvalidInput(
            f"{id!r} is a view over turns and has no versions; ask for the turns in its sources"
        )
    versions = core.store.select(Select(ids=(id,), history=True))
    if not versions or not scope.covers(versions[-1].scope) or expired(versions[-1], core.now()):
        raise NotFound(f"there is no record {id!r} in this scope")
    return [
        item for item in versions if known is None or item.known.start is None or item.known.start <= known
    ]


def _listed(core: Core, record: Record) -> bool:
    return record.made_by in (None, core.policy.made_by)


def checked(request: SearchRequest, aside: Collection[str]) -> tuple[Query, Predicate | None]:
    """The query, and which records it wants. Raises `InvalidInput`, and `Forbidden` without a scope."""
    whole_number(request.k, "k", 1, _MAX_K)
    unit_score(request.min_score)
    text = check_text(request.query, "query")
    if len(text) > MAX_TEXT // 100:
        raise InvalidInput(f"query: over {MAX_TEXT // 100:,} characters; ask with the part that matters")
    _require_scope("search", request.scope, request.everyone)
    keep = compile_filters(request.filters)
    kinds = wanted_kinds(request.filters)
    query = Query(
        text=text,
        scope=request.scope,
        k=request.k,
        at=_at(request.at),
        level=wanted_level(request.filters),
        depth=request.k if keep is None else max(50, 4 * request.k),
        explain=request.explain,
        kinds=tuple(sorted(kinds)) if len(kinds) < len(KINDS) and not kinds.isdisjoint(aside) else (),
    )
    return query, keep


def unit_score(score: object) -> float:
    """A score in [0, 1]; raises `InvalidInput`."""
    if not isinstance(score, int | float) or isinstance(score, bool) or not 0 <= score <= 1:
        raise InvalidInput(f"min_score: expected 0 to 1, got {score!r}")
    return score


def _at(value: object) -> datetime | None:
    return None if value is None else parse_time(value, "at")[0]


def _require_scope(call: str, scope: Scope, everyone: bool) -> None:
    if not scope.named and not everyone:
        raise Forbidden(
            f"{call}: name user_id, agent_id or run_id, or everyone=True for all of tenant {scope.tenant!r}"
        )


def commit_changes(core: Core, scope: Scope, changes: Changes, performer: Performer, last: bool) -> bool:
    """Commit what a program wants changed; False where the memory moved on (`last`: raises `Conflict`)."""
    key = new_id(micros(core.now()) // 1000, core.store.sequence(scope.tenant).last, 0)
    try:
        compiled = compile_changes(core, core.policy, scope, changes, key, frozenset(performer.reads))
        core.store.commit(Batch(tuple(compiled.ops)))
    except Conflict:
        if last:
            raise
        return False
    return True
