"""Measurements as tables for a terminal, and as JSON, one object a line."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from itertools import groupby

from rich import box
from rich.table import Table

from engram.bench.figures import Figure
from engram.bench.run import Measured

__all__ = ["category_table", "json_line", "recall_table", "speed_table"]


def json_line(value: Mapping[str, object]) -> str:
    """One object on one line."""
    return json.dumps(value, ensure_ascii=False)


def _table(title: str) -> Table:
    return Table(title=title, title_justify="left", box=box.SIMPLE, pad_edge=False, collapse_padding=True)


def recall_table(measured: Sequence[Measured]) -> Table:
    """The policies on one data set, side by side."""
    first = measured[0]
    table = _table(f"{first.data}: recall over {first.questions:,} questions")
    table.add_column("policy")
    for k in first.recall:
        table.add_column(f"@{k}", justify="right")
    for heading in ("context tokens", "ms/query", "AUROC"):
        table.add_column(heading, justify="right")
    for item in measured:
        table.add_row(
            item.policy,
            *(f"{value:.3f}" for value in item.recall.values()),
            f"{item.context_tokens:,.0f}",
            f"{item.ms_per_query:.2f}",
            "" if item.auroc is None else f"{item.auroc:.2f}",
        )
    return table


def category_table(measured: Sequence[Measured]) -> Table:
    """The same by category; a cell holds recall at each k, in hundredths."""
    first = measured[0]
    ks = " ".join(f"@{k}" for k in first.recall)
    table = _table(f"{first.data}: recall {ks} by category, in hundredths")
    table.add_column("category", no_wrap=True)
    table.add_column("n", justify="right")
    for item in measured:
        table.add_column(item.policy, justify="right", no_wrap=True)
    for name, (count, _) in first.by_category.items():
        cells = [
            " ".join(f"{100 * value:3.0f}" for value in item.by_category[name][1].values())
            for item in measured
        ]
        table.add_row(name or "(none)", f"{count}", *cells)
    return table


def speed_table(figures: Sequence[Figure]) -> Table:
    """Each figure, what it is held against, and whether it stands; a heading for each size of store."""
    table = _table("Speed, against floors measured in the same run")
    table.add_column("what", no_wrap=True)
    table.add_column("median", justify="right", no_wrap=True)
    table.add_column("against", no_wrap=True)
    for heading in ("", "ratio", "target"):
        table.add_column(heading, justify="right", no_wrap=True)
    table.add_column("", no_wrap=True)
    for n, group in groupby(figures, key=lambda figure: figure.n):
        table.add_row(f"[bold]{n:,} records" if n else "[bold]without a store")
        for figure in group:
            table.add_row(
                f"  {figure.what}",
                figure.shown(figure.measured),
                figure.against,
                "" if figure.floor is None else figure.shown(figure.floor),
                "" if figure.ratio is None else f"{figure.ratio:.2f}",
                figure.goal,
                {True: "[green]ok", False: "[bold red]MISSED", None: ""}[figure.met],
            )
        table.add_section()
    return table
