"""Text that can be stored."""

from __future__ import annotations

import re
from typing import Final

from engram.kernel.errors import InvalidInput

__all__ = ["MAX_TEXT", "check_text", "encodes"]

MAX_TEXT: Final = 10 * 1024 * 1024
"""Bytes of UTF-8 that a text may have."""
_REFUSED: Final = re.compile("[\0\ud800-\udfff]")


def check_text(text: object, place: str) -> str:
    """The text itself; raises `InvalidInput` where it holds NUL or a lone surrogate, or is over 10 MB."""
    if not isinstance(text, str):
        raise InvalidInput(f"{place}: expected text, got {type(text).__name__}")
    if "\0" in text or not (text.isascii() or encodes(text)):
        bad = _REFUSED.search(text)
        place_of = bad.start() if bad else 0
        name = (
            "a NUL character" if text[place_of] == "\0" else f"a lone surrogate (U+{ord(text[place_of]):04X})"
        )
        raise InvalidInput(f"{place}: {name} at position {place_of}; remove or replace it")
    if len(text) > MAX_TEXT // 4 and len(text.encode()) > MAX_TEXT:
        raise InvalidInput(f"{place}: the text is over 10 MB; split it into several messages")
    return text


def encodes(text: str) -> bool:
    """Whether the text has a UTF-8 form, which lone surrogates have not. Faster than looking for them."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True
