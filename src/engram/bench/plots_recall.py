"""Recall by k: a panel for each data set, a line for each policy."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from engram.bench.plots import FAINT, LOOKS, canvas, save, slug
from engram.bench.run import Measured
from engram.kernel.show import printable

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["draw_recall"]

_TITLE = "Recall: the share of the evidence among the first k turns found"
_ACROSS = 3
_WIDE, _HIGH = 3.9, 3.6


def draw_recall(measured: Sequence[Measured], path: Path) -> None:
    """Draw what was measured; both axes begin at 0, and recall ends at 1. Raises `OSError`.

    The lines of a panel keep the order of the policies; the first one's are labelled with their values.
    """
    measured = [Measured.from_dict(item.to_dict()) for item in measured]  # as saved: drawn again the same
    sets = list(dict.fromkeys(item.data for item in measured))
    policies = list(dict.fromkeys(item.policy for item in measured))
    across = min(_ACROSS, len(sets))
    down = math.ceil(len(sets) / across)
    with canvas(max(5.2, _WIDE * across), _HIGH * down + 0.5) as figure:
        for place, data in enumerate(sets):
            axes = figure.add_subplot(down, across, place + 1)
            _panel(axes, [item for item in measured if item.data == data], policies)
            axes.set_ylabel("recall" if place % across == 0 else "")
        lines = {str(line.get_label()): line for axes in figure.axes for line in axes.get_lines()}
        shown = [printable(policy) for policy in policies]
        figure.legend([lines[name] for name in shown], shown, loc="outside lower left", ncols=6)
        save(figure, path, _TITLE, " ".join(_said(item) for item in measured))


def _panel(axes: Axes, measured: Sequence[Measured], policies: Sequence[str]) -> None:
    ks = sorted({k for item in measured for k in item.recall})
    for item in reversed(measured):  # the first one lies on top
        place = policies.index(item.policy)
        look = LOOKS[place % len(LOOKS)]
        axes.plot(
            list(item.recall),
            list(item.recall.values()),
            color=look.colour,
            linestyle=look.dashes,
            marker=look.marker,
            linewidth=2.4 if place == 0 else 1.4,
            label=printable(item.policy),
            gid=slug("recall", item.data, item.policy),
        )
    for k, value in measured[0].recall.items():
        axes.annotate(
            f"{value:.2f}", (k, value), (-5, 6), textcoords="offset points", ha="center", color=FAINT
        )
    axes.set_title(printable(f"{measured[0].data}, {measured[0].questions:,} questions"))
    axes.set_xlim(0, 1.06 * ks[-1])
    axes.set_xticks(_apart(ks))
    axes.set_ylim(0, 1)
    axes.set_yticks([0, 0.2, 0.4, 0.6, 0.8, 1])
    axes.set_xlabel("k")


def _apart(ks: Sequence[int]) -> list[int]:
    """0 and those of the ks that can be written side by side, from the largest down."""
    kept = [ks[-1]]
    for k in reversed(ks[:-1]):
        if min(kept[-1] - k, k) >= ks[-1] * 0.06:
            kept.append(k)
    return [0, *reversed(kept)]


def _said(item: Measured) -> str:
    values = ", ".join(f"{value:.3f} at {k}" for k, value in item.recall.items())
    return f"{item.data}, {item.questions:,} questions, {item.policy}: {values}."
