"""Yes-or-no facts of a text that signals need, found once when the text is stored."""

from __future__ import annotations

import re

__all__ = ["QUESTION", "TIME", "flags_of"]

QUESTION = 1
TIME = 2

_MARKS = ("?", "\uff1f", "\u061f")
_WORD = re.compile(r"\b[a-z]{3,9}\b")
_YEAR = re.compile(r"\b\d{4}\b")
_NAMES = """
yesterday today tonight tomorrow ago last next week weekend month year morning recently
monday tuesday wednesday thursday friday saturday sunday
january february march april may june july august september october november december
"""
_TIMES = frozenset(_NAMES.split())


def flags_of(text: str) -> int:
    """The flags of a text, added up: it asks a question, it names a time (in English, or a year)."""
    question = QUESTION if any(mark in text for mark in _MARKS) else 0
    lower = text.lower()
    named = not _TIMES.isdisjoint(_WORD.findall(lower)) or _YEAR.search(lower)
    return question | (TIME if named else 0)
