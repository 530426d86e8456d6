"""What a person sees: records and hits, and progress on standard error where that is a terminal."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from datetime import datetime
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.padding import Padding
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.text import Text

if TYPE_CHECKING:
    from engram.kernel.record import Hit, Record

__all__ = [
    "cut",
    "emit",
    "moment",
    "one_line",
    "output",
    "printable",
    "progress",
    "reasons",
    "show_hit",
    "status",
    "who",
]

WIDTH = 100
CUT = 180


def output() -> Console:
    """Standard output: the terminal's width, or 100 columns where it is none; colour on a terminal only."""
    console = Console(highlight=False)
    return console if console.is_terminal else Console(highlight=False, width=WIDTH)


def emit(value: Mapping[str, Any]) -> None:
    """One JSON object on one line; outside of ASCII as escapes where standard output is not Unicode."""
    unicode = (sys.stdout.encoding or "").lower().startswith("utf")
    print(json.dumps(value, ensure_ascii=not unicode), flush=True)


def printable(text: str) -> str:
    """The text without characters that could give orders to a terminal."""
    return "".join(
        character if character.isprintable() or character in "\n\t" else "\N{REPLACEMENT CHARACTER}"
        for character in text
    )


def one_line(text: str) -> str:
    """The text on one line."""
    return printable(" ".join(text.split()))


def cut(text: str, length: int = CUT) -> str:
    """At most `length` characters of the text, on one line."""
    line = one_line(text)
    return line if len(line) <= length else line[: length - 1].rstrip() + "…"


def who(record: Record) -> str:
    """Whose words they are."""
    return one_line(record.name or record.role or record.kind)


def moment(time: datetime | None) -> str:
    """Date and time to the minute."""
    return "" if time is None else f"{time:%Y-%m-%d %H:%M}"


def reasons(hit: Hit, most: int = 4) -> str:
    """The signals that moved a hit most, with their shares."""
    parts = sorted(hit.why.items(), key=lambda part: -abs(part[1]))[:most]
    return " · ".join(f"{name} {share:+.2f}" for name, share in parts)


def show_hit(console: Console, hit: Hit, *, explain: bool = False) -> None:
    """A hit on two lines, on three with its reasons."""
    record = hit.record
    head = Text.assemble(
        (f"{hit.score:5.2f}", "bold green"),
        f"  {moment(record.time)}  ",
        (who(record), "bold"),
        (f"  {hit.id}", "dim"),
    )
    console.print(head, soft_wrap=True)
    console.print(Padding(Text(cut(hit.text)), (0, 0, 0, 7), expand=False))
    if explain:
        console.print(
            Padding(
                Text(reasons(hit, 8) or "this policy gives no reasons", style="dim"),
                (0, 0, 0, 7),
                expand=False,
            )
        )


@contextmanager
def progress(total: int, what: str) -> Iterator[Callable[..., None]]:
    """A bar of `total` steps; the value is called after each, or after several with their number."""
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    console = Console(stderr=True)
    with Progress(*columns, console=console, transient=True, disable=not sys.stderr.isatty()) as bar:
        task = bar.add_task(what, total=total)
        yield lambda count=1: bar.advance(task, count)


@contextmanager
def status() -> Iterator[Callable[[str], None]]:
    """A line that turns while something runs; the value is called with what is under way."""
    console = Console(stderr=True)
    if not console.is_terminal:
        yield lambda _: None
        return
    with console.status("") as shown:
        yield shown.update
