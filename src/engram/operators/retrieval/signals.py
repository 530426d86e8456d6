"""The signals: each one small function from a probe to a float32 array over its candidates."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from engram.operators.retrieval import flags
from engram.operators.retrieval.bm25 import Averages, Lexicon, Standing
from engram.operators.retrieval.candidates import Candidates
from engram.operators.retrieval.growing import Vectors
from engram.operators.retrieval.layout import Layout
from engram.operators.retrieval.postings import Finding
from engram.operators.retrieval.query import Query, Reading
from engram.operators.retrieval.rows import Rows
from engram.operators.retrieval.semantic import Semantic, Sums

__all__ = ["SIGNALS", "Probe", "column"]

Floats = NDArray[np.float32]
Signal = Callable[["Probe"], Floats]
SIGNALS: dict[str, Signal] = {}
FIXED: set[str] = set()
DATE_REACH = 7 * 86_400 * 1e6


@dataclass
class Probe:
    """One query at one index: what signals are computed from, each part when first asked for.

    `times` are the stretches of time that the query names, half-open, in microseconds.

    Where the index holds only some of a scope's turns, `standing` knows of all, and `pairs_often` in how
    many of them each of the query's pairs stands; `sums` gives products with the summed vectors of whole
    sessions.

    Arrays "by position" have shape [layout.size]; `at` takes the candidates' part.
    """

    query: Query
    reading: Reading
    vector: Floats | None
    direction: Floats | None
    candidates: Candidates
    rows: Rows
    layout: Layout
    vectors: Vectors
    postings: Finding
    averages: Averages
    times: tuple[tuple[int, int], ...] = ()
    standing: Standing | None = None
    pairs_often: NDArray[np.int64] | None = None
    sums: Sums | None = None

    @cached_property
    def lexical(self) -> Lexicon:
        """BM25 at all levels."""
        found = self.postings.find(self.reading.terms)
        if not found.times.all():
            found = found.where(found.times > 0)
        return Lexicon(self.layout, self.averages, found, self.reading.weights, self.standing)

    @cached_property
    def dense(self) -> Semantic:
        """Cosines with the query's vector."""
        return Semantic(self.layout, self.vectors, self.vector, self.sums)

    @cached_property
    def focus(self) -> Semantic:
        """Cosines with the vector of the query's words, each weighed by how rare it is in this scope."""
        if self.direction is None:
            return self.dense
        return Semantic(self.layout, self.vectors, self.direction, self.sums)

    def at(self, by_position: Floats) -> Floats:
        """The candidates' part of an array by position."""
        return np.take(by_position, self.candidates.at, mode="clip")

    def of(self, by_session: Floats) -> Floats:
        """The candidates' part of an array by session."""
        return by_session[self.candidates.session]

    def flag(self, bit: int) -> Floats:
        """Whether the candidate's text has a flag."""
        return ((self.rows["flags"][self.candidates.row] & bit) > 0).astype(np.float32)

    def role(self, role: str) -> Floats:
        """Whether the candidate has a role."""
        return (self.rows["role"][self.candidates.row] == self.rows.roles.get(role)).astype(np.float32)


def column(name: str, probe: Probe) -> Floats:
    """A signal over the probe's candidates; at level 2 the highest of a session's turns."""
    values = _values(name, probe)
    first = probe.candidates.first
    return values if first is None or not len(first) else np.maximum.reduceat(values, first)


def _values(name: str, probe: Probe) -> Floats:
    """A signal over the candidates' turns."""
    if name not in FIXED:
        return SIGNALS[name](probe)
    kept = probe.candidates.fixed
    if name not in kept:
        kept[name] = SIGNALS[name](probe)
    return kept[name]


def signal(*, fixed: bool = False) -> Callable[[Signal], Signal]:
    """Register a function as the signal of its name; `fixed` ones do not depend on the query."""

    def register(function: Signal) -> Signal:
        SIGNALS[function.__name__] = function
        if fixed:
            FIXED.add(function.__name__)
        return function

    return register


@signal()
def bm25_turn(probe: Probe) -> Floats:
    """BM25 of the turn itself."""
    return probe.at(probe.lexical.turns)


@signal()
def bm25_w1(probe: Probe) -> Floats:
    """BM25 of the turn with its neighbours."""
    return probe.at(probe.lexical.near)


@signal()
def bm25_w3(probe: Probe) -> Floats:
    """BM25 of the turn with three on each side."""
    return probe.at(probe.lexical.far)


@signal()
def bm25_session(probe: Probe) -> Floats:
    """BM25 of the turn's session."""
    return probe.of(probe.lexical.sessions)


@signal()
def bm25_best(probe: Probe) -> Floats:
    """The highest BM25 of a turn in the same session."""
    return probe.of(probe.lexical.best)


@signal()
def bm25_asked(probe: Probe) -> Floats:
    """BM25 of the turn before it, where that one asks something."""
    return probe.lexical.turns[probe.candidates.at - 1] * _values("after_question", probe)


@signal()
def coverage(probe: Probe) -> Floats:
    """The idf of the query's different terms that stand in the turn, added up."""
    return probe.at(probe.lexical.coverage)


@signal()
def pairs(probe: Probe) -> Floats:
    """log(1 + n / df) of the query's pairs of neighbouring words that stand in the turn, added up."""
    found = probe.postings.find(probe.reading.pairs)
    at = probe.layout.position[found.row]
    found_pair = (found.times == 0) & (at >= 0)
    at, pair = at[found_pair], found.term[found_pair]
    often = probe.pairs_often
    if often is None:
        often = np.bincount(pair, minlength=len(probe.reading.pairs))
    scores = np.zeros(probe.layout.size, np.float32)
    np.add.at(scores, at, np.log1p(probe.averages.turns / np.maximum(often, 1)).astype(np.float32)[pair])
    return probe.at(scores)


@signal()
def dense_turn(probe: Probe) -> Floats:
    """Cosine of the turn with the query."""
    return probe.at(probe.dense.turns)


@signal()
def dense_w1(probe: Probe) -> Floats:
    """Cosine of the turn and its neighbours with the query."""
    return probe.at(probe.dense.windows[0])


@signal()
def dense_w3(probe: Probe) -> Floats:
    """Cosine of the turn and three on each side with the query."""
    return probe.at(probe.dense.windows[1])


@signal()
def dense_session(probe: Probe) -> Floats:
    """Cosine of the turn's session with the query."""
    return probe.of(probe.dense.sessions)


@signal()
def focus_turn(probe: Probe) -> Floats:
    """Cosine of the turn with the query's rare words."""
    return probe.at(probe.focus.turns)


@signal()
def focus_w1(probe: Probe) -> Floats:
    """Cosine of the turn and its neighbours with the query's rare words."""
    return probe.at(probe.focus.windows[0])


@signal()
def focus_w3(probe: Probe) -> Floats:
    """Cosine of the turn and three on each side with the query's rare words."""
    return probe.at(probe.focus.windows[1])


@signal()
def focus_session(probe: Probe) -> Floats:
    """Cosine of the turn's session with the query's rare words."""
    return probe.of(probe.focus.sessions)


@signal()
def named(probe: Probe) -> Floats:
    """Whether the query names who speaks."""
    return probe.reading.named.astype(np.float32)[probe.candidates.name]


@signal(fixed=True)
def question(probe: Probe) -> Floats:
    """Whether the turn asks something."""
    return probe.flag(flags.QUESTION)


@signal(fixed=True)
def after_question(probe: Probe) -> Floats:
    """Whether the turn before it, in its session, asks something."""
    before = probe.layout.row_at[probe.candidates.at - 1]
    asks = np.append(probe.rows["flags"] & flags.QUESTION, 0)
    return (asks[before] > 0).astype(np.float32)


@signal(fixed=True)
def log_length(probe: Probe) -> Floats:
    """log(1 + tokens / 20)."""
    return probe.rows["log_length"][probe.candidates.row]


@signal(fixed=True)
def assistant(probe: Probe) -> Floats:
    """Whether the assistant says it."""
    return probe.role("assistant")


@signal(fixed=True)
def first(probe: Probe) -> Floats:
    """Whether it opens its session."""
    return (probe.layout.row_at[probe.candidates.at - 1] < 0).astype(np.float32)


@signal(fixed=True)
def time_named(probe: Probe) -> Floats:
    """Whether it names a time."""
    return probe.flag(flags.TIME)


@signal(fixed=True)
def strength(probe: Probe) -> Floats:
    """How well it is remembered, as its counter says."""
    return probe.rows["strength"][probe.candidates.row]


@signal()
def when(probe: Probe) -> Floats:
    """Whether it names a time, where the query asks for one."""
    return _values("time_named", probe) * np.float32(probe.query.cues["when"])


@signal()
def date(probe: Probe) -> Floats:
    """How near the turn lies to a time that the query names: 1 inside, falling by e in seven days after it.

    Before it twice as fast: what happened is told of afterwards. 0 where the query names no time.
    """
    near = np.zeros(len(probe.candidates.row), np.float32)
    if not probe.times:
        return near
    said = probe.rows["time"][probe.candidates.row]
    for start, end in probe.times:
        gap = np.where(said < start, 2.0 * (start - said), np.maximum(said - end, 0))
        near = np.maximum(near, np.exp(gap / -DATE_REACH).astype(np.float32))
    return near


@signal()
def session_named(probe: Probe) -> Floats:
    """Whether the query names the session that it was said in, as in "session 3"."""
    if not probe.query.sessions:
        return np.zeros(len(probe.candidates.row), np.float32)
    called = probe.rows.runs_called(probe.query.sessions)
    return called[probe.rows["stream"][probe.candidates.row]].astype(np.float32)


@signal()
def summary(probe: Probe) -> Floats:
    """Whether the assistant says it, where the query asks for a summary."""
    return _values("assistant", probe) * np.float32(probe.query.cues["summary"])


@signal()
def told(probe: Probe) -> Floats:
    """Whether the assistant says it, where the query asks what the assistant said."""
    return _values("assistant", probe) * np.float32(probe.query.cues["told"])
