"""The blocking face of a memory. `engram.aio` has the same names, awaited."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Self, Unpack

from engram.bound import Bound, ScopeIds, as_ids
from engram.client.opening import opened
from engram.client.service import Service
from engram.engine import answer, check, graphs, hearing, portable, read, revise, upkeep, write
from engram.engine.chat import Chat
from engram.engine.core import Core
from engram.engine.place import Here, Place
from engram.engine.progress import Progress
from engram.engine.results import Imported, Left, Page, Receipt, Report
from engram.kernel.chat import ChatModel
from engram.kernel.clock import Clock
from engram.kernel.policy import Policy
from engram.kernel.protocols import AskingReranker, Embedder, Reranker
from engram.kernel.record import Hit, Record
from engram.kernel.schema import Schema
from engram.operators.answering import Answer
from engram.operators.graph.subgraph import Graph
from engram.operators.packing import Context
from engram.view import View

__all__ = ["Memory"]


def _place(found: Service | Core) -> Place:
    """Where calls are carried out; what speaks to a service is loaded where there is one."""
    if not isinstance(found, Service):
        return Here(found)
    from engram.client.apart import Far

    return Far(found)


class Memory:
    """A memory: it keeps what was said, finds it again, and forgets it when told to.

    `url` is `ram:`, `sqlite:///path`, `postgresql://…` or `None` for one file in the platform's data
    folder; or `https://…`, a service, whose `key` is given or stands in `ENGRAM_KEY`, and whose other
    settings are given where it is started (`engram.client.Service` has those of reaching it). `policy` is a
    policy or its name, `embedder` one or a spec such as `sentence-transformers:NAME`. `model` is a chat
    model, its spec such as `openai:gpt-5-mini`, or a `Chat` with its settings; `reranker` one, or its spec.
    `schema` says which facts and entities are wanted of what is said. `durability` is `process` (survives a
    killed process) or `power` (also a power loss). `cache_mb` bounds the in-memory indexes, in MB. The same
    `clock`, `seed` and model replies give the same memory, byte for byte.

    Every call takes the scope ids `tenant`, `user_id`, `agent_id`, `run_id` as keywords. Calls raise
    `InvalidInput` for arguments that cannot be taken, `StoreError` where the store fails, and
    `ModelError` where a model does; see `engram.kernel.errors`.
    """

    def __init__(
        self,
        url: str | Service | None = None,
        *,
        key: str | None = None,
        policy: Policy | str | None = None,
        embedder: Embedder | str | None = None,
        model: Chat | ChatModel | str | None = None,
        reranker: Reranker | AskingReranker | str | None = None,
        schema: Schema | None = None,
        durability: str = "process",
        cache_mb: int = 512,
        clock: Clock | None = None,
        seed: int = 0,
    ) -> None:
        found = opened(
            url,
            key,
            policy=policy,
            embedder=embedder,
            model=model,
            reranker=reranker,
            schema=schema,
            durability=durability,
            cache_mb=cache_mb,
            clock=clock,
            seed=seed,
        )
        self._bound: Bound[Place] = Bound(_place(found))

    def __repr__(self) -> str:
        return self._bound.shown("Memory")

    def add(
        self,
        messages: object,
        *,
        metadata: Mapping[str, Any] | None = None,
        kind: str | None = None,
        infer: bool = True,
        expires: object = None,
        wait: bool = True,
        **ids: Unpack[ScopeIds],
    ) -> Receipt:
        """Store one message or a list of them; when this returns, their text survives a killed process.

        A message is text, or a mapping with `role`, `content`, and optionally `name`, `time`, `id`,
        `metadata`, and of other kinds than episodes `valid`: `start` and `end` of when it holds. All are
        checked before any is stored. Without ids they go to user `default`. `infer` lets the policy derive
        from them, `wait=False` leaves that to a job. `expires` is when they end.
        """
        request = write.AddRequest(messages, self._bound.address(ids), metadata, kind, infer, expires, wait)
        return self._bound.place.run(write.add, request)

    def add_triples(
        self,
        triples: Sequence[object],
        *,
        metadata: Mapping[str, Any] | None = None,
        wait: bool = True,
        **ids: Unpack[ScopeIds],
    ) -> Receipt:
        """Store triples, each as a record of kind `fact`; the policy may weave them into a graph.

        A triple is [subject, relation, object], or a mapping of these and maybe `valid_start`, `valid_end`,
        `weight`, `id`, `time`, `metadata`. Raises `InvalidInput` naming the one that is none.
        """
        scope = self._bound.address(ids)
        return self._bound.place.run(write.add_triples, triples, scope, metadata, wait=wait)

    def search(
        self,
        query: str,
        *,
        k: int = 10,
        filters: Mapping[str, Any] | None = None,
        at: object = None,
        min_score: float = 0.0,
        explain: bool = False,
        everyone: bool = False,
        **ids: Unpack[ScopeIds],
    ) -> list[Hit]:
        """The `k` best current records for a query, best first, with scores in [0, 1].

        `at` anchors expressions like "last May" (default: now). `explain` fills `Hit.why`. Raises
        `Forbidden` where no id is named, unless `everyone`.
        """
        request = read.SearchRequest(
            query, self._bound.scope(ids), everyone, k, filters, at, min_score, explain
        )
        return self._bound.place.run(read.search, self._bound.place.present, request)

    def context(
        self,
        query: str,
        *,
        budget: int | None = None,
        k: int = 10,
        filters: Mapping[str, Any] | None = None,
        at: object = None,
        min_score: float = 0.0,
        count: Callable[[str], int] | None = None,
        everyone: bool = False,
        **ids: Unpack[ScopeIds],
    ) -> Context:
        """What is remembered about a query, packed for a prompt into at most `budget` tokens.

        Without a budget 1,500, and with a policy that gives everything (`full_context`) its window. `count`
        counts tokens (default: the embedder's tokeniser).
        """
        request = read.SearchRequest(query, self._bound.scope(ids), everyone, k, filters, at, min_score)
        return self._bound.place.run(read.context, self._bound.place.present, request, budget, count)

    def ask(
        self,
        question: str,
        *,
        k: int = 60,
        budget: int | None = None,
        filters: Mapping[str, Any] | None = None,
        at: object = None,
        min_score: float | None = None,
        count: Callable[[str], int] | None = None,
        everyone: bool = False,
        **ids: Unpack[ScopeIds],
    ) -> Answer:
        """What the memory answers, with the records that it stands on; it abstains where it holds no answer.

        The chat model (`Memory(model=…)`) is shown the pinned blocks and the best `k` hits, as many as fit
        into `budget` tokens (default: 3,000, or the window of a policy that gives everything), and may cite
        nothing else; without one the best three are the answer's extract. `min_score` is what a hit needs to
        be used at all, and the best one to answer (default: 0.05 for the best where a model looks, 0.08 for
        each without). `at` is when it is asked.
        Raises `Forbidden` where no id is named, unless `everyone`, and `ModelUnavailable`, `BadReply` or
        `BudgetExceeded` where the model fails.
        """
        searched = read.SearchRequest(question, self._bound.scope(ids), everyone, k, filters, at)
        request = answer.AskRequest(searched, budget, count, min_score)
        return self._bound.place.run(answer.ask, self._bound.place.present, request)

    def cited(
        self,
        question: str,
        cited: str | Sequence[str],
        *,
        shown: Sequence[str] | None = None,
        at: object = None,
        everyone: bool = False,
        **ids: Unpack[ScopeIds],
    ) -> Receipt:
        """Tell the policy which records an answer to the question stood on, so that it may learn from that.

        For answers made elsewhere, from `search` or `context`: `ask` tells by itself. `cited` are ids of
        records or turns, none where nothing helped; `shown` those that the answer was made from (default: all
        that the policy would have shown). Policies that do not learn pass it over: the receipt is empty.
        Raises `NotFound` for an id outside the scope, `Forbidden` where no id of a scope is named, unless
        `everyone`.
        """
        searched = read.SearchRequest(question, self._bound.scope(ids), everyone, at=at)
        request = hearing.CitedRequest(searched, cited, shown)
        return self._bound.place.run(hearing.cited, request)

    def graph(
        self,
        about: str | Sequence[str] | None = None,
        *,
        depth: int = 1,
        types: str | Sequence[str] | None = None,
        kinds: str | Sequence[str] | None = None,
        limit: int = 500,
        everyone: bool = False,
        **ids: Unpack[ScopeIds],
    ) -> Graph:
        """The graph around records, `about` names or ids of them, or of the whole scope (see `Graph`).

        Within `depth` edges, along edges of `types` and through records of `kinds` only; said edges and those
        of the memory's policy, of what is current. At most `limit` records, the nearest first. Raises
        `NotFound` for a name that no record has, `Forbidden` where no id is named, unless `everyone`.
        """
        scope = self._bound.scope(ids)
        request = graphs.GraphRequest(scope, everyone, about, depth, types, kinds, limit)
        return self._bound.place.call(graphs.graph, self._bound.place.present, request)

    def get(self, id: str, **ids: Unpack[ScopeIds]) -> Record:
        """One record. Raises `NotFound`, also where it belongs to another scope."""
        return self._bound.place.call(read.get, self._bound.place.present, id, self._bound.scope(ids))

    def get_all(
        self,
        *,
        filters: Mapping[str, Any] | None = None,
        after: str | None = None,
        limit: int = 100,
        everyone: bool = False,
        **ids: Unpack[ScopeIds],
    ) -> Page:
        """Current records in order of arrival, `limit` a page; give a page's `next` as `after`."""
        request = read.ListRequest(self._bound.scope(ids), everyone, filters, after, limit)
        return self._bound.place.call(read.get_all, self._bound.place.present, request)

    def history(self, id: str, **ids: Unpack[ScopeIds]) -> list[Record]:
        """Every version of a record, oldest first. Raises `NotFound`."""
        return self._bound.place.call(read.history, id, self._bound.scope(ids))

    def edit(
        self,
        id: str,
        *,
        text: str | None = None,
        metadata: Mapping[str, Any] | None = None,
        **ids: Unpack[ScopeIds],
    ) -> Receipt:
        """Open a new version with another text or (replaced as a whole) other metadata. Raises `NotFound`."""
        return self._bound.place.call(revise.edit, id, self._bound.scope(ids), text, metadata)

    def forget(
        self,
        ids: str | list[str] | None = None,
        *,
        everyone: bool = False,
        dry_run: bool = False,
        **scope_ids: Unpack[ScopeIds],
    ) -> Receipt:
        """Erase records, or a scope, with all versions and all that was derived from them alone.

        It cannot be undone. `dry_run` only tells what would go. Raises `NotFound` for an id outside the
        scope, `Forbidden` where neither ids nor a scope is named, unless `everyone`.
        """
        return self._bound.place.call(
            revise.forget, as_ids(ids), self._bound.scope(scope_ids), everyone, dry_run
        )

    def undo(self, change_set: str | int, **ids: Unpack[ScopeIds]) -> Receipt:
        """Reverse the commit of that receipt. Raises `Conflict` naming later change sets that stand on it."""
        return self._bound.place.call(revise.undo, change_set, self._bound.scope(ids))

    def as_of(self, *, valid: object = None, known: object = None) -> View:
        """A read-only view of what was true at `valid`, as it was known at `known`."""
        return View(self._bound, self._bound.as_of(valid, known))

    def scoped(self, **ids: Unpack[ScopeIds]) -> Self:
        """The same memory bound to a scope: its calls cannot name another."""
        bound = object.__new__(type(self))
        bound._bound = self._bound.narrowed(ids)
        return bound

    def scopes(self, *, tenant: str | None = None) -> list[dict[str, Any]]:
        """Every scope that holds records (of one tenant, or of all), with their number."""
        return self._bound.place.call(upkeep.scopes, self._bound.listed(tenant))

    def stats(self, **ids: Unpack[ScopeIds]) -> dict[str, Any]:
        """Counts and sizes of the store, or of one scope of it."""
        return self._bound.place.call(
            upkeep.stats, self._bound.scope(ids) if ids or self._bound.ids else None
        )

    def tend(self, **ids: Unpack[ScopeIds]) -> Receipt:
        """Erase what has expired, finish owed work, and let the policy tend what it made."""
        return self._bound.place.run(upkeep.tend, self._bound.scope(ids))

    def wait(self, timeout: float | None = 60.0) -> bool:
        """Finish owed jobs, for at most `timeout` seconds; whether nothing is owed now."""
        return self._bound.place.run(upkeep.wait, timeout)

    def verify(self, *, progress: Progress | None = None) -> Report:
        """Prove every derived structure against the records. `progress` counts versions."""
        return self._bound.place.call(check.verify, progress)

    def repair(self, *, progress: Progress | None = None) -> Report:
        """Make anew what `verify` finds wrong; complete a pending purge. `progress` counts versions."""
        return self._bound.place.call(check.repair, progress)

    def export(
        self,
        path: str | Path,
        *,
        format: str = "jsonl",
        since: object = None,
        until: object = None,
        topics: Sequence[str] = (),
        overwrite: bool = False,
        progress: Progress | None = None,
        **ids: Unpack[ScopeIds],
    ) -> int:
        """Write the store, or one scope of it, to a file or folder; returns the number of records.

        `jsonl` is one file that `import_` reads, compressed where the path ends in `.gz`; the same memory
        gives the same bytes. `markdown` is a folder for reading, one page a session, or one for each of
        `topics`, with what `search` finds best. Only what was said in [`since`, `until`) is written, and
        what that stands on. A folder that holds anything else is written into with `overwrite` alone.
        `progress` is told of records done.
        """
        scope = self._bound.scope(ids) if ids or self._bound.ids else None
        departure = portable.Departure(path, scope, format, since, until, topics, overwrite, progress)
        return self._bound.place.call(portable.export, departure)

    def import_(
        self,
        path: str | Path,
        *,
        format: str | None = None,
        infer: bool = True,
        dry_run: bool = False,
        progress: Progress | None = None,
        on_skip: Callable[[Left], None] | None = None,
        **ids: Unpack[ScopeIds],
    ) -> Imported:
        """Read a file, folder or archive into the store: an export of engram's own, or another program's.

        `format` names how to read it, else that is found out. The ids that are named go before those that
        the file gives; without any, what it says belongs to user `default`. What is there already is
        counted as duplicate, so a broken-off import is made again. `infer=False` leaves out what the
        policy would derive; else that is left to jobs (`wait`). With `dry_run` nothing is stored.
        `progress` is told of bytes, `on_skip` of each thing left out. Raises `InvalidInput` for a file
        that is broken, with its line; of another program's, what stands before that is stored.
        """
        arrival = portable.Arrival(path, self._bound.named(ids), format, infer, dry_run, progress, on_skip)
        return self._bound.place.call(portable.import_, arrival)

    def close(self) -> None:
        """Release the store. Closing twice is fine; any other call after it raises `StoreError`."""
        self._bound.place.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
