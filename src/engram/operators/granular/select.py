"""Selection: the router weighs granularities, a walk over associations finds sessions, and these turns."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from engram.kernel.effects import PageRank, Read, Score
from engram.kernel.policy import Query, Recall
from engram.operators.granular.associate import ASSOCIATED
from engram.operators.granular.router import Routing, routed, softmax
from engram.operators.granular.units import GRANULARITY, SESSION, UNITS
from engram.operators.retrieval.recall import best

__all__ = ["TURNS", "Select"]

Floats = NDArray[np.float64]
TURNS = "turns"
"""The finest granularity."""


@dataclass
class _Bank:
    """What there is for a query: by turn its cosine; by session the rows of its turns and units' cosines.

    `units` are (unit's id, session, granularity, cosine).
    """

    rows: list[str]
    turns: Floats
    members: list[list[int]] = field(default_factory=list)
    units: list[tuple[str, int, str, float]] = field(default_factory=list)

    def similarities(self) -> dict[str, Floats]:
        """By granularity the query's similarity with each session; for turns the mean over its turns."""
        found = {name: np.zeros(len(self.members)) for name in UNITS}
        for _, session, name, cosine in self.units:
            found[name][session] = cosine
        means = [float(self.turns[rows].mean()) if rows else 0.0 for rows in self.members]
        return {**found, TURNS: np.array(means)}


@dataclass(frozen=True)
class Select:
    """How a query's turns are found: the parameters of `MemGAS` that concern reading.

    `own` is what a turn's own cosine counts beside the walk's share.
    """

    seeds: int
    damping: float
    temperature: float
    routing: Routing
    own: float

    async def recall(self, query: Query) -> Recall:
        """The turns most likely meant, best first; scores are their cosines, handed out from above."""
        columns = await Score(query.text, ("dense_turn",), at=query.at, level=query.level, kinds=query.kinds)
        cosine = np.asarray(columns.signals["dense_turn"], np.float64)
        if query.level or query.kinds or not len(columns):
            return await best(query, columns, cosine, lambda at: cosine[np.asarray(at)])
        bank = await self._bank(query, columns.rows(range(len(columns))), cosine)
        weights = (
            routed(bank.similarities(), self.temperature, self.routing) if bank.members else {TURNS: 1.0}
        )
        share = await self._walked(bank, weights)
        ranking = share + self.own * cosine
        why = {f"route_{name}": weight for name, weight in weights.items()}
        return await best(
            query,
            columns,
            ranking,
            lambda at: np.sort(cosine[np.asarray(at)])[::-1],
            lambda row: {"dense_turn": float(cosine[row]), "walk": float(share[row]), **why},
        )

    async def _bank(self, query: Query, rows: list[str], cosine: Floats) -> _Bank:
        """The units that there are, and which turns belong to which."""
        bank = _Bank(rows, cosine)
        place = {id: row for row, id in enumerate(rows)}
        columns = await Score(query.text, ("dense_turn",), at=query.at, kinds=("summary",))
        ids = columns.rows(range(len(columns)))
        near = dict(zip(ids, np.asarray(columns.signals["dense_turn"]).tolist(), strict=True))
        number: dict[str, int] = {}
        for unit in await Read(tuple(ids)) if ids else ():
            name, session = unit.metadata.get(GRANULARITY), unit.metadata.get(SESSION)
            if unit.made_by is None or name not in UNITS or not isinstance(session, str):
                continue
            if session not in number:
                number[session] = len(bank.members)
                bank.members.append([place[id] for id in unit.sources if id in place])
            bank.units.append((unit.id, number[session], str(name), near[unit.id]))
        return bank

    async def _walked(self, bank: _Bank, weights: dict[str, float]) -> Floats:
        """By turn how likely a walk that starts at the best units and turns is there.

        A session's share is handed down to its turns, by the softmax of their cosines.
        """
        nodes = [(id, weights[name] * cosine) for id, _, name, cosine in bank.units]
        nodes += [
            (id, weights[TURNS] * cosine) for id, cosine in zip(bank.rows, bank.turns.tolist(), strict=True)
        ]
        share = await self._ranked(nodes)
        found = np.array([share.get(id, 0.0) for id in bank.rows])
        handed = np.zeros(len(bank.members))
        for id, session, _, _ in bank.units:
            handed[session] += share.get(id, 0.0)
        for session in np.flatnonzero(handed).tolist():
            if rows := bank.members[session]:
                found[rows] += handed[session] * softmax(bank.turns[rows], self.temperature)
        return found

    async def _ranked(self, nodes: Sequence[tuple[str, float]]) -> dict[str, float]:
        """The walk's shares from the best of these; without any association, the seeds' own."""
        above = [pair for pair in nodes if pair[1] > 0]
        seeds = tuple(sorted(above, key=lambda pair: (-pair[1], pair[0]))[: self.seeds])
        if not seeds:
            return {}
        whole = sum(weight for _, weight in seeds)
        ranked = dict(await PageRank(seeds, self.damping, (ASSOCIATED,)))
        return ranked or {id: weight / whole for id, weight in seeds}
