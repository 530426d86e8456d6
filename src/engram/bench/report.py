"""Measurements as tables for a terminal, and as JSON, one object a line."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from itertools import groupby

from rich import box
from rich.markup import escape
from rich.table import Table

from engram.bench.figures import Figure
from engram.bench.run import Measured
from engram.kernel.show import one_line

__all__ = ["category_tables", "json_line", "recall_table", "speed_table"]


WIDE = 96


def json_line(value: Mapping[str, object]) -> str:
    """One object on one line."""
    return json.dumps(value, ensure_ascii=False)


def _plain(text: str) -> str:
    """A name that comes from a file, as it stands."""
    return escape(one_line(text))


def _table(title: str) -> Table:
    return Table(title=title, title_justify="left", box=box.SIMPLE, pad_edge=False, collapse_padding=True)


def recall_table(measured: Sequence[Measured]) -> Table:
    """The policies on one data set, side by side."""
    first = measured[0]
    table = _table(f"{_plain(first.data)}: recall over {first.questions:,} questions")
    table.add_column("policy")
    for k in first.recall:
        table.add_column(f"@{k}", justify="right")
    for heading in ("context tokens", "ms/query", "AUROC"):
        table.add_column(heading, justify="right")
    for item in measured:
        table.add_row(
            _plain(item.policy),
            *(f"{value:.3f}" for value in item.recall.values()),
            f"{item.context_tokens:,.0f}",
            f"{item.ms_per_query:.2f}",
            "" if item.auroc is None else f"{item.auroc:.2f}",
        )
    return table


def category_tables(measured: Sequence[Measured], width: int = 100) -> list[Table]:
    """The same by category, in as many tables as the width wants; recall at each k, in hundredths."""
    first = measured[0]
    cell = 4 * len(first.recall) + 1
    names = max(map(len, [*first.by_category, "category"]))
    fitting = max(1, (width - names - 8) // cell)
    return [_categories(measured[place : place + fitting]) for place in range(0, len(measured), fitting)]


def _categories(measured: Sequence[Measured]) -> Table:
    first = measured[0]
    ks = " ".join(f"@{k}" for k in first.recall)
    table = _table(f"{_plain(first.data)}: recall {ks} by category, in hundredths")
    table.add_column("category", no_wrap=True)
    table.add_column("n", justify="right")
    for item in measured:
        table.add_column(_plain(item.policy), justify="right", no_wrap=True)
    for name, (count, _) in first.by_category.items():
        cells = [
            " ".join(f"{100 * value:3.0f}" for value in item.by_category[name][1].values())
            for item in measured
        ]
        table.add_row(_plain(name) or "(none)", f"{count}", *cells)
    return table


def speed_table(figures: Sequence[Figure], width: int = 100, title: str = "Speed") -> Table:
    """Each figure, what it is held against, and whether it stands; a heading for each size of store.

    Where it would be wider than `width` columns, what a figure is held against stands on a line below it.
    """
    narrow = width < WIDE
    table = _table(f"{title}, against floors measured in the same run")
    table.add_column("what", no_wrap=True)
    table.add_column("median", justify="right", no_wrap=True)
    if not narrow:
        table.add_column("against", no_wrap=True)
    for heading in ("floor", "ratio", "target"):
        table.add_column(heading, justify="right", no_wrap=True)
    table.add_column("", no_wrap=True)
    for n, group in groupby(figures, key=lambda figure: figure.n):
        table.add_row(f"[bold]{n:,} records" if n else "[bold]without a store")
        for figure in group:
            below = f"\n[dim]      {figure.against}" if narrow and figure.against else ""
            table.add_row(
                f"  {figure.what}{below}",
                figure.shown(figure.measured),
                *([] if narrow else [figure.against]),
                "" if figure.floor is None else figure.shown(figure.floor),
                "" if figure.ratio is None else f"{figure.ratio:.2f}",
                figure.goal,
                {True: "[green]ok", False: "[bold red]MISSED", None: ""}[figure.met],
            )
        table.add_section()
    return table
