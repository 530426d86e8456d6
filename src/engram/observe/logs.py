"""The log of a service or a worker: lines for people, or a JSON object a line; no text and no key in any."""

from __future__ import annotations

import json
import logging
import sys
from datetime import UTC, datetime
from typing import Any, Final, Literal

from engram.engine.watching import tracing

__all__ = ["FORMS", "Form", "JsonLines", "logged"]

Form = Literal["text", "json"]
"""How a log is written."""
FORMS: Final[tuple[Form, ...]] = ("text", "json")
_LOGGERS: Final = ("engram", "uvicorn")
_TEXT: Final = "%(asctime)s %(levelname)s %(message)s"


class JsonLines(logging.Formatter):
    """A record of the log as a JSON object on one line.

    `time` (ISO 8601, UTC), `level`, `logger` and `message` are always there, `trace_id` and `span_id` within
    a span; what `extra={"engram": {…}}` brings stands beside them. Of an exception its class is told alone:
    its words may quote a memory.
    """

    def format(self, record: logging.LogRecord) -> str:
        """The line."""
        said: dict[str, Any] = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
            **getattr(record, "engram", {}),
            **tracing(),
        }
        if record.exc_info and record.exc_info[0] is not None:
            said["error"] = record.exc_info[0].__name__
        return json.dumps(said, ensure_ascii=True, default=str, separators=(",", ":"))


def logged(form: str = "text", *, requests: bool = False) -> None:
    """Have the log go to standard error: what goes wrong, and with `requests` each request and job too."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(JsonLines() if form == "json" else logging.Formatter(_TEXT))
    for name in _LOGGERS:
        logger = logging.getLogger(name)
        logger.handlers = [handler]
        logger.propagate = False
    logging.getLogger("engram").setLevel(logging.INFO if requests else logging.WARNING)
