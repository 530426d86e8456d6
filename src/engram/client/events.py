"""Events of a service: what changes in a scope, and what becomes of its owed work."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from engram.kernel.scope import Scope

__all__ = ["Change", "JobEvent", "Reader", "change_of", "job_event_of"]

_LONGEST_PAUSE = 60.0
_DIGITS = 9
_MOST_LINES = 1000


@dataclass(frozen=True, slots=True)
class Change:
    """A version that was written or closed in a scope; or that something was erased, here or elsewhere.

    `id`, `version`, `kind` and `scope` are the record's; an erasure has none of them, as what is gone has no
    id any more. Given as `after`, `place` goes on behind it.
    """

    event: Literal["written", "closed", "erased"]
    id: str | None = None
    version: int | None = None
    kind: str | None = None
    scope: Scope | None = None
    place: str | None = None


@dataclass(frozen=True, slots=True)
class JobEvent:
    """A job that is owed, has changed its `status` (`pending`, `running`, `parked` …), or has `ended`."""

    id: str
    status: str
    kind: str | None = None
    scope: Scope | None = None


@dataclass
class _Event:
    """An event as the stream has it."""

    name: str
    data: Mapping[str, Any]
    place: str | None


class Reader:
    """Reads the lines of a stream of events, and knows where to go on and how long to pause before that."""

    def __init__(self, place: str | None = None) -> None:
        self.place = place
        self.pause = 2.0
        self._name = ""
        self._next = place
        self._data: list[str] = []

    @property
    def headers(self) -> dict[str, str]:
        """What a stream is asked for with."""
        return {"Accept": "text/event-stream", **({"Last-Event-ID": self.place} if self.place else {})}

    def take(self, line: str) -> _Event | None:
        """The event that this line ends, if it ends one. What broke off in the middle of one is dropped."""
        if not line:
            name, data = self._name, "\n".join(self._data)
            self._name, self._data, self.place = "", [], self._next
            return _Event(name, json.loads(data), self.place) if data else None
        field, _, value = line.partition(":")
        value = value.removeprefix(" ")
        if field == "event":
            self._name = value
        elif field == "data":
            self._data.append(value)
            if len(self._data) > _MOST_LINES:
                raise ValueError("an event without end")
        elif field == "id" and value.isascii() and value.isprintable():
            self._next = value
        elif field == "retry" and value.isascii() and value.isdigit():
            self.pause = min(int(value[:_DIGITS]) / 1000, _LONGEST_PAUSE)
        return None

    def cut(self) -> None:
        """The stream has ended; another one goes on."""
        self._name, self._data, self._next = "", [], self.place


def change_of(event: _Event) -> Change | None:
    """The change that an event tells."""
    if event.name == "erasure":
        return Change("erased", place=event.place)
    if event.name != "change":
        return None
    data = event.data
    return Change(
        data["event"], data["id"], data["version"], data["kind"], Scope.of(**data["scope"]), event.place
    )


def job_event_of(event: _Event) -> JobEvent | None:
    """What an event tells of a job."""
    if event.name != "job":
        return None
    data = event.data
    scope = Scope.of(**data["scope"]) if "scope" in data else None
    return JobEvent(data["id"], data["status"], data.get("kind"), scope)
