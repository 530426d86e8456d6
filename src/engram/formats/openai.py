"""Message lists as OpenAI's API takes them."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any, Final

from engram.formats.base import Incoming, Skipped
from engram.formats.making import Ids, moment, run_name, stem
from engram.formats.peek import JSON_ENDINGS, LINE_ENDINGS, json_files, keys_at
from engram.formats.shapes import listed, mapped, opening, text_of, without_nothing
from engram.formats.source import Source
from engram.kernel.record import ROLES

__all__ = ["OpenAI"]

_PLACES: Final = frozenset(
    before + inner
    for before in ("", "item.")
    for inner in (
        *("messages.item", "input.item", "body.messages.item", "body.input.item"),
        *("choices.item.message", "response.body.choices.item.message"),
    )
) | {"", "item", "item.item"}
"""Where the keys of messages stand in the files that are read."""
_STREAMED: Final = ("messages", "input")
_KEPT: Final = ("tool_calls", "tool_call_id", "function_call", "refusal", "audio")
_TIMES: Final = ("time", "timestamp", "created_at", "create_time", "created")
_NAMES: Final = ("custom_id", "conversation_id", "thread_id", "session_id", "id")
"""What says which conversation it is, where a list of messages stands in an object."""
_RENAMED: Final = {"function": "tool", "model": "assistant"}
_LARGE: Final = 1 << 16


class OpenAI:
    """Messages with `role` and `content` in `.json` or `.jsonl` files, or in folders or zips of them.

    A file holds a list of messages, or objects with `messages` (also `input`, `body.messages` as in batch
    requests, or `choices` as in batch results and stored completions), alone, in a list or line by line as
    for fine-tuning, or lists in a list. Each list is a run: it is called as its `custom_id`,
    `conversation_id`, `thread_id`, `session_id` or `id` says, or else as the file, with its number (or that
    of its line) where a file holds several. `content` as text or parts, `name`, `tool_calls`,
    `tool_call_id`, `function_call`, `refusal` and `metadata` are kept; `time`, `timestamp`, `created_at` or
    `created` is the time. Messages without `id` get one from what they say and how often it was said before
    in that run.

    Left out, with the reason: messages of unknown roles, without words or calls, items that are no
    messages, and in place of pictures and sound of over 64 KiB stands how long they were.
    """

    name = "openai"
    title = "OpenAI-style message lists (JSON or JSON Lines)"

    def recognises(self, source: Source) -> bool:
        """Whether the first file begins with such messages."""
        names = json_files(source, (*JSON_ENDINGS, *LINE_ENDINGS))
        found = keys_at(source.head(names[0])) if names else {}
        if "core_memory" in found.get("", ()):
            return False  # an agent of Letta's
        return any(
            "role" in keys and keys & {"content", "tool_calls"} and "uuid" not in keys  # a message of Zep's
            for place, keys in found.items()
            if place in _PLACES
        )

    def read(self, source: Source) -> Iterator[Incoming | Skipped]:
        """The messages, list after list. Raises `InvalidInput` for what is not JSON."""
        names = json_files(source, (*JSON_ENDINGS, *LINE_ENDINGS))
        source.expect(names)
        for name in names:
            place = source.place(name)
            if _by_lines(source, name):
                values = ((f"{place}:{line}", line, value) for line, value in source.json_lines(name))
                yield from _values(values, stem(name))
            elif opening(source, name).lstrip().startswith("["):
                items = source.items(name)
                yield from _values(((f"{place}: [{n}]", n + 1, value) for n, value in items), stem(name))
            else:
                yield from _object(source, name)


def _by_lines(source: Source, name: str) -> bool:
    """Whether a file is JSON Lines: it is called so, or its first line is a whole value and not the last."""
    if name.lower().endswith(LINE_ENDINGS):
        return True
    first, _, rest = opening(source, name).lstrip().partition("\n")
    try:
        json.loads(first)
    except (ValueError, RecursionError):
        return False
    return rest.lstrip()[:1] in ("{", "[")


def _object(source: Source, name: str) -> Iterator[Incoming | Skipped]:
    """One object, its messages one by one where they stand in it directly."""
    place = source.place(name)
    at = keys_at(source.head(name))
    key = next((key for key in _STREAMED if f"{key}.item" in at), None)
    if key is None:
        for _, value in source.items(name, ""):
            yield from _values(iter([(place, None, value)]), stem(name))
        return
    run, ids = stem(name), Ids()
    for own in (own for own in _NAMES if own in at.get("", ())):
        run = next((text_of(value) for _, value in source.items(name, own)), "") or run
        break
    for number, value in source.items(name, f"{key}.item"):
        yield _message(value, f"{place}: {key}[{number}]", run, ids)


def _values(values: Iterator[tuple[str, int | None, Any]], run: str) -> Iterator[Incoming | Skipped]:
    """Values of a file: messages of one list, or lists; each with its place and number."""
    together = Ids()
    for place, number, value in values:
        if isinstance(value, Mapping) and "role" in value:
            yield _message(value, place, run, together)
            continue
        said = _list_of(value)
        if said is None:
            yield Skipped(place, _no_message(value))
            continue
        whole = mapped(value)
        own = next((text_of(whole.get(key)) for key in _NAMES if text_of(whole.get(key))), "")
        called = own or (run if number is None else f"{run}#{number}")
        body = mapped(mapped(whole.get("response")).get("body")) or mapped(whole.get("body"))
        ids, time = Ids(), _time(whole) or _time(body)
        for count, message in enumerate(said):
            yield _message(message, f"{place}.messages[{count}]", called, ids, time)


def _list_of(value: object) -> list[Any] | None:
    """The messages of a list or an object."""
    if isinstance(value, list):
        return value
    whole = mapped(value)
    for holder in (whole, mapped(whole.get("body")), mapped(mapped(whole.get("response")).get("body"))):
        for key in ("messages", "input"):
            if isinstance(holder.get(key), list):
                return listed(holder[key])
        if isinstance(holder.get("choices"), list):
            return [mapped(choice).get("message") for choice in holder["choices"]]
    return None


def _message(value: object, place: str, run: str, ids: Ids, time: str | None = None) -> Incoming | Skipped:
    given = mapped(value)
    if "role" not in given:
        return Skipped(place, _no_message(value))
    role = text_of(given["role"]).lower()
    role = _RENAMED.get(role, role)
    if role not in ROLES:
        return Skipped(place, f"role {role[:40]!r} is unknown", lost=True)
    content, left_out = _content(given.get("content"))
    kept = without_nothing(**{key: given.get(key) for key in _KEPT})
    if not isinstance(content, str | list | None):
        return Skipped(place, f"content is {type(content).__name__}, not text or parts", lost=True)
    if not kept and not _words(content):
        return Skipped(place, f"no text: {', '.join(left_out)}" if left_out else "no text")
    metadata = {**mapped(given.get("metadata")), **without_nothing(left_out=left_out)}
    name, when = text_of(given.get("name")).strip(), _time(given) or time
    id = text_of(given.get("id")) or ids.of(
        role, name, json.dumps([content, kept], sort_keys=True), _time(given), timed=_time(given) is not None
    )
    message = {"role": role, "content": content, "id": id, **kept}
    message |= without_nothing(name=name, time=when, metadata=metadata)
    return Incoming(message, place, run_id=run_name(run) or None)


def _content(content: object) -> tuple[object, list[str]]:
    """The content without large parts that hold no text, and the kinds of those."""
    if not isinstance(content, list):
        return content, []
    parts: list[Any] = []
    left_out: set[str] = set()
    for part in content:
        silent = isinstance(part, Mapping) and "text" not in part and "refusal" not in part
        length = len(json.dumps(part)) if silent else 0
        if length > _LARGE:
            kind = text_of(part.get("type")) or "part"
            parts.append({"type": kind, "left_out": f"{length} characters"})
            left_out.add(kind)
        else:
            parts.append(part)
    return parts, sorted(left_out)


def _words(content: object) -> bool:
    """Whether something is said in text or in one of the parts."""
    if isinstance(content, str):
        return bool(content.strip())
    texts = (part if isinstance(part, str) else text_of(mapped(part).get("text")) for part in listed(content))
    return any(text.strip() for text in texts)


def _time(given: Mapping[str, Any]) -> str | None:
    return next((time for key in _TIMES if (time := moment(given.get(key)))), None)


def _no_message(value: object) -> str:
    kind = text_of(mapped(value).get("type")) or type(value).__name__
    return f"no message: {kind[:40]}"
