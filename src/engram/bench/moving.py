"""Importing beside adding: the same turns as a data export, in many short conversations or a long one."""

from __future__ import annotations

from pathlib import Path
from statistics import median
from time import perf_counter
from types import TracebackType
from typing import Self

from engram.bench.archives import TURNS, chats, write_export
from engram.kernel.errors import StoreError
from engram.memory import Memory

__all__ = ["Moving"]

_SHAPES = {"import_short": TURNS, "import_long": 0}


class Moving:
    """Two stores that are filled by importing, block by block while another is filled by adding."""

    def __init__(self, folder: Path, policy: str) -> None:
        self._folder = folder
        self._memories = {shape: Memory(f"sqlite:///{folder}/{shape}.db", policy=policy) for shape in _SHAPES}
        self._seconds: dict[str, list[float]] = {shape: [] for shape in _SHAPES}

    def take(self, count: int, start: int) -> None:
        """Import the turns that have these numbers into each. Raises `StoreError` where not all are taken."""
        for shape, turns in _SHAPES.items():
            path = self._folder / f"{shape}.json"
            write_export(path, chats(count, start=start, turns=turns))
            begun = perf_counter()
            imported = self._memories[shape].import_(path, user_id="speed")
            self._seconds[shape].append((perf_counter() - begun) / count)
            if imported.stored != count:
                raise StoreError(f"{imported.stored} of {count} messages were imported: {imported}")

    def rates(self) -> dict[str, float]:
        """Messages a second, medians over the blocks."""
        return {shape: 1 / median(seconds) for shape, seconds in self._seconds.items()}

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for memory in self._memories.values():
            memory.close()
