"""Measurements read again from the JSON lines that `engram bench --json` printed."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from engram.bench.figures import Figure
from engram.bench.plots_recall import draw_recall
from engram.bench.plots_speed import draw_speed
from engram.bench.run import Measured
from engram.kernel.errors import InvalidInput

__all__ = ["draw_saved", "saved"]

_MIXED = "holds recall and speed; keep each in a file of its own"
_ADVICE = "give what engram bench --json or engram bench speed --json printed"


def saved(path: Path) -> tuple[list[Measured], list[Figure]]:
    """What was measured, recall or speed, the other being empty; empty lines are passed over.

    Raises `InvalidInput` naming file and line for anything else, `OSError` where the file cannot be read.
    """
    recall: list[Measured] = []
    speed: list[Figure] = []
    with path.open("rb") as file:
        for number, line in enumerate(file, 1):
            if not line.strip():
                continue
            value = _value(line, f"{path}:{number}")
            try:
                if isinstance(value, dict) and "what" in value:
                    speed.append(Figure.from_dict(value))
                else:
                    recall.append(Measured.from_dict(value))
            except (KeyError, TypeError, ValueError, AttributeError) as error:
                raise InvalidInput(f"{path}:{number}: no measurement; {_ADVICE}") from error
            if recall and speed:
                raise InvalidInput(f"{path}:{number}: the file {_MIXED}")
    if not recall and not speed:
        raise InvalidInput(f"{path}: empty; {_ADVICE}")
    return recall, speed


def draw_saved(results: Path, path: Path) -> int:
    """Draw the picture of saved measurements; returns their number. Raises as `saved`."""
    recall, speed = saved(results)
    if recall:
        draw_recall(recall, path)
    else:
        draw_speed(speed, path)
    return len(recall) + len(speed)


def _value(line: bytes, place: str) -> Any:
    try:
        return json.loads(line)
    except ValueError as error:  # also where it is not UTF-8
        raise InvalidInput(f"{place}: not JSON; {_ADVICE}") from error
