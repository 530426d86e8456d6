"""Time, rate and memory by size of store, against the floors and limits of the same run."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from engram.bench.figures import Figure, Unit
from engram.bench.plots import FAINT, LOOKS, PAPER, Look, axis, canvas, save, slug
from engram.kernel.show import printable

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["draw_speed"]

_TITLE = "Speed and memory by number of records, against floors measured in the same run"
_ACROSS = 3
_WIDE, _HIGH = 3.9, 3.7
_UNITS: Mapping[Unit, str] = {"ms": "ms", "/s": "a second, more is better", "MB": "MB"}


@dataclass(slots=True)
class _Panel:
    """Figures of one kind and unit; floors and limits in that unit, by what they bound."""

    title: str
    unit: Unit
    measured: dict[str, dict[int, float]] = field(default_factory=dict)
    floors: dict[str, dict[int, float]] = field(default_factory=dict)
    limits: list[tuple[str, int, float]] = field(default_factory=list)
    missed: list[tuple[str, int]] = field(default_factory=list)

    def take(self, figure: Figure) -> None:
        """Add a figure; its limit is the floor's multiple where it has a floor."""
        what = figure.what.strip()
        self.measured.setdefault(what, {})[figure.n] = figure.measured
        if figure.floor is not None:
            self.floors.setdefault(figure.against, {})[figure.n] = figure.floor
        bound = figure.least if figure.most is None else figure.most
        if bound is not None:
            limit = bound if figure.floor is None else bound * figure.floor
            self.limits.append((what, figure.n, limit))
        if figure.met is False:
            self.missed.append((what, figure.n))

    @property
    def others(self) -> dict[str, dict[int, float]]:
        """The floors that are no measured line of this panel themselves."""
        drawn = {value for line in self.measured.values() for value in line.values()}
        return {name: line for name, line in self.floors.items() if not drawn.issuperset(line.values())}

    @property
    def values(self) -> list[float]:
        """Everything that the panel shows, in its unit."""
        lines = [*self.measured.values(), *self.others.values()]
        return [value for line in lines for value in line.values()] + [limit for _, _, limit in self.limits]


def draw_speed(figures: Sequence[Figure], path: Path) -> None:
    """Draw what was measured: lines and their floors, a bar at each limit. Raises `OSError`.

    An axis begins at 0, or is logarithmic where what it shows spans a decade.
    """
    figures = [Figure.from_dict(figure.to_dict()) for figure in figures]  # as saved: drawn again the same
    panels = _panels(figures)
    still = [figure for figure in figures if not figure.n]
    across = min(_ACROSS, len(panels) + bool(still))
    down = math.ceil((len(panels) + bool(still)) / across)
    with canvas(max(5.2, _WIDE * across), _HIGH * down + 0.4) as figure:
        for place, panel in enumerate(panels, 1):
            _draw(figure.add_subplot(down, across, place), panel)
        if still:
            _bars(figure.add_subplot(down, across, len(panels) + 1), still)
        save(figure, path, _TITLE, " ".join(map(_said, figures)))


def _panels(figures: Sequence[Figure]) -> list[_Panel]:
    """One for each kind of figure.

    What is set in, such as "  after an add", belongs to the one before; what is held against an earlier
    figure, as importing against adding, to that one's.
    """
    panels: dict[tuple[str, Unit], _Panel] = {}
    title = ""
    for figure in figures:
        if figure.n:
            if (figure.against, figure.unit) in panels:
                title = figure.against
            elif not (figure.what[:1].isspace() and title):
                title = figure.what.strip()
            panels.setdefault((title, figure.unit), _Panel(title, figure.unit)).take(figure)
    return list(panels.values())


def _draw(axes: Axes, panel: _Panel) -> None:
    looks = dict(zip(panel.measured, LOOKS * len(panel.measured), strict=False))
    for name, line in panel.measured.items():
        _line(axes, panel, name, line, looks[name], floor=False)
    for place, (name, line) in enumerate(panel.others.items()):
        _line(axes, panel, name, line, LOOKS[-1 - place % 2], floor=True)
    for name, n, limit in panel.limits:
        _limit(axes, n, limit, looks[name].colour, slug("limit", panel.title, name, n))
    if panel.limits:
        axes.plot(
            [], [], color=FAINT, linestyle="", marker="_", markersize=14, markeredgewidth=2.4, label="limit"
        )
    for name, n in panel.missed:
        axes.annotate(
            "missed", (n, panel.measured[name][n]), (6, -10), textcoords="offset points",
            color=looks[name].colour, fontsize=7.5, gid=slug("missed", panel.title, name, n),
        )  # fmt: skip
    axes.set_title(printable(f"{panel.title} ({_UNITS[panel.unit]})"))
    sizes = sorted({n for line in panel.measured.values() for n in line})
    axis(axes, "x", sizes)
    axis(axes, "y", panel.values)
    axes.set_xticks(sizes, [f"{n:,}" for n in sizes])
    axes.set_xticks([], minor=True)
    axes.set_xlabel("records")
    axes.legend(loc="upper left", bbox_to_anchor=(-0.02, -0.16), fontsize=7.5, ncols=2, columnspacing=1)


def _line(
    axes: Axes, panel: _Panel, name: str, line: Mapping[int, float], look: Look, *, floor: bool
) -> None:
    points = sorted(line.items())
    axes.plot(
        [n for n, _ in points],
        [value for _, value in points],
        color=look.colour,
        linestyle=(0, (1, 1.6)) if floor else look.dashes,
        linewidth=1.2 if floor else 1.8,
        marker=look.marker,
        markerfacecolor=PAPER if floor else look.colour,
        label=printable(f"floor: {name}" if floor else name),
        gid=slug("floor" if floor else "measured", panel.title, name),
    )


def _limit(axes: Axes, x: float, y: float, colour: str, gid: str, marker: str = "_") -> None:
    axes.plot(
        [x], [y], color=colour, linestyle="", marker=marker, markersize=16, markeredgewidth=2.4, gid=gid
    )  # fmt: skip


def _bars(axes: Axes, figures: Sequence[Figure]) -> None:
    """What was measured without a store: a bar each, from 0, and the limit."""
    for place, figure in enumerate(figures):
        axes.barh([place], [figure.measured], 0.3, color=LOOKS[0].colour, gid=slug("measured", figure.what))
        limit = figure.most if figure.floor is None else None
        shown = f"{figure.what.strip()}: {figure.shown(figure.measured)}"
        if limit is not None:
            shown += f", limit {figure.shown(limit)}"
            _limit(axes, limit, place, LOOKS[0].colour, slug("limit", figure.what), "|")
        axes.annotate(printable(shown), (0, place + 0.16), (3, 3), textcoords="offset points", color=FAINT)
    axes.set_title(
        "without a store (ms)" if {figure.unit for figure in figures} == {"ms"} else "without a store"
    )
    axes.set_yticks([])
    axes.set_ylim(-1, len(figures))
    axis(axes, "x", [max(figure.measured, figure.most or 0) for figure in figures])


def _said(figure: Figure) -> str:
    """A figure in words."""
    at = f" at {figure.n:,} records" if figure.n else ""
    floor = "" if figure.floor is None else f", floor {figure.shown(figure.floor)} ({figure.against})"
    kept = "" if figure.met is None else f", to be {figure.goal}: {'kept' if figure.met else 'missed'}"
    return f"{figure.what.strip()}{at}: {figure.shown(figure.measured)}{floor}{kept}."
