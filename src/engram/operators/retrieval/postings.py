"""Which rows hold a term, and how often: an inverted index in a few sorted arrays."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from engram.kernel.errors import StoreError

__all__ = ["Finding", "Found", "Postings"]

RATIO = 32
ROW_BITS = 24
ROW_MASK = (1 << ROW_BITS) - 1


class Found(NamedTuple):
    """Parallel: `term` (position in the query), `row` and `times` (how often) of each posting."""

    term: NDArray[np.int64]
    row: NDArray[np.int64]
    times: NDArray[np.int64]

    def where(self, chosen: NDArray[np.bool_]) -> Found:
        """The chosen postings."""
        return Found(self.term[chosen], self.row[chosen], self.times[chosen])


class Finding(Protocol):
    """Whatever gives the postings of terms."""

    def find(self, hashes: NDArray[np.uint32]) -> Found:
        """The postings of the given terms, by (term, row) where `hashes` ascend."""
        ...


class Postings:
    """Postings as sorted uint64: a term's hash (32 bits), the row (24), the count (8, 0 for pairs of terms).

    They lie in runs that shrink by a factor; small runs are merged as they come, so adding stays cheap
    and a term is looked up in a handful of places. Nothing is removed before `renumber`. `runs` are given:
    they stay as they are.
    """

    def __init__(self, runs: Sequence[NDArray[np.uint64]] = ()) -> None:
        self._runs = list(runs)
        self._fixed = len(self._runs)

    @property
    def runs(self) -> tuple[NDArray[np.uint64], ...]:
        """Its runs, each sorted."""
        return tuple(self._runs)

    @property
    def nbytes(self) -> int:
        """Bytes held."""
        return sum(run.nbytes for run in self._runs)

    def add(self, rows: NDArray[np.int64], hashes: NDArray[np.uint32], counts: NDArray[np.uint8]) -> None:
        """Add parallel postings. Raises `StoreError` for a row of 2 ** 24 or more: the scope is too large."""
        if not len(rows):
            return
        if int(rows.max()) > ROW_MASK:
            raise StoreError(
                f"a scope of more than {ROW_MASK:,} records cannot be searched at once: "
                "name a user_id, agent_id or run_id"
            )
        keys = hashes.astype(np.uint64) << np.uint64(32)
        keys |= rows.astype(np.uint64) << np.uint64(8)
        keys |= counts
        keys.sort()
        self._runs.append(keys)
        while len(self._runs) > self._fixed + 1 and len(self._runs[-2]) <= RATIO * len(self._runs[-1]):
            merged = np.concatenate(self._runs[-2:])
            merged.sort()
            self._runs[-2:] = [merged]

    def find(self, hashes: NDArray[np.uint32]) -> Found:
        """The postings of the given terms, run by run, each run's by (term, row) where `hashes` ascend."""
        low = hashes.astype(np.uint64) << np.uint64(32)
        high = low | np.uint64(0xFFFFFFFF)
        terms, keys = [np.zeros(0, np.int64)], [np.zeros(0, np.uint64)]
        numbers = np.arange(len(hashes))
        for run in self._runs:
            starts = np.searchsorted(run, low)
            ends = np.searchsorted(run, high, side="right")
            terms.append(np.repeat(numbers, ends - starts))
            keys += [run[start:end] for start, end in zip(starts.tolist(), ends.tolist(), strict=True)]
        every = np.concatenate(keys)
        row = (every >> np.uint64(8)).astype(np.int64) & ROW_MASK
        return Found(np.concatenate(terms), row, (every & np.uint64(0xFF)).astype(np.int64))

    def often(self, hashes: NDArray[np.uint32], alive: NDArray[np.bool_] | None = None) -> NDArray[np.int64]:
        """In how many rows each term stands; with `alive` (by row), in how many of those."""
        if alive is not None:
            found = self.find(hashes)
            counted = found.term[alive[found.row] & (found.times > 0)]
            return np.bincount(counted, minlength=len(hashes))
        low = hashes.astype(np.uint64) << np.uint64(32)
        often = np.zeros(len(hashes), np.int64)
        for run in self._runs:
            often += np.searchsorted(run, low | np.uint64(0xFFFFFFFF), side="right") - np.searchsorted(
                run, low
            )
        return often

    def renumber(self, new: NDArray[np.int64]) -> None:
        """Row r becomes `new[r]`, which must ascend; postings of rows with -1 go."""
        runs = []
        for run in self._runs:
            row = new[(run >> np.uint64(8)).astype(np.int64) & ROW_MASK]
            rest = run & ~np.uint64(ROW_MASK << 8)
            runs.append((rest | row.astype(np.uint64) << np.uint64(8))[row >= 0])
        self._runs, self._fixed = [run for run in runs if len(run)], 0
