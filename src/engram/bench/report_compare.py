"""A comparison as tables for a terminal."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial

from rich import box
from rich.markup import escape
from rich.table import Table

from engram.bench.compared import Compared, Mean, Winner
from engram.kernel.show import one_line

__all__ = ["category_table", "compare_tables", "winner_table"]

SURE = 0.05
Column = tuple[str, Callable[[Compared], str]]


def compare_tables(found: Sequence[Compared]) -> list[Table]:
    """The policies on one data set: how good, and at what cost; best recall at the largest k first.

    What no policy has is left out.
    """
    first, ranked = found[0], _ranked(found)
    data = _plain(first.data)
    quality = f"{data}: {first.questions:,} questions, p against {_plain(first.against)}"
    return [_table(quality, ranked, _quality(first)), _table(f"{data}: what it takes", ranked, _COST)]


def _table(title: str, found: Sequence[Compared], every: Sequence[Column]) -> Table:
    table = Table(title=title, title_justify="left", box=box.SIMPLE, pad_edge=False, collapse_padding=True)
    columns = [column for column in every if any(column[1](item) for item in found)]
    for heading, _ in columns:
        first = heading == "policy"
        table.add_column(
            heading.replace("_", " "), justify="left" if first else "right", no_wrap=first, overflow="fold"
        )
    for item in found:
        table.add_row(*(value(item) for _, value in columns))
    return table


def category_table(found: Sequence[Compared]) -> Table:
    """The policies on one data set, category by category; the best of each is marked."""
    first = found[0]
    largest = list(first.recall)[-1]
    columns: list[Column] = [
        ("policy", lambda item: _plain(item.policy)),
        *((_plain(name) or "(none)", partial(_in_category, name)) for name in first.by_category),
    ]
    title = f"{_plain(first.data)}: recall@{largest} by category, * the best"
    return _table(title, _ranked(found), columns)


def _ranked(found: Sequence[Compared]) -> list[Compared]:
    return sorted(found, key=lambda item: -list(item.recall.values())[-1].value)


def _in_category(name: str, item: Compared) -> str:
    value = f"{item.by_category[name]['recall']:.2f}"
    return f"[bold]{value}*[/bold]" if name in item.best_in else value


def winner_table(found: Sequence[Winner]) -> Table:
    """Who is best in which category."""
    table = Table(
        title="best by category", title_justify="left", box=box.SIMPLE, pad_edge=False, collapse_padding=True
    )
    for heading, justify in (("data", "left"), ("category", "left"), ("n", "right"), ("best", "left")):
        table.add_column(heading, justify="right" if justify == "right" else "left")
    table.add_column("recall", justify="right")
    table.add_column("against", justify="right")
    for item in found:
        names = ", ".join(map(_plain, item.policies))
        figures = (_between(item.recall), f"{item.against:.3f}")
        table.add_row(
            _plain(item.data), _plain(item.category) or "(none)", f"{item.questions}", names, *figures
        )
    return table


def _quality(first: Compared) -> list[Column]:
    *smaller, largest = first.recall
    return [
        ("policy", lambda item: _plain(item.policy)),
        *((f"@{k}", partial(_recall, k)) for k in smaller),
        (f"@{largest}", lambda item: _between(item.recall[largest])),
        ("p", lambda item: "" if item.p is None else _p(item.p)),
        ("AUROC", lambda item: "" if item.auroc is None else f"{item.auroc:.2f}"),
        ("F1", lambda item: "" if item.f1 is None else _between(item.f1)),
        ("right", lambda item: "" if item.correct is None else _between(item.correct)),
    ]


_COST: tuple[Column, ...] = (
    ("policy", lambda item: _plain(item.policy)),
    ("calls/add", lambda item: f"{item.calls:.2f}" if item.calls else ""),
    ("tokens/add", lambda item: f"{item.tokens:,.0f}" if item.tokens else ""),
    ("$/1000 adds", lambda item: f"{1000 * item.cost:.2f}" if item.cost else ""),
    ("calls/question", lambda item: f"{item.reading_calls:.2f}" if item.reading_calls else ""),
    ("tokens shown", lambda item: f"{item.shown:,.0f}"),
    ("tokens/question", lambda item: f"{item.reading_tokens:,.0f}" if item.reading_tokens else ""),
    ("ms/turn", lambda item: f"{item.add_ms:.2f}"),
    ("ms/search", lambda item: f"{item.search_ms:.2f}"),
    ("records/turn", lambda item: f"{item.kept:.2f}"),
    ("KB/turn", lambda item: f"{item.kept_bytes / 1000:.1f}"),
)


def _recall(k: str, item: Compared) -> str:
    return f"{item.recall[k].value:.3f}"


def _between(mean: Mean) -> str:
    return f"{mean.value:.3f} [dim]{mean.low:.3f}-{mean.high:.3f}[/dim]"


def _p(p: float) -> str:
    shown = "<0.001" if p < 0.001 else f"{p:.3f}"
    return f"{shown} [bold]*[/bold]" if p < SURE else shown


def _plain(text: str) -> str:
    return escape(one_line(text))
