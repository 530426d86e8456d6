"""Records as quoted lines of a question: JSON, so that no text can pass for the question's own words."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from engram.kernel.record import Record
from engram.operators import quoting
from engram.operators.extraction.turns import speaker_of
from engram.operators.summaries.sizes import shortened

__all__ = ["line", "message", "question", "said"]


def line(**fields: object) -> str:
    """One quoted line."""
    return quoting.line(fields)


def message(turn: Record, most: int) -> str:
    """A turn as a quoted line, with speaker and time, cut to `most` tokens."""
    return line(speaker=speaker_of(turn), time=f"{turn.time:%Y-%m-%d %H:%M}", text=shortened(turn.text, most))


def said(turns: Sequence[Record], most: int) -> list[str]:
    """The turns as quoted lines with numbers from 1, each cut to `most` tokens."""
    return [
        line(turn=number, speaker=speaker_of(turn), text=shortened(turn.text, most))
        for number, turn in enumerate(turns, 1)
    ]


def question(parts: Iterable[tuple[str, Sequence[str]]], asked: str) -> str:
    """Titled parts of quoted lines, those without a line left out, and what is asked."""
    shown = ["\n".join([f"{title}, quoted:", *lines]) for title, lines in parts if lines]
    return "\n\n".join([*shown, asked])
