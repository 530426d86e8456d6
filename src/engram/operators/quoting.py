"""What a question to the model quotes: JSON lines, so that no text can pass for the question's own words."""

from __future__ import annotations

import json
from collections.abc import Iterable

from engram.kernel.record import Record
from engram.operators.extraction.turns import speaker_of

__all__ = ["line", "lines", "quoted_query", "turn_line"]

_LONGEST = 4000


def line(item: object) -> str:
    """An item as JSON on one line."""
    return json.dumps(item, ensure_ascii=False)


def lines(items: Iterable[object]) -> str:
    """Each item as JSON on a line of its own."""
    return "\n".join(map(line, items))


def turn_line(number: int, turn: Record, text: str) -> dict[str, object]:
    """A turn as an item to quote: its number, speaker, time (UTC), and `text`, what is shown of its own."""
    time = f"{turn.time:%Y-%m-%d %H:%M}"
    return {"turn": number, "speaker": speaker_of(turn), "time": time, "text": text}


def quoted_query(text: str) -> str:
    """What is asked, quoted: its first 4,000 characters."""
    return line(text[:_LONGEST])
