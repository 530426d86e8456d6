"""Turns and thoughts as quoted lines, in groups for a question each."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from engram.kernel.record import Record
from engram.operators.quoting import lines, turn_line

__all__ = ["quoted_turns", "turns_by_question"]


def turns_by_question(turns: Sequence[Record], longest: int) -> Iterator[list[Record]]:
    """The turns that hold text, in order: of one scope, and `longest` characters together at most."""
    part: list[Record] = []
    room = 0
    for turn in (turn for turn in turns if turn.text.strip()):
        if part and (min(len(turn.text), longest) > room or turn.scope != part[0].scope):
            yield part
            part = []
        room = (room if part else longest) - min(len(turn.text), longest)
        part.append(turn)
    if part:
        yield part


def quoted_turns(turns: Sequence[Record], longest: int) -> str:
    """The turns as JSON, a line each: number from 1, speaker, time, and `longest` characters of the text."""
    return lines([turn_line(number, turn, turn.text[:longest]) for number, turn in enumerate(turns, 1)])
