"""The best few of many scores, in an order that does not depend on chance."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from heapq import nsmallest
from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["top"]

EPSILON = 1e-5


def top(scores: NDArray[Any], k: int, ids: Callable[[Sequence[int]], list[str]]) -> list[int]:
    """Positions of the `k` highest scores, best first.

    Scores that differ by less than 1e-5 are equal up to rounding; equal ones come in ascending order of id
    (`ids` gives the ids of positions), so copies of one memory rank alike. `-inf` and NaN are never returned.
    """
    if k <= 0 or not len(scores):
        return []
    values = np.where(np.isnan(scores), -np.inf, scores)
    bound = values.max() if k == 1 else np.partition(values, max(0, len(values) - k))[max(0, len(values) - k)]
    near = np.flatnonzero((values >= bound - EPSILON) & (values > -np.inf))
    rounded = np.round(values[near].astype(np.float64) / EPSILON)
    keyed = zip((-rounded).tolist(), ids(near.tolist()), near.tolist(), strict=True)
    return [position for _, _, position in nsmallest(k, keyed)]
