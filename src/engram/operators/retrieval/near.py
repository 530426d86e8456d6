"""The nearest rows of many vectors at once."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from engram.operators.retrieval.growing import Vectors

__all__ = ["Near", "best_of", "nearest"]

Near = list[tuple[str, float]]
_BLOCK = 1024


def nearest(
    vectors: Vectors,
    ids: Sequence[str],
    rows: NDArray[np.int64],
    queries: NDArray[np.float32],
    k: int,
    floor: float,
) -> list[Near]:
    """For each of `queries`, shape [m, dimensions], the `k` nearest of `rows`: (id, cosine), nearest first.

    Those with a cosine of `floor` at least; ties by id. Of unit vectors, in int8.
    """
    asked = np.zeros(vectors.size, np.bool_)
    asked[rows] = True
    found: list[Near] = []
    for start in range(0, len(queries), _BLOCK):
        found += _block(vectors, ids, asked, queries[start : start + _BLOCK], k, floor)
    return found


def best_of(near: Near, k: int) -> Near:
    """The `k` nearest, nearest first, ties by id."""
    return sorted(near, key=lambda pair: (-pair[1], pair[0]))[:k]


def _block(
    vectors: Vectors,
    ids: Sequence[str],
    asked: NDArray[np.bool_],
    queries: NDArray[np.float32],
    k: int,
    floor: float,
) -> list[Near]:
    near: list[Near] = [[] for _ in queries]
    if not k or not vectors.dimensions:
        return near
    for first, cosines in vectors.products(queries):
        cosines[:, ~asked[first : first + cosines.shape[1]]] = -np.inf
        close = cosines >= floor
        if cosines.shape[1] > k and np.count_nonzero(close) > k * len(queries):
            close &= cosines >= np.partition(cosines, -k, axis=1)[:, -k, None]
        query, row = np.nonzero(close)
        scores = np.clip(cosines[query, row], -1, 1).tolist()
        for number, at, score in zip(query.tolist(), (row + first).tolist(), scores, strict=True):
            near[number].append((ids[at], score))
    return [best_of(pairs, k) for pairs in near]
