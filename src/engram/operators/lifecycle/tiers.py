"""The hand-over point between tiers: which memories are worth a cache or an adapter, by name.

Nothing is cached or trained here: every memory stays plain text. `candidate` in its metadata names the tier
that it is a candidate for, for whoever has caches or adapters to make.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Literal

from engram.kernel.record import Record
from engram.operators.lifecycle.schedule import Use, importance
from engram.operators.lifecycle.states import CHANGED, state_of

__all__ = ["CANDIDATE", "IMPORTANCE", "Candidate", "Tiers", "candidates"]

CANDIDATE = "candidate"
"""The key of a memory's metadata that names the tier that it is a candidate for."""
IMPORTANCE = "importance_by_use"
"""The key that holds the scheduler's importance of a candidate."""
Tier = Literal["activation", "parametric"]


@dataclass(frozen=True)
class Candidate:
    """A memory to be handed over to another tier, and how much it matters."""

    record: Record
    tier: Tier
    importance: float


@dataclass(frozen=True)
class Tiers:
    """Who is a candidate: for activation the `room` activated memories that matter most.

    Of these, for the parametric tier, those used `uses` times at least whose words have not changed for
    `stable` days. Whoever is no candidate any more is plain text again.
    """

    room: int = 20
    uses: int = 10
    stable: float = 30.0

    def named(self, cubes: Sequence[Record], uses: Mapping[str, Use], now: datetime) -> dict[str, Candidate]:
        """The candidates among memories, by id."""
        weighed = [
            (importance(use.relevance, use.words, use.count), cube, use)
            for cube in cubes
            if (use := uses.get(cube.id)) is not None and state_of(cube) == "activated"
        ]
        weighed.sort(key=lambda item: (-item[0], item[1].id))
        return {
            cube.id: Candidate(cube, self._tier(cube, use, now), weight)
            for weight, cube, use in weighed[: self.room]
        }

    def _tier(self, cube: Record, use: Use, now: datetime) -> Tier:
        changed = datetime.fromisoformat(str(cube.metadata.get(CHANGED, now.isoformat())))
        long = now - changed >= timedelta(days=self.stable)
        return "parametric" if long and use.count >= self.uses else "activation"


def marked(metadata: Mapping[str, Any], candidate: Candidate | None) -> dict[str, Any]:
    """The metadata with what it is a candidate for."""
    kept = {name: value for name, value in metadata.items() if name not in (CANDIDATE, IMPORTANCE)}
    if candidate is None:
        return kept
    return {**kept, CANDIDATE: candidate.tier, IMPORTANCE: round(candidate.importance, 9)}


def candidates(records: Iterable[Record]) -> list[Candidate]:
    """The hand-over point: of what `memory.get_all` gives, the memories that are candidates, best first."""
    found = [
        Candidate(record, record.metadata[CANDIDATE], float(record.metadata.get(IMPORTANCE, 0.0)))
        for record in records
        if record.made_by is not None and record.metadata.get(CANDIDATE) in ("activation", "parametric")
    ]
    return sorted(found, key=lambda item: (-item.importance, item.record.id))
