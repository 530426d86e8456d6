"""The audit read again: newest first, through rotated files, whatever has become of some of its lines."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, BinaryIO, Final

from engram.kernel.errors import InvalidInput

__all__ = ["Line", "Trail", "Wanted", "read_trail"]

_BLOCK: Final = 1 << 16
_LONGEST: Final = 1 << 20
_MOST: Final = 64 << 20
_JITTER: Final = timedelta(minutes=5)  # processes that write one file do not write in order of time
_FIELDS: Final = {"time": str, "request": str, "key": str, "call": str, "scope": dict, "ids": list,
                  "count": int, "outcome": str}  # fmt: skip
Line = dict[str, Any]
"""A line of the audit as `Entry.to_dict` made it."""


@dataclass(frozen=True, slots=True)
class Wanted:
    """Which lines are wanted: in [since, until), of a key, a call, a record, a tenant, a user."""

    since: datetime | None = None
    until: datetime | None = None
    key: str | None = None
    call: str | None = None
    record: str | None = None
    scope: Mapping[str, str] = field(default_factory=dict)

    def fits(self, line: Line, time: datetime) -> bool:
        """Whether a line is one of them."""
        return (
            (self.since is None or time >= self.since)
            and (self.until is None or time < self.until)
            and self.key in (None, line["key"])
            and self.call in (None, line["call"])
            and (self.record is None or self.record in line["ids"])
            and all(line["scope"].get(name) == id for name, id in self.scope.items())
        )


@dataclass
class Trail:
    """A page of the audit, newest first; `next` goes on, and may be there though the page is short.

    `damaged` counts lines of what was looked at that cannot be read.
    """

    items: list[Line] = field(default_factory=list)
    next: str | None = None
    damaged: int = 0


def read_trail(
    path: Path, wanted: Wanted, sees: Callable[[Line], bool], after: str | None, limit: int
) -> Trail:
    """At most `limit` lines that are wanted and seen, of the file and those that it was rotated into.

    It looks at 64 MB at most. Raises `InvalidInput` for an `after` that is no place, or is gone.
    """
    trail, left = Trail(), _MOST
    for file, name, end in _files(path, after):
        with file:
            stop = file.seek(0, os.SEEK_END) if end is None else end
            start = stop
            for start, raw in _backwards(file, stop):
                line, time = _parsed(raw)
                if line is None or time is None:
                    trail.damaged += 1
                elif wanted.since is not None and time < wanted.since - _JITTER:
                    return trail
                elif wanted.fits(line, time) and sees(line):
                    trail.items.append(line)
                if len(trail.items) == limit or stop - start > left:
                    trail.next = f"{name}.{start:x}"
                    return trail
            left -= stop - start
    return trail


def _files(path: Path, after: str | None) -> Iterator[tuple[BinaryIO, str, int | None]]:
    """The files from where `after` stands, newest first: open, by a name that lasts, and where to begin."""
    rotated = re.compile(re.escape(path.name) + r"[.-]\d+")
    others = [item for item in path.parent.iterdir() if rotated.fullmatch(item.name)]
    others.sort(key=_changed, reverse=True)
    name, end = _place(after)
    begun = name is None
    for item in (path, *others):
        if not item.is_file():
            continue
        file = item.open("rb")
        held = os.fstat(file.fileno())
        mine = f"{held.st_ino:x}"
        begun = begun or (mine == name and (end or 0) <= held.st_size)
        if begun:
            yield file, mine, end if mine == name else None
        else:
            file.close()
    if not begun:
        raise InvalidInput(f"after: {after!r:.40} is no place in this audit any more; begin anew without it")


def _changed(path: Path) -> float:
    """When a file was changed last; long ago, where it is gone by now."""
    try:
        return path.stat().st_mtime
    except FileNotFoundError:
        return 0.0


def _place(after: str | None) -> tuple[str | None, int | None]:
    if after is None:
        return None, None
    found = re.fullmatch(r"([0-9a-f]{1,32})\.([0-9a-f]{1,15})", after)
    if found is None:
        raise InvalidInput(f"after: {after!r:.40} is no place in the audit; give a page's next")
    return found[1], int(found[2], 16)


def _backwards(file: BinaryIO, end: int) -> Iterator[tuple[int, bytes]]:
    """Lines before `end` with where they begin, the last first; of one that is far too long, a part."""
    rest, place = b"", end
    while place:
        size = min(_BLOCK, place)
        place -= size
        file.seek(place)
        parts = (file.read(size) + rest[:_LONGEST]).split(b"\n")
        starts = [place]
        for part in parts:
            starts.append(starts[-1] + len(part) + 1)
        for start, part in reversed(list(zip(starts, parts, strict=False))[1:]):
            if part:
                yield start, part
        rest = parts[0]
    if rest:
        yield 0, rest


def _parsed(raw: bytes) -> tuple[Line | None, datetime | None]:
    """A line and its time; neither where it is none of the audit's."""
    try:
        found = json.loads(raw)
        fits = isinstance(found, dict) and all(isinstance(found.get(n), kind) for n, kind in _FIELDS.items())
        if not fits or not all(isinstance(item, str) for item in (*found["ids"], *found["scope"].values())):
            return None, None
        time = datetime.fromisoformat(found["time"])
    except (ValueError, RecursionError):
        return None, None
    return ({name: found[name] for name in _FIELDS}, time) if time.tzinfo else (None, None)
