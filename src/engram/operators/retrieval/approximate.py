"""Nearest neighbours by a graph of vectors (HNSW), from the index library usearch: the extra `ann`.

Malkov and Yashunin, "Efficient and robust approximate nearest neighbor search using Hierarchical Navigable
Small World graphs" (TPAMI 2020), in usearch's form, over vectors in int8.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from importlib.util import find_spec
from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["Graph", "available", "grown", "woven"]

LINKS = 16
WEAVING, SEARCHING = 40, 64
SMALL = 10_000  # vectors up to which so few are looked at in a search; with more, by the root of their number
BLOCK = 8192


def available() -> bool:
    """Whether usearch is installed."""
    return find_spec("usearch") is not None


def grown(
    data: NDArray[np.uint8],
    blocks: Iterable[tuple[NDArray[np.int64], NDArray[np.int8]]],
    dimensions: int,
    *,
    threads: int = 0,
) -> NDArray[np.uint8]:
    """A woven graph with further rows, or with other codes for some that it has, as bytes."""
    index = _empty(dimensions)
    index.load(data)
    for rows, codes in blocks:
        known = rows[index.contains(rows.astype(np.uint64))].astype(np.uint64)
        if len(known):
            index.remove(known)
        index.add(rows.astype(np.uint64), codes, threads=threads)
    return np.frombuffer(index.save(), np.uint8)


def woven(
    blocks: Iterable[tuple[NDArray[np.int64], NDArray[np.int8]]],
    dimensions: int,
    *,
    threads: int = 0,
    stop: Callable[[], bool] = bool,
) -> NDArray[np.uint8] | None:
    """The graph of rows and their codes, [n, dimensions], as bytes; `None` where `stop` says so meanwhile.

    `threads` 0 for all cores.
    """
    index = _empty(dimensions)
    for rows, codes in blocks:
        if stop():
            return None
        index.add(rows.astype(np.uint64), codes, threads=threads)
    return np.frombuffer(index.save(), np.uint8)


def _empty(dimensions: int) -> Any:
    from usearch.index import Index

    return Index(
        ndim=dimensions,
        metric="cos",
        dtype="i8",
        connectivity=LINKS,
        expansion_add=WEAVING,
        expansion_search=SEARCHING,
    )


class Graph:
    """A woven graph, read where it lies; any number of threads may search it at once."""

    def __init__(self, data: NDArray[np.uint8], dimensions: int) -> None:
        self._data = data  # the library keeps no reference to what it views
        self._index = _empty(dimensions)
        self._index.view(data)
        self._index.expansion_search = int(SEARCHING * max(1.0, len(self) / SMALL) ** 0.5)

    def __len__(self) -> int:
        return len(self._index)

    def nearest(self, code: NDArray[np.int8], k: int) -> NDArray[np.int64]:
        """About `k` rows nearest to a vector in int8, nearest first."""
        found = self._index.search(code, min(k, len(self)), threads=1)
        return np.asarray(found.keys, np.int64)
