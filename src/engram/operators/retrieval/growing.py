"""Arrays that grow: tables that open and close gaps, and a matrix in chunks."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import DTypeLike, NDArray

__all__ = ["Table", "Vectors"]

CHUNK = 8192


class Table:
    """Rows of one type over a growing number of columns: `table[k]` is row k, shape [size].

    Capacity doubles; `open` and `close` insert and remove columns in the middle.
    """

    def __init__(self, rows: int, dtype: DTypeLike, size: int = 0) -> None:
        self._data: NDArray[Any] = np.zeros((rows, max(16, size)), dtype)
        self.rows = rows
        self.size = size

    def __getitem__(self, row: int) -> NDArray[Any]:
        return self._data[row, : self.size]

    @property
    def nbytes(self) -> int:
        """Bytes held, spare capacity included."""
        return self._data.nbytes

    def open(self, at: int, width: int) -> None:
        """Insert `width` columns of zeros before column `at`."""
        size = self.size + width
        if size > self._data.shape[1]:
            wider = np.zeros((self._data.shape[0], max(size, 2 * self._data.shape[1])), self._data.dtype)
            wider[:, : self.size] = self._data[:, : self.size]
            self._data = wider
        self._data[:, at + width : size] = self._data[:, at : self.size]
        self._data[:, at : at + width] = 0
        self.size = size

    def close(self, at: int, width: int) -> None:
        """Remove `width` columns from column `at` on."""
        self._data[:, at : self.size - width] = self._data[:, at + width : self.size]
        self.size -= width

    def keep(self, columns: NDArray[Any]) -> None:
        """Keep only the given columns, in that order."""
        self._data = self._data[:, columns]
        self.size = len(columns)


class Vectors:
    """A float32 matrix [n, dimensions] in chunks, so that growing never copies it."""

    def __init__(self, dimensions: int) -> None:
        self.dimensions = dimensions
        self.size = 0
        self._chunks: list[NDArray[np.float32]] = []

    @property
    def nbytes(self) -> int:
        """Bytes in use."""
        return 4 * self.size * self.dimensions

    def append(self, vectors: NDArray[np.float32]) -> None:
        """Add rows at the end; `vectors` has shape [m, dimensions]."""
        done = 0
        while done < len(vectors):
            if self.size == CHUNK * len(self._chunks):
                self._chunks.append(np.empty((CHUNK, self.dimensions), np.float32))
            at = self.size % CHUNK
            width = min(CHUNK - at, len(vectors) - done)
            self._chunks[-1][at : at + width] = vectors[done : done + width]
            self.size += width
            done += width

    def __setitem__(self, row: int, vector: NDArray[np.float32]) -> None:
        self._chunks[row // CHUNK][row % CHUNK] = vector

    def gather(self, rows: NDArray[Any]) -> NDArray[np.float32]:
        """A copy of the given rows, shape [len(rows), dimensions]; zeros for row -1."""
        if len(self._chunks) == 1:
            taken = self._chunks[0][rows]
            taken[rows < 0] = 0
            return taken
        taken = np.zeros((len(rows), self.dimensions), np.float32)
        chunk = rows // CHUNK
        for number in np.unique(chunk[rows >= 0]).tolist():
            here = np.flatnonzero(chunk == number)
            taken[here] = self._chunks[number][rows[here] - number * CHUNK]
        return taken

    def dot(self, vector: NDArray[np.float32], out: NDArray[np.float32]) -> None:
        """Each row's dot product with `vector` into `out`, shape [n]."""
        for at, chunk in self._parts():
            np.dot(chunk, vector, out=out[at : at + len(chunk)])

    def keep(self, rows: NDArray[Any]) -> None:
        """Keep only the given rows, which must ascend."""
        kept = Vectors(self.dimensions)
        for at, chunk in self._parts():
            kept.append(chunk[rows[(rows >= at) & (rows < at + len(chunk))] - at])
        self._chunks, self.size = kept._chunks, kept.size

    def _parts(self) -> Iterator[tuple[int, NDArray[np.float32]]]:
        for number, chunk in enumerate(self._chunks):
            yield number * CHUNK, chunk[: min(CHUNK, self.size - number * CHUNK)]
