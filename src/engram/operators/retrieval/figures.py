"""What is kept for every window and session: its length in tokens and the norm of its summed unit vectors."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from engram.operators.retrieval.growing import Vectors
from engram.operators.retrieval.layout import COUNT, GUARD, INVERSE, SERIAL, START, TOKENS, Layout
from engram.operators.retrieval.rows import Rows

__all__ = ["FIGURES", "LENGTHS", "NORMS", "Figures"]

FIGURES = 5
LENGTHS = (0, 1, 2)  # tokens in the window of 0, 1 and 3 turns on each side
NORMS = (3, 4)  # 1 / norm of the window of 1 and 3 turns on each side; 0 where the norm is 0
BLOCK = 4096
LARGE = 64
KEPT = 20_000
TINY = 1e-6


class Figures:
    """Keeps a layout's figures and weights right; zero at blanks."""

    def __init__(
        self,
        layout: Layout,
        rows: Rows,
        vectors: Vectors,
        sums: Mapping[int, NDArray[np.float64]] | None = None,
    ) -> None:
        self._layout, self._rows, self._vectors = layout, rows, vectors
        self._sums = dict(sums or {})
        self._short: dict[int, NDArray[np.float32]] = {}

    @property
    def long_sums(self) -> dict[int, NDArray[np.float64]]:
        """The summed vectors of long sessions, by serial."""
        return self._sums

    def summed(self, numbers: NDArray[np.int64]) -> NDArray[np.float32]:
        """The summed vectors of the given sessions, shape [len(numbers), dimensions]; kept for a while."""
        layout = self._layout
        if len(self._short) > KEPT:
            self._short.clear()
        serials, counts = layout.sessions[SERIAL][numbers].tolist(), layout.sessions[COUNT][numbers]
        missing = [
            place
            for place, serial in enumerate(serials)
            if serial not in self._short and serial not in self._sums
        ]
        for place in [place for place in missing if counts[place] > LARGE]:
            self.sessions(numbers[place : place + 1])
        short = np.array([place for place in missing if counts[place] <= LARGE], np.int64)
        if len(short):
            firsts = np.cumsum(counts[short]) - counts[short]
            starts = layout.sessions[START][numbers[short]]
            at = np.arange(int(counts[short].sum())) + np.repeat(starts - firsts, counts[short])
            sums = np.add.reduceat(self._vectors.gather(layout.row_at[at]), firsts, axis=0)
            self._short.update(zip([serials[place] for place in short.tolist()], sums, strict=True))
        found = np.zeros((len(numbers), self._vectors.dimensions), np.float32)
        for place, serial in enumerate(serials):
            found[place] = self._short[serial] if serial in self._short else self._sums[serial]
        return found

    def windows(self, low: int, high: int) -> None:
        """Compute the figures of positions [low, high) anew."""
        layout = self._layout
        low, high = max(low, GUARD), min(high, layout.size - GUARD)
        for start in range(low, high, BLOCK):
            self._block(start, min(start + BLOCK, high))

    def windows_at(self, positions: NDArray[np.int64]) -> None:
        """Compute the figures of the given positions, which ascend, anew."""
        if len(positions):
            cuts = np.flatnonzero(np.diff(positions) > 2 * GUARD) + 1
            lows = positions[np.insert(cuts, 0, 0)].tolist()
            highs = positions[np.append(cuts, len(positions)) - 1].tolist()
            for low, high in zip(lows, highs, strict=True):
                self.windows(low, high + 1)

    def sessions(self, numbers: NDArray[np.int64]) -> None:
        """Compute the weights of the given sessions, which ascend, anew."""
        counts, low = self._layout.sessions[COUNT][numbers], 0
        ends = np.cumsum(counts)
        while low < len(numbers):
            done = int(ends[low - 1]) if low else 0
            high = max(low + 1, int(np.searchsorted(ends, done + BLOCK, side="right")))
            self._weigh(numbers[low:high], counts[low:high])
            low = high

    def dots(self, numbers: NDArray[np.int64], vector: NDArray[np.float32]) -> NDArray[np.float32]:
        """The dot product of each session's summed vectors with `vector`, shape [len(numbers)].

        Of short sessions whose sum is not kept, it is the sum of their turns' products.
        """
        layout = self._layout
        counts = layout.sessions[COUNT][numbers]
        serials = layout.sessions[SERIAL][numbers].tolist()
        held = np.array([serial in self._short or serial in self._sums for serial in serials], bool)
        held |= counts > LARGE
        found = np.zeros(len(numbers), np.float32)
        found[held] = self.summed(numbers[held]) @ vector
        counts, starts = counts[~held], layout.sessions[START][numbers[~held]]
        if len(counts):
            firsts = np.cumsum(counts) - counts
            at = np.arange(int(counts.sum())) + np.repeat(starts - firsts, counts)
            codes, scales = self._vectors.codes(layout.row_at[at])
            products = np.zeros(len(at), np.float32)
            Vectors.over(codes, scales, len(codes)).dot(vector, products)
            found[~held] = np.add.reduceat(products, firsts)
        return found

    def shifted(self, session: int, change: NDArray[np.float32]) -> None:
        """Compute the weights of one session anew, whose sum of vectors moved by `change`."""
        serial = int(self._layout.sessions[SERIAL][session])
        self._short.pop(serial, None)
        if serial in self._sums:
            self._sums[serial] += change
            self._set(session, self._sums[serial])
        else:
            self.sessions(np.array([session]))

    def _block(self, low: int, high: int) -> None:
        layout, width = self._layout, high - low
        rows = layout.row_at[low - GUARD : high + GUARD]
        blank = rows[GUARD:-GUARD] < 0
        lengths = np.where(rows < 0, 0, self._rows["length"][rows])
        units = self._vectors.gather(rows)
        for values, places in ((lengths, LENGTHS[1:]), (units, NORMS)):
            total = np.array(values[GUARD : GUARD + width])
            for reach, place in zip((1, 3), places, strict=True):
                for step in range(2 if reach == 3 else 1, reach + 1):
                    total += values[GUARD - step : GUARD - step + width]
                    total += values[GUARD + step : GUARD + step + width]
                figure = total if total.ndim == 1 else _inverse(np.einsum("ij,ij->i", total, total))
                layout.figures[place][low:high] = np.where(blank, 0, figure)
        layout.figures[LENGTHS[0]][low:high] = lengths[GUARD:-GUARD]

    def _weigh(self, numbers: NDArray[np.int64], counts: NDArray[np.int64]) -> None:
        """Weights of sessions that are either short together or one."""
        layout = self._layout
        starts = layout.sessions[START][numbers]
        firsts = np.cumsum(counts) - counts
        positions = np.arange(int(counts.sum())) + np.repeat(starts - firsts, counts)
        rows = layout.row_at[positions]
        layout.weights[TOKENS][numbers] = np.add.reduceat(self._rows["length"][rows], firsts)
        if len(numbers) > 1 or len(rows) <= LARGE:
            sums = np.add.reduceat(self._vectors.gather(rows), firsts, axis=0)
            layout.weights[INVERSE][numbers] = _inverse(np.einsum("ij,ij->i", sums, sums))
            return
        total = np.zeros(self._vectors.dimensions)
        for start in range(0, len(rows), BLOCK):
            total += self._vectors.gather(rows[start : start + BLOCK]).sum(axis=0, dtype=np.float64)
        session = int(numbers[0])
        self._sums[int(layout.sessions[SERIAL][session])] = total
        self._set(session, total)

    def _set(self, session: int, total: NDArray[np.float64]) -> None:
        layout = self._layout
        start, count = int(layout.sessions[START][session]), int(layout.sessions[COUNT][session])
        layout.weights[TOKENS][session] = layout.figures[LENGTHS[0]][start : start + count].sum()
        layout.weights[INVERSE][session] = _inverse(np.array([total @ total]))[0]


def _inverse(squares: NDArray[Any]) -> NDArray[np.float32]:
    """1 / sqrt(x), and 0 where the root is next to nothing."""
    norms = np.sqrt(squares)
    inverse: NDArray[np.float32] = np.where(norms > TINY, 1 / np.maximum(norms, TINY), 0).astype(np.float32)
    return inverse
