"""The face of a memory as it was, for an event loop: the names of `engram.view`, awaited."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Unpack

from engram.bound import Bound, ScopeIds
from engram.engine import answer, graphs, read
from engram.engine.lens import AsOf
from engram.engine.place import AsyncPlace
from engram.engine.results import Page
from engram.kernel.record import Hit, Record
from engram.operators.answering import Answer
from engram.operators.graph.subgraph import Graph
from engram.operators.packing import Context

__all__ = ["AsyncView"]


class AsyncView:
    """A read-only view of a memory as it was, with the reading calls."""

    def __init__(self, bound: Bound[AsyncPlace], lens: AsOf) -> None:
        self._bound = bound
        self._lens = lens

    def __repr__(self) -> str:
        return self._bound.shown("AsyncView", self._lens)

    async def search(
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
        """As `AsyncMemory.search`; `at` defaults to the view's moment."""
        anchor = self._lens.moment if at is None else at
        request = read.SearchRequest(
            query, self._bound.scope(ids), everyone, k, filters, anchor, min_score, explain
        )
        return await self._bound.place.run(read.search, self._lens, request)

    async def context(
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
        """As `AsyncMemory.context`; `at` defaults to the view's moment."""
        anchor = self._lens.moment if at is None else at
        request = read.SearchRequest(query, self._bound.scope(ids), everyone, k, filters, anchor, min_score)
        return await self._bound.place.run(read.context, self._lens, request, budget, count)

    async def ask(
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
        """As `AsyncMemory.ask`, of that time; `at` defaults to the view's moment."""
        anchor = self._lens.moment if at is None else at
        searched = read.SearchRequest(question, self._bound.scope(ids), everyone, k, filters, anchor)
        request = answer.AskRequest(searched, budget, count, min_score)
        return await self._bound.place.run(answer.ask, self._lens, request)

    async def graph(
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
        """As `Memory.graph`, of that time."""
        scope = self._bound.scope(ids)
        request = graphs.GraphRequest(scope, everyone, about, depth, types, kinds, limit)
        return await self._bound.place.call(graphs.graph, self._lens, request)

    async def get(self, id: str, **ids: Unpack[ScopeIds]) -> Record:
        """The version of a record that was believed then. Raises `NotFound`."""
        return await self._bound.place.call(read.get, self._lens, id, self._bound.scope(ids))

    async def get_all(
        self,
        *,
        filters: Mapping[str, Any] | None = None,
        after: str | None = None,
        limit: int = 100,
        everyone: bool = False,
        **ids: Unpack[ScopeIds],
    ) -> Page:
        """As `AsyncMemory.get_all`, of that time."""
        request = read.ListRequest(self._bound.scope(ids), everyone, filters, after, limit)
        return await self._bound.place.call(read.get_all, self._lens, request)

    async def history(self, id: str, **ids: Unpack[ScopeIds]) -> list[Record]:
        """The versions known by then, oldest first. Raises `NotFound`."""
        return await self._bound.place.call(read.history, id, self._bound.scope(ids), self._lens.known)
