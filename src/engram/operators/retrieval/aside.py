"""An index in which some derived records stand aside: the turns' statistics and ranks do not know of them."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from engram.kernel.protocols import Entry
from engram.operators.retrieval.candidates import ScopeColumns
from engram.operators.retrieval.index import ScopeIndex
from engram.operators.retrieval.near import Near, best_of
from engram.operators.retrieval.query import Parts, Query

__all__ = ["SidedIndex"]


class SidedIndex(ScopeIndex):
    """A `ScopeIndex` with a second one for derived records of the kinds `aside`, such as entities.

    They are candidates where their kind is asked for, with statistics of their own, and nowhere else: what
    a graph is made of is named by thousands of short texts that answer no question by themselves.
    """

    def __init__(self, dimensions: int, aside: Collection[str]) -> None:
        super().__init__(dimensions)
        self._kinds = frozenset(aside)
        self._aside = ScopeIndex(dimensions)

    @property
    def standing(self) -> ScopeIndex:
        """The index of what stands aside."""
        return self._aside

    @property
    def nbytes(self) -> int:
        """Bytes held in memory, estimated."""
        return super().nbytes + self._aside.nbytes

    def apply(self, entries: Sequence[Entry]) -> None:
        """Take over entries, as `ScopeIndex.apply` does."""
        aside = [entry for entry in entries if entry.made_by is not None and entry.kind in self._kinds]
        if not aside:
            super().apply(entries)
            return
        self._aside.apply(aside)
        self.stated.follow(aside)
        self.named.follow(aside)
        self.alike.follow(aside)
        ids = {entry.id for entry in aside}
        super().apply([entry for entry in entries if entry.id not in ids])
        self.last = max(self.last, self._aside.last)

    def score(
        self,
        query: Query,
        vector: NDArray[np.float32] | None,
        *,
        now: int,
        made_by: str | None = None,
        level: int = 0,
        signals: Sequence[str] = (),
        kinds: Collection[str] = (),
        parts: Parts | None = None,
        times: Sequence[tuple[int, int]] = (),
        depth: int = 0,
    ) -> ScopeColumns:
        """Columns as `ScopeIndex.score` gives them; behind, where `kinds` asks for it, what stands aside.

        The context tells besides how many records stand aside, as `aside`.
        """
        scored = [
            score(
                query,
                vector,
                now=now,
                made_by=made_by,
                level=level,
                signals=signals,
                kinds=kinds,
                parts=parts,
                times=times,
                depth=depth,
            )
            for score in (super().score, self._aside.score)[: 2 if self._asks(kinds) else 1]
        ]
        columns = replace(scored[0], context={**scored[0].context, "aside": float(len(self._aside))})
        return columns.joined(scored[1]) if len(scored) > 1 else columns

    def ids_of(self, kind: str, *, now: int, made_by: str | None = None) -> list[str]:
        """The ids of all candidates of a kind, at the time `now` in microseconds."""
        found = super().ids_of(kind, now=now, made_by=made_by)
        return [*found, *self._aside.ids_of(kind, now=now, made_by=made_by)] if self._asks((kind,)) else found

    def similar(
        self,
        vectors: NDArray[np.float32],
        k: int,
        *,
        now: int,
        made_by: str | None = None,
        kinds: Collection[str] = (),
        floor: float = 0.0,
    ) -> list[Near]:
        """The `k` nearest candidates of each vector, as `ScopeIndex.similar` gives them."""
        found = super().similar(vectors, k, now=now, made_by=made_by, kinds=kinds, floor=floor)
        if not self._asks(kinds):
            return found
        more = self._aside.similar(vectors, k, now=now, made_by=made_by, kinds=kinds, floor=floor)
        return [best_of([*one, *other], k) for one, other in zip(found, more, strict=True)]

    def told(
        self,
        span: tuple[int | None, int | None],
        *,
        now: int,
        made_by: str | None = None,
        kinds: Collection[str] = (),
        last: int | None = None,
        strength: float = 0.0,
    ) -> list[tuple[int, str]]:
        """Time in microseconds and id of candidates, as `ScopeIndex.told` gives them."""
        found = super().told(span, now=now, made_by=made_by, kinds=kinds, last=last, strength=strength)
        if not self._asks(kinds):
            return found
        more = self._aside.told(span, now=now, made_by=made_by, kinds=kinds, last=last, strength=strength)
        both = sorted([*found, *more])
        return both if last is None else both[max(0, len(both) - last) :]

    def _asks(self, kinds: Collection[str]) -> bool:
        return len(self._aside) > 0 and not self._kinds.isdisjoint(kinds)
