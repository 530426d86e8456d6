"""Vectors that a policy works with itself."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from engram.kernel.effects import Embed
from engram.kernel.errors import ModelUnavailable

__all__ = ["embedded"]


async def embedded(texts: Sequence[str]) -> NDArray[np.float32]:
    """The vectors of `texts`, float32 of shape [len(texts), dimensions].

    Raises `ModelUnavailable` where the embedder gives another number of them.
    """
    rows = np.asarray(await Embed(tuple(texts)), np.float32)
    if rows.ndim != 2 or len(rows) != len(texts):
        raise ModelUnavailable(f"the embedder gave an array of shape {rows.shape} for {len(texts)} texts")
    return rows
