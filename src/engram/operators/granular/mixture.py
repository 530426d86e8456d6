"""A mixture of two normal distributions over similarities: which memories belong together and which do not.

MemGAS (arXiv:2505.19549): the component of the higher mean is the accept set. Fitted as the authors' code has
it fitted (scikit-learn's `GaussianMixture`): from a split by two means on, by expectation maximisation, with
1e-6 added to variances, until the mean log-likelihood changes by less than 1e-3, at most 100 times.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

__all__ = ["FEWEST", "posteriors"]

Floats = NDArray[np.float64]
FEWEST = 5
"""The least number of values that a mixture is fitted to."""
_FLOOR, _TOLERANCE, _STEPS = 1e-6, 1e-3, 100
_TINY = 10 * np.finfo(np.float64).eps
_SAME = 1e-9


def posteriors(rows: Sequence[Sequence[float]]) -> list[Floats]:
    """For each row of similarities the probability that each belongs to the component of the higher mean.

    All zero for a row of fewer than five values, and where all are the same.
    """
    found = [np.zeros(len(row)) for row in rows]
    fitted = [number for number, row in enumerate(rows) if len(row) >= FEWEST and max(row) - min(row) > _SAME]
    if not fitted:
        return found
    longest = max(len(rows[number]) for number in fitted)
    values, there = np.zeros((len(fitted), longest)), np.zeros((len(fitted), longest), np.bool_)
    for place, number in enumerate(fitted):
        values[place, : len(rows[number])] = rows[number]
        there[place, : len(rows[number])] = True
    accepted = _fitted(values, there)
    for place, number in enumerate(fitted):
        found[number] = accepted[place, : len(rows[number])]
    return found


def _fitted(values: Floats, there: NDArray[np.bool_]) -> Floats:
    """The probabilities of `posteriors`, shape [rows, longest]; `there` says which values are any."""
    high = _split(values, there)
    share = np.stack((there & ~high, high)).astype(np.float64)  # [2, rows, longest]
    weight, mean, variance = _estimated(values, share)
    left = np.ones(len(values), np.bool_)
    before = np.full(len(values), -np.inf)
    for _ in range(_STEPS):
        logs = _logs(values[left], weight[:, left], mean[:, left], variance[:, left])
        whole = np.logaddexp(logs[0], logs[1])
        inside = there[left]
        bound = np.where(inside, whole, 0).sum(1) / inside.sum(1)
        shares = np.where(inside, np.exp(logs - whole), 0.0)
        weight[:, left], mean[:, left], variance[:, left] = _estimated(values[left], shares)
        moving = np.abs(bound - before[left]) >= _TOLERANCE
        before[left] = bound
        left[left] = moving
        if not left.any():
            break
    logs = _logs(values, weight, mean, variance)
    upper = np.where(mean[1] >= mean[0], 1, 0)[None, :, None]
    own = np.take_along_axis(logs, upper, 0)[0]
    return np.where(there, np.exp(own - np.logaddexp(logs[0], logs[1])), 0.0)


def _split(values: Floats, there: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """The values on the upper side of the split into two groups that lie closest around their means."""
    upper = np.zeros(values.shape, np.bool_)
    for number, row in enumerate(values):
        held = np.sort(row[there[number]])
        sizes = np.arange(1, len(held))
        sums = np.cumsum(held)
        between = sums[:-1] ** 2 / sizes + (sums[-1] - sums[:-1]) ** 2 / (len(held) - sizes)
        between[np.diff(held) <= _SAME] = -np.inf
        cut = held[int(np.argmax(between))]
        upper[number] = there[number] & (row > cut + _SAME / 2)
    return upper


def _estimated(values: Floats, share: Floats) -> tuple[Floats, Floats, Floats]:
    """Weight, mean and variance of both components, each of shape [2, rows]."""
    held = share.sum(2) + _TINY
    mean = (share * values).sum(2) / held
    variance = (share * (values - mean[:, :, None]) ** 2).sum(2) / held + _FLOOR
    return held / held.sum(0), mean, variance


def _logs(values: Floats, weight: Floats, mean: Floats, variance: Floats) -> Floats:
    """The log of weight times density of both components at each value, shape [2, rows, longest]."""
    away = (values - mean[:, :, None]) ** 2 / variance[:, :, None]
    logs = np.log(weight) - 0.5 * np.log(2 * np.pi * variance)
    return np.asarray(logs[:, :, None] - 0.5 * away)
