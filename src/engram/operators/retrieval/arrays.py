"""Arrays in one file: written whole or not at all, checked before they are used, and mapped."""

from __future__ import annotations

import json
import os
import struct
import zlib
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from math import prod
from pathlib import Path
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray

from engram.operators.retrieval.growing import Table

__all__ = ["Broken", "Laid", "facts_of", "laid", "opened", "written"]

_MAGIC = b"engram arrays 1\n"
_END = struct.Struct("<IQ16s")  # crc of the facts, their length, magic
_PAGE = 4096
_READ = 1 << 24
_SPARE = 8  # one in so many columns more than there are, a hole in the file
_TYPES = frozenset({"<u8", "<i8", "<i4", "<f4", "<f8", "|i1", "|u1"})


class Broken(Exception):
    """A file that is not whole, or of another format."""


@dataclass(frozen=True)
class Laid:
    """An array as it is to lie in a file: `shape` with its spare room, and what is in it, by place."""

    dtype: str
    shape: tuple[int, ...]
    pieces: Sequence[tuple[int, NDArray[Any]]]


def laid(value: NDArray[Any] | Table) -> Laid:
    """A table with room to grow, or an array as it is."""
    if isinstance(value, Table):
        room = value.size + value.size // _SPARE + _PAGE
        rows = [(row * room, np.ascontiguousarray(value[row])) for row in range(value.rows)]
        return Laid(value.data.dtype.str, (value.rows, room), rows)
    return Laid(value.dtype.str, value.shape, [(0, np.ascontiguousarray(value))])


def written(
    path: Path, facts: Mapping[str, Any], arrays: Mapping[str, Laid], still: Callable[[], bool]
) -> bool:
    """Write a file anew, for its owner alone; it is under `path` whole, or what was there stays.

    `still` is asked as soon as whoever empties the folder sees the file: where it says no, nothing is
    written, and False is given. Raises `OSError`.
    """
    fresh = path.with_name(f"{path.name}.{os.getpid()}.{os.urandom(4).hex()}.tmp")
    try:
        os.close(os.open(fresh, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600))
        if not still():
            return False
        with fresh.open("r+b") as file:
            _write(file, facts, arrays)
            file.flush()
            os.fsync(file.fileno())
        fresh.replace(path)
    finally:
        fresh.unlink(missing_ok=True)
    _settle(path.parent)
    return True


def _settle(folder: Path) -> None:
    if os.name == "posix":
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


def _write(file: IO[bytes], facts: Mapping[str, Any], arrays: Mapping[str, Laid]) -> None:
    places: dict[str, Any] = {}
    offset = 0
    for name, array in arrays.items():
        size = np.dtype(array.dtype).itemsize
        found = []
        for first, piece in array.pieces:
            file.seek(offset + first * size)
            data = memoryview(piece.reshape(-1).view(np.uint8).data)
            for start in range(0, len(data), _READ):
                file.write(data[start : start + _READ])
            found.append([first, piece.size, zlib.crc32(data)])
        places[name] = {"dtype": array.dtype, "shape": array.shape, "offset": offset, "pieces": found}
        offset += -(-prod(array.shape) * size // _PAGE) * _PAGE
    told = json.dumps({"facts": facts, "arrays": places}).encode()
    file.seek(offset)
    file.write(told + _END.pack(zlib.crc32(told), len(told), _MAGIC))


def facts_of(path: Path) -> dict[str, Any]:
    """The facts in a file, its arrays unread. Raises `Broken`, `OSError`."""
    with path.open("rb") as file:
        facts: dict[str, Any] = _told(file)["facts"]
    return facts


def _told(file: IO[bytes]) -> dict[str, Any]:
    size = file.seek(0, os.SEEK_END)
    if size < _END.size:
        raise Broken("too short")
    file.seek(size - _END.size)
    check, length, magic = _END.unpack(file.read(_END.size))
    if magic != _MAGIC or length > size - _END.size:
        raise Broken("not such a file")
    file.seek(size - _END.size - length)
    told = file.read(length)
    if zlib.crc32(told) != check:
        raise Broken("its facts are damaged")
    found: dict[str, Any] = json.loads(told)
    end = size - _END.size - length
    for place in found["arrays"].values():
        whole = prod(place["shape"]) * np.dtype(place["dtype"]).itemsize
        if place["dtype"] not in _TYPES or place["offset"] + whole > end:
            raise Broken("an array lies outside of it")
    return found


def opened(path: Path) -> tuple[dict[str, Any], dict[str, NDArray[Any]]]:
    """The facts and arrays of a file: mapped, what is written to them stays in this process.

    Everything is read once and compared with its checksum. Raises `Broken`, `OSError`.
    """
    with path.open("rb") as file:
        told = _told(file)
        arrays = {name: _mapped(file, path, place) for name, place in told["arrays"].items()}
    return told["facts"], arrays


def _mapped(file: IO[bytes], path: Path, place: Mapping[str, Any]) -> NDArray[Any]:
    kind = np.dtype(place["dtype"])
    for first, count, check in place["pieces"]:
        file.seek(place["offset"] + first * kind.itemsize)
        if _sum(file, count * kind.itemsize) != check:
            raise Broken("an array is damaged")
    shape = tuple(place["shape"])
    if not prod(shape):
        return np.zeros(shape, kind)
    return np.memmap(path, kind, mode="c", offset=place["offset"], shape=shape).view(np.ndarray)


def _sum(file: IO[bytes], size: int) -> int:
    found = 0
    for part in _parts(file, size):
        found = zlib.crc32(part, found)
    return found


def _parts(file: IO[bytes], size: int) -> Iterable[bytes]:
    while size > 0:
        part = file.read(min(size, _READ))
        if not part:
            raise Broken("an array is cut off")
        size -= len(part)
        yield part
