"""Rankings as lists of ids: fused by rank, and made diverse."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

__all__ = ["diverse", "fused_ranks", "shares"]


def shares(lists: Mapping[str, Sequence[str]], constant: float) -> dict[str, dict[str, float]]:
    """What each list gives each id: 1 / (constant + rank), ranks from 0, over the highest sum there can be.

    Reciprocal rank fusion (Cormack, Clarke and Büttcher, SIGIR 2009), where the sum is the score.
    """
    highest = max(1, len(lists)) / constant
    found: dict[str, dict[str, float]] = {}
    for name, ids in lists.items():
        for rank, id in enumerate(ids):
            found.setdefault(id, {})[name] = 1 / (constant + rank) / highest
    return found


def fused_ranks(lists: Mapping[str, Sequence[str]], constant: float) -> list[tuple[str, float]]:
    """The ids of all lists with their scores by `shares`, in [0, 1], best first; of equals the later id."""
    scores = {id: sum(parts.values()) for id, parts in shares(lists, constant).items()}
    newest = sorted(scores.items(), key=lambda pair: pair[0], reverse=True)
    return sorted(newest, key=lambda pair: -pair[1])


def diverse(query: NDArray[np.float32], vectors: NDArray[np.float32], relevance: float) -> list[int]:
    """The order in which each next row is near the query and far from those before it.

    Maximal marginal relevance (Carbonell and Goldstein, SIGIR 1998): `relevance` times the cosine with the
    query less the rest of 1 times the highest cosine with a row that was taken. `query` has shape
    [dimensions], `vectors` [n, dimensions], both of length 1 or 0.
    """
    near, alike = vectors @ query, vectors @ vectors.T
    left = list(range(len(vectors)))
    order: list[int] = []
    closest = np.zeros(len(vectors), np.float32)
    while left:
        values = [relevance * float(near[row]) - (1 - relevance) * float(closest[row]) for row in left]
        row = left.pop(int(np.argmax(values)))
        order.append(row)
        closest = np.maximum(closest, alike[row]) if len(order) > 1 else alike[row]
    return order
