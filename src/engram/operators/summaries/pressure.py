"""Memory pressure: how much of a context window is taken, when to warn of it, and what to let go."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from engram.kernel.record import Record
from engram.operators.summaries.sizes import tokens

__all__ = ["Window"]


@dataclass(frozen=True)
class Window:
    """A context window of `size` tokens (MemGPT, arXiv:2310.08560, section 2.2).

    There is pressure when more than the share `warning` of it is taken; when more than the share `flush` is,
    the oldest messages go, until they have freed the share `evict`. The last `keep` messages stay as long as
    others can go.
    """

    size: int = 8192
    warning: float = 0.7
    flush: float = 1.0
    evict: float = 0.5
    keep: int = 3

    def pressed(self, taken: int) -> bool:
        """Whether that many tokens are worth a warning."""
        return taken > self.warning * self.size

    def full(self, taken: int) -> bool:
        """Whether that many tokens are too many."""
        return taken > self.flush * self.size

    def front(self, queue: Sequence[Record]) -> int:
        """How many of the oldest messages go, at least one of any."""
        free = queue[: -self.keep] if len(queue) > self.keep else queue[:-1] or queue
        freed = 0
        for count, turn in enumerate(free, 1):
            freed += tokens(turn.text)
            if freed >= self.evict * self.size:
                return count
        return len(free)
