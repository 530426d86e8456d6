"""Yes-or-no facts of a text that signals need, found once when the text is stored."""

from __future__ import annotations

import re

__all__ = ["NUMBER", "QUESTION", "TIME", "flags_of"]

QUESTION = 1
NUMBER = 2
TIME = 4

_NUMBER = re.compile(r"\d")
_TIME = re.compile(
    r"\b(?:yesterday|today|tonight|tomorrow|ago|last|next|week|weekend|month|year|morning|recently|\d{4}"
    r"|(?:mon|tues|wednes|thurs|fri|satur|sun)day"
    r"|january|february|march|april|may|june|july|august|september|october|november|december)\b",
    re.IGNORECASE,
)


def flags_of(text: str) -> int:
    """The flags of a text, added up: it asks a question, has a digit, names a time."""
    question = QUESTION if "?" in text or "\uff1f" in text or "\u061f" in text else 0
    return question | (NUMBER if _NUMBER.search(text) else 0) | (TIME if _TIME.search(text) else 0)
