"""The last step of every read: the best candidates as hits."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from engram.kernel.effects import Columns, Read
from engram.kernel.policy import Query, Recall
from engram.kernel.record import Hit
from engram.operators.retrieval.top import top

__all__ = ["BY_MODEL", "best", "explained", "reciprocal_rank", "saturate", "unasked"]

BY_MODEL = "by_model"
"""The reason that says whether a model did what it was asked at the search: 1, or 0 where it failed."""
Explain = Callable[[int], Mapping[str, float]]
Calibrate = Callable[[Sequence[int]], NDArray[Any]]
_FEW = 10


async def best(
    query: Query, columns: Columns, ranking: NDArray[Any], scores: Calibrate, explain: Explain | None = None
) -> Recall:
    """The `query.depth` candidates highest in `ranking`, as hits.

    `ranking` has shape [len(columns)]; `-inf` leaves a candidate out. `scores` gives the calibrated scores
    in [0, 1] of the positions that it is given, best first: at least the ten best, where there are as many,
    so that scores do not depend on how many hits are wanted. `explain` gives each signal's share of a
    position, and is asked where the query wants it.
    """
    positions = top(ranking, max(query.depth, _FEW), columns.rows)
    if not positions:
        return Recall()
    values = scores(positions)
    wanted = positions[: query.depth]
    ids = columns.rows(wanted)
    found = {record.id: record for record in await Read(tuple(ids))}
    return Recall(
        tuple(
            Hit(
                found[id],
                float(min(1.0, max(0.0, value))),
                explain(position) if explain is not None and query.explain else {},
            )
            for id, position, value in zip(ids, wanted, values.tolist(), strict=False)
            if id in found
        )
    )


def explained(query: Query, hits: Sequence[Hit], **figures: float) -> list[Hit]:
    """The hits with these figures in `why` besides, where the query asks for reasons."""
    return [replace(hit, why={**hit.why, **figures}) for hit in hits] if query.explain else list(hits)


def unasked(hits: Sequence[Hit]) -> list[Hit]:
    """The hits with `by_model` 0 where they have it: a model has failed since."""
    return [replace(hit, why={**hit.why, BY_MODEL: 0.0}) if BY_MODEL in hit.why else hit for hit in hits]


def saturate(values: NDArray[Any], half: float) -> NDArray[Any]:
    """`values` >= 0 into [0, 1): 0.5 at `half`."""
    positive = np.maximum(values, 0)
    return np.asarray(positive / (positive + half))


def reciprocal_rank(
    *signals: NDArray[Any], constant: float = 60.0, weights: NDArray[Any] | None = None
) -> NDArray[Any]:
    """Reciprocal-rank fusion of signals of shape [n]: the sum of 1 / (constant + rank), ranks from 1.

    Cormack, Clarke and Büttcher, SIGIR 2009. Ties share the best rank; a signal that is not positive
    for a candidate gives it nothing. `weights` says how many candidates each stands for (`None`: one).
    """
    fused = np.zeros(len(signals[0]), np.float64)
    for signal in signals:
        order = np.argsort(-signal, kind="stable")
        rank = 1 + np.searchsorted(-signal[order], -signal, side="left")
        if weights is not None:
            rank = 1 + np.append(0, np.cumsum(weights[order], dtype=np.float64))[rank - 1]
        fused += np.where(signal > 0, 1.0 / (constant + rank), 0.0)
    return fused
