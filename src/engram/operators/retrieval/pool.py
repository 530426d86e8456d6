"""The signals of a few candidates of a large scope: an index of them and their neighbours alone."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from engram.kernel.preselect import Census
from engram.kernel.protocols import Entry
from engram.operators.retrieval.bm25 import Averages, Standing
from engram.operators.retrieval.candidates import Candidates, choose
from engram.operators.retrieval.figures import LENGTHS
from engram.operators.retrieval.index import ScopeIndex
from engram.operators.retrieval.signals import Probe

__all__ = ["Pool", "Whole"]

Hashes = NDArray[np.uint32]
Ints = NDArray[np.int64]


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
        self._of_all: Averages | None = None

    def fill(
        self, stretches: Iterable[Sequence[Entry]], weights: Mapping[str, float], spread: int = 0
    ) -> None:
        """Take entries that follow each other in each of `stretches`; `weights` names the candidates.

        A stretch may overlap with others. A weight is how many candidates of the scope the entry stands for.
        Those within `spread` of one that stands for itself are candidates as well.
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
        drawn = [id for id, weight in chosen.items() if weight != 1]
        rest = sum(weights.values()) - (len(chosen) - len(drawn))
        chosen.update(dict.fromkeys(drawn, max(1.0, rest / max(1, len(drawn)))))
        self._loose = True
        self.apply(list(entries.values()))
        ids: list[str] = list(self._rows.ids)
        self._follows = self._adjacent(ids, before)
        self._chosen = _Chosen(np.array([chosen.get(id, 0.0) for id in ids], np.float32))

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
        probe.standing = Standing(often, np.maximum(sessions, often > 0), weight)
        probe.pairs_often = np.maximum(1, self._whole.often(probe.reading.pairs))

    def _weighs(self, candidates: Candidates) -> NDArray[np.float32] | None:
        return self._chosen.weight[candidates.row] if candidates.first is None else None
