"""BM25 at four levels: turn, window of 1 and of 3 turns on each side, session.

Robertson and Zaragoza, "The Probabilistic Relevance Framework: BM25 and Beyond" (2009), section 3, with
the idf that is never negative. Frequencies, document frequencies and lengths are those of the level itself.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cached_property
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from engram.operators.retrieval.figures import LENGTHS
from engram.operators.retrieval.layout import START, TOKENS, Layout
from engram.operators.retrieval.postings import Found

__all__ = ["K1", "Averages", "B", "Lexicon", "Standing", "rarity"]

K1 = 1.2
B = 0.75
LEVELS = {1: 1, 3: 2}  # turns on each side: place among the levels
COMMON = 24
AT_ONCE = 1 << 22
Floats = NDArray[np.float32]
Whole = NDArray[np.int64]


class Averages(NamedTuple):
    """How many turns and sessions there are, and the mean length in tokens at each level."""

    turns: int
    sessions: int
    windows: tuple[float, float, float]
    session: float


class Standing(NamedTuple):
    """What a lexicon over a few of a scope's turns has to know of all of them.

    `often` and `sessions`, shape [terms]: in how many turns and sessions each term stands. `weight` is by
    position: how many turns of the scope the one there stands for, 0 for one that is no candidate. Where
    whole sessions are known, `within` says how often each term stands in each, shape [terms, sessions], and
    `best`, shape [sessions], what the BM25 of a turn is at most; `windows`, by turns on each side, how many
    windows each term stands in.
    """

    often: Whole
    sessions: Whole
    weight: Floats
    within: Floats | None = None
    best: Floats | None = None
    windows: Mapping[int, Whole] | None = None


def rarity(often: NDArray[Any], of: int) -> Floats:
    """Inverse document frequency of terms that stand in `often` of `of` documents."""
    return np.log1p((of - often + 0.5) / (often + 0.5)).astype(np.float32)


class Lexicon:
    """BM25 of one query at one layout; each level is computed when first asked for.

    `weights` has shape [terms]; `found.term` are places in it. Rows that are not in the layout
    are passed over. Where the layout holds only some of the scope's turns, `standing` knows of the rest.
    """

    def __init__(
        self,
        layout: Layout,
        averages: Averages,
        found: Found,
        weights: Floats,
        standing: Standing | None = None,
    ) -> None:
        self._layout, self._averages, self._weights = layout, averages, weights
        self._standing = standing
        at = layout.position[found.row].astype(np.int64)
        key = (found.term << 40) + (at << 8) + found.times
        if len(at) and at.min() < 0:
            key = key[at >= 0]
        if (key[1:] < key[:-1]).any():
            key.sort()
        self._term = key >> 40
        self._at = (key >> 8) & 0xFFFFFFFF
        self._count = (key & 0xFF).astype(np.float32)
        self._held = np.bincount(self._term, minlength=len(weights))
        self._often = self._held if standing is None else standing.often

    @property
    def asked(self) -> tuple[float, float]:
        """The idf of the query's different terms added up, and the share of it that stands nowhere."""
        idf = rarity(self._often, self._averages.turns)
        total = float(idf.sum())
        return total, float(idf[self._often == 0].sum()) / total if total else 1.0

    @cached_property
    def turns(self) -> Floats:
        """By position: BM25 of the turn."""
        scores = np.zeros(self._layout.size, np.float32)
        np.add.at(scores, *self.by_turn())
        return scores

    @cached_property
    def coverage(self) -> Floats:
        """By position: the idf of the turn's different query terms, added up."""
        scores = np.zeros(self._layout.size, np.float32)
        np.add.at(scores, self._at, rarity(self._often, self._averages.turns)[self._term])
        return scores

    @cached_property
    def best(self) -> Floats:
        """By session: the highest BM25 of one of its turns."""
        if self._standing is not None and self._standing.best is not None:
            return self._standing.best
        starts = self._layout.sessions[START]
        return np.maximum.reduceat(self.turns, starts) if len(starts) else np.zeros(0, np.float32)

    @cached_property
    def near(self) -> Floats:
        """By position: BM25 of the window of 1 turn on each side; 0 at blanks."""
        return self._windows(1)

    @cached_property
    def far(self) -> Floats:
        """By position: BM25 of the window of 3 turns on each side; 0 at blanks."""
        return self._windows(3)

    @cached_property
    def sessions(self) -> Floats:
        """By session: BM25 of the session."""
        of = self._averages.sessions
        if self._standing is not None and self._standing.within is not None:
            gain = self._weights * rarity(self._standing.sessions, of)
            tokens = self._layout.weights[TOKENS]
            within = self._standing.within
            tamed = _tame(within, np.broadcast_to(tokens, within.shape), self._averages.session)
            return np.asarray(gain @ tamed, np.float32)
        scores = np.zeros(self._layout.sessions.size, np.float32)
        if not len(self._at):
            return scores
        session = self._layout.session_at[self._at]
        first = np.flatnonzero(np.diff(self._term * len(scores) + session, prepend=-1))
        counts = np.add.reduceat(self._count, first)
        term, session = self._term[first], session[first]
        often = np.bincount(term, minlength=len(self._weights))
        gain = self._weights * rarity(often if self._standing is None else self._standing.sessions, of)
        tokens = self._layout.weights[TOKENS][session]
        np.add.at(scores, session, gain[term] * _tame(counts, tokens, self._averages.session))
        return scores

    @property
    def postings(self) -> tuple[Whole, Whole, Floats]:
        """Term, position and count of each posting, by (term, position)."""
        return self._term, self._at, self._count

    def by_turn(self) -> tuple[Whole, Floats]:
        """Position and share of the turn's BM25 of each posting."""
        gain = self._weights * rarity(self._often, self._averages.turns)
        tokens = self._layout.figures[LENGTHS[0]][self._at]
        values = _tame(self._count, tokens, self._averages.windows[0])
        values *= gain[self._term]
        return self._at, values

    def _windows(self, reach: int) -> Floats:
        size, terms = self._layout.size, len(self._weights)
        scores = np.zeros(size, np.float32)
        ends = np.cumsum(self._held)
        common = self._held * COMMON > size
        for term in np.flatnonzero(common).tolist():
            self._common(slice(int(ends[term] - self._held[term]), int(ends[term])), reach, scores)
        step = max(1, AT_ONCE // size)
        for first in range(0, terms, step):
            last = min(first + step, terms)
            here = slice(int(ends[first] - self._held[first]), int(ends[last - 1]))
            rest: slice | Whole = here
            if common[first:last].any():
                rest = here.start + np.flatnonzero(~common[self._term[here]])
            self._rare(rest, first, last, reach, scores)
        return scores

    def _common(self, here: slice, reach: int, scores: Floats) -> None:
        """One term that stands in much of the scope: whole arrays at a time."""
        counts = np.zeros(self._layout.size, np.float32)
        counts[self._at[here]] = self._count[here]
        total = counts.copy()
        for step in range(1, reach + 1):
            total[step:] += counts[:-step]
            total[:-step] += counts[step:]
        total *= self._living
        term = int(self._term[here.start])
        often = np.array([np.count_nonzero(total)])
        if self._standing is not None:
            at = np.flatnonzero(total)
            often = self._windows_with(np.zeros_like(at), at, term, 1, reach)
        gain = self._weights[term] * rarity(often, self._averages.turns)
        level = LEVELS[reach]
        values = _tame(total, self._layout.figures[LENGTHS[level]], self._averages.windows[level])
        values *= gain
        scores += values

    def _rare(self, here: slice | Whole, first: int, last: int, reach: int, scores: Floats) -> None:
        """Terms that stand in little of the scope: only the positions that they reach."""
        size, level = self._layout.size, LEVELS[reach]
        term, at, count = self._term[here] - first, self._at[here], self._count[here]
        if not len(at):
            return
        key = term * size + at
        gap = np.diff(key, prepend=-size)
        total = np.zeros((last - first) * size, np.float32)
        total[key] = count
        for step in range(1, reach + 1):
            total[key - step] += count
            total[key + step] += count
        around = np.arange(-reach, reach + 1)[:, None]
        own = self._living[at + around]
        own &= gap > reach - around  # a position that two postings reach belongs to the first
        place = (key + around)[own]
        which = np.broadcast_to(term, own.shape)[own]
        position = place - which * size
        often = self._windows_with(which, position, first, last - first, reach)
        gain = self._weights[first:last] * rarity(often, self._averages.turns)
        tokens = self._layout.figures[LENGTHS[level]][position]
        values = _tame(total[place], tokens, self._averages.windows[level])
        values *= gain[which]
        np.add.at(scores, position, values)

    def _windows_with(
        self, which: Whole, position: Whole, first: int, terms: int, reach: int
    ) -> NDArray[Any]:
        """In how many windows of the scope each of `terms` terms from `first` on stands.

        They were seen in the windows at `position`, `which` says which of them. With `standing` it is what
        was seen, as a multiple of the turns that were seen with the term.
        """
        if self._standing is None:
            return np.bincount(which, minlength=terms)
        if self._standing.windows is not None:
            return self._standing.windows[reach][first : first + terms]
        seen = np.bincount(which, weights=self._standing.weight[position], minlength=terms)
        chosen = slice(first, first + terms)
        own = self._seen[chosen]
        wider = np.clip(np.divide(seen, own, out=np.ones(terms), where=own > 0), 1, None)
        return np.minimum(self._often[chosen] * wider, self._averages.turns)

    @cached_property
    def _seen(self) -> NDArray[Any]:
        """With `standing`, by term: how many of the scope's turns those that hold it here stand for."""
        weight = np.zeros(len(self._at)) if self._standing is None else self._standing.weight[self._at]
        return np.bincount(self._term, weights=weight, minlength=len(self._weights))

    @cached_property
    def _living(self) -> NDArray[np.bool_]:
        return self._layout.row_at >= 0


def _tame(counts: Floats, tokens: Floats, average: float) -> Floats:
    """Frequency that saturates, by length."""
    bound = tokens * np.float32(K1 * B / max(average, 1e-9))
    bound += np.float32(K1 * (1 - B))
    bound += counts
    np.divide(counts, bound, out=bound)
    bound *= np.float32(K1 + 1)
    return bound
