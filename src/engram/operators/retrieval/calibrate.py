"""Calibrated scores: from fused ranking scores to the probability that a hit answers the query.

Two logistic steps, learned by `scripts/train_fusion.py`: features of the best hit and of the whole query say
how likely it is that anything here answers; how far a hit lies behind the best one says the rest.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from engram.kernel.effects import Columns
from engram.operators.retrieval.bm25 import K1
from engram.operators.retrieval.fuse import Fused, Fusion

__all__ = ["FEATURES", "calibrated", "features"]

FEATURES = ("covered", "matched", "near", "nearest", "unseen", "lead")
_TOP = 10


def features(columns: Columns, fused: Fused) -> NDArray[np.float64]:
    """What tells an answerable query, shape [len(FEATURES)].

    `covered`: the share of the query's idf that stands in the best hit. `matched`: the highest BM25 of a
    window of three turns on each side, as a share of what it can be. `near`, `nearest`: the cosine of the
    best hit, and the highest one. `unseen`: the share of the query's idf that stands nowhere. `lead`: how
    far the ten best lie above the median, in units of the ranking score.
    """
    signals, context = columns.signals, columns.context
    best = int(np.argmax(fused.scores))
    idf = max(context["idf"], 1e-9)
    few = min(_TOP, len(fused.scores))
    top = np.partition(fused.scores, len(fused.scores) - few)[-few:]
    return np.array(
        [
            float(signals["coverage"][best]) / idf,
            float(signals["bm25_w3"].max()) / (idf * (K1 + 1)),
            float(signals["focus_turn"][best]),
            float(signals["focus_turn"].max()),
            context["unseen"],
            float(top.mean() - np.median(fused.scores)),
        ]
    )


def calibrated(columns: Columns, fused: Fused, fusion: Fusion) -> NDArray[np.float32]:
    """A score in [0, 1] for each candidate, shape [n]: the estimated probability that it answers."""
    known = fusion.calibration
    weights = np.array([known[name] for name in FEATURES])
    answerable = known["bias"] + float(weights @ features(columns, fused))
    behind = fused.scores - fused.scores.max()
    logit = known["hit_bias"] + known["hit_answerable"] * answerable + known["hit_behind"] * behind
    return np.asarray(1 / (1 + np.exp(-logit)), np.float32)
