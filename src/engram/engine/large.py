"""Large scopes of a store that preselects: the signals of a few candidates, without an index in memory."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

from engram.engine.lookups import ByFact, ByLikeness, ByName, Lookups
from engram.kernel.clock import micros
from engram.kernel.preselect import Among, Census, Matching, Preselecting
from engram.kernel.protocols import Entry, Position, Store
from engram.kernel.record import Record
from engram.kernel.scope import Scope
from engram.operators.retrieval.candidates import ScopeColumns
from engram.operators.retrieval.mapped import ALONE, LEXICAL, ONE
from engram.operators.retrieval.near import Near, best_of
from engram.operators.retrieval.pool import Pool
from engram.operators.retrieval.preselect import Breadth, preselected
from engram.operators.retrieval.query import Parts, Query, term
from engram.operators.retrieval.signals import SIGNALS

__all__ = ["LARGE", "LargeIndex", "Larges"]

LARGE = 100_000
"""Records of a scope above which a store that can is asked for candidates (`engram bench ann`)."""

_KEPT = 64  # scopes
_SESSION = 2
_TURNS = Breadth(each=60, sample=100)
_HOLDING = 40  # drawn of those that hold the query's rare words
_SESSIONS = Breadth(each=20, more=1.0, sample=0, reach=256)


Samples = dict[tuple[Among, int, int], dict[str, list[Entry]]]
"""The neighbours of entries drawn evenly, by what was asked for."""


@dataclass
class _Held:
    """What is held of a scope: figures and a sample of it at a position of the store, and its look-ups."""

    position: Position
    census: Census | None
    lookups: Lookups
    samples: Samples = field(default_factory=dict)


class Larges:
    """Which scopes are large, above `above` records, and how they are searched.

    `above` may be set. `check` raises where the store's entries are of another embedder now than those that
    were opened.
    """

    def __init__(
        self,
        store: Store,
        preselecting: Preselecting | None,
        *,
        above: int,
        dimensions: int,
        aside: Collection[str],
        now: Callable[[], int],
        check: Callable[[], None],
    ) -> None:
        self._store, self._preselecting, self.above = store, preselecting, above
        self._dimensions, self._aside = dimensions, tuple(sorted(aside))
        self._now, self._check = now, check
        self._held: dict[Scope, _Held] = {}

    def of(self, scope: Scope) -> LargeIndex | None:
        """The index of a large scope; `None` for one that is not, or where the store does not preselect."""
        if self._preselecting is None:
            return None
        held = self._followed(self._preselecting, scope)
        if held.census is None or held.census.turns <= self.above:
            return None
        return LargeIndex(
            self._preselecting,
            held.lookups,
            scope,
            self._dimensions,
            self._aside,
            held.census,
            samples=held.samples,
        )

    def clear(self) -> None:
        """Forget everything, after an erasure."""
        self._held.clear()

    def _followed(self, store: Preselecting, scope: Scope) -> _Held:
        position = self._store.sequence(scope.tenant)
        held = self._held.get(scope)
        if held is not None and held.position == position:
            return held
        if held is None or held.position.erasures != position.erasures:
            self._check()
        elif held.census and held.census.turns + position.last - held.position.last <= self.above:
            return held  # it cannot have become large: whatever came took a sequence
        census = store.census(scope, Among(self._now(), aside=self._aside))
        lookups = Lookups(self._store, scope) if held is None else held.lookups
        held = self._held[scope] = _Held(position, census, lookups)
        if len(self._held) > _KEPT:
            self._held.pop(next(iter(self._held)), None)
        return held


class LargeIndex:
    """A large scope as its store preselects it (`engram.operators.retrieval.searched.Searched`).

    Thread-safe: every question reads what it needs, nothing is kept but the look-ups and `samples`. It stands
    for the scope at one position of the store; `census` are its figures then.
    """

    def __init__(
        self,
        store: Preselecting,
        lookups: Lookups,
        scope: Scope,
        dimensions: int,
        aside: Collection[str],
        census: Census,
        breadth: Breadth | None = None,
        samples: Samples | None = None,
    ) -> None:
        self._store, self._scope, self._dimensions = store, scope, dimensions
        self._aside = tuple(sorted(aside))
        self._census = census
        self._breadth = breadth or _TURNS
        self.samples = {} if samples is None else samples
        self.stated, self.named, self.alike = ByFact(lookups), ByName(lookups), ByLikeness(lookups)

    def __len__(self) -> int:
        return self._census.turns

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
        """Columns as `SidedIndex.score` gives them, of candidates among which are the best `depth`."""
        among = self._among(now, made_by, kinds)
        standing = replace(among, standing=True)
        sided = self._store.census(self._scope, standing) if self._aside else None
        side = None if sided is None or not sided.turns else _Side(self, standing, sided)
        found: list[ScopeColumns] = []
        names = tuple(signals) or tuple(SIGNALS)
        sides = (_Side(self, among, self._census), side if self._asks(kinds) else None)
        for part in filter(None, sides):
            pool = part.pool(query, vector, parts, times, level, names, self._at(level, names), depth)
            found.append(
                pool.score(
                    query,
                    vector,
                    now=now,
                    made_by=made_by,
                    level=level,
                    signals=signals,
                    kinds=kinds,
                    parts=parts,
                    times=times,
                )
            )
        context = {**found[0].context, "aside": float(sided.turns if sided else 0)}
        columns = replace(found[0], context=context)
        return columns if len(found) == 1 else columns.joined(found[1])

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
        """The nearest candidates of each vector, approximately."""
        among = self._among(now, made_by, kinds)
        found: list[Near] = [[] for _ in vectors]
        for asked in (among, replace(among, standing=True))[: 2 if self._asks(kinds) else 1]:
            near = self._store.nearest(self._scope, list(vectors), k, asked)
            found = [[*one, *other] for one, other in zip(found, near, strict=True)]
        close = ([(id, min(1.0, cosine)) for id, cosine in near if cosine >= floor] for near in found)
        return [best_of(near, k) for near in close]

    def ids_of(self, kind: str, *, now: int, made_by: str | None = None) -> list[str]:
        """The ids of all candidates of a kind."""
        return [id for _, id in self.told((None, None), now=now, made_by=made_by, kinds=(kind,))]

    def recent(self, count: int, *, now: int, before: Record | None = None) -> list[str]:
        """The ids of the last turns, as `ScopeIndex.recent` gives them."""
        among = Among(now, None, ("episode",))
        if before is None:
            return [told.id for told in self._store.told(self._scope, (None, None), among, count)]
        moment, scope = micros(before.time), before.scope
        run = (scope.user_id, scope.agent_id, scope.run_id)
        last = count
        while True:
            found = self._store.told(self._scope, (None, moment + 1), among, last, run=run)
            earlier = [told for told in found if (told.time, told.arrival) < (moment, before.arrival)]
            if len(earlier) >= count or len(found) < last:
                return [told.id for told in earlier[-count:]]
            last *= 2

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
        """Time and id of candidates, as `ScopeIndex.told` gives them."""
        among = self._among(now, made_by, kinds)
        found = self._store.told(self._scope, span, among, last, strength)
        if self._asks(kinds):
            found += self._store.told(self._scope, span, replace(among, standing=True), last, strength)
        found.sort()
        return [(told.time, told.id) for told in found[max(0, len(found) - (last or len(found))) :]]

    def _at(self, level: int, signals: Sequence[str]) -> Breadth:
        """How many are looked at: what is beside a find is a candidate too, a session is read whole.

        Where every signal is of a turn alone, nothing beside it is read.
        """
        if level == _SESSION:
            return _SESSIONS
        if level == 0 and signals and ALONE.issuperset(signals):
            return replace(ONE if len(signals) == 1 else self._breadth, reach=0)
        reach = self._breadth.reach
        return replace(self._breadth, reach=2 * reach, spread=reach)

    def _among(self, now: int, made_by: str | None, kinds: Collection[str]) -> Among:
        return Among(now, made_by, tuple(sorted(kinds)), self._aside)

    def _asks(self, kinds: Collection[str]) -> bool:
        return not set(self._aside).isdisjoint(kinds)


class _Side:
    """One half of a large scope: what stands aside, or what does not (`preselect.Source`, `pool.Whole`)."""

    def __init__(self, index: LargeIndex, among: Among, census: Census) -> None:
        self._index, self._among = index, among
        self.census = census
        self._store, self._scope = index._store, index._scope  # noqa: SLF001 - a part of it
        self._often: dict[int, int] = {}
        self._matching = Matching([], [], 0, [])
        self._even: list[str] = []

    def pool(
        self,
        query: Query,
        vector: NDArray[np.float32] | None,
        parts: Parts | None,
        times: Sequence[tuple[int, int]],
        level: int,
        signals: Sequence[str],
        breadth: Breadth,
        depth: int,
    ) -> Pool:
        """The candidates of a query with their neighbours; what no signal needs is not asked for."""
        pool = Pool(self._index._dimensions, self)  # noqa: SLF001
        if level:
            self._among = replace(self._among, kinds=("episode",))
        lexical, focus = _any(signals, *LEXICAL), _any(signals, "focus_")
        dense = _any(signals, "dense_") or not lexical
        reading = pool.read(query)
        spoken = [max(0, term(word)) for word, _ in parts or () if focus]
        self.often(np.concatenate((reading.terms, reading.pairs, np.array(spoken, np.uint32))))
        rarest = reading.terms[np.argsort(self.often(reading.terms), kind="stable")]
        direction = None if parts is None or not focus else pool.direction(parts)
        weights = preselected(
            self,
            (vector if dense or (focus and direction is None) else None, direction),
            rarest if lexical else rarest[:0],
            times,
            turns=self.census.turns,
            breadth=breadth,
            depth=depth,
        )
        held = self._matching
        rare = np.array(held.terms, np.uint32)
        pool.fill(self._stretches(weights, breadth), weights, breadth.spread, rare, held.held)
        return pool

    def _stretches(self, weights: Mapping[str, float], breadth: Breadth) -> list[list[Entry]]:
        """The candidates among their neighbours; those of the sample as they were when it was read."""
        samples, narrow = self._index.samples, breadth.reach - breadth.spread
        key = replace(self._among, now=0), breadth.sample, narrow
        if self._even and key not in samples:
            found = self._store.around(self._scope, self._even, [narrow] * len(self._even))
            samples[key] = dict(zip(self._even, found, strict=True))
        even = samples.get(key, {})
        wide = [id for id, each in weights.items() if each == 1 or id not in even]
        near = self._store.around(self._scope, wide, [breadth.reach] * len(wide))
        return near + [even[id] for id, each in weights.items() if each != 1 and id in even]

    def often(self, terms: NDArray[np.uint32]) -> NDArray[np.int64]:
        """In how many turns each term stands."""
        new = [term for term in terms.tolist() if term not in self._often]
        if new:
            self._often.update(zip(new, self._store.often(self._scope, new, self._among), strict=True))
        return np.array([self._often[term] for term in terms.tolist()], np.int64)

    def nearest(self, vectors: Sequence[NDArray[np.float32]], k: int) -> list[list[str]]:
        """For each vector about the `k` nearest."""
        found = self._store.nearest(self._scope, vectors, k, self._among)
        return [[id for id, _ in near] for near in found]

    def matching(self, terms: NDArray[np.uint32], k: int) -> list[str]:
        """About `k` that hold the terms."""
        known = [term for term in terms.tolist() if self._often.get(term, 1)]
        if known:
            self._matching = self._store.matching(self._scope, known, k, self._among, _HOLDING)
        return self._matching.best

    def told(self, span: tuple[int, int], k: int) -> list[str]:
        """The last `k` that were told in a stretch of time."""
        return [told.id for told in self._store.told(self._scope, span, self._among, k)]

    def sample(self, k: int) -> list[str]:
        """About `k` of all and some of those that hold the words, each drawn evenly."""
        self._even = self._store.sample(self._scope, k, self._among) if k else []
        return [*self._even, *self._matching.drawn]


def _any(signals: Sequence[str], *starts: str) -> bool:
    return any(name.startswith(starts) for name in signals)
