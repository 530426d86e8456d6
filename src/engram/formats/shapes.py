"""What readers of JSON exports share: how a file begins, values of any type, the branch that is current."""

from __future__ import annotations

import codecs
import re
from collections.abc import Iterator, Mapping
from typing import Any, Final

from engram.formats.source import Source

__all__ = [
    "branch",
    "found",
    "head_text",
    "listed",
    "mapped",
    "opening",
    "text_of",
    "values",
    "without_nothing",
]

_CONVERSATIONS: Final = re.compile(r'^\s*\{[^{\[]*"conversations"\s*:\s*\[')


def opening(source: Source, name: str) -> str:
    """The first 64 KiB of a file as text, what is no text replaced."""
    return head_text(source.head(name))


def head_text(head: bytes) -> str:
    """Bytes as UTF-8, or UTF-16 where a mark says so, what is no text replaced."""
    wide = head.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE))
    return head.decode("utf-16" if wide else "utf-8-sig", "replace")


def found(source: Source, pattern: re.Pattern[str]) -> list[str]:
    """The files whose name matches, alone or with its folder's, in the order of their paths."""
    return [
        name
        for name in source.names
        if pattern.fullmatch(name.rpartition("/")[2]) or pattern.fullmatch("/".join(name.split("/")[-2:]))
    ]


def values(source: Source, name: str) -> Iterator[tuple[str, Any]]:
    """The conversations of a file and their places: of a list, of an object that holds one, or a single one.

    Raises `InvalidInput` as `Source.items` does.
    """
    start = opening(source, name)
    place = source.place(name)
    if start.lstrip().startswith("["):
        for number, value in source.items(name):
            yield f"{place}: [{number}]", value
    elif _CONVERSATIONS.match(start):
        for number, value in source.items(name, "conversations.item"):
            yield f"{place}: conversations[{number}]", value
    else:
        for _, value in source.items(name, ""):
            yield place, value


def branch(parents: Mapping[str, str | None], leaf: str) -> tuple[list[str], str | None]:
    """The ids from the root of a tree to a leaf, and what is wrong with it, if anything is."""
    ids: dict[str, None] = {}
    at: str | None = leaf if parents else None
    while at is not None and at in parents and at not in ids:
        ids[at] = None
        at = parents[at]
    wrong = None
    if at in ids:
        wrong = f"its messages stand in a circle ({at:.80} comes after itself)"
    elif at is not None:
        wrong = f"the message before is missing ({at:.80})"
    return list(reversed(ids)), wrong


def text_of(value: object) -> str:
    """The value where it is text or a whole number, as text; otherwise nothing."""
    if isinstance(value, str):
        return value
    whole = isinstance(value, int) and not isinstance(value, bool) and value.bit_length() <= 64
    return str(value) if whole else ""


def mapped(value: object) -> Mapping[str, Any]:
    """The value where it is an object, otherwise an empty one."""
    return value if isinstance(value, dict) else {}


def listed(value: object) -> list[Any]:
    """The value where it is a list, otherwise an empty one."""
    return value if isinstance(value, list) else []


def without_nothing(**fields: Any) -> dict[str, Any]:
    """The fields that hold something."""
    return {name: value for name, value in fields.items() if value or value == 0}
