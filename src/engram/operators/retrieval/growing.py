"""Arrays that grow: tables that open and close gaps, and a matrix in chunks."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import simsimd
from numpy.typing import DTypeLike, NDArray

__all__ = ["Table", "Vectors", "quantised"]

CHUNK = 8192
FEW = 16


class Table:
    """Rows of one type over a growing number of columns: `table[k]` is row k, shape [size].

    Capacity doubles; `open` and `close` insert and remove columns in the middle.
    """

    def __init__(self, rows: int, dtype: DTypeLike, size: int = 0) -> None:
        self._data: NDArray[Any] = np.zeros((rows, max(16, size)), dtype)
        self.rows = rows
        self.size = size

    @classmethod
    def over(cls, data: NDArray[Any], size: int) -> Table:
        """A table of `size` columns in an array of shape [rows, capacity] that is there."""
        table = cls(0, data.dtype)
        table._data, table.rows, table.size = data, data.shape[0], size
        return table

    @property
    def data(self) -> NDArray[Any]:
        """All of it, shape [rows, size]."""
        return self._data[:, : self.size]

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
    """Vectors in int8 with a scale each, [n, dimensions], in chunks, so that growing never copies them.

    A quarter of float32's bytes, and products of int8 are exact integers: the same on every machine.
    `changed` are the rows that were set anew.
    """

    def __init__(self, dimensions: int) -> None:
        self.dimensions = dimensions
        self.size = 0
        self.changed: set[int] = set()
        self._flat: tuple[NDArray[np.int8], NDArray[np.float32]] | None = None
        self._chunks: list[tuple[NDArray[np.int8], NDArray[np.float32]]] = []

    @classmethod
    def over(cls, codes: NDArray[np.int8], scales: NDArray[np.float32], size: int) -> Vectors:
        """Vectors whose codes, [capacity, dimensions], and scales, [capacity], are there already.

        The capacity is a whole number of chunks.
        """
        found = cls(codes.shape[1])
        found.size = size
        found._flat = codes, scales
        found._chunks = [
            (codes[at : at + CHUNK], scales[at : at + CHUNK]) for at in range(0, len(codes), CHUNK)
        ]
        return found

    @property
    def nbytes(self) -> int:
        """Bytes in use."""
        return self.size * (self.dimensions + 4)

    def codes(self, rows: NDArray[Any]) -> tuple[NDArray[np.int8], NDArray[np.float32]]:
        """Codes [len(rows), dimensions] and scales [len(rows)] of the given rows."""
        if self._flat is not None and (not len(rows) or rows.max() < len(self._flat[0])):
            return self._flat[0][rows], self._flat[1][rows]
        codes = np.zeros((len(rows), self.dimensions), np.int8)
        scales = np.zeros(len(rows), np.float32)
        chunk = rows // CHUNK
        for number in np.unique(chunk).tolist():
            here = np.flatnonzero(chunk == number)
            local = rows[here] - number * CHUNK
            codes[here], scales[here] = self._chunks[number][0][local], self._chunks[number][1][local]
        return codes, scales

    def blocks(self) -> Iterator[tuple[NDArray[np.int8], NDArray[np.float32]]]:
        """Codes and scales of all rows, a chunk at a time."""
        for number, (codes, scales) in enumerate(self._chunks):
            width = min(CHUNK, self.size - number * CHUNK)
            if width > 0:
                yield codes[:width], scales[:width]

    def append(self, vectors: NDArray[np.float32]) -> None:
        """Add rows at the end; `vectors` has shape [m, dimensions]."""
        codes, scales = quantised(vectors)
        done = 0
        while done < len(vectors):
            number, at = divmod(self.size, CHUNK)
            if number == len(self._chunks):
                self._chunks.append(
                    (np.zeros((CHUNK, self.dimensions), np.int8), np.zeros(CHUNK, np.float32))
                )
            width = min(CHUNK - at, len(vectors) - done)
            self._chunks[number][0][at : at + width] = codes[done : done + width]
            self._chunks[number][1][at : at + width] = scales[done : done + width]
            self.size += width
            done += width

    def __setitem__(self, row: int, vector: NDArray[np.float32]) -> None:
        chunk, scale = self._chunks[row // CHUNK]
        codes, scales = quantised(vector[None])
        chunk[row % CHUNK], scale[row % CHUNK] = codes[0], scales[0]
        self.changed.add(row)

    def gather(self, rows: NDArray[Any]) -> NDArray[np.float32]:
        """The given rows as float32, shape [len(rows), dimensions]; zeros for row -1."""
        taken = np.zeros((len(rows), self.dimensions), np.float32)
        chunk = rows // CHUNK
        for number in np.unique(chunk[rows >= 0]).tolist():
            here = np.flatnonzero(chunk == number)
            codes, scales = self._chunks[number]
            local = rows[here] - number * CHUNK
            taken[here] = codes[local] * scales[local, None]
        return taken

    def dot(self, vector: NDArray[np.float32], out: NDArray[np.float32]) -> None:
        """Each row's dot product with `vector` (itself taken in int8) into `out`, shape [n]."""
        codes, scales = quantised(vector[None])
        if not self.dimensions or not scales[0]:
            out[:] = 0
            return
        at = 0
        for chunk, scale in self.blocks():
            products = np.asarray(simsimd.cdist(codes, chunk, metric="dot"))
            np.multiply(products[0], scale * scales[0], out=out[at : at + len(chunk)], casting="same_kind")
            at += len(chunk)

    def products(self, vectors: NDArray[np.float32]) -> Iterator[tuple[int, NDArray[np.float32]]]:
        """Dot products with `vectors`, shape [m, dimensions] (taken in int8), a chunk of rows at a time.

        Gives the chunk's first row and an array of shape [m, rows of the chunk].
        """
        codes, scales = quantised(vectors)
        many = codes.astype(np.float32) if len(codes) > FEW else None
        at = 0
        for chunk, scale in self.blocks():
            if many is None:
                products = np.asarray(simsimd.cdist(codes, chunk, metric="dot")).astype(np.float32)
            else:  # whole numbers, which float32 adds up exactly in any order, up to a thousand dimensions
                products = many @ chunk.astype(np.float32).T
            products *= scale
            products *= scales[:, None]
            yield at, products
            at += len(chunk)

    def keep(self, rows: NDArray[Any]) -> None:
        """Keep only the given rows, which must ascend."""
        kept = Vectors(self.dimensions)
        for start in range(0, len(rows), CHUNK):
            kept.append(self.gather(rows[start : start + CHUNK]))
        self._chunks, self.size, self._flat = kept._chunks, kept.size, None


def quantised(vectors: NDArray[np.float32]) -> tuple[NDArray[np.int8], NDArray[np.float32]]:
    """Codes in -127…127 and scales whose product is nearest to each row; a row of zeros has scale 0."""
    scales = np.abs(vectors).max(axis=1, initial=0.0) / np.float32(127)
    codes = np.rint(vectors / np.where(scales > 0, scales, 1)[:, None]).astype(np.int8)
    return codes, scales.astype(np.float32)
