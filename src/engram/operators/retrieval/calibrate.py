"""Calibrated scores: from fused ranking scores to the probability that a hit answers the query."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from engram.kernel.effects import Columns
from engram.operators.retrieval.fuse import Fused, Fusion

__all__ = ["calibrated"]


def calibrated(columns: Columns, fused: Fused, fusion: Fusion) -> NDArray[np.float32]:
    """A score in [0, 1] for each candidate, shape [n]."""
    slope, offset = fusion.calibration.get("score", 1.0), fusion.calibration.get("bias", -4.0)
    return np.asarray(1 / (1 + np.exp(-(slope * fused.scores + offset))), np.float32)
