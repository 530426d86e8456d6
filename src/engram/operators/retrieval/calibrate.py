"""Calibrated scores: from fused ranking scores to the probability that a hit answers the query.

Two logistic steps, learned by `scripts/train_fusion.py`: features of the best hit and of the whole query say
how likely it is that anything here answers; how far a hit lies behind the best one says the rest.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from engram.kernel.effects import Columns
from engram.operators.retrieval.bm25 import K1
from engram.operators.retrieval.fuse import Fused, Fusion, weights_of
from engram.operators.retrieval.top import top

__all__ = ["FEATURES", "calibrated", "features"]

FEATURES = ("covered", "matched", "near", "nearest", "unseen", "lead", "size")
_TOP = 10


def features(columns: Columns, fused: Fused, best: Sequence[int]) -> NDArray[np.float64]:
    """What tells an answerable query, shape [len(FEATURES)]; `best` are positions, best first.

    `covered`: the share of the query's idf that stands in the best hit. `matched`: the highest BM25 of a
    window of three turns on each side, as a share of what it can be. `near`, `nearest`: the cosine of the
    best hit, and the highest one. `unseen`: the share of the query's idf that stands nowhere. `lead`: how
    far the ten best lie above the mean, in units of the ranking score. `size`: log(1 + turns).
    """
    signals, context = columns.signals, columns.context
    idf = max(context["idf"], 1e-9)
    top = fused.scores[np.asarray(best[:_TOP])]
    return np.array(
        [
            float(signals["coverage"][best[0]]) / idf,
            float(signals["bm25_w3"].max()) / (idf * (K1 + 1)),
            float(signals["focus_turn"][best[0]]),
            float(signals["focus_turn"].max()),
            context["unseen"],
            float(top.mean()) - float(np.average(fused.scores, weights=weights_of(columns))),
            float(np.log1p(context["turns"])),
        ]
    )


def calibrated(
    columns: Columns, fused: Fused, fusion: Fusion, positions: Sequence[int], plain: Fused | None = None
) -> NDArray[np.float64]:
    """Scores in [0, 1] of the candidates at `positions` (best first), shape [len(positions)].

    Each is the estimated probability that the candidate answers the query. Where `fused` has signals that
    the calibration was not learned with, `plain` is the fusion without them: it says whether anything
    answers at all.
    """
    known = fusion.calibration
    weights = np.array([known[name] for name in FEATURES])
    first = positions if plain is None else top(plain.scores, _TOP, columns.rows)
    answerable = known["bias"] + float(weights @ features(columns, plain or fused, first))
    scores = fused.scores[np.asarray(positions)].astype(np.float64)
    logit = (
        known["hit_bias"] + known["hit_answerable"] * answerable + known["hit_behind"] * (scores - scores[0])
    )
    return np.asarray(1 / (1 + np.exp(-logit)))
