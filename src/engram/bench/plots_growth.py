"""Memory over time: how many records of each kind there were, and how many were new."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from engram.bench.growth import Growth, Span
from engram.bench.plots import FAINT, LOOKS, PAPER, axis, canvas, save, slug, thousands
from engram.kernel.errors import NotFound
from engram.kernel.show import printable

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["draw_growth"]

_TITLE = "Memory over time"
_OTHER = "other"


def draw_growth(growth: Growth, path: Path, whose: str = "") -> None:
    """Draw the records held by kind over known time, below it the new ones; `whose` is said in the title.

    Both count from 0; times are UTC. Raises `NotFound` where there are no records, `OSError`.
    """
    spans = list(growth.spans())
    if not spans:
        raise NotFound("there are no records to draw in this scope; add something, or name another scope")
    shown = growth.kinds[: len(LOOKS)]
    if len(growth.kinds) > len(LOOKS):
        shown = [*shown[:-1], _OTHER]
    with canvas(7.6, 6) as figure:
        held, new = figure.subplots(2, 1, sharex=True, height_ratios=[3, 2])
        _lines(held, spans, shown)
        _bars(new, spans, shown)
        held.set_title("records held, by kind")
        new.set_title(f"new records a {growth.unit}")
        _time(new)
        held.legend(loc="upper left", fontsize=8, ncols=3)
        title = f"{_TITLE}, {whose}" if whose else _TITLE
        save(figure, path, title, _said(spans, shown, growth.unit))


def _lines(axes: Axes, spans: Sequence[Span], shown: Sequence[str]) -> None:
    times = [spans[0].start, *(span.end for span in spans)]
    tops = []
    for kind, look in zip(shown, LOOKS, strict=False):
        counts = [0, *(_of(span.held, kind, shown) for span in spans)]
        tops.append(max(counts))
        axes.plot(
            times,  # type: ignore[arg-type]  # matplotlib takes datetimes
            counts,
            color=look.colour,
            linestyle=look.dashes,
            label=f"{printable(kind)} {counts[-1]:,}",
            gid=slug("held", kind),
        )
    _counts(axes, max(tops))


def _bars(axes: Axes, spans: Sequence[Span], shown: Sequence[str]) -> None:
    below = [0] * len(spans)
    starts = [span.start for span in spans]
    widths = [span.end - span.start for span in spans]
    for kind, look in zip(shown, LOOKS, strict=False):
        counts = [_of(span.new, kind, shown) for span in spans]
        bars = axes.bar(
            starts,  # type: ignore[arg-type]  # as above
            counts,
            widths,  # type: ignore[arg-type]  # as above
            below,
            align="edge",
            color=look.colour,
            edgecolor=PAPER,
            linewidth=0.4,
            hatch=look.hatch,
        )
        for place, bar in enumerate(bars):
            bar.set_gid(slug("new", kind, place))
        below = [low + count for low, count in zip(below, counts, strict=True)]
    _counts(axes, max(below))


def _counts(axes: Axes, most: int) -> None:
    """Whole numbers from 0 up."""
    from matplotlib.ticker import MaxNLocator

    axis(axes, "y", [most])
    axes.yaxis.set_major_locator(MaxNLocator(6, integer=True))
    axes.yaxis.set_major_formatter(thousands)


def _time(axes: Axes) -> None:
    from matplotlib import dates

    untyped: Any = dates
    locator = untyped.AutoDateLocator(minticks=4, maxticks=9)
    axes.xaxis.set_major_locator(locator)
    axes.xaxis.set_major_formatter(untyped.ConciseDateFormatter(locator))
    axes.xaxis.get_offset_text().set_color(FAINT)
    axes.set_xlabel("known since (UTC)")


def _of(counts: Mapping[str, int], kind: str, shown: Sequence[str]) -> int:
    """How many of that kind; of all kinds that are not shown for "other"."""
    if kind == _OTHER and kind not in counts:
        return sum(count for name, count in counts.items() if name not in shown)
    return counts.get(kind, 0)


def _said(spans: Sequence[Span], shown: Sequence[str], unit: str) -> str:
    last = spans[-1]
    held = ", ".join(f"{_of(last.held, kind, shown):,} {kind}" for kind in shown)
    most = max(spans, key=lambda span: sum(span.new.values()))
    return (
        f"From {spans[0].start:%Y-%m-%d %H:%M} to {last.end:%Y-%m-%d %H:%M} UTC; held at the end: {held}. "
        f"Most new records in one {unit}: {sum(most.new.values()):,}, from {most.start:%Y-%m-%d %H:%M}."
    )
