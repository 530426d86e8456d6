"""The scheduler: how often and how lately a memory was used, how much it matters, which state that makes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from engram.kernel.changes import Changes, Connect
from engram.kernel.effects import Neighbours
from engram.kernel.record import Hit, Record
from engram.operators.analysis import terms
from engram.operators.lifecycle.states import CHANGED, SINCE, State, may_follow, state_of

__all__ = ["USED", "Schedule", "Use", "importance", "uses_of"]

USED = "used"
"""The type of the edge from a memory to itself: its weight counts uses, its start is the last one."""
_WEIGHTS = (0.9, 0.05, 0.05)
_MOST_WORDS, _MOST_USES = 5.0, 2.0


@dataclass(frozen=True, slots=True)
class Use:
    """What is known of a memory's use: how often, when last, how relevant it was then, by how many words."""

    count: int
    last: datetime
    relevance: float
    words: int


def importance(
    relevance: float, words: int, count: int, weights: tuple[float, float, float] = _WEIGHTS
) -> float:
    """How much a memory matters, as the scheduler of MemOS has it (`MemoryMonitorItem` in its code).

    w0 * relevance + w1 * min(w1 * words, 5) + w2 * min(w2 * count, 2), of the relevance in [0, 1], the words
    that it shares with the query, and how often it was used. The weights add up to 1.
    """
    first, second, third = weights
    return (
        first * relevance + second * min(second * words, _MOST_WORDS) + third * min(third * count, _MOST_USES)
    )


async def uses_of(ids: Sequence[str]) -> dict[str, Use]:
    """The uses of those memories that were used, by id."""
    edges = await Neighbours(tuple(sorted(ids)), (USED,), "out") if ids else []
    return {
        edge.source: Use(
            round(edge.weight),
            edge.valid.start,
            float(edge.metadata.get("relevance", 0.0)),
            int(edge.metadata.get("words", 0)),
        )
        for edge in edges
        if edge.source == edge.target and edge.valid.start is not None
    }


@dataclass(frozen=True)
class Schedule:
    """Which state use makes of a memory.

    From `active` uses on it is activated; when it was neither used nor changed for `idle` days it is
    archived; one that is used although it is archived is activated again.
    """

    active: int = 2
    idle: float = 90.0

    def due(self, record: Record, use: Use | None, now: datetime) -> State | None:
        """The state that the memory comes into now; `None` where it stays."""
        state = state_of(record)
        since, changed = (_moment(record, key) for key in (SINCE, CHANGED))
        last = changed if use is None else max(changed, use.last)
        after: State | None = None
        if state == "archived":
            after = "activated" if use is not None and use.last > since else None
        elif now - last >= timedelta(days=self.idle):
            after = "archived"
        elif state != "activated" and use is not None and use.count >= self.active and use.last >= changed:
            after = "activated"
        return after if after is not None and may_follow(after, state) else None

    def used(self, query: str, hits: Sequence[Hit], uses: Mapping[str, Use], now: datetime) -> Changes:
        """What it changes that the hits were used for a query."""
        asked = set(terms(query))
        return Changes(
            tuple(
                Connect(
                    hit.id,
                    hit.id,
                    USED,
                    (uses[hit.id].count if hit.id in uses else 0) + 1,
                    metadata={
                        "relevance": round(hit.score, 6),
                        "words": len(asked.intersection(terms(hit.text))),
                    },
                    valid_start=now,
                    single=True,
                )
                for hit in hits
            )
        )


def _moment(record: Record, key: str) -> datetime:
    """When the metadata says that was; else since when this version is known."""
    try:
        return datetime.fromisoformat(str(record.metadata[key]))
    except (KeyError, ValueError):
        return record.known.start or record.time
