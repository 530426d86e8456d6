"""Which candidates of a large scope are looked at: near, matching, told at the time, and a sample."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol, TypeVar

import numpy as np
from numpy.typing import NDArray

__all__ = ["Breadth", "Source", "preselected"]

Key = TypeVar("Key")
Key_co = TypeVar("Key_co", covariant=True)


@dataclass(frozen=True)
class Breadth:
    """How many candidates are looked at.

    At least `each` by cosine and by words, and `more` times as many as are wanted; `sample` others, by which
    means over the scope are estimated; of each candidate `reach` turns on either side, those within `spread`
    candidates themselves.
    """

    each: int = 150
    more: float = 1.5
    sample: int = 300
    reach: int = 3
    spread: int = 0

    def wanted(self, depth: int) -> int:
        """How many by cosine, and how many by words, for the `depth` best."""
        return max(self.each, int(self.more * depth))


class Source(Protocol[Key_co]):
    """Where candidates come from, by whatever names them there."""

    def nearest(self, vectors: Sequence[NDArray[np.float32]], k: int) -> Sequence[Sequence[Key_co]]:
        """For each vector about the `k` nearest."""
        ...

    def matching(self, terms: NDArray[np.uint32], k: int) -> Sequence[Key_co]:
        """About `k` that hold the terms, by how much these tell."""
        ...

    def told(self, span: tuple[int, int], k: int) -> Sequence[Key_co]:
        """The last `k` that were told in a stretch of time."""
        ...

    def sample(self, k: int) -> Sequence[Key_co]:
        """About `k` of all, drawn evenly."""
        ...


def preselected(
    source: Source[Key],
    vectors: Sequence[NDArray[np.float32] | None],
    terms: NDArray[np.uint32],
    times: Sequence[tuple[int, int]],
    *,
    turns: int,
    breadth: Breadth,
    depth: int,
) -> dict[Key, float]:
    """The candidates to look at, with how many of the scope's `turns` each stands for.

    Those that were found stand for themselves, those of the sample for all others.
    """
    k = min(breadth.wanted(depth), max(1, turns))
    found: dict[Key, float] = {}
    asked = [vector for vector in vectors if vector is not None and vector.any()]
    for near in source.nearest(asked, k) if asked else ():
        found.update(dict.fromkeys(near, 1.0))
    if len(terms):
        found.update(dict.fromkeys(source.matching(terms, k), 1.0))
    for span in times:
        found.update(dict.fromkeys(source.told(span, k), 1.0))
    others = [key for key in source.sample(breadth.sample) if key not in found]
    weight = max(1.0, (turns - len(found)) / max(1, len(others)))
    return {**found, **dict.fromkeys(others, weight)}
