"""Candidates of large scopes: what the database of their tenant gives."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, TypeVar

from engram.kernel.preselect import Among, Census, Indexing, Matching, Preselecting, Told
from engram.kernel.protocols import Entry, Store
from engram.kernel.scope import Scope
from engram.stores.router.directory import Route

__all__ = ["RoutedCandidates"]

T = TypeVar("T")


class RoutedCandidates:
    """The part of a router that knows candidates (`engram.kernel.preselect.Preselecting`)."""

    def _routed(self, tenant: str, work: Callable[[Store], T], empty: T) -> tuple[Route | None, T]:
        """What `work` reads in the tenant's database."""
        raise NotImplementedError

    def census(self, scope: Scope, among: Among) -> Census | None:
        """Figures of a scope; `None` where its database cannot be asked this way."""

        def counted(store: Store) -> Census | None:
            return store.census(scope, among) if isinstance(store, Preselecting) else None

        return self._routed(scope.tenant, counted, None)[1]

    def often(self, scope: Scope, terms: Sequence[int], among: Among) -> list[int]:
        """In how many entries each term stands."""
        found = self._asked(scope, lambda store: list(store.often(scope, terms, among)))
        return found or [0 for _ in terms]

    def nearest(
        self, scope: Scope, vectors: Sequence[Any], k: int, among: Among
    ) -> list[list[tuple[str, float]]]:
        """About `k` entries near to each vector: (id, cosine), best first."""
        found = self._asked(scope, lambda store: store.nearest(scope, vectors, k, among))
        return found or [[] for _ in vectors]

    def matching(self, scope: Scope, terms: Sequence[int], k: int, among: Among, drawn: int = 0) -> Matching:
        """About `k` entries that hold terms, by how much these tell, and some of all."""

        def matched(store: Store) -> Matching:
            return store.matching(scope, terms, k, among, drawn) if isinstance(store, Preselecting) else none

        none = Matching([], [], 0, [])
        return self._routed(scope.tenant, matched, none)[1]

    def sample(self, scope: Scope, k: int, among: Among) -> list[str]:
        """About `k` entries drawn evenly."""
        return self._asked(scope, lambda store: store.sample(scope, k, among))

    def around(self, scope: Scope, ids: Sequence[str], reach: Sequence[int]) -> list[list[Entry]]:
        """Each entry among those next to it in its stream, by (time, arrival)."""
        return self._asked(scope, lambda store: store.around(scope, ids, reach)) or [[] for _ in ids]

    def told(
        self,
        scope: Scope,
        span: tuple[int | None, int | None],
        among: Among,
        last: int | None = None,
        strength: float = 0.0,
        run: tuple[str | None, str | None, str | None] | None = None,
    ) -> list[Told]:
        """When candidates were told, by (time, arrival)."""
        return self._asked(scope, lambda store: store.told(scope, span, among, last, strength, run))

    def index(self, tenant: str, above: int) -> bool:
        """Make the indexes that a tenant lacks, in its database."""

        def made(store: Store) -> bool:
            return isinstance(store, Indexing) and store.index(tenant, above)

        return self._routed(tenant, made, empty=False)[1]

    def _asked(self, scope: Scope, ask: Callable[[Preselecting], list[T]]) -> list[T]:
        """What the tenant's database gives; nothing where it cannot be asked this way any more."""
        return self._routed(
            scope.tenant, lambda store: ask(store) if isinstance(store, Preselecting) else [], list[T]()
        )[1]
