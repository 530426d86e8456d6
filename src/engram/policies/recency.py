"""The baseline of short memory: what was said last, whatever is asked."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from engram.kernel.effects import Recent
from engram.kernel.policy import Policy, Query, Recall
from engram.kernel.record import Hit

__all__ = ["Recency"]


@dataclass(frozen=True)
class Recency(Policy):
    """The last turns, newest first: a sliding window over the conversation, as a chat without memory has it.

    Differs from a window over one chat in that it reaches back over runs. The score falls from 1 with the
    place, 1 / place, and says nothing of the question, so it never abstains.
    """

    name: ClassVar[str] = "recency"

    async def read(self, query: Query) -> Recall:
        """The last `query.depth` turns, newest first."""
        turns = await Recent(query.depth)
        return Recall(tuple(Hit(turn, 1 / place) for place, turn in enumerate(reversed(turns), 1)))
