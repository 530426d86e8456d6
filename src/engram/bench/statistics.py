"""How far figures can be trusted: bootstrap intervals, paired tests, correction for many comparisons."""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from typing import TypeVar

import numpy as np

__all__ = ["holm", "interval", "paired"]

RESAMPLES = 2000
FLIPS = 10_000
_BLOCK = 200
Key = TypeVar("Key", bound=Hashable)


def interval(
    values: Sequence[float], groups: Sequence[str], seed: int = 0, level: float = 0.95
) -> tuple[float, float]:
    """The bootstrap interval of the mean of `values`, by percentiles (Efron and Tibshirani, 1993).

    Questions are drawn again within their group (a conversation), so the groups keep their weight: it says
    how far the mean would move with other questions about the same conversations, not with others.
    """
    if len(values) != len(groups) or not values:
        raise ValueError("a group for each value, and at least one")
    dice = np.random.default_rng(seed)
    sums = np.zeros(RESAMPLES)
    array, labels = np.asarray(values, np.float64), np.asarray(groups)
    for label in dict.fromkeys(groups):
        part = array[labels == label]
        for first in range(0, RESAMPLES, _BLOCK):
            drawn = dice.integers(0, len(part), size=(_BLOCK, len(part)))
            sums[first : first + _BLOCK] += part[drawn].sum(axis=1)
    low, high = np.quantile(sums / len(array), [(1 - level) / 2, (1 + level) / 2])
    return float(low), float(high)


def paired(first: Sequence[float], second: Sequence[float], seed: int = 0) -> float:
    """The two-sided p of equal means over the same questions: a permutation test that flips signs.

    Where all differences are 0 it is 1; else at least 1 / 10,001.
    """
    differences = np.asarray(first, np.float64) - np.asarray(second, np.float64)
    moved = differences[differences != 0]
    if not len(moved):
        return 1.0
    dice = np.random.default_rng(seed)
    reached = abs(float(moved.sum())) - 1e-12
    count = 0
    for _ in range(0, FLIPS, _BLOCK):
        signs = dice.integers(0, 2, size=(_BLOCK, len(moved)), dtype=np.int8) * 2 - 1
        count += int((np.abs(signs @ moved) >= reached).sum())
    return (1 + count) / (1 + FLIPS)


def holm(tests: Mapping[Key, float]) -> dict[Key, float]:
    """The p of many tests together, corrected by Holm's step-down procedure (1979)."""
    corrected: dict[Key, float] = {}
    highest = 0.0
    for place, (name, p) in enumerate(sorted(tests.items(), key=lambda test: test[1])):
        highest = max(highest, min(1.0, (len(tests) - place) * p))
        corrected[name] = highest
    return {name: corrected[name] for name in tests}
