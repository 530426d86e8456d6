"""Quality against cost, and who is best at what: two panels for each data set."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from engram.bench.compared import Compared, Winner, winners
from engram.bench.plots import FAINT, INK, LOOKS, axis, canvas, save, slug
from engram.kernel.show import printable

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["draw_compared"]

_TITLE = "Quality against cost: up and to the left is better"
_WIDE, _HIGH, _ROW = 5.6, 4.2, 0.27
_MANY = 7  # the size of letters where there are many
_NAMED = 2


def draw_compared(found: Sequence[Compared], path: Path) -> None:
    """Draw recall at the largest k over tokens an add, or where no model is asked, milliseconds a turn.

    Below, recall in each category: every policy, the best by name, and the reference. Raises `OSError`.
    """
    sets = list(dict.fromkeys(item.data for item in found))
    groups = [[item for item in found if item.data == data] for data in sets]
    tokens = any(item.tokens for item in found)
    rows = max(len(group[0].by_category) for group in groups)
    with canvas(_WIDE * len(sets), _HIGH + 0.4 + _ROW * (rows + 3)) as figure:
        panels = figure.subplots(2, len(sets), squeeze=False, height_ratios=(_HIGH, _ROW * (rows + 3)))
        for group, upper, lower in zip(groups, panels[0], panels[1], strict=True):
            _panel(upper, group, tokens=tokens)
            _categories(lower, group)
        said = [_said(item, tokens=tokens) for item in found]
        save(figure, path, _TITLE, " ".join([*said, *map(_won, winners(found))]))


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
            printable(item.policy),
            (cost, mean.value),
            (6, 3),
            textcoords="offset points",
            color=FAINT,
            fontsize=_MANY if len(found) > len(LOOKS) else None,
        )
    axis(axes, "x", [_cost(item, tokens=tokens) for item in found])
    axes.set_ylim(0, 1)
    axes.set_title(printable(f"{found[0].data}, {found[0].questions:,} questions"))
    axes.set_xlabel("tokens an add" if tokens else "milliseconds a turn, adding and tending")
    axes.set_ylabel(f"recall@{largest}")


def _categories(axes: Axes, found: Sequence[Compared]) -> None:
    """A line for each category: a stroke for each policy, a dot for the best, a ring for the reference."""
    best = winners(found)
    for place, win in enumerate(best):
        values = [float(item.by_category[win.category]["recall"]) for item in found]
        axes.plot(values, [place] * len(values), "|", color=FAINT, markersize=9)
        axes.plot([win.against], [place], "o", color=LOOKS[1].colour, markersize=8, fillstyle="none")
        axes.plot(
            [win.recall.value],
            [place],
            "o",
            color=LOOKS[0].colour,
            gid=slug("best", win.data, win.category),
        )
        axes.annotate(
            _names(win),
            (win.recall.value, place),
            (6, 3),
            textcoords="offset points",
            color=INK,
            fontsize=_MANY,
        )
    axes.set_yticks(range(len(best)), [printable(win.category) or "(none)" for win in best])
    axes.set_ylim(len(best) - 0.4, -0.6)
    axes.set_xlim(0, 1.25)
    axes.set_xticks([0, 0.25, 0.5, 0.75, 1])
    largest, ringed = list(found[0].recall)[-1], printable(found[0].against)
    axes.set_xlabel(f"recall@{largest} by category: the best is named, {ringed} ringed")


def _names(win: Winner) -> str:
    more = f" and {len(win.policies) - _NAMED} more" if len(win.policies) > _NAMED else ""
    return printable(", ".join(win.policies[:_NAMED])) + more


def _won(win: Winner) -> str:
    return (
        f"Best in {win.data}, {win.category or 'no category'} ({win.questions:,} questions): {_names(win)}, "
        f"{win.recall.value:.3f}; the reference {win.against:.3f}."
    )


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
