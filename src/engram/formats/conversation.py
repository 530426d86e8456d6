"""The plain conversation format: what was said, by whom, when."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any, Final

from engram.formats.base import Incoming, Skipped
from engram.formats.making import run_name, stem
from engram.formats.shapes import opening
from engram.formats.source import Source
from engram.kernel.clock import parse_time
from engram.kernel.errors import InvalidInput
from engram.kernel.text import check_text

__all__ = ["ENDINGS", "Plain", "document_of", "id_of", "text_of", "turn_of"]

ENDINGS: Final = (".json", ".json.gz")
"""How files of this format are called."""
_LISTS: Final = re.compile(r'\s*\{.*?"(turns|documents)"\s*:\s*\[', re.DOTALL)
_ROLES: Final = ("user", "assistant")
_LONGEST: Final = 512


class Plain:
    """`.json` and `.json.gz` files with `turns` or `documents`, as `engram bench` reads them, or folders.

    A turn has `id` and `text`, and may have `session`, `speaker` and `time`; a document `id`, `text`, and
    maybe `title`, `entities` and `triples`. The user is the file's `name`, or how the file is called; the
    run is the session, and each document its own. A speaker `user` or `assistant` is a role, any other a
    user of that name.

    Left out, with the reason: turns and documents that break these rules, and `questions`.
    """

    name = "conversation"
    title = "Conversations in engram's plain JSON (turns or documents)"

    def recognises(self, source: Source) -> bool:
        """Whether every JSON file starts as such a conversation."""
        names = _files(source)
        return bool(names) and all(_LISTS.match(opening(source, name)) for name in names)

    def read(self, source: Source) -> Iterator[Incoming | Skipped]:
        """The turns, then the documents, file after file. Raises `InvalidInput` for what is not JSON."""
        names = _files(source)
        source.expect(names)
        for name in names:
            place = source.place(name)
            named = next((value for _, value in source.items(name, "name")), None)
            user = run_name(str(named)) if isinstance(named, str | int) and named else stem(name)
            for key, read in (("turns", turn_of), ("documents", document_of)):
                for number, value in source.items(name, f"{key}.item"):
                    where = f"{place}: {key}[{number}]"
                    try:
                        run, message = read(value, where)
                    except InvalidInput as error:
                        yield Skipped(where, str(error).removeprefix(where).lstrip(":. "), lost=True)
                    else:
                        yield Incoming(message, where, user_id=user, run_id=run)


def _files(source: Source) -> list[str]:
    return [name for name in source.names if name.lower().endswith(ENDINGS)]


def turn_of(turn: Any, place: str) -> tuple[str | None, dict[str, Any]]:
    """The session of a turn, and its message. Raises `InvalidInput` naming the place and the field."""
    message = _message(turn, place)
    speaker = id_of(turn["speaker"], f"{place}.speaker") if turn.get("speaker") is not None else "user"
    if speaker.lower() in _ROLES:
        message["role"] = speaker.lower()
    else:
        message["name"] = speaker
    session = turn.get("session")
    return None if session is None else id_of(session, f"{place}.session"), message


def document_of(document: Any, place: str) -> tuple[str, dict[str, Any]]:
    """The session of a document, which is its own, and its message. Raises `InvalidInput` likewise."""
    message = _message(document, place)
    if document.get("title") is not None:
        message["title"] = text_of(document, "title", place)
    message |= {key: document[key] for key in ("entities", "triples") if document.get(key) is not None}
    return message["id"], message


def id_of(value: Any, place: str) -> str:
    """An id or a name as text; raises `InvalidInput` for what no scope or message can be called."""
    text = "" if isinstance(value, bool) or not isinstance(value, str | int) else _digits(value)
    if not text.strip() or len(text) > _LONGEST or not text.isprintable():
        raise InvalidInput(
            f"{place}: expected a number, or 1 to {_LONGEST} printable characters, got {value!r:.40}"
        )
    return text


def text_of(content: Mapping[str, Any], key: str, place: str) -> str:
    """The text under a key; raises `InvalidInput` where it is missing or cannot be stored."""
    if key not in content:
        raise InvalidInput(f"{place}.{key} is missing")
    return check_text(content[key], f"{place}.{key}")


def _message(item: Any, place: str) -> dict[str, Any]:
    """What turns and documents share: a user's message with its id, text and time."""
    if not isinstance(item, dict):
        raise InvalidInput(f"{place}: expected an object, got {type(item).__name__}")
    id = id_of(item.get("id"), f"{place}.id")
    message: dict[str, Any] = {"role": "user", "content": text_of(item, "text", place), "id": id}
    if item.get("time") is not None:
        parse_time(item["time"], f"{place}.time")
        message["time"] = item["time"]
    return message


def _digits(value: str | int) -> str:
    return value if isinstance(value, str) else str(value) if value.bit_length() <= 1024 else ""
