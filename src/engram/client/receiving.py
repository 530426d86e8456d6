"""Answers as they come: held against limits, and nothing of them believed."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any, Final

from engram.client.call import Request, Talk
from engram.client.refusals import unreadable
from engram.client.service import Service
from engram.kernel.errors import ConfigError, EngramError

__all__ = ["Done", "Gathered", "Lines", "heard", "understood", "value_of"]

_LONGEST: Final = 1 << 30
_LONGEST_LINE: Final = 1 << 20
_ODD: Final = (TypeError, ValueError, LookupError, AttributeError, OverflowError, RecursionError)


class Done(Exception):
    """A talk has ended with a value."""

    def __init__(self, value: Any) -> None:
        super().__init__()
        self.value = value


class Gathered:
    """The bytes of an answer. Raises `ConfigError` for more than any answer of a service has."""

    def __init__(self, service: Service, most: int = _LONGEST) -> None:
        self._service, self._most = service, most
        self._parts: list[bytes] = []
        self._size = 0

    def take(self, part: bytes) -> None:
        """Keep what has come."""
        self._size += len(part)
        if self._size > self._most:
            raise ConfigError(f"{self._service.address} answers with over {self._most:,} bytes: ask for less")
        self._parts.append(part)

    @property
    def content(self) -> bytes:
        """All that has come."""
        return b"".join(self._parts)


class Lines:
    """The lines of a stream of events. Raises `ConfigError` for one that is far longer than any event."""

    def __init__(self, service: Service) -> None:
        self._service = service
        self._left = bytearray()

    def take(self, part: bytes) -> list[str]:
        """The lines that end in what has come."""
        *ends, last = part.split(b"\n")
        found = []
        for end in ends:
            found.append((self._left + end).removesuffix(b"\r").decode("utf-8", "replace"))
            self._left.clear()
        self._left += last
        if len(self._left) > _LONGEST_LINE:
            raise ConfigError(f"{self._service.address} sends a line without end: mend the url")
        return found


@contextmanager
def understood(service: Service) -> Iterator[None]:
    """What is read in an answer. Raises `ConfigError` where it has not the shape that engram's has."""
    try:
        yield
    except EngramError:
        raise
    except _ODD as error:
        raise ConfigError(
            f"{service.address} does not answer as engram of this version does: mend the url, or install the "
            "same version on both sides"
        ) from error


def heard(service: Service, talk: Talk[Any], value: Any) -> Request:
    """What a talk asks next, after what was answered. Raises `Done`, and what `understood` raises."""
    try:
        if value is None:
            return next(talk)  # it checks what it was called with: that is the caller's
        with understood(service):
            return talk.send(value)
    except StopIteration as stop:
        raise Done(stop.value) from None


def value_of(service: Service, headers: Mapping[str, str], content: bytes) -> Any:
    """The JSON of an answer. Raises `ConfigError` where it is none, or nothing at all."""
    try:
        value = json.loads(content)
    except (ValueError, RecursionError) as error:
        raise unreadable(service, headers) from error
    if value is None:
        raise unreadable(service, headers)
    return value
