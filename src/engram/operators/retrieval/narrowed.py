"""One query at a large index: who may be found, where its words stand, and where candidates come from."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

from engram.operators.retrieval.bm25 import Averages, Lexicon, Standing
from engram.operators.retrieval.layout import COUNT, START, Layout
from engram.operators.retrieval.postings import Found, Postings
from engram.operators.retrieval.query import Reading
from engram.operators.retrieval.rows import EPISODE, Rows

__all__ = ["Among", "Source", "Words"]

FEW = 20_000
WHOLE = 3_000
Floats = NDArray[np.float32]
Ints = NDArray[np.int64]


class Among:
    """Which rows may be found; `drawn` are rows of which the share is estimated.

    `few` are all of them, where they are at most `FEW`; it is looked for only where `kinds` are named.
    """

    def __init__(
        self,
        rows: Rows,
        now: int,
        made_by: str | None,
        kinds: frozenset[str],
        level: int,
        drawn: Ints,
        every: Callable[[], Ints],
    ) -> None:
        self._rows, self._now = rows, now
        self._maker = 0 if made_by is None else rows.makers.get(made_by)
        self._kinds = [rows.kinds.get(kind) for kind in kinds]
        self._level = level
        self.drawn = drawn[self.may(drawn)]
        self.share = len(self.drawn) / max(1, len(drawn))
        found = every() if kinds else None
        self.few = found if found is not None and len(found) <= FEW else None

    def may(self, chosen: Ints) -> NDArray[np.bool_]:
        """Whether each of the rows may be found."""
        rows = self._rows
        right = rows["alive"][chosen] > 0
        if rows.hideable:
            right &= (rows["valid_end"][chosen] > self._now) & (rows["expires"][chosen] > self._now)
            maker = rows["made_by"][chosen]
            right &= (maker == 0) | (maker == self._maker)
        if self._kinds:
            right &= np.isin(rows["kind"][chosen], self._kinds)
        if self._level:
            right &= rows["kind"][chosen] == EPISODE
        return right

    def everything(self) -> dict[int, float] | None:
        """All rows that may be found, each standing for itself, where they are few enough to look at."""
        if self.few is None or len(self.few) > WHOLE:
            return None
        return dict.fromkeys(self.few.tolist(), 1.0)


class Words:
    """Where a query's words stand in the whole scope: exact BM25 of every turn that has any.

    Where no signal is `lexical`, only how often they stand is looked up.
    """

    def __init__(
        self, layout: Layout, postings: Postings, reading: Reading, averages: Averages, *, lexical: bool
    ) -> None:
        self._layout, self._postings, self._reading = layout, postings, reading
        found = postings.find(reading.terms if lexical else reading.terms[:0])
        if not found.times.all():
            found = found.where(found.times > 0)
        lexicon = Lexicon(layout, averages, found, reading.weights)
        self._term, self._at, self._count = lexicon.postings
        self._often = np.bincount(self._term, minlength=len(reading.terms))
        if not lexical:
            self._often = postings.often(reading.terms)
        self._turns = np.zeros(layout.size, np.float32)
        np.add.at(self._turns, *lexicon.by_turn())
        self._slot = np.zeros(0, np.int32)

    def matching(self, k: int, among: Among) -> list[int]:
        """The `k` rows of the highest BM25 that may be found."""
        at = np.flatnonzero(self._turns > 0)
        wanted = int(2 * k / max(among.share, 1e-3)) + k
        while True:
            best = at
            if len(at) > wanted:
                scores = self._turns[at]
                best = at[np.argpartition(scores, len(at) - wanted)[len(at) - wanted :]]
            rows = self._layout.row_at[best].astype(np.int64)
            right = among.may(rows)
            if np.count_nonzero(right) >= k or wanted >= len(at):
                break
            wanted *= 4
        best, rows = best[right], rows[right]
        found: list[int] = rows[np.argsort(-self._turns[best], kind="stable")[:k]].tolist()
        return found

    @property
    def held(self) -> int:
        """How many turns hold any of the words."""
        return int(np.count_nonzero(self._turns))

    def holding(self, at: Ints) -> NDArray[np.bool_]:
        """Whether the turns at some positions hold any of the words."""
        return np.asarray(self._turns[at] > 0)

    def drawn(self, k: int, among: Among) -> list[int]:
        """Up to `k` rows of turns that hold any of the words, drawn evenly."""
        at = np.flatnonzero(self._turns > 0)
        if len(at) > k:
            at = at[np.random.default_rng(0).integers(0, len(at), k)]
        rows = np.unique(self._layout.row_at[at]).astype(np.int64)
        found: list[int] = rows[among.may(rows)].tolist()
        return found

    def excerpt(self, at: Ints) -> Words:
        """Itself, giving postings of the rows at some positions, numbered as they come (`find`)."""
        self._slot = np.full(self._layout.size, -1, np.int32)
        self._slot[at] = np.arange(len(at))
        return self

    def find(self, hashes: NDArray[np.uint32]) -> Found:
        """The postings of terms in the excerpt."""
        if hashes is self._reading.terms:
            term, at, times = self._term, self._at, self._count.astype(np.int64)
        else:
            found = self._postings.find(hashes)
            at = self._layout.position[found.row].astype(np.int64)
            term, at, times = found.term[at >= 0], at[at >= 0], found.times[at >= 0]
        row = self._slot[at].astype(np.int64)
        return Found(term[row >= 0], row[row >= 0], times[row >= 0])

    def standing(self, sessions: Ints, weight: Floats) -> Standing:
        """What is known of the whole; `sessions` are those of the excerpt, `weight` is by its position."""
        terms, of = len(self._reading.terms), self._layout.sessions.size
        session = self._layout.session_at[self._at].astype(np.int64)
        first = np.flatnonzero(np.diff(self._term * of + session, prepend=-1))
        counts = np.add.reduceat(self._count, first) if len(first) else self._count
        different, inverse = np.unique(sessions, return_inverse=True)
        local = np.full(of, -1, np.int64)
        local[different] = np.arange(len(different))
        place = local[session[first]]
        within = np.zeros((terms, len(different)), np.float32)
        within[self._term[first][place >= 0], place[place >= 0]] = counts[place >= 0]
        best = np.zeros(len(different), np.float32)
        place = local[session]
        np.maximum.at(best, place[place >= 0], self._turns[self._at[place >= 0]])
        often = np.bincount(self._term[first], minlength=terms)
        windows = {reach: self._windows(session, reach) for reach in (1, 3)}
        return Standing(self._often, often, weight, within[:, inverse], best[inverse], windows)

    def _windows(self, session: Ints, reach: int) -> Ints:
        """In how many windows of `reach` turns on each side each term stands."""
        start = self._layout.sessions[START][session]
        last = start + self._layout.sessions[COUNT][session] - 1
        low, high = np.maximum(self._at - reach, start), np.minimum(self._at + reach, last)
        same = np.diff(self._term, prepend=-1) == 0
        low[1:] = np.where(same[1:], np.maximum(low[1:], high[:-1] + 1), low[1:])
        found: Ints = np.bincount(self._term, weights=high - low + 1, minlength=len(self._reading.terms))
        return found.astype(np.int64)


class Source:
    """Candidates of a large index (`preselect.Source`), by row."""

    def __init__(
        self,
        rows: Rows,
        among: Among,
        words: Words,
        near: Callable[[Floats, int], Ints],
    ) -> None:
        self._rows, self._among, self._words, self._near = rows, among, words, near

    def nearest(self, vectors: Sequence[Floats], k: int) -> list[list[int]]:
        """For each vector about the `k` nearest."""
        return [self._near(vector, k).tolist() for vector in vectors]

    def matching(self, terms: NDArray[np.uint32], k: int) -> list[int]:
        """The `k` with the highest BM25."""
        return self._words.matching(k, self._among) if len(terms) else []

    def told(self, span: tuple[int, int], k: int) -> list[int]:
        """The last `k` that were told in a stretch of time."""
        time = self._rows["time"]
        rows = np.flatnonzero((time >= span[0]) & (time < span[1]))
        rows = rows[self._among.may(rows)]
        found: list[int] = rows[np.argsort(time[rows], kind="stable")][-k:].tolist()
        return found

    def sample(self, k: int) -> list[int]:
        """Some of all and some of those that hold the words, each drawn evenly."""
        found: list[int] = self._among.drawn[:k].tolist()
        return list(dict.fromkeys([*found, *(self._words.drawn(k, self._among) if k else [])]))
