"""From a caller's messages to records: everything is checked before anything is stored."""

from __future__ import annotations

import difflib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime
from math import isfinite
from typing import Any

from engram.kernel.clock import parse_time
from engram.kernel.errors import InvalidInput
from engram.kernel.record import KINDS, ROLES, TEXT_MARK, Interval, Record
from engram.kernel.scope import Scope
from engram.kernel.text import MAX_TEXT, check_text
from engram.kernel.triple import entities_of, triples_of

__all__ = [
    "MAX_TEXT",
    "Draft",
    "Once",
    "check_text",
    "draft",
    "drafts",
    "id_text",
    "json_value",
    "whole_number",
]

_MAX_DEPTH = 100
_MAX_BITS = 1024
_KNOWN_KEYS = ("role", "content", "name", "time", "id", "metadata", "entities", "triples", "title", "valid")
_CALL_KEYS = ("tool_calls", "tool_call_id", "function_call", "refusal", "audio")


@dataclass(frozen=True, slots=True)
class Draft:
    """A record to be stored, and what the receipt should note about it."""

    record: Record
    note: str


@dataclass(frozen=True, slots=True)
class Once:
    """A message that is stored once however often it is sent: under this id where it has none of its own."""

    message: object
    id: str


@dataclass(frozen=True, slots=True)
class _Call:
    """What one `add` gives to all its messages."""

    scope: Scope
    now: datetime
    kind: str
    metadata: Mapping[str, Any]
    expires: datetime | None
    notes: tuple[str, ...]
    once: str | None = None


def drafts(
    messages: object,
    scope: Scope,
    now: datetime,
    *,
    kind: str | None = None,
    metadata: Mapping[str, Any] | None = None,
    expires: object = None,
) -> list[Draft]:
    """The records of one `add`, ids still empty. Raises `InvalidInput` naming the message and the field."""
    if kind is not None and kind not in KINDS:
        raise InvalidInput(f"kind: {kind!r} is not one of {', '.join(KINDS)}")
    until, assumed = (None, False) if expires is None else parse_time(expires, "expires")
    call = _Call(
        scope=scope,
        now=now,
        kind=kind or "episode",
        metadata=_metadata(metadata, "metadata"),
        expires=until,
        notes=("expires has no zone: taken as UTC",) if assumed else (),
    )
    if isinstance(messages, str | Mapping | Once):
        return [_draft(messages, call, "message")]
    if not isinstance(messages, Sequence) or isinstance(messages, bytes | bytearray):
        raise InvalidInput(
            f"messages: expected text, a message or a list of them, got {type(messages).__name__}"
        )
    if not messages:
        raise InvalidInput("messages: the list is empty; give at least one message")
    return [_draft(message, call, f"messages[{index}]") for index, message in enumerate(messages)]


def draft(message: Mapping[str, Any], scope: Scope, now: datetime, kind: str = "episode") -> Draft:
    """The record of one message, its id still empty. Raises `InvalidInput` naming the field."""
    if kind not in KINDS:
        raise InvalidInput(f"kind: {kind!r} is not one of {', '.join(KINDS)}")
    return _draft(message, _Call(scope, now, kind, {}, None, ()), "message")


def whole_number(value: object, place: str, low: int, high: int) -> int:
    """The number itself; raises `InvalidInput` where it is none, or outside `low` to `high`."""
    if not isinstance(value, int) or isinstance(value, bool) or not low <= value <= high:
        raise InvalidInput(f"{place}: expected a whole number from {low} to {high}, got {value!r:.40}")
    return value


def id_text(value: object) -> str:
    """The id itself; raises `InvalidInput` where it is no text, or none that a store can look for."""
    return check_text(value, "id")


def json_value(value: object, place: str, depth: int = 0) -> Any:
    """A copy of `value` as JSON holds it (times as ISO 8601 text); raises `InvalidInput` where it cannot."""
    if depth > _MAX_DEPTH:
        raise InvalidInput(f"{place:.200}: nested over {_MAX_DEPTH} deep; flatten it, or give text")
    if value is None or isinstance(value, bool | int):
        if value is not None and value.bit_length() > _MAX_BITS:
            raise InvalidInput(f"{place}: a number of over {_MAX_BITS} bits; give text")
        return value
    if isinstance(value, str):
        return check_text(value, place)
    if isinstance(value, float):
        if not isfinite(value):
            raise InvalidInput(f"{place}: {value} has no JSON form; leave it out or give text")
        return value
    if isinstance(value, datetime | date):
        return value.isoformat()
    if isinstance(value, Mapping):
        return {
            check_text(key, f"{place} key"): json_value(item, f"{place}.{key}", depth + 1)
            for key, item in value.items()
        }
    if isinstance(value, Sequence) and not isinstance(value, bytes | bytearray):
        return [json_value(item, f"{place}[{index}]", depth + 1) for index, item in enumerate(value)]
    raise InvalidInput(
        f"{place}: {type(value).__name__} has no JSON form; give text, numbers, lists or mappings"
    )


def _draft(message: object, call: _Call, place: str) -> Draft:
    if isinstance(message, Once):
        return _draft(message.message, replace(call, once=message.id), place)
    if isinstance(message, str):
        if not message.strip():
            raise InvalidInput(f"{place}: the text is empty; there is nothing to remember")
        return _record({"role": "user", "content": message}, message, call, place)
    if not isinstance(message, Mapping):
        raise InvalidInput(f"{place}: expected text or a mapping, got {type(message).__name__}")
    _check_keys(message, place)
    return _record(message, json_value(message, place), call, place)


def _record(message: Mapping[str, Any], original: Any, call: _Call, place: str) -> Draft:
    role = message.get("role", "user")
    if role not in ROLES:
        raise InvalidInput(f"{place}.role: {role!r} is not one of {', '.join(ROLES)}")
    text = _text(message, place)
    when, assumed = (call.now, False)
    if message.get("time") is not None:
        when, assumed = parse_time(message["time"], f"{place}.time")
    valid, taken = _valid(message.get("valid"), when, call.kind, f"{place}.valid")
    entities_of(message.get("entities"), f"{place}.entities")
    triples_of(message.get("triples"), f"{place}.triples")
    record = Record(
        id="",
        kind=call.kind,
        text=text,
        scope=call.scope,
        time=when,
        valid=valid,
        known=Interval(call.now),
        level=0 if call.kind == "episode" else None,
        origin=_short(message.get("id"), f"{place}.id") or call.once,
        role=role,
        name=_short(message.get("name"), f"{place}.name"),
        metadata={**call.metadata, **_metadata(message.get("metadata"), f"{place}.metadata")},
        expires=call.expires,
    )
    if record.original != original:
        record = _with_payload(record, original)
    named = (["time"] if assumed else []) + taken
    notes = [*call.notes, *(f"{name} has no zone: taken as UTC" for name in named)]
    if not text.strip():
        notes.append("no text: stored, not indexed")
    return Draft(record, "; ".join(notes))


def _valid(value: object, said: datetime, kind: str, place: str) -> tuple[Interval, list[str]]:
    """When what is added directly holds, and which of its times had no zone.

    Without a start it holds from when it was said, or, where it was over by then, since nobody knows when.
    """
    if value is None:
        return Interval(said), []
    if kind == "episode":
        raise InvalidInput(
            f"{place}: an episode holds from its time on; give 'time', or another kind (kind='fact')"
        )
    if not isinstance(value, Mapping) or not value.keys() <= {"start", "end"}:
        raise InvalidInput(f"{place}: expected {{'start': time, 'end': time}}, got {value!r:.80}")
    found = {name: parse_time(time, f"{place}.{name}") for name, time in value.items() if time is not None}
    start, end = (found[name][0] if name in found else None for name in ("start", "end"))
    if start is not None and end is not None and end <= start:
        raise InvalidInput(f"{place}: ends ({end}) before it starts ({start})")
    if "start" not in value and (end is None or said < end):
        start = said
    return Interval(start, end), [f"valid.{name}" for name, (_, assumed) in found.items() if assumed]


def _with_payload(record: Record, original: Any) -> Record:
    """The record with what it takes to give `original` back exactly, the text not held twice."""
    if isinstance(original, str):
        return replace(record, payload="")
    if original.get("content") == record.text and TEXT_MARK not in original:
        rest = {key: item for key, item in original.items() if key != "content"}
        return replace(record, payload={**rest, TEXT_MARK: True})
    return replace(record, payload=[original])


def _text(message: Mapping[str, Any], place: str) -> str:
    content = message.get("content")
    if isinstance(content, str):
        text = check_text(content, f"{place}.content")
    elif content is None:
        if not any(message.get(key) is not None for key in _CALL_KEYS) and "content" not in message:
            raise InvalidInput(
                f"{place}.content is missing; give text, a list of parts, or null with tool calls"
            )
        text = ""
    elif isinstance(content, Sequence) and not isinstance(content, bytes | bytearray):
        text = "\n".join(
            _part(part, f"{place}.content[{index}]") for index, part in enumerate(content)
        ).strip("\n")
    else:
        raise InvalidInput(
            f"{place}.content: expected text, a list of parts or null, got {type(content).__name__}"
        )
    title = message.get("title")
    if title is not None:
        text = f"{check_text(title, f'{place}.title')}\n{text}"
    return check_text(text, f"{place}.content")


def _part(part: object, place: str) -> str:
    if isinstance(part, str):
        return check_text(part, place)
    if not isinstance(part, Mapping) or not isinstance(part.get("type"), str):
        raise InvalidInput(f"{place}: a part is text or a mapping with a 'type'")
    text = part.get("text", part.get("refusal"))
    return check_text(text, f"{place}.text") if text is not None else ""


def _check_keys(message: Mapping[Any, Any], place: str) -> None:
    """Refuse a misspelt key; a key of some other API is kept with the original."""
    for key in message:
        if not isinstance(key, str):
            raise InvalidInput(f"{place}: keys are text, got {key!r}")
        if key in _KNOWN_KEYS or key in _CALL_KEYS:
            continue
        close = difflib.get_close_matches(key.lower(), _KNOWN_KEYS, n=1, cutoff=0.75)
        if close:
            raise InvalidInput(f"{place}: unknown key {key!r}; did you mean {close[0]!r}?")


def _short(value: object, place: str) -> str | None:
    if value is None:
        return None
    if not isinstance(value, str):
        raise InvalidInput(f"{place}: expected text, got {type(value).__name__}")
    if not value.strip() or len(value) > 512:
        raise InvalidInput(f"{place}: expected 1 to 512 characters, got {len(value)}")
    return check_text(value, place)


def _metadata(value: object, place: str) -> dict[str, Any]:
    if value is None:
        return {}
    if not isinstance(value, Mapping):
        raise InvalidInput(f"{place}: expected a mapping, got {type(value).__name__}")
    plain = json_value(value, place)
    if len(json.dumps(plain)) > MAX_TEXT:
        raise InvalidInput(f"{place}: over 10 MB; store large content as the text of a record")
    return dict(plain)
