"""Conversations and documents in engram's own plain JSON."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any, Final

from engram.formats.base import Incoming, Skipped
from engram.formats.making import made, run_name, stem
from engram.formats.source import Source

__all__ = ["Plain"]

_ENDINGS: Final = (".json", ".json.gz")
_LISTS: Final = re.compile(rb'^\s*\{.*?"(turns|documents)"\s*:\s*\[', re.DOTALL)
_ROLES: Final = ("user", "assistant")


class Plain:
    """`.json` files with `turns` or `documents`, as `engram bench` reads them, or folders of such files.

    A turn has `id` and `text`, and may have `session`, `speaker` and `time`; a document `id`, `text`, and
    maybe `title`, `entities` and `triples`. The user is the file's `name`, or how the file is called; the
    run is the session, and each document its own. A speaker `user` or `assistant` is a role.

    Left out, with the reason: what is no object, or has no id or text.
    """

    name = "conversation"
    title = "Conversations in engram's plain JSON (turns or documents)"

    def recognises(self, source: Source) -> bool:
        """Whether every JSON file starts as such a conversation."""
        names = _files(source)
        return bool(names) and all(_LISTS.match(source.head(name)) for name in names)

    def read(self, source: Source) -> Iterator[Incoming | Skipped]:
        """The turns, then the documents, file after file. Raises `InvalidInput` for what is not JSON."""
        for name in _files(source):
            named = next((value for _, value in source.items(name, "name")), None)
            user = run_name(str(named)) if isinstance(named, str | int) and named else stem(name)
            for number, turn in source.items(name, "turns.item"):
                yield _turn(turn, f"{source.place(name)}: turns[{number}]", user)
            for number, document in source.items(name, "documents.item"):
                yield _document(document, f"{source.place(name)}: documents[{number}]", user)


def _files(source: Source) -> list[str]:
    return [name for name in source.names if name.lower().endswith(_ENDINGS)]


def _turn(turn: Any, place: str, user: str) -> Incoming | Skipped:
    message = _message(turn, place)
    if isinstance(message, Skipped):
        return message
    speaker = _text(turn.get("speaker")) or "user"
    who = {"role": speaker.lower()} if speaker.lower() in _ROLES else {"role": "user", "name": speaker}
    return made({**message, **who}, place, user_id=user, run_id=_text(turn.get("session")))


def _document(document: Any, place: str, user: str) -> Incoming | Skipped:
    message = _message(document, place)
    if isinstance(message, Skipped):
        return message
    more = {key: document[key] for key in ("title", "entities", "triples") if document.get(key) is not None}
    return made({**message, "role": "user", **more}, place, user_id=user, run_id=message["id"])


def _message(item: Any, place: str) -> dict[str, Any] | Skipped:
    """What turns and documents share."""
    if not isinstance(item, Mapping):
        return Skipped(place, f"is no object but {type(item).__name__}", lost=True)
    id = _text(item.get("id"))
    if id is None or not isinstance(item.get("text"), str):
        return Skipped(place, f"has no {'text' if id else 'id'}", lost=True)
    message = {"content": item["text"], "id": id}
    return message if item.get("time") is None else {**message, "time": item["time"]}


def _text(value: object) -> str | None:
    """An id or a name, which may be a number."""
    return (
        None if value is None or isinstance(value, bool) or not isinstance(value, str | int) else str(value)
    )
