"""Nearest neighbours by lists on disk: centroids in memory, each with the vectors near to it in one piece.

After SPANN (Chen et al., arXiv:2111.08566, section 3): clusters so many that lists stay short; a vector is
put into the lists of up to `COPIES` centroids that are nearly as near as the nearest, and in different
directions (closure assignment by the RNG rule); a query reads the lists of its nearest centroids only as long
as these are nearly as near as the first (query-aware pruning). Different here: centroids come from k-means of
a sample (no balanced hierarchy) and are compared one by one (no graph of them), distances are those of unit
vectors, and lists hold int8.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import NamedTuple

import numpy as np
import simsimd
from numpy.typing import NDArray

__all__ = ["Lists", "Parts", "listed"]

FINE = 4  # times the root of the number of vectors: how many lists
SAMPLE = 40  # vectors of the sample for each centroid
ROUNDS = 6
COPIES = 4
CLOSURE = 1.2  # a list takes a vector that is at most so many times as far as from its nearest centroid
PRUNED = 1.6  # a list is read whose centroid is at most so many times as far as the nearest
READ = 96  # lists at most
BLOCK = 4096
Floats = NDArray[np.float32]
Codes = NDArray[np.int8]
Blocks = Callable[[], Iterable[tuple[NDArray[np.int64], Codes]]]


class Parts(NamedTuple):
    """The arrays: `centers` [c, d] and unit, `starts` [c + 1], and by list `rows` and `codes` [n, d]."""

    centers: Floats
    starts: NDArray[np.int64]
    rows: NDArray[np.int32]
    codes: Codes


def listed(blocks: Blocks, count: int, stop: Callable[[], bool] = bool) -> Parts | None:
    """The lists of `count` rows and codes, which `blocks` gives anew at every call; `None` if stopped."""
    wanted = max(1, min(count, int(FINE * count**0.5)))
    centers = _centers(_sampled(blocks(), count, wanted * SAMPLE), wanted, stop)
    if stop():
        return None
    pairs = [_assigned(rows, codes, centers) for rows, codes in _small(blocks())]
    lists = np.concatenate([found for found, _ in pairs])
    rows = np.concatenate([row for _, row in pairs])
    order = np.argsort(lists, kind="stable")
    starts = np.searchsorted(lists[order], np.arange(len(centers) + 1)).astype(np.int64)
    rows = rows[order].astype(np.int32)
    codes = np.zeros((len(rows), centers.shape[1]), np.int8)
    place = np.argsort(rows, kind="stable")
    for held, block in blocks():
        low, high = np.searchsorted(rows[place], (held[0], held[-1] + 1))
        here = place[low:high]
        codes[here] = block[rows[here] - held[0]]
    return Parts(centers, starts, rows, codes)


def _small(blocks: Iterable[tuple[NDArray[np.int64], Codes]]) -> Iterator[tuple[NDArray[np.int64], Codes]]:
    for rows, codes in blocks:
        for at in range(0, len(rows), BLOCK):
            yield rows[at : at + BLOCK], codes[at : at + BLOCK]


def _unit(vectors: NDArray[np.generic]) -> Floats:
    found = vectors.astype(np.float32)
    return found / np.maximum(np.linalg.norm(found, axis=1, keepdims=True), 1e-9)


def _sampled(blocks: Iterable[tuple[NDArray[np.int64], Codes]], count: int, most: int) -> Floats:
    chosen = np.sort(np.random.default_rng(0).choice(count, min(count, most), replace=False))
    parts = [_unit(codes[np.isin(rows, chosen)]) for rows, codes in blocks]
    return np.concatenate(parts)


def _centers(sample: Floats, wanted: int, stop: Callable[[], bool]) -> Floats:
    """k-means of unit vectors, by cosine; a centroid that loses all of its vectors stays where it was."""
    chance = np.random.default_rng(1)
    centers = sample[chance.choice(len(sample), min(len(sample), wanted), replace=False)].copy()
    for _ in range(ROUNDS):
        sums, counts = np.zeros_like(centers), np.zeros(len(centers), np.int64)
        for at in range(0, len(sample), BLOCK):
            if stop():
                return centers
            block = sample[at : at + BLOCK]
            nearest = (block @ centers.T).argmax(axis=1)
            np.add.at(sums, nearest, block)
            np.add.at(counts, nearest, 1)
        centers[counts > 0] = _unit(sums[counts > 0])
    return centers


def _assigned(
    rows: NDArray[np.int64], codes: Codes, centers: Floats
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """List and row of each copy: by distance, without centroids nearer to one taken than to the vector."""
    units = _unit(codes)
    cosines = units @ centers.T
    width = min(2 * COPIES, len(centers))
    near = np.argpartition(-cosines, width - 1, axis=1)[:, :width]
    near = np.take_along_axis(near, np.argsort(-np.take_along_axis(cosines, near, 1), axis=1), 1)
    far = 2 - 2 * np.take_along_axis(cosines, near, 1)
    taken = np.zeros(near.shape, np.bool_)
    taken[:, 0] = True
    for place in range(1, width):
        right = (far[:, place] <= CLOSURE**2 * far[:, 0]) & (taken.sum(axis=1) < COPIES)
        for before in range(place):
            apart = 2 - 2 * np.einsum("ij,ij->i", centers[near[:, place]], centers[near[:, before]])
            right &= ~taken[:, before] | (apart > far[:, place])
        taken[:, place] = right
    return near[taken], np.repeat(rows, taken.sum(axis=1))


class Lists:
    """Lists, read where they lie; any number of threads may search them at once."""

    def __init__(self, parts: Parts) -> None:
        self._parts = parts

    def __len__(self) -> int:
        return len(self._parts.rows)

    def nearest(self, code: Codes, k: int) -> NDArray[np.int64]:
        """About `k` rows nearest to a vector in int8, nearest first."""
        centers, starts, rows, codes = self._parts
        query = _unit(code[None])[0]
        far = 2 - 2 * (centers @ query)
        order = np.argsort(far, kind="stable")[:READ]
        chosen = order[far[order] <= PRUNED**2 * max(float(far[order[0]]), 1e-6)].tolist()
        found: list[NDArray[np.int32]] = []
        scores: list[Floats] = []
        for number in chosen:
            here = slice(int(starts[number]), int(starts[number + 1]))
            if here.start < here.stop:
                found.append(rows[here])
                distance = np.asarray(simsimd.cdist(code[None], codes[here], metric="cosine"))
                scores.append(distance[0].astype(np.float32))
        if not found:
            return np.zeros(0, np.int64)
        every, distance = np.concatenate(found), np.concatenate(scores)
        best = np.argsort(distance, kind="stable")
        held, first = np.unique(every[best], return_index=True)
        near: NDArray[np.int64] = held[np.argsort(first, kind="stable")][:k].astype(np.int64)
        return near
