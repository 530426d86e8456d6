"""BM25 at four levels at once: turn, window of 1 and of 3 turns on each side, session.

Robertson and Zaragoza, "The Probabilistic Relevance Framework: BM25 and Beyond" (2009), section 3, with
the idf that is never negative. Frequencies, document frequencies and lengths are those of the level itself.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from engram.operators.retrieval.figures import LENGTHS
from engram.operators.retrieval.layout import TOKENS, Layout
from engram.operators.retrieval.postings import Found

__all__ = ["B", "K1", "REACHES", "Averages", "Lexical", "bm25"]

K1 = 1.2
B = 0.75
REACHES = (0, 1, 3)
COMMON = 8
AT_ONCE = 1 << 22
Floats = NDArray[np.float32]


class Averages(NamedTuple):
    """How many turns and sessions there are, and the mean length in tokens at each level."""

    turns: int
    sessions: int
    windows: tuple[float, float, float]
    session: float


class Lexical(NamedTuple):
    """BM25 scores: for each of `REACHES` by position, shape [size]; and by session."""

    windows: tuple[Floats, Floats, Floats]
    sessions: Floats


class _Hits(NamedTuple):
    """Postings by (term, position): parallel arrays, and how many terms there are."""

    term: NDArray[np.int64]
    at: NDArray[np.int64]
    count: Floats
    terms: int


def bm25(layout: Layout, averages: Averages, found: Found, weights: Floats, k1: float = K1, b: float = B) -> Lexical:
    """Scores of all positions and sessions for query terms of the given weights, shape [terms].

    `found.term` are positions in `weights`. Rows that are not in the layout are passed over.
    """
    size = layout.size
    scores = Lexical(
        (np.zeros(size, np.float32), np.zeros(size, np.float32), np.zeros(size, np.float32)),
        np.zeros(averages.sessions, np.float32),
    )
    hits = _placed(layout, found, len(weights))
    if not len(hits.term):
        return scores
    scorer = _Scorer(layout, averages, k1, b)
    scorer.sessions(hits, weights, scores.sessions)
    often = np.bincount(hits.term, minlength=hits.terms)
    common = often * COMMON > size
    for term in np.flatnonzero(common).tolist():
        here = slice(*np.searchsorted(hits.term, [term, term + 1]).tolist())
        scorer.common(hits.at[here], hits.count[here], float(weights[term]), scores.windows)
    rest = ~common[hits.term] if common.any() else slice(None)
    step = max(1, AT_ONCE // size)
    terms, at, count = hits.term[rest], hits.at[rest], hits.count[rest]
    for first in range(0, hits.terms, step):
        here = slice(*np.searchsorted(terms, [first, first + step]).tolist())
        some = _Hits(terms[here] - first, at[here], count[here], min(step, hits.terms - first))
        scorer.rare(some, weights[first : first + step], scores.windows)
    return scores


def _placed(layout: Layout, found: Found, terms: int) -> _Hits:
    """Postings of living rows by position, sorted."""
    at = layout.position[found.row].astype(np.int64)
    key = ((found.term * layout.size + at) << 8) + found.count.astype(np.int64)
    if len(at) and at.min() < 0:
        key = key[at >= 0]
    if (key[1:] < key[:-1]).any():
        key.sort()
    place = key >> 8
    term = place // layout.size
    return _Hits(term, place - term * layout.size, (key & 0xFF).astype(np.float32), terms)


class _Scorer:
    """Adds terms' scores to arrays."""

    def __init__(self, layout: Layout, averages: Averages, k1: float, b: float) -> None:
        self._layout, self._averages, self._k1, self._b = layout, averages, k1, b
        self._living = layout.row_at >= 0

    def sessions(self, hits: _Hits, weights: Floats, scores: Floats) -> None:
        session = self._layout.session_at[hits.at]
        key = hits.term * self._averages.sessions + session
        first = np.flatnonzero(np.diff(key, prepend=-1))
        counts = np.add.reduceat(hits.count, first)
        term, session = hits.term[first], session[first]
        often = np.bincount(term, minlength=hits.terms)
        gain = self._gain(often, self._averages.sessions, weights)
        tokens = self._layout.weights[TOKENS][session]
        np.add.at(scores, session, gain[term] * self._tame(counts, tokens, self._averages.session))

    def common(self, at: NDArray[np.int64], count: Floats, weight: float, scores: tuple[Floats, ...]) -> None:
        """One term that stands in much of the scope: whole arrays at a time."""
        size = self._layout.size
        counts = np.zeros(size, np.float32)
        counts[at] = count
        total = counts.copy()
        for level, reach in enumerate(REACHES):
            for step in range(2 if reach == 3 else 1, reach + 1):
                total[step:] += counts[:-step]
                total[:-step] += counts[step:]
            if reach:
                total *= self._living
            gain = self._gain(np.array([np.count_nonzero(total)]), self._averages.turns, np.float32(weight))
            tamed = self._tame(total, self._layout.figures[LENGTHS[level]], self._averages.windows[level])
            tamed *= gain[0]
            scores[level][:] += tamed

    def rare(self, hits: _Hits, weights: Floats, scores: tuple[Floats, ...]) -> None:
        """Terms that stand in little of the scope: only the positions they reach."""
        if not len(hits.term):
            return
        size = self._layout.size
        key = hits.term * size + hits.at
        gap = np.diff(key, prepend=-size)
        total = np.zeros(hits.terms * size, np.float32)
        for level, reach in enumerate(REACHES):
            steps = np.arange(-reach, reach + 1)
            for step in range(-reach, reach + 1) if reach < 2 else (-3, -2, 2, 3):
                if step or not reach:
                    total[key + step] += hits.count
            at = hits.at[:, None] + steps
            own = self._living[at]
            own &= steps > (reach - gap)[:, None]  # a position within reach of two postings is the first one's
            at = at[own]
            term = np.broadcast_to(hits.term[:, None], own.shape)[own]
            often = np.bincount(term, minlength=hits.terms)
            gain = self._gain(often, self._averages.turns, weights)
            tokens = self._layout.figures[LENGTHS[level]][at]
            tamed = self._tame(total[term * size + at], tokens, self._averages.windows[level])
            np.add.at(scores[level], at, gain[term] * tamed)

    def _gain(self, often: NDArray[np.int64], of: int, weights: Floats | np.float32) -> Floats:
        """Inverse document frequency times the term's weight in the query."""
        gain: Floats = (weights * np.log1p((of - often + 0.5) / (often + 0.5))).astype(np.float32)
        return gain

    def _tame(self, counts: Floats, tokens: Floats, average: float) -> Floats:
        """Frequency that saturates, by length."""
        k1, b = self._k1, self._b
        bound = tokens * np.float32(k1 * b / max(average, 1e-9))
        bound += np.float32(k1 * (1 - b))
        bound += counts
        np.divide(counts, bound, out=bound)
        bound *= np.float32(k1 + 1)
        return bound
