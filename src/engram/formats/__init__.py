"""Files of other programs, read as messages."""

from __future__ import annotations

from collections.abc import Collection
from typing import TYPE_CHECKING, Final, cast

from engram.formats.base import Format, Incoming, Skipped
from engram.formats.source import Limits, Source
from engram.kernel.errors import ConfigError, InvalidInput

if TYPE_CHECKING:
    from importlib.metadata import EntryPoint

__all__ = [
    "ENTRY_POINTS",
    "Format",
    "Incoming",
    "Limits",
    "Skipped",
    "Source",
    "detect",
    "format_names",
    "load_format",
]

ENTRY_POINTS: Final = "engram.formats"
"""The group of entry points in which formats are found."""
_ORDER: Final = (
    "engram", "chatgpt", "claude", "slack", "whatsapp", "mem0", "zep", "letta", "triples",
    "conversation", "openai",
)  # fmt: skip
"""Built-in formats that show themselves plainly come first, then those of other packages."""
_LAST: Final = ("transcript", "markdown")
"""Formats that any text could be are asked last."""


def format_names() -> list[str]:
    """The formats that can be imported, in the order in which `detect` asks them."""
    return _ordered(_entries())


def load_format(name: str) -> Format:
    """The format of that name. Raises `ConfigError` naming those that there are."""
    entry = _entries().get(name)
    if entry is None:
        raise ConfigError(f"format: {name!r} is unknown; it may be {', '.join(format_names())}")
    return cast("Format", entry.load()())


def detect(source: Source) -> Format:
    """The first format that recognises the source. Raises `InvalidInput` where none does."""
    entries = _entries()
    for name in _ordered(entries):
        found = cast("Format", entries[name].load()())
        if found.recognises(source):
            return found
    known = ", ".join(_ordered(entries))
    raise InvalidInput(f"{source.path}: no known kind of file; say which it is: format may be {known}")


def _ordered(names: Collection[str]) -> list[str]:
    others = sorted(set(names) - {*_ORDER, *_LAST})
    return [name for name in (*_ORDER, *others, *_LAST) if name in names]


def _entries() -> dict[str, EntryPoint]:
    from importlib.metadata import entry_points  # 30 ms that importing this module can do without

    return {entry.name: entry for entry in entry_points(group=ENTRY_POINTS)}
