"""The index of a large scope: arrays in a file, a graph or lists of their vectors, and what came since."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from dataclasses import replace
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from engram.operators.retrieval.approximate import Graph, grown
from engram.operators.retrieval.arrays import Broken, Laid, laid
from engram.operators.retrieval.aside import SidedIndex
from engram.operators.retrieval.bm25 import Averages
from engram.operators.retrieval.candidates import ScopeColumns, choose
from engram.operators.retrieval.frozen import frozen, thawed
from engram.operators.retrieval.growing import Vectors, quantised
from engram.operators.retrieval.ids import Picked
from engram.operators.retrieval.index import Asked
from engram.operators.retrieval.layout import START
from engram.operators.retrieval.lists import Lists, Parts
from engram.operators.retrieval.narrowed import Among, Source, Words
from engram.operators.retrieval.near import Near, best_of
from engram.operators.retrieval.preselect import Breadth, preselected
from engram.operators.retrieval.query import Reading
from engram.operators.retrieval.rows import Rows
from engram.operators.retrieval.signals import Probe

__all__ = ["Chosen", "MappedIndex", "blocks_of", "keepable"]

WIDE = Breadth(each=120, sample=500, spread=3)
ONE = Breadth(each=160, more=3.0, sample=0)  # where one signal of the turn itself is all that is asked
SESSION = 2
OVER = 1.3
LEXICAL = ("bm25", "coverage", "pairs")
ALONE = frozenset(
    {
        "bm25_turn", "coverage", "pairs", "dense_turn", "focus_turn", "named", "question", "log_length",
        "assistant", "time_named", "strength", "when", "date", "session_named", "summary", "told",
    }
)  # fmt: skip
"""The signals that look at a turn alone."""
_NAMED = ("fact", "entity")
Floats = NDArray[np.float32]
Ints = NDArray[np.int64]


class Chosen(NamedTuple):
    """What is looked at for a question: `weights` says by row how many candidates each stands for."""

    reading: Reading
    direction: Floats | None
    averages: Averages
    words: Words
    weights: Mapping[int, float]


def _weighed(weight: Floats, holding: NDArray[np.bool_], held: int, whole: int) -> Floats:
    """How many turns each candidate stands for, 1 where it was found.

    Those that were drawn stand for the rest: apart for the turns that hold words of the query (`held` of
    them) and for the others (`whole` together).
    """
    found = weight == 1
    for part, total in ((holding, held), (~holding, max(0, whole - held))):
        drawn = part & (weight > 0) & ~found
        rest = total - int(np.count_nonzero(part & found))
        weight[drawn] = max(1.0, rest / max(1, int(np.count_nonzero(drawn))))
    return weight


def keepable(index: SidedIndex, near: NDArray[np.uint8] | Parts) -> tuple[dict[str, Any], dict[str, Laid]]:
    """An index and the graph or the lists of its rows' vectors, as facts and arrays (`frozen`)."""
    facts, arrays = frozen(index)
    aside, more = frozen(index.standing, "aside.")
    found = near._asdict() if isinstance(near, Parts) else {}
    lists = {f"lists.{name}": laid(part) for name, part in found.items()}
    graph = {} if isinstance(near, Parts) else {"graph": laid(near)}
    return {"main": facts, "aside": aside}, {**arrays, **more, **lists, **graph}


def blocks_of(index: SidedIndex) -> Iterator[tuple[Ints, NDArray[np.int8]]]:
    """All rows of an index and their codes, a few thousand at a time."""
    at = 0
    for codes, _ in index.parts()[2].blocks():
        yield np.arange(at, at + len(codes)), codes
        at += len(codes)


class MappedIndex(SidedIndex):
    """An index whose first rows lie in a file, mapped: what is not asked for is not read.

    `score` looks at candidates only: those near the query by the graph, those that hold its words, those told
    at a time that it names, their neighbours, and a sample of the rest (`preselected`). Rows that came or got
    another vector since are compared one by one. Figures of the whole (how many turns, in how many a term
    stands, sessions' sums) are exact, means over the scope are estimated from the sample. Sessions, and kinds
    with few records, are scored exactly.
    """

    def __init__(
        self,
        dimensions: int,
        aside: Collection[str],
        facts: Mapping[str, Any],
        arrays: Mapping[str, NDArray[Any]],
        breadth: Breadth = WIDE,
    ) -> None:
        super().__init__(dimensions, aside)
        main = {name: array for name, array in arrays.items() if not name.startswith("aside.")}
        thawed(self, facts["main"], main)
        thawed(self.standing, facts["aside"], arrays, "aside.")
        self._breadth = breadth
        self._base = len(self._rows)
        self._data = arrays.get("graph")
        if self._data is None:
            parts = Parts(*(arrays[f"lists.{name}"] for name in Parts._fields))
            self._near_by: Graph | Lists = Lists(parts)
            rows = int(parts.rows.max(initial=-1)) + 1
        else:
            self._near_by = Graph(self._data, dimensions)
            rows = len(self._near_by)
        if rows != self._base:
            raise Broken("its vectors are of other rows")
        self.last = max(self.last, self.standing.last)
        for part in (self._rows, self.standing.parts()[0]):
            self._note(part)
        chance = np.random.default_rng(0)
        drawn = chance.choice(self._base, min(self._base, 2 * breadth.sample), replace=False)
        self._drawn = np.sort(drawn).astype(np.int64)
        self._assistant: tuple[int, float] = (-1, 0.0)
        at = self._layout.position[self._drawn[: 2 * breadth.sample]]
        self._figures.summed(np.unique(self._layout.session_at[at[at >= 0]].astype(np.int64)))

    @property
    def behind(self) -> int:
        """Rows that came since the file was written, or got another vector."""
        return len(self._rows) - self._base + len(self._vectors.changed)

    @property
    def worn(self) -> bool:
        """Whether so many rows are gone that it should be made anew."""
        return len(self._rows) > 1.5 * len(self) + 1024

    def regrown(self, threads: int = 0) -> NDArray[np.uint8] | None:
        """Its graph with the rows that came since; `None` where it has lists, which are made anew."""
        if self._data is None:
            return None
        fresh = np.union1d(
            np.arange(self._base, len(self._rows)), np.array([*self._vectors.changed], np.int64)
        )
        return grown(self._data, [(fresh, self._vectors.codes(fresh)[0])], self._dimensions, threads=threads)

    @property
    def nbytes(self) -> int:
        """Bytes held in memory, estimated: of what lies in the file nothing."""
        share = self.behind / max(1, len(self._rows))
        return int(super().nbytes * share) + self.standing.nbytes

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
        """The nearest candidates of each vector, as `SidedIndex.similar` gives them, by the graph."""
        self._settle()
        among = self._among(now, made_by, frozenset(kinds), 0)
        found: list[Near] = []
        for vector in vectors:
            rows, cosines = self._near(among, vector, k)
            pairs = zip(rows.tolist(), np.minimum(cosines, 1).tolist(), strict=True)
            found.append([(self._rows.ids[row], cosine) for row, cosine in pairs if cosine >= floor])
        if self._asks(kinds):
            more = self.standing.similar(vectors, k, now=now, made_by=made_by, kinds=kinds, floor=floor)
            found = [[*one, *other] for one, other in zip(found, more, strict=True)]
        return [best_of(near, k) for near in found]

    def _note(self, rows: Rows) -> None:
        for kind in _NAMED:
            here = np.flatnonzero((rows["kind"] == rows.kinds.get(kind)) & (rows["alive"] > 0))
            ids = [rows.ids[row] for row in here.tolist()]
            for held in (self.stated, self.named, self.alike):
                held.note(kind, ids)

    def _compact(self) -> None:
        """Leave rows where they are: the graph has them by number."""

    def _columns(self, asked: Asked) -> ScopeColumns:
        if asked.level == SESSION or asked.depth > len(self) // 8:
            return super()._columns(asked)
        found = self.candidates(asked)
        return self.columns_of(asked, found) if found.weights else super()._columns(asked)

    def candidates(self, asked: Asked) -> Chosen:
        """The candidates that are looked at for a question."""
        averages = self._settle()
        among = self._among(asked.now, asked.made_by, asked.kinds, asked.level)
        reading = self.read(asked.query)
        direction = None if asked.parts is None else self.direction(asked.parts)
        lexical = any(name.startswith(LEXICAL) for name in asked.signals)
        words = Words(self._layout, self._postings, reading, averages, lexical=lexical)
        weights = among.everything()
        if weights is None:
            dense = any(name.startswith("dense_") for name in asked.signals) or not lexical
            focus = any(name.startswith("focus_") for name in asked.signals)
            weights = preselected(
                Source(self._rows, among, words, lambda vector, k: self._near(among, vector, k)[0]),
                (asked.vector if dense else None, direction if focus else None),
                reading.terms if lexical else reading.terms[:0],
                asked.times,
                turns=int(len(self) * among.share),
                breadth=ONE if len(asked.signals) == 1 and ALONE.issuperset(asked.signals) else self._breadth,
                depth=asked.depth,
            )
        return Chosen(reading, direction, averages, words, weights)

    def _among(self, now: int, made_by: str | None, kinds: frozenset[str], level: int) -> Among:
        return Among(
            self._rows, now, made_by, kinds, level, self._drawn,
            lambda: self._choose(level, now, made_by, kinds).row,
        )  # fmt: skip

    def columns_of(self, asked: Asked, chosen: Chosen) -> ScopeColumns:
        """The columns over candidates and, where a signal looks around, over those next to them."""
        reading, direction, averages, words, weights = chosen
        alone = asked.level == 0 and ALONE.issuperset(asked.signals)
        at, weight = self._around(weights, 0 if alone else self._breadth.reach, self._breadth.spread)
        weight = _weighed(weight, words.holding(at), words.held, round(sum(weights.values())))
        rows = self._layout.row_at[at].astype(np.int64)
        layout, part = self._layout.excerpt(at), self._rows.excerpt(rows)
        codes, scales = self._vectors.codes(rows)
        starts = layout.sessions[START]
        session = self._layout.session_at[at[layout.row_at[starts]]].astype(np.int64)
        candidates = choose(
            layout, part, level=asked.level, now=asked.now, made_by=asked.made_by,
            kinds=asked.kinds, chosen=weight > 0,
        )  # fmt: skip
        vectors = Vectors.over(codes, scales, len(codes))
        probe = Probe(
            asked.query, reading, asked.vector, direction, replace(candidates, assistant=self._share()),
            part, layout, vectors, words.excerpt(at), averages, asked.times,
        )  # fmt: skip
        by_position = np.where(layout.row_at < 0, 0, weight[layout.row_at]).astype(np.float32)
        probe.standing = words.standing(session, by_position)
        probe.pairs_often = np.maximum(1, self._postings.often(reading.pairs))
        different, inverse = np.unique(session, return_inverse=True)
        probe.sums = lambda vector: self._figures.dots(different, vector)[inverse]
        return self._filled(asked, probe, Picked(self._rows.ids, rows), weight[candidates.row])

    def _around(self, weights: Mapping[int, float], reach: int, spread: int) -> tuple[Ints, Floats]:
        """Positions of candidates and of their neighbours, ascending, and how many each stands for.

        Without `reach` they stand alone.
        """
        spread = min(reach, spread)
        rows = np.fromiter(weights, np.int64, len(weights))
        each = np.fromiter(weights.values(), np.float32, len(weights))
        at = self._layout.position[rows].astype(np.int64)
        rows, each, at = rows[at >= 0], each[at >= 0], at[at >= 0]
        own = at[each == 1]
        wide, narrow = np.arange(-reach - spread, reach + spread + 1), np.arange(-reach, reach + 1)
        beside = ((own[:, None] + wide).ravel(), (at[each != 1][:, None] + narrow).ravel())
        every = np.sort(np.concatenate(beside))
        every = every[np.diff(every, prepend=-1) > 0]
        every = every[every < self._layout.size]
        every = every[self._layout.row_at[every] >= 0]
        near = (own[:, None] + np.arange(-spread, spread + 1)).ravel()
        place = np.searchsorted(every, near).clip(0, max(0, len(every) - 1))
        weight = np.zeros(len(every), np.float32)
        drawn = np.searchsorted(every, at[each != 1])
        weight[drawn] = each[each != 1]
        weight[place[every[place] == near]] = 1
        return every, weight

    def _share(self) -> float:
        """The assistant's share of the turns, counted again when many have come."""
        seen, share = self._assistant
        if seen < 0 or abs(len(self._rows) - seen) * 50 > len(self._rows):
            alive = self._rows["alive"] > 0
            said = self._rows["role"][alive] == self._rows.roles.get("assistant")
            share = float(said.mean()) if len(said) else 0.0
            self._assistant = len(self._rows), share
        return share

    def _near(self, among: Among, vector: Floats, k: int) -> tuple[Ints, Floats]:
        """The `k` rows nearest to a vector, of those that may be found, and their cosines."""
        few = among.few
        if few is not None:
            return self._best(few, vector, k)
        code = quantised(vector[None])[0][0]
        fresh = np.arange(self._base, len(self._rows))
        if changed := self._vectors.changed:
            fresh = np.union1d(fresh, np.fromiter(changed, np.int64))
        wanted = int(OVER * k / max(among.share, 1e-3)) + 8
        while True:
            found = self._near_by.nearest(code, wanted)
            right = found[among.may(found)]
            if len(right) >= k or wanted >= self._base:
                break
            wanted *= 4
        rows = np.union1d(right, fresh[among.may(fresh)])
        return self._best(rows, vector, k)

    def _best(self, rows: Ints, vector: Floats, k: int) -> tuple[Ints, Floats]:
        codes, scales = self._vectors.codes(rows)
        cosines = np.zeros(len(rows), np.float32)
        Vectors.over(codes, scales, len(codes)).dot(vector, cosines)
        order = np.argsort(-cosines, kind="stable")[:k]
        return rows[order], cosines[order]
