"""Turns and thoughts as quoted lines, in groups for a question each."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence

from engram.kernel.record import Record
from engram.operators.extraction.turns import speaker_of

__all__ = ["lines", "quoted_turns", "turns_by_question"]


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
    return lines(
        [
            {
                "turn": number,
                "speaker": speaker_of(turn),
                "time": f"{turn.time:%Y-%m-%d %H:%M}",
                "text": turn.text[:longest],
            }
            for number, turn in enumerate(turns, 1)
        ]
    )


def lines(items: Sequence[object]) -> str:
    """Each item as JSON on a line of its own."""
    return "\n".join(json.dumps(item, ensure_ascii=False) for item in items)
