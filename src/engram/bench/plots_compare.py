"""Quality against cost: a panel for each data set, a point with its interval for each policy."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from engram.bench.compared import Compared
from engram.bench.plots import FAINT, LOOKS, axis, canvas, save, slug
from engram.kernel.show import printable

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["draw_compared"]

_TITLE = "Quality against cost: up and to the left is better"
_ACROSS = 2
_WIDE, _HIGH = 5.6, 4.2


def draw_compared(found: Sequence[Compared], path: Path) -> None:
    """Draw recall at the largest k over tokens an add, or where no model is asked, milliseconds a turn.

    Raises `OSError`.
    """
    sets = list(dict.fromkeys(item.data for item in found))
    tokens = any(item.tokens for item in found)
    across = min(_ACROSS, len(sets))
    down = math.ceil(len(sets) / across)
    with canvas(_WIDE * across, _HIGH * down + 0.4) as figure:
        for place, data in enumerate(sets):
            axes = figure.add_subplot(down, across, place + 1)
            _panel(axes, [item for item in found if item.data == data], tokens=tokens)
        save(figure, path, _TITLE, " ".join(_said(item, tokens=tokens) for item in found))


def _panel(axes: Axes, found: Sequence[Compared], *, tokens: bool) -> None:
    largest = list(found[0].recall)[-1]
    for place, item in enumerate(found):
        look, mean, cost = LOOKS[place % len(LOOKS)], item.recall[largest], _cost(item, tokens=tokens)
        axes.errorbar(
            [cost],
            [mean.value],
            yerr=[[mean.value - mean.low], [mean.high - mean.value]],
            color=look.colour,
            marker=look.marker,
            markersize=7 if item.policy == item.against else 5,
            capsize=2,
            linewidth=1,
            gid=slug("compare", item.data, item.policy),
        )
        axes.annotate(
            printable(item.policy), (cost, mean.value), (6, 3), textcoords="offset points", color=FAINT
        )
    axis(axes, "x", [_cost(item, tokens=tokens) for item in found])
    axes.set_ylim(0, 1)
    axes.set_title(printable(f"{found[0].data}, {found[0].questions:,} questions"))
    axes.set_xlabel("tokens an add" if tokens else "milliseconds a turn, adding and tending")
    axes.set_ylabel(f"recall@{largest}")


def _cost(item: Compared, *, tokens: bool) -> float:
    return item.tokens if tokens else item.add_ms


def _said(item: Compared, *, tokens: bool) -> str:
    k, mean = list(item.recall.items())[-1]
    unit = "tokens an add" if tokens else "ms a turn"
    cost = _cost(item, tokens=tokens)
    return (
        f"{item.data}, {item.policy}: recall@{k} {mean.value:.3f} ({mean.low:.3f} to {mean.high:.3f}) "
        f"at {cost:.4g} {unit}."
    )
