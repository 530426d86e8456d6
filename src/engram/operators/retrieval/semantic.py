"""Cosines of one query at four levels, from one matrix-vector product.

A window's vector is the sum of its turns' unit vectors, so its dot product is the sum of theirs.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from engram.operators.retrieval.figures import NORMS
from engram.operators.retrieval.growing import Vectors
from engram.operators.retrieval.layout import INVERSE, START, Layout

__all__ = ["Semantic", "Sums"]

Floats = NDArray[np.float32]
Sums = Callable[[Floats], Floats]


class Semantic:
    """Cosines with `vector` (a unit vector, or `None` for none), each level computed when first asked for.

    Where not all turns are here, `sums` gives the products of the summed vectors of whole sessions with a
    vector, shape [sessions].
    """

    def __init__(
        self, layout: Layout, vectors: Vectors, vector: Floats | None, sums: Sums | None = None
    ) -> None:
        self._layout, self._vectors, self._vector, self._sums = layout, vectors, vector, sums

    @cached_property
    def turns(self) -> Floats:
        """By position: the turn's cosine with the query, 0 at blanks."""
        by_row = np.zeros(self._vectors.size + 1, np.float32)
        if self._vector is not None:
            self._vectors.dot(self._vector, by_row[:-1])
        return by_row[self._layout.row_at]  # -1 at a blank takes the zero at the end

    @cached_property
    def windows(self) -> tuple[Floats, Floats]:
        """By position: the query's cosine with the summed vectors of 1 and of 3 turns on each side."""
        dots = self.turns
        total = dots.copy()
        total[1:] += dots[:-1]
        total[:-1] += dots[1:]
        near = total * self._layout.figures[NORMS[0]]
        for step in (2, 3):
            total[step:] += dots[:-step]
            total[:-step] += dots[step:]
        total *= self._layout.figures[NORMS[1]]
        return near, total

    @cached_property
    def sessions(self) -> Floats:
        """By session: the query's cosine with the session's summed vectors."""
        if self._sums is not None and self._vector is not None:
            return self._sums(self._vector) * self._layout.weights[INVERSE]
        starts = self._layout.sessions[START]
        sums = np.add.reduceat(self.turns, starts) if len(starts) else np.zeros(0, np.float32)
        return sums * self._layout.weights[INVERSE]
