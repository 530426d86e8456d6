"""Semantic forgetting: the salience of memories by age in turns and recent recall, and pruning the lowest."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from engram.kernel.changes import Change, Connect, Reinforce
from engram.kernel.effects import Neighbours, Now, Read, Told
from engram.kernel.record import Hit, Record
from engram.kernel.scope import Scope
from engram.operators.forgetting import RECALLED

__all__ = ["Salience"]

_PAGE = 500
_LEAST = 1e-30  # what has any salience left is not pruned
_SAME = 1e-9


@dataclass(frozen=True)
class Salience:
    """freshness * e^(-rate * age) + bonus * recent (HEMA, arXiv:2504.16754, section 3.4), and pruning by it.

    The age is in turns; `recent` is 1 where the memory was recalled within the last `every` turns, else 0.
    With the `form` "printed", 1 - recent stands in its place, as the paper prints it. Whenever `every` more
    turns are there, the share `prune` of what is left, that with the lowest salience, is pruned: its strength
    becomes 0. Else strength is the salience, when it was last reckoned, divided by freshness + bonus.
    """

    freshness: float = 1.0
    rate: float = 0.002
    bonus: float = 0.5
    prune: float = 0.005
    every: int = 100
    form: Literal["recalled", "printed"] = "recalled"

    def weights(self, ages: NDArray[np.float64], recalled: NDArray[np.bool_]) -> NDArray[np.float64]:
        """The salience of memories of these ages, shape [n]."""
        given = recalled if self.form == "recalled" else ~recalled
        return np.asarray(self.freshness * np.exp(-self.rate * ages) + self.bonus * given)

    async def pruned(self, lane: Scope, new: Collection[str]) -> list[Change]:
        """What pruning changes now that `new` turns have come: once for each `every` that they complete."""
        told = await Told()
        fresh = sum(id in new for _, id in told[-len(new) :]) if new else 0
        first, last = (len(told) - fresh) // self.every + 1, len(told) // self.every
        if not self.prune or last < first:
            return []
        turns, calls = await self._turns(lane, [id for _, id in told])
        alive = np.array([turn.strength > 0 for turn in turns], np.bool_)
        gone: list[int] = []
        for count in range(first * self.every, min(last * self.every, len(turns)) + 1, self.every):
            weights = self._of(turns[:count], calls[:count])
            left = np.flatnonzero(alive[:count])
            lowest = left[np.argsort(weights[left], kind="stable")][: int(self.prune * len(left))]
            alive[lowest] = False
            gone += lowest.tolist()
        return [Reinforce(turns[place].id, -turns[place].strength) for place in gone]

    async def reckoned(self, lane: Scope) -> list[Change]:
        """The changes that make each strength what salience says; what was pruned stays so."""
        turns, calls = await self._turns(lane, [id for _, id in await Told()])
        left = np.maximum(self._of(turns, calls) / (self.freshness + self.bonus), _LEAST).tolist()
        return [
            Reinforce(turn.id, value - turn.strength)
            for turn, value in zip(turns, left, strict=True)
            if turn.strength > 0 and abs(value - turn.strength) > _SAME
        ]

    async def recalled(self, hits: Sequence[Hit]) -> list[Change]:
        """What it changes that these were found."""
        now = await Now()
        return [
            Connect(hit.id, hit.id, RECALLED, valid_start=now, single=True)
            for hit in hits
            if hit.record.kind == "episode"
        ]

    def _of(self, turns: Sequence[Record], calls: Sequence[datetime | None]) -> NDArray[np.float64]:
        """Their salience when the last of the turns is said."""
        if not turns:
            return np.zeros(0)
        since = turns[max(0, len(turns) - self.every)].known.start
        recent = [call is not None and since is not None and call >= since for call in calls]
        return self.weights(np.arange(len(turns) - 1, -1, -1.0), np.array(recent, np.bool_))

    async def _turns(self, lane: Scope, ids: Sequence[str]) -> tuple[list[Record], list[datetime | None]]:
        """The turns of a lane in order, and when each was last recalled."""
        turns: list[Record] = []
        calls: dict[str, datetime | None] = {}
        for start in range(0, len(ids), _PAGE):
            page = tuple(ids[start : start + _PAGE])
            turns += [record for record in await Read(page) if record.scope.lane == lane]
            calls |= {edge.source: edge.valid.start for edge in await Neighbours(page, (RECALLED,), "out")}
        return turns, [calls.get(turn.id) for turn in turns]
