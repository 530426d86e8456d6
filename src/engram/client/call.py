"""One request as it is meant: what the routes are asked, before anything is sent."""

from __future__ import annotations

import json
import secrets
from collections.abc import Generator, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeAlias, TypeVar

__all__ = ["PREFIX", "Request", "Talk", "once"]

T = TypeVar("T")
PREFIX = "/engram/v1"
"""What engram's own routes begin with."""


@dataclass(frozen=True)
class Request:
    """A request to one of engram's own routes.

    One that `changes` is sent under an idempotency key, so that sending it again does nothing twice. `slow`
    is how many seconds the work may take besides what is usual. Without `again` it is not sent again once
    the service may have begun with it. `plain` is a path that is not among engram's own. A stream may be
    `quiet` for so many seconds.
    """

    method: str
    path: str
    params: Mapping[str, str | list[str]] = field(default_factory=dict)
    body: Mapping[str, Any] | None = None
    changes: bool = False
    slow: float = 0.0
    again: bool = True
    plain: bool = False
    quiet: float | None = None

    def encoded(self) -> bytes | None:
        """The body as JSON in UTF-8; half characters stand in it as escapes."""
        if self.body is None:
            return None
        try:
            return json.dumps(self.body, ensure_ascii=False, separators=(",", ":")).encode()
        except UnicodeEncodeError:
            return json.dumps(self.body, separators=(",", ":")).encode()


Talk: TypeAlias = Generator[Request, Any, T]
"""What a call says to the service: requests one after the other, each answered by JSON, and its result."""


def once() -> str:
    """A new idempotency key."""
    return secrets.token_hex(16)
