"""The ids of millions of rows without an object for each: bytes in one array, and places found by hash."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import overload

import numpy as np
from numpy.typing import NDArray

__all__ = ["Ids", "Picked", "Places", "hashed", "packed"]

_WORD = 8
_MIX = np.uint64(0x9E3779B97F4A7C15)
_SHIFT = np.uint64(29)


def packed(ids: Sequence[str]) -> NDArray[np.uint64]:
    """Ids as UTF-8 in whole words of eight bytes, padded with zeros, shape [len(ids), words]."""
    raw = [id.encode() for id in ids]
    words = max(1, -(-max(map(len, raw), default=1) // _WORD))
    width = words * _WORD
    return np.frombuffer(b"".join(id.ljust(width, b"\0") for id in raw), "<u8").reshape(len(raw), words)


def hashed(words: NDArray[np.uint64]) -> NDArray[np.uint64]:
    """A hash of each id, shape [n]; the same on every machine."""
    found = np.zeros(len(words), np.uint64)
    for column in words.T:
        found ^= column
        found *= _MIX
        found ^= found >> _SHIFT
    return found


class Ids(Sequence[str]):
    """Ids by row: those of an array as `packed` makes it, and behind it those that came since."""

    def __init__(self, base: NDArray[np.uint64], more: Iterable[str] = ()) -> None:
        self._base = base
        self._more = list(more)

    def __len__(self) -> int:
        return len(self._base) + len(self._more)

    @overload
    def __getitem__(self, row: int) -> str: ...
    @overload
    def __getitem__(self, row: slice) -> list[str]: ...
    def __getitem__(self, row: int | slice) -> str | list[str]:
        if isinstance(row, slice):
            return [self[place] for place in range(*row.indices(len(self)))]
        if row < 0:
            row += len(self)
        first = row - len(self._base)
        return self._more[first] if first >= 0 else self._base[row].tobytes().rstrip(b"\0").decode()

    def __iter__(self) -> Iterator[str]:
        for row in range(len(self)):
            yield self[row]

    def extend(self, ids: Iterable[str], /) -> None:
        """Put more ids behind."""
        self._more += ids


class Picked(Sequence[str]):
    """The ids of some rows, looked up when they are asked for."""

    def __init__(self, ids: Sequence[str], rows: NDArray[np.int64]) -> None:
        self._ids, self._rows = ids, rows

    def __len__(self) -> int:
        return len(self._rows)

    @overload
    def __getitem__(self, row: int) -> str: ...
    @overload
    def __getitem__(self, row: slice) -> list[str]: ...
    def __getitem__(self, row: int | slice) -> str | list[str]:
        if isinstance(row, slice):
            return [self._ids[int(place)] for place in self._rows[row]]
        return self._ids[int(self._rows[row])]


class Places(dict[str, int]):
    """The row of each current id: found by hash among the rows that were there first, else in a dictionary.

    `hashes` ascend, `rows` are parallel to them. Like the dictionary that it stands for, as far as an index
    uses one: `get`, `[]`, `del`, `update`.
    """

    def __init__(
        self, ids: Sequence[str], hashes: NDArray[np.uint64], rows: NDArray[np.int32], width: int
    ) -> None:
        super().__init__()
        self._ids, self._hashes, self._rows, self._width = ids, hashes, rows, width
        self._gone: set[str] = set()

    def __contains__(self, id: object) -> bool:
        return isinstance(id, str) and self.get(id) is not None

    def __missing__(self, id: str) -> int:
        found = self._base(id)
        if found is None:
            raise KeyError(id)
        return found

    def get(self, id: str, default: int | None = None) -> int | None:  # type: ignore[override]  # pyright: ignore[reportIncompatibleMethodOverride]
        """The row of an id, or `default`."""
        if super().__contains__(id):
            return super().__getitem__(id)
        found = self._base(id)
        return default if found is None else found

    def __delitem__(self, id: str) -> None:
        if super().__contains__(id):
            super().__delitem__(id)
        elif self._base(id) is None:
            raise KeyError(id)
        self._gone.add(id)  # a row of the base that it had before stays taken out

    def _base(self, id: str) -> int | None:
        if id in self._gone:
            return None
        words = packed([id])
        if words.shape[1] > self._width:
            return None
        wide = np.zeros((1, self._width), np.uint64)
        wide[:, : words.shape[1]] = words
        key = hashed(wide)
        low, high = (int(np.searchsorted(self._hashes, key, side=side)[0]) for side in ("left", "right"))
        for row in self._rows[low:high].tolist():
            if self._ids[row] == id:
                return int(row)
        return None
