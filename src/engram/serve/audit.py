"""Who read and changed what: a line a call, ids only."""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from engram.kernel.errors import ConfigError

__all__ = ["OUTPUT", "Audit", "Entry"]

OUTPUT = Path("-")
"""Standard output."""
_MOST_IDS = 1000
_LOOK = 1.0


@dataclass(frozen=True, slots=True)
class Entry:
    """One call: who, what, whose memory, which records, and what came of it. It holds no text."""

    time: datetime
    request: str
    key: str
    call: str
    scope: Mapping[str, str]
    ids: Sequence[str] = ()
    count: int | None = None
    outcome: str = "done"

    def to_dict(self) -> dict[str, Any]:
        """The fields as JSON values; of very many ids the first ones."""
        return {
            "time": self.time.isoformat(),
            "request": self.request,
            "key": self.key,
            "call": self.call,
            "scope": dict(self.scope),
            "ids": list(self.ids[:_MOST_IDS]),
            "count": len(self.ids) if self.count is None else self.count,
            "outcome": self.outcome,
        }


class Audit:
    """A file of JSON lines, written before the answer goes out. Without a path nothing is kept.

    The file is made for its owner alone; one that was moved away, as log rotation does, is made anew within
    a second. `-` is standard output, where a container's lines are gathered. Raises
    `ConfigError` where it cannot be made, `OSError` where it cannot be written.
    """

    def __init__(self, path: Path | None) -> None:
        self.path = path
        self._file = -1 if path is None else _opened(path)
        self._looked = time.monotonic()

    def note(self, entry: Entry) -> None:
        """Write one call down."""
        if self.path is None:
            return
        if time.monotonic() - self._looked > _LOOK:
            self.look()
        os.write(self._file, json.dumps(entry.to_dict(), separators=(",", ":")).encode() + b"\n")

    def look(self) -> None:
        """Begin a new file where the one that was written is gone from its place."""
        self._looked = time.monotonic()
        if self.path not in (None, OUTPUT) and not (
            self.path.exists() and os.path.samestat(self.path.stat(), os.fstat(self._file))
        ):
            fresh = _opened(self.path)
            os.close(self._file)
            self._file = fresh

    def close(self) -> None:
        """Release the file."""
        if self._file >= 0:
            os.close(self._file)
            self._file = -1


def _opened(path: Path) -> int:
    if path == OUTPUT:
        return os.dup(sys.stdout.fileno())
    try:
        return os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | getattr(os, "O_CLOEXEC", 0), 0o600)
    except OSError as error:
        raise ConfigError(
            f"the audit {path} cannot be written ({error.strerror}); give another one"
        ) from error
