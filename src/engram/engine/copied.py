"""What a copy counts by: numbers of changes in two stores, and a checksum that knows no order."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass, field, replace
from typing import Any

from engram.kernel.record import Edge, Interval, Record

__all__ = ["Numbers", "Sum"]


@dataclass
class Numbers:
    """How the source's numbers of changes become the copy's: each stretch of them is shifted by its own."""

    upto: int = 0
    shifts: list[tuple[int, int]] = field(default_factory=list)

    def at(self, number: int) -> int:
        """The copy's number; 0 stays."""
        fitting = [shift for start, shift in self.shifts if start <= number]
        return number + fitting[-1] if number and fitting else number

    def record(self, version: Record) -> Record:
        """A version as the copy holds it, as it stood at `upto`."""
        later = version.closed is not None and version.closed > self.upto
        then = replace(version, known=Interval(version.known.start), closed=None) if later else version
        closed = None if then.closed is None else self.at(then.closed)
        return replace(then, arrival=self.at(then.arrival), opened=self.at(then.opened), closed=closed)

    def edge(self, edge: Edge) -> Edge:
        """A version of an edge as the copy holds it, as it stood at `upto`."""
        later = edge.closed is not None and edge.closed > self.upto
        then = replace(edge, known=Interval(edge.known.start), closed=None) if later else edge
        closed = None if then.closed is None else self.at(then.closed)
        return replace(then, opened=self.at(then.opened), closed=closed, sequence=0)


class Sum:
    """A checksum of many things, the same in whatever order they come."""

    def __init__(self) -> None:
        self._total = 0

    def add(self, *items: Any) -> None:
        """Count something in."""
        text = json.dumps(items, ensure_ascii=False, sort_keys=True, separators=(",", ":"))
        digest = hashlib.blake2b(text.encode(), digest_size=16).digest()
        self._total = (self._total + int.from_bytes(digest, "big")) % (1 << 128)

    @property
    def hex(self) -> str:
        """The sum so far."""
        return f"{self._total:032x}"
