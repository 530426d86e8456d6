"""What all pictures share: a figure in engram's colours, and a file that is the same every time.

A picture is drawn in colours for light paper. The SVG carries those for a dark page with it, a title, and a
description in words of what is drawn.
"""

from __future__ import annotations

import importlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from html import escape
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from engram.kernel.errors import InvalidInput, MissingExtra
from engram.kernel.show import printable

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = ["FAINT", "INK", "LOOKS", "PAPER", "Look", "axis", "canvas", "ready", "save", "slug", "thousands"]

PAPER, INK, FAINT, GRID = "#ffffff", "#1f2328", "#5c6570", "#d9dee4"
_DARK = {PAPER: "#12161b", INK: "#e8edf2", FAINT: "#a2acb6", GRID: "#333b44"}
_DECADE = 10
_DPI = 150


class Look(NamedTuple):
    """How a series looks: its colour, dashes, marker and hatching all differ from those of its neighbours."""

    colour: str
    dark: str
    dashes: Any
    marker: str
    hatch: str


LOOKS = (
    Look("#0068ad", "#5ab4f0", "-", "o", ""),
    Look("#c24a00", "#ff9450", (0, (5, 2)), "s", "////"),
    Look("#00785a", "#35c49b", (0, (1, 1.4)), "^", "...."),
    Look("#96478d", "#dd8fd3", (0, (5, 2, 1, 2)), "D", "\\\\\\\\"),
    Look("#7d6200", "#d9b43a", (0, (8, 2)), "v", "xxxx"),
    Look("#5b5f66", "#aeb4bd", (0, (3, 1, 1, 1, 1, 1)), "P", "----"),
)
"""Dark enough for white paper, light enough for a dark page, and apart for those who see fewer colours."""


def ready(path: Path | None) -> None:
    """See that a picture can be drawn there, before anything is measured for it; `None`: no picture.

    Raises `MissingExtra` without matplotlib, `InvalidInput` for an ending that is neither .svg nor .png or a
    folder that is not there.
    """
    if path is None:
        return
    try:
        importlib.import_module("matplotlib.figure")
    except ImportError as error:
        raise MissingExtra("drawing pictures", "plots") from error
    if path.suffix.lower() not in {".svg", ".png"}:
        raise InvalidInput(f"{path}: a picture's name ends in .svg or .png")
    if path.is_dir() or not path.parent.is_dir():
        raise InvalidInput(f"{path}: {'a folder' if path.is_dir() else f'there is no folder {path.parent}'}")


@contextmanager
def canvas(width: float, height: float) -> Iterator[Figure]:
    """An empty figure of that many inches; drawn and saved inside, with settings of our own."""
    import matplotlib as mpl
    from matplotlib.figure import Figure

    with mpl.rc_context():
        mpl.rcdefaults()
        mpl.rcParams.update(_settings())
        yield Figure(figsize=(width, height), layout="constrained")


def _settings() -> Any:
    ink = ("text.color", "axes.labelcolor", "axes.titlecolor", "legend.labelcolor")
    return {
        "svg.hashsalt": "engram",
        "svg.fonttype": "none",  # text stays text: found, selected and read aloud
        "text.parse_math": False,  # a dollar sign is one
        "font.family": "sans-serif",
        "font.sans-serif": ["DejaVu Sans", "Verdana", "Arial", "Helvetica"],
        "font.size": 9,
        "figure.facecolor": PAPER,
        "axes.facecolor": PAPER,
        "axes.edgecolor": GRID,
        "axes.grid": True,
        "axes.axisbelow": True,
        "axes.spines.top": False,
        "axes.spines.right": False,
        "axes.titlesize": 10,
        "axes.titlelocation": "left",
        "axes.titleweight": "bold",
        "grid.color": GRID,
        "grid.linewidth": 0.6,
        "xtick.color": GRID,
        "ytick.color": GRID,
        "xtick.labelcolor": FAINT,
        "ytick.labelcolor": FAINT,
        "legend.frameon": False,
        "lines.linewidth": 1.6,
        "lines.markersize": 5,
        "hatch.linewidth": 0.6,
        **dict.fromkeys(ink, INK),
    }


def save(figure: Figure, path: Path, title: str, description: str) -> None:
    """Write the picture; an SVG gets its title and its description in words. Raises `OSError`."""
    figure.suptitle(printable(title), x=0.01, ha="left", fontsize=11.5, fontweight="bold", color=INK)
    drawn = BytesIO()
    if path.suffix.lower() == ".png":
        figure.savefig(drawn, format="png", dpi=_DPI, metadata={"Software": None})
        path.write_bytes(drawn.getvalue())
        return
    nothing = dict.fromkeys(("Creator", "Date", "Format", "Type"))
    figure.savefig(drawn, format="svg", metadata=nothing)
    path.write_text(_dressed(drawn.getvalue().decode(), title, description), encoding="utf-8", newline="\n")


def _dressed(svg: str, title: str, description: str) -> str:
    """The SVG with its title and description, and with colours for dark pages."""
    start = svg.index("<svg ")
    end = svg.index(">", start)
    pairs = {**_DARK, **{look.colour: look.dark for look in LOOKS}}
    rules = "".join(
        f'[style*="{what}: {light}"]{{{what}:{dark}!important}}'
        for light, dark in pairs.items()
        for what in ("fill", "stroke")
    )
    head = (
        f' role="img" aria-labelledby="title desc">\n <title id="title">{escape(printable(title))}</title>\n'
        f' <desc id="desc">{escape(printable(description))}</desc>\n'
        f" <style>@media (prefers-color-scheme: dark){{{rules}}}</style>"
    )
    return svg[:end] + head + svg[end + 1 :]


def axis(axes: Axes, which: str, values: Sequence[float]) -> None:
    """Scale one axis (`x` or `y`): from 0, or by powers of ten where the values span a decade."""
    positive = [value for value in values if value > 0]
    if positive and max(positive) >= _DECADE * min(positive):
        from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

        getattr(axes, f"set_{which}scale")("log")
        getattr(axes, f"set_{which}lim")(min(positive) / 1.8, max(positive) * 1.8)
        scale = getattr(axes, f"{which}axis")
        scale.set_major_locator(LogLocator(subs=(1,) if max(positive) > 100 * min(positive) else (1, 2, 5)))
        scale.set_major_formatter(FuncFormatter(thousands))
        scale.set_minor_formatter(NullFormatter())
    else:
        getattr(axes, f"set_{which}lim")(0, 1.15 * max([*positive, 1e-9]))


def slug(*parts: object) -> str:
    """The name of a part of the picture, for whoever reads the SVG: `recall/locomo/fusion`."""
    return "/".join("".join(c if c.isalnum() else "-" for c in str(part).strip()) for part in parts)


def thousands(value: float, _place: object = None) -> str:
    """A number as an axis shows it."""
    return f"{value:,.0f}" if value >= _DECADE or value == int(value) else f"{value:g}"
