"""Forgetting: how much of a memory is retained, by Ebbinghaus' curve, and what recalling it changes."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from engram.kernel.changes import Change, Changes, Connect, Reinforce
from engram.kernel.effects import Columns, Neighbours, Now, Random, Read, Told
from engram.kernel.policy import Query, Recall
from engram.kernel.record import Hit, Record
from engram.kernel.scope import Scope
from engram.operators.retrieval.top import top

__all__ = ["FADING", "RECALLED", "Forgetting", "Trace", "retention"]

RECALLED = "recalled"
"""The type of the edge from a memory to itself that holds S (its weight) and the last recall (its start)."""
FADING = ("episode", "summary")
"""The kinds of memories that are forgotten."""
_DAY = 86_400.0
_GONE = 1e-7  # what is retained less is not reckoned again
_SAME = 1e-9
_PAGE = 500
_LEAST = 10
_FARTHEST = 1000  # memories that one search looks at


def retention(days: float, strength: float) -> float:
    """R = e^(-t/S): what is left after `days` (t) of a memory of `strength` (S, 1 or more), in [0, 1]."""
    return math.exp(-max(0.0, days) / strength)


@dataclass(frozen=True, slots=True)
class Trace:
    """What the curve knows of a memory: S, the moment from which t counts, and how much is retained now."""

    strength: float
    since: datetime
    retention: float


@dataclass(frozen=True)
class Forgetting:
    """The forgetting curve of MemoryBank (arXiv:2305.10250, section on memory updating).

    S starts at 1 and grows by 1 with every recall; t, in units of `unit` days, counts from the last recall,
    before the first from when the memory was learned (its known time). `how`: by "floor" a memory is
    forgotten while less than `floor` is retained; by "chance" a draw at every `fade` forgets it with
    probability 1 - R, until it is recalled; "never" keeps the count alone. The best `recalled` hits of a
    search count as recalled.

    S and t are kept as an edge of the type `RECALLED`, which a recall replaces, and `record.strength` is the
    retention when it was last reckoned.
    """

    how: Literal["floor", "chance", "never"] = "floor"
    floor: float = 0.01
    unit: float = 1.0
    recalled: int = 6

    async def traces(self, records: Sequence[Record]) -> dict[str, Trace]:
        """The traces of the `records` that can be forgotten, by id."""
        now = await Now()
        found: dict[str, Trace] = {}
        fading = [record for record in records if record.kind in FADING]
        for page in _pages(fading):
            edges = await Neighbours(tuple(record.id for record in page), (RECALLED,), "out")
            marks = {edge.source: edge for edge in edges if edge.source == edge.target}
            for record in page:
                since, strength = record.known.start or record.time, 1.0
                if (mark := marks.get(record.id)) is not None:
                    since, strength = max(since, mark.valid.start or since), max(1.0, mark.weight)
                days = (now - since).total_seconds() / _DAY / self.unit
                found[record.id] = Trace(strength, since, retention(days, strength))
        return found

    async def recall(self, query: Query, columns: Columns, ranking: NDArray[Any]) -> Recall:
        """The `query.depth` best that are not forgotten; the first of them are recalled.

        `ranking` has shape [len(columns)] and gives the scores, cut to [0, 1]; `columns` hold the signal
        `strength`. At most 1,000 memories are looked at beyond those that `fade` has marked as forgotten.
        """
        shown = np.asarray(columns.signals["strength"]) >= self._shown
        ranking = np.where(shown, ranking, -np.inf)
        hits: list[Hit] = []
        faded: list[Change] = []
        traces: dict[str, Trace] = {}
        looked, size = 0, max(query.depth, _LEAST)
        while True:
            order = top(ranking, size, columns.rows)
            places = dict(zip(columns.rows(order[looked:]), order[looked:], strict=True))
            records = await Read(tuple(places))
            traces |= await self.traces(records)
            for record in records:
                trace = traces.get(record.id)
                if trace is not None and self._forgotten(trace):
                    faded += _marked(record, trace.retention)
                else:
                    hits.append(_hit(record, float(ranking[places[record.id]]), trace, explain=query.explain))
            looked = len(order)
            if len(hits) >= query.depth or looked < size or size >= max(_FARTHEST, query.depth):
                break
            size = min(4 * size, max(_FARTHEST, query.depth))
        again = await self.again([hit.record for hit in hits[: min(query.k, self.recalled)]], traces)
        return Recall(tuple(hits[: query.depth]), Changes((*again, *faded)))

    async def fade(self, lane: Scope, *, every: bool = True) -> Changes:
        """Reckons the retention of every memory of `lane`, or of those only that are forgotten since."""
        if not every and self.how != "floor":
            return Changes()
        ids = [id for _, id in await Told(kinds=FADING, strength=_GONE if every else self._shown)]
        changes: list[Change] = []
        for start in range(0, len(ids), _PAGE):
            records = [
                record
                for record in await Read(tuple(ids[start : start + _PAGE]))
                if record.scope.lane == lane
            ]
            traces = await self.traces(records)
            for record in records:
                left = traces[record.id].retention
                if self.how == "chance" and every and await Random() > left:
                    left = 0.0
                if every or self._forgotten(traces[record.id]):
                    changes += _marked(record, left)
        return Changes(tuple(changes))

    @property
    def _shown(self) -> float:
        """The least strength, as last reckoned, of what is not forgotten."""
        return {"floor": self.floor, "chance": _GONE, "never": 0.0}[self.how]

    def _forgotten(self, trace: Trace) -> bool:
        return self.how == "floor" and trace.retention < self.floor

    async def again(self, records: Sequence[Record], traces: dict[str, Trace]) -> list[Change]:
        """What recalling the records changes."""
        now = await Now()
        changes: list[Change] = []
        for record in records:
            if (trace := traces.get(record.id)) is not None:
                mark = Connect(
                    record.id, record.id, RECALLED, trace.strength + 1, valid_start=now, single=True
                )
                changes += [mark, *_marked(record, 1.0)]
        return changes


def _hit(record: Record, score: float, trace: Trace | None, *, explain: bool) -> Hit:
    why = {"dense_turn": score, "retention": trace.retention} if explain and trace is not None else {}
    return Hit(record, min(1.0, max(0.0, score)), why)


def _marked(record: Record, left: float) -> list[Change]:
    """The change that makes the record's strength `left`."""
    return [] if abs(left - record.strength) < _SAME else [Reinforce(record.id, left - record.strength)]


def _pages(records: Sequence[Record]) -> Iterator[Sequence[Record]]:
    for start in range(0, len(records), _PAGE):
        yield records[start : start + _PAGE]
