"""What readers of foreign files share: a message that `add` will take, a stable id, a run's name, a time."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from datetime import UTC, datetime
from functools import lru_cache
from math import isfinite
from pathlib import PurePosixPath
from typing import Any

from engram.formats.base import Incoming, Skipped
from engram.kernel.clock import parse_time
from engram.kernel.errors import InvalidInput
from engram.kernel.text import MAX_TEXT, encodes

__all__ = ["LONGEST_TEXT", "Ids", "digest", "interval", "made", "moment", "run_name", "speaker", "stem"]

LONGEST_TEXT = MAX_TEXT
"""Bytes that a message may have."""
_LONGEST_ID = 512
_EMPTY = "no text"
_DEEPEST = 90
_WIDEST = 1024
_KEPT_IDS = 1 << 17
_ROLES = {
    "user": "user",
    "human": "user",
    "you": "user",
    "assistant": "assistant",
    "ai": "assistant",
    "bot": "assistant",
    "model": "assistant",
    "chatgpt": "assistant",
    "system": "system",
    "developer": "developer",
    "tool": "tool",
    "function": "tool",
}
_NAMED = ("chatgpt",)


def made(message: Mapping[str, Any], place: str, **where: Any) -> Incoming | Skipped:
    """The message at its place; `Skipped` with the reason where `add` would refuse it.

    `where` is what `Incoming` takes besides; ids of a scope are made printable.
    """
    reason = _unfit(message)
    if reason is not None:
        return Skipped(place, reason, lost=reason != _EMPTY)
    for field in ("run_id", "user_id", "agent_id"):
        if where.get(field) is not None:
            where[field] = run_name(str(where[field])) or None
    return Incoming(message, place, **where)


def _unfit(message: Mapping[str, Any]) -> str | None:
    content = message.get("content")
    if not (content.strip() if isinstance(content, str) else message.get("tool_calls")):
        return _EMPTY
    if isinstance(content, str) and _length(content) > LONGEST_TEXT:
        return "the text is over 10 MB"
    for key in ("id", "name"):
        value = message.get(key)
        if value is not None and (not value.strip() or len(value) > _LONGEST_ID):
            return f"the {key} is not 1 to {_LONGEST_ID} characters long"
    return _no_json(message)


def _no_json(whole: Mapping[str, Any]) -> str | None:
    """Why it cannot be stored: text and numbers that JSON Lines could not carry, or too deep nesting."""
    level: list[Any] = [whole]
    for _ in range(_DEEPEST + 1):
        inner: list[Any] = []
        for outer in level:
            for value in [*outer, *outer.values()] if isinstance(outer, dict) else outer:
                if isinstance(value, str):
                    if "\0" in value:
                        return "it holds a NUL character"
                    if not (value.isascii() or encodes(value)):
                        return "it holds a lone surrogate"
                elif isinstance(value, dict | list | tuple):
                    inner.append(value)
                elif value is not None and (reason := _no_number(value)):
                    return reason
        if not inner:
            return None
        level = inner
    return f"it is nested over {_DEEPEST} deep"


def _no_number(value: object) -> str | None:
    if isinstance(value, float):
        return None if isfinite(value) else "it holds a number that is not finite"
    if isinstance(value, int):
        return None if value.bit_length() <= _WIDEST else f"it holds a number of over {_WIDEST} bits"
    return f"{type(value).__name__} has no JSON form"


def _length(text: str) -> int:
    """Bytes that the text has, or fewer where it cannot be too long."""
    return len(text) if len(text) <= LONGEST_TEXT // 4 else len(text.encode(errors="replace"))


def digest(*parts: str | None) -> str:
    """A stable id of 26 hexadecimal digits for these parts, in this order."""
    joined = "\0".join("\1" if part is None else part for part in parts)
    return hashlib.blake2b(joined.encode(errors="surrogatepass"), digest_size=13).hexdigest()


class Ids:
    """Stable ids of messages that have none: what is said, and its ordinal among the same said before.

    A file that has grown at its end gives the same ids for what it held. Remembers the latest 131,072
    different messages. Further back, timed ones are taken for new (the same words of the same person in
    the same minute); untimed ones count from one again under another name, so that no two are one.
    """

    def __init__(self) -> None:
        self._seen: dict[str, int] = {}
        self._block = 0

    def of(self, *parts: str | None, timed: bool) -> str:
        """The id of the next message of these parts; `timed` where a part says when."""
        return self._next(parts, timed)[0]

    def numbered(self, *parts: str) -> tuple[str, int]:
        """The id of the next thing of this name, and which one of that name it is, from 1."""
        id, ordinal = self._next(parts, False)
        return id, ordinal + 1

    def _next(self, parts: tuple[str | None, ...], timed: bool) -> tuple[str, int]:
        key = digest(*parts)
        ordinal = self._seen.pop(key, -1) + 1
        if len(self._seen) >= _KEPT_IDS:
            self._forget(timed)
        self._seen[key] = ordinal
        return (digest(key, str(self._block), str(ordinal)) if ordinal or self._block else key), ordinal

    def _forget(self, timed: bool) -> None:
        if timed:
            del self._seen[next(iter(self._seen))]
        else:
            self._seen.clear()
            self._block += 1


@lru_cache(1024)
def run_name(text: str) -> str:
    """The text as an id of a scope: printable, without spaces at its ends, 200 characters at most."""
    plain = " ".join("".join(mark if mark.isprintable() else " " for mark in text).split())
    return plain if len(plain) <= 200 else f"{plain[:160]}~{digest(plain)}"


def stem(name: str) -> str:
    """A file's name in its folder, without `.gz` and without its ending."""
    path = PurePosixPath(name.removesuffix(".gz"))
    return str(path.with_suffix("")) if path.name else name


def speaker(name: str) -> dict[str, str]:
    """`role` and `name` of a message for how a transcript calls who speaks."""
    key = " ".join(name.split()).lower()
    role = _ROLES.get(key)
    if role is None:
        return {"role": "user", "name": name}
    return {"role": role, "name": name} if key in _NAMED else {"role": role}


def moment(value: object) -> str | None:
    """The time as ISO 8601, as it was given where it was text; `None` where it is none.

    Numbers are seconds since 1970, or milliseconds where seconds would lie beyond the year 5000.
    """
    if isinstance(value, bool) or value is None or value == "":
        return None
    if isinstance(value, int | float):
        try:
            seconds = value / 1000 if abs(value) > 95_000_000_000 else value
            return datetime.fromtimestamp(seconds, UTC).isoformat()
        except (ValueError, OverflowError, OSError):
            return None
    if not isinstance(value, str):
        return None
    text = value.strip()
    try:
        parse_time(text)
    except InvalidInput:
        return None
    return text


def interval(start: object, end: object) -> tuple[str | None, str | None] | None:
    """The stretch of time, both ends open where nothing is said; raises `ValueError` where it ends first."""
    since, until = moment(start), moment(end)
    if since is None and until is None:
        return None
    if since is not None and until is not None and parse_time(until)[0] < parse_time(since)[0]:
        raise ValueError(f"ends ({until}) before it starts ({since})")
    return since, until
