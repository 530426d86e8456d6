"""What a JSON file is about, from its first bytes, and its entries one by one, whatever lists hold them."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from engram.formats.shapes import head_text
from engram.formats.source import Source
from engram.formats.streaming import JsonText

__all__ = ["JSON_ENDINGS", "LINE_ENDINGS", "Entry", "entries", "json_files", "keys_at"]

JSON_ENDINGS = (".json", ".json.gz")
LINE_ENDINGS = (".jsonl", ".ndjson", ".jsonl.gz", ".ndjson.gz")
_TOKEN = re.compile(r'"(?P<text>(?:[^"\\]|\\.)*)"\s*(?P<key>:)?|[{}\[\]]')
_DEEPEST = 6


@dataclass(frozen=True, slots=True)
class Entry:
    """A value of a JSON file, the key that it stands under (empty in an outer list), and its place.

    `number` counts from 0 in a list, from 1 over lines, and is `None` for what is no list.
    """

    key: str
    number: int | None
    value: Any
    place: str


def json_files(source: Source, endings: tuple[str, ...] = JSON_ENDINGS) -> list[str]:
    """The files of these endings that are not hidden; a single file whatever its name."""
    if not (source.is_folder or source.is_archive):
        return list(source.names)
    return [
        name
        for name in source.names
        if name.lower().endswith(endings)
        and not any(part.startswith(".") or part == "__MACOSX" for part in name.split("/"))
    ]


def entries(source: Source, name: str) -> Iterator[Entry]:
    """The items of the outer list, or of every list of the outer object and its other values; or lines.

    All in one pass, with one item in memory. Raises `InvalidInput` naming file, line and column for what
    is not JSON.
    """
    place = source.place(name)
    if name.lower().endswith(LINE_ENDINGS):
        for number, value in source.json_lines(name):
            yield Entry("", number, value, f"{place}:{number}")
        return
    limits = source.limits
    text = JsonText(source.text(name), place, limits.value, limits.depth)
    if text.peek() == "{":
        keys = text.keys()
        for key in keys:
            yield from _listed(text, key, f"{place}: {key}")
    else:
        yield from _listed(text, "", f"{place}: ")
    if text.peek():
        text.fail("more follows after its end")


def _listed(text: JsonText, key: str, place: str) -> Iterator[Entry]:
    if text.peek() != "[":
        yield Entry(key, None, text.value(), place)
        return
    for number, _ in enumerate(text.elements()):
        yield Entry(key, number, text.value(), f"{place}[{number}]")


def keys_at(head: bytes) -> dict[str, set[str]]:
    """The keys of the objects in the first bytes of a JSON text, by where they stand.

    The outer object is at ``, one in the outer list at `item`, one in the list under `messages` at
    `messages.item`. Six levels deep at most; for lines of JSON, of all lines.
    """
    found: dict[str, set[str]] = {}
    stack: list[tuple[str, str]] = []  # what is open, and the key or item that it stands under
    key = ""
    for token in _TOKEN.finditer(head_text(head)):
        mark = token[0][0]
        if token["key"]:
            key = token["text"]
            if len(stack) <= _DEEPEST:
                found.setdefault(".".join(name for _, name in stack if name), set()).add(key)
        elif mark in "{[":
            inside = stack[-1][0] if stack else ""
            stack.append((mark, "item" if inside == "[" else key if inside else ""))
        elif mark in "}]" and stack:
            stack.pop()
    return found
