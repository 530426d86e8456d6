"""Who read and changed what: a line a call, ids only."""

from __future__ import annotations

import json
import logging
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from logging.handlers import WatchedFileHandler
from pathlib import Path
from typing import Any

from engram.kernel.errors import ConfigError

__all__ = ["Audit", "Entry"]

_MOST_IDS = 1000


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

    The file is made for its owner alone; one that was moved away, as log rotation does, is made anew.
    """

    def __init__(self, path: Path | None) -> None:
        self.path = path
        self._handler = None if path is None else _opened(path)

    def note(self, entry: Entry) -> None:
        """Write one call down."""
        if self._handler is not None:
            line = json.dumps(entry.to_dict(), separators=(",", ":"))
            self._handler.handle(logging.makeLogRecord({"msg": line}))

    def close(self) -> None:
        """Release the file."""
        if self._handler is not None:
            self._handler.close()


class _Private(WatchedFileHandler):
    """A file that only its owner may read; what cannot be written is an error, not a note on the screen."""

    def _open(self) -> Any:
        number = os.open(self.baseFilename, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
        return os.fdopen(number, "a", encoding="utf-8")

    def handleError(self, record: logging.LogRecord) -> None:  # noqa: N802 - logging's own name
        raise  # noqa: PLE0704 - logging calls it inside of its except


def _opened(path: Path) -> _Private:
    try:
        return _Private(path)
    except OSError as error:
        raise ConfigError(
            f"the audit {path} cannot be written ({error.strerror}); give another one"
        ) from error
