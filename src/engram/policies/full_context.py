"""The baseline without a memory method: everything that was said, in its order."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from engram.kernel.effects import Read, Told
from engram.kernel.errors import ConfigError
from engram.kernel.policy import Policy, Query, Recall
from engram.kernel.record import Hit

__all__ = ["FullContext"]


@dataclass(frozen=True)
class FullContext(Policy):
    """All turns of the scope in order of time: what a long-context model is given in place of a memory.

    A context takes all of them within `window` tokens, the last ones where that is too little, or within the
    budget that the caller names. A search gives the first turns ever said: its order knows nothing of the
    question, so its recall is that of the beginning, and it never abstains. Every score is 1.
    """

    name: ClassVar[str] = "full_context"
    reading: ClassVar[tuple[str, ...]] = ("window",)

    window: int = 128_000

    def __post_init__(self) -> None:
        if self.window < 1:
            raise ConfigError(f"full_context: window is 1 token or more, got {self.window!r}")

    @property
    def whole(self) -> int:
        """The tokens that it fills."""
        return self.window

    async def read(self, query: Query) -> Recall:
        """The first `query.depth` turns, oldest first."""
        told = await Told()
        turns = await Read(tuple(id for _, id in told[: query.depth]))
        return Recall(tuple(Hit(turn, 1.0) for turn in turns))
