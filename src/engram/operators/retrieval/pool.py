"""The signals of a few candidates of a large scope: an index of them and their neighbours alone."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from engram.kernel.preselect import Census
from engram.kernel.protocols import Entry
from engram.operators.retrieval.bm25 import Averages, Lexicon, Standing
from engram.operators.retrieval.candidates import Candidates, choose
from engram.operators.retrieval.figures import LENGTHS
from engram.operators.retrieval.index import ScopeIndex
from engram.operators.retrieval.layout import GUARD
from engram.operators.retrieval.signals import Probe

__all__ = ["Pool", "Whole"]

WINDOWS = (1, 3)
Hashes = NDArray[np.uint32]
Ints = NDArray[np.int64]
NONE = np.zeros(0, np.uint32)


class Whole(Protocol):
    """What is known of a scope whose entries are not here."""

    @property
    def census(self) -> Census:
        """Its figures."""
        ...

    def often(self, terms: Hashes) -> Ints:
        """In how many turns each term stands, shape [terms]."""
        ...


@dataclass
class _Chosen:
    """By row: how many candidates of the scope it stands for; 0 for one that is a neighbour only."""

    weight: NDArray[np.float32]


class Pool(ScopeIndex):
    """Some entries of a scope with their neighbours, scored as in the whole scope.

    What a signal needs of the whole (how many turns there are, in how many a term stands, their length)
    is told or estimated: the rest is exact, as far as a candidate's neighbours are here. A mean over all
    is one over the candidates, each with the number that it stands for.
    """

    def __init__(self, dimensions: int, whole: Whole) -> None:
        super().__init__(dimensions)
        self._whole = whole
        names = list(whole.census.names)
        codes = self._rows.names.of(names)
        self._speakers.come(codes, list(self._rows.names))
        self._chosen = _Chosen(np.zeros(0, np.float32))
        self._centres = np.zeros(0, np.bool_)
        self._of_all: Averages | None = None

    def fill(
        self,
        stretches: Iterable[Sequence[Entry]],
        weights: Mapping[str, float],
        spread: int = 0,
        rare: Hashes = NONE,
        held: int = 0,
    ) -> None:
        """Take entries that follow each other in each of `stretches`; `weights` names the candidates.

        A stretch may overlap with others. A weight is how many candidates of the scope the entry stands for.
        Those within `spread` of one that stands for itself are candidates as well. `held` of the scope hold
        any of the terms `rare`: for these stand those of the drawn ones that hold any themselves.
        """
        chosen = dict(weights)
        before: dict[str, str | None] = {}
        entries: dict[str, Entry] = {}
        for stretch in stretches:
            last: str | None = None
            for entry in stretch:
                entries[entry.id] = entry
                before[entry.id] = before.get(entry.id) or last
                last = entry.id
            centres = [place for place, entry in enumerate(stretch) if weights.get(entry.id) == 1]
            for place in centres if spread else ():
                near = stretch[max(0, place - spread) : place + spread + 1]
                chosen.update({other.id: 1.0 for other in near})
        self._loose = True
        self.apply(list(entries.values()))
        ids: list[str] = list(self._rows.ids)
        self._follows = self._adjacent(ids, before)
        self._chosen = _Chosen(np.array([chosen.get(id, 0.0) for id in ids], np.float32))
        self._centres = np.array([id in weights for id in ids], np.bool_)
        self._weigh(rare, held, sum(weights.values()))

    def _weigh(self, rare: Hashes, held: int, whole: float) -> None:
        """How many turns of the scope each candidate stands for: 1 where it was found.

        Of what is near a turn that holds `rare` terms, which is where the signals of words stand out, those
        drawn for it and what is beside them stand for the rest; other drawn ones for all that is left.
        """
        super()._settle()
        row_at = self._layout.row_at
        at = np.flatnonzero(row_at >= 0)
        row = row_at[at]
        weight, centre = np.zeros(len(row_at), np.float32), np.zeros(len(row_at), np.bool_)
        weight[at], centre[at] = self._chosen.weight[row], self._centres[row]
        found = weight == 1
        share, near, reached = self._beside(rare, held, centre & ~found)
        close, far = int(np.count_nonzero(found & near)), int(np.count_nonzero(found & ~near))
        reached = max(close, min(reached, whole - far))
        weight[~found] = 0
        share[found] = 0
        weight += share * np.float32((reached - close) / max(1e-9, float(share.sum())))
        others = centre & ~found & ~near
        weight[others] = max(0.0, whole - reached - far) / max(1, int(np.count_nonzero(others)))
        self._chosen.weight[row] = weight[at]

    def _beside(
        self, rare: Hashes, held: int, drawn: NDArray[np.bool_]
    ) -> tuple[NDArray[np.float32], NDArray[np.bool_], float]:
        """By position: its share of what is near drawn turns that hold `rare` terms; whether it is near one.

        And how many turns of the scope are near one, `held` of which hold them.
        """
        row_at, beside = self._layout.row_at, np.arange(-GUARD, GUARD + 1)[:, None]
        at = np.flatnonzero(row_at >= 0)
        holding = np.zeros(len(row_at), np.float32)
        holding[self._layout.position[self._postings.find(np.sort(rare)).row]] = 1
        near = np.zeros(len(row_at), np.float32)
        near[at] = holding[at + beside].sum(axis=0)
        chosen = np.flatnonzero((holding > 0) & drawn)
        around = (chosen + beside).ravel()
        share = np.zeros(len(row_at), np.float32)
        np.add.at(share, around, 1 / np.maximum(near[around], 1))
        share[row_at < 0] = 0
        return share, near > 0, held * float(share.sum()) / max(1, len(chosen))

    def _adjacent(self, ids: Sequence[str], before: Mapping[str, str | None]) -> NDArray[np.bool_]:
        """By row: whether the row before it in order of stream, time and arrival is the one before it."""
        stream, time, arrival = (self._rows[name] for name in ("stream", "time", "arrival"))
        order = np.lexsort((arrival, time, stream))
        follows = np.zeros(len(ids), np.bool_)
        for row, other in zip(order[1:].tolist(), order[:-1].tolist(), strict=True):
            follows[row] = before[ids[int(row)]] == ids[int(other)]
        return follows

    def _settle(self) -> Averages:
        averages = super()._settle()
        if self._of_all is None:
            census, layout = self._whole.census, self._layout
            lengths = [layout.figures[place][layout.position] for place in LENGTHS]
            sums = [float(length @ self._chosen.weight) for length in lengths]
            wider = [total / sums[0] if sums[0] else 1.0 for total in sums]
            windows = (census.tokens, census.tokens * wider[1], census.tokens * wider[2])
            session = census.tokens * census.turns / max(1, census.sessions)
            self._of_all = Averages(
                max(census.turns, averages.turns), max(1, census.sessions), windows, session
            )
        return self._of_all

    def _choose(self, level: int, now: int, made_by: str | None, kinds: frozenset[str]) -> Candidates:
        found = choose(
            self._layout,
            self._rows,
            level=level,
            now=now,
            made_by=made_by,
            kinds=kinds,
            chosen=self._chosen.weight > 0,
        )
        return replace(found, assistant=self._whole.census.assistant)

    def _frequencies(self, hashes: Hashes) -> tuple[int, Ints]:
        return self._whole.census.turns, self._whole.often(hashes)

    def _tell(self, probe: Probe) -> None:
        census, layout = self._whole.census, self._layout
        often = self._whole.often(probe.reading.terms)
        share = np.minimum(1.0, often / max(1, census.turns))
        sessions = census.sessions * (1 - (1 - share) ** (census.turns / max(1, census.sessions)))
        weight = np.where(layout.row_at < 0, 0, self._chosen.weight[layout.row_at]).astype(np.float32)
        found = self._postings.find(probe.reading.terms)
        found = found.where(found.times > 0)
        windows = self._windows(Lexicon(layout, probe.averages, found, probe.reading.weights), often)
        probe.standing = Standing(often, np.maximum(sessions, often > 0), weight, windows=windows)
        probe.pairs_often = np.maximum(1, self._whole.often(probe.reading.pairs))

    def _windows(self, lexicon: Lexicon, often: Ints) -> dict[int, Ints]:
        """By reach: in how many windows of so many turns on each side each term stands, estimated.

        Each turn that holds a term brings those of its windows that no other brings, and a share of the
        others; what the candidates bring on the average, times how many hold it.
        """
        term, at, _ = lexicon.postings
        row_at, terms = self._layout.row_at, len(often)
        key, chosen = term * self._layout.size + at, self._centres[row_at[at]]
        weight = np.where(chosen, self._chosen.weight[row_at[at]], 0)
        own = np.bincount(term, weights=weight, minlength=terms)
        found = {}
        for reach in WINDOWS:
            steps = np.arange(-reach, reach + 1)[:, None]
            holders = np.zeros(terms * self._layout.size, np.float32)
            np.add.at(holders, (key + steps).ravel(), 1)
            share = np.where(row_at[at + steps] >= 0, 1 / np.maximum(holders[key + steps], 1), 0).sum(axis=0)
            brought = np.bincount(term, weights=weight * share, minlength=terms)
            wider = np.divide(brought, own, out=np.ones(terms), where=own > 0)
            found[reach] = np.minimum(often * np.maximum(wider, 1), self._whole.census.turns).astype(np.int64)
        return found

    def _weighs(self, candidates: Candidates) -> NDArray[np.float32] | None:
        return self._chosen.weight[candidates.row] if candidates.first is None else None
