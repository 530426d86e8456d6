"""What a person sees: records and hits, and progress on standard error where that is a terminal."""

from __future__ import annotations

import json
import sys
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import datetime
from typing import TYPE_CHECKING, Any

import typer
from rich import box
from rich.console import Console
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from engram.kernel import show
from engram.kernel.show import one_line, printable

if TYPE_CHECKING:
    from engram.engine.progress import Progress
    from engram.engine.results import Receipt
    from engram.kernel.record import Hit, Record

__all__ = [
    "INDENT",
    "counting",
    "cut",
    "emit",
    "moment",
    "one_line",
    "output",
    "padded",
    "printable",
    "progress",
    "reasons",
    "receipt_shown",
    "show_facts",
    "show_hit",
    "show_records",
    "show_row",
    "status",
    "table",
    "who",
]

WIDTH = 100
CUT = 180
LATE = 0.5
NARROW = 72
INDENT = (0, 0, 0, 7)
_UNSEEN = {"secret": "not shown"}


def output() -> Console:
    """Standard output: the terminal's width, or 100 columns where it is none; colour on a terminal only."""
    console = Console(highlight=False)
    return console if console.is_terminal else Console(highlight=False, width=WIDTH)


def emit(value: Mapping[str, Any]) -> None:
    """One JSON object on one line; outside of ASCII as escapes where standard output is not Unicode."""
    print(json.dumps(value, ensure_ascii=not _unicode(sys.stdout.encoding)), flush=True)


def cut(text: str, length: int = CUT) -> str:
    """At most `length` characters of the text, on one line."""
    return show.cut(text, length)


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
    """A hit on two lines, on three with its reasons; on a narrow terminal its id has a line of its own."""
    record = hit.record
    head = Text.assemble(
        (f"{hit.score:5.2f}", "bold green"), f"  {moment(record.time)}  ", (who(record), "bold")
    )
    if console.width < NARROW:
        console.print(head, padded(hit.id, INDENT, "dim"), sep="\n", soft_wrap=True)
    else:
        console.print(head.append(f"  {hit.id}", style="dim"), soft_wrap=True)
    console.print(padded(cut(hit.text), INDENT))
    if explain:
        console.print(padded(reasons(hit, 8) or "this policy gives no reasons", INDENT, "dim"))


def padded(text: str, padding: tuple[int, int, int, int], style: str = "") -> Padding:
    """A text that is set in, wrapped where a line ends."""
    return Padding(Text(text, style=style), padding, expand=False)


def show_records(console: Console, records: Sequence[Record]) -> None:
    """Records by line: id, time, who, and the words, on a terminal as far as they fit."""
    longest = min(12, max((len(who(record)) for record in records), default=0))
    for record in records:
        name = Text(f"{cut(who(record), 24):<{longest}}", style="bold")
        head = Text.assemble((record.id, "dim"), f"  {moment(record.time)}  ", name, "  ")
        text = one_line(record.indexed) or f"({record.kind} {_UNSEEN.get(record.kind, 'without text')})"
        if not console.is_terminal:
            console.print(head.append(text), soft_wrap=True)
        elif console.width < NARROW:
            console.print(Text(record.id, style="dim"))
            said = Text.assemble(f"{moment(record.time)}  ", (f"{who(record)}: ", "bold"), cut(text))
            console.print(Padding(said, (0, 0, 0, 2), expand=False))
        else:
            line = Text.assemble(head, cut(text, console.width))
            line.truncate(max(console.width, head.cell_len + 20), overflow="ellipsis")  # of wide signs too
            console.print(line, soft_wrap=True)


def show_facts(console: Console, facts: Mapping[str, str], width: int = 9) -> None:
    """Names and what they stand for, in two columns; into a pipe a line each."""
    for name, value in facts.items():
        show_row(console, Text(f"{name:<{width}}", style="dim"), Text(value))


def show_row(console: Console, *cells: Text) -> None:
    """Cells side by side, the last one broken within its column; into a pipe on one line."""
    if not console.is_terminal:
        console.print(Text(" ").join(cells), soft_wrap=True)
        return
    grid = Table.grid(padding=(0, 1))
    for cell in cells[:-1]:
        grid.add_column(no_wrap=True, min_width=cell.cell_len)
    grid.add_column(overflow="fold")
    grid.add_row(*cells)
    console.print(grid)


def receipt_shown(receipt: Receipt, *, as_json: bool) -> None:
    """Every item of a receipt, and what is owed; exit code 1 where one failed."""
    if as_json:
        emit(receipt.to_dict())
    else:
        console = output()
        for item in receipt.items:
            line = Text.assemble(
                (f"{item.event:<10}", "green" if item.event != "failed" else "red"), f"  {item.id or ''}"
            )
            if item.reason:
                line.append(f"  ({one_line(item.reason)})", style="dim")
            console.print(line, soft_wrap=True)
        if receipt.job:
            console.print(Text(f"owed: job {receipt.job}; engram jobs shows it"), soft_wrap=True)
    if not receipt.ok:
        raise typer.Exit(1)


def table(*columns: str, numbers: Sequence[str] = ()) -> Table:
    """A plain table; the columns in `numbers` are set to the right, an `id` is never cut."""
    made = Table(box=box.SIMPLE_HEAD, header_style="bold", pad_edge=False, show_edge=False)
    for name in columns:
        made.add_column(
            name, justify="right" if name in numbers else "left", no_wrap=name == "id", overflow="fold"
        )
    return made


@contextmanager
def counting(what: str) -> Iterator[Progress]:
    """A bar on standard error, where that is a terminal; the value takes what is done, and how much there is.

    It is there after half a second. With a total unknown (`None`) it only says how much is done.
    """
    if not sys.stderr.isatty():
        yield lambda _done, _total: None
        return
    from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeRemainingColumn

    columns = (
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        TaskProgressColumn(),
        TimeRemainingColumn(),
    )
    bar = Progress(
        *columns,
        console=Console(stderr=True),
        transient=True,
        redirect_stdout=sys.stdout.isatty(),  # a line that goes elsewhere is none of the bar's
    )
    task = bar.add_task(what, total=None)
    with _after(LATE, bar.start, bar.stop):
        yield lambda done, total: bar.update(task, completed=done, total=total)


@contextmanager
def progress(total: int, what: str) -> Iterator[Callable[..., None]]:
    """A bar of `total` steps; the value is called after each, or after several with their number."""
    done = 0

    def step(count: int = 1) -> None:
        nonlocal done
        done += count
        say(done, total)

    with counting(what) as say:
        yield step


@contextmanager
def status(what: str = "") -> Iterator[Callable[[str], None]]:
    """A line that turns on standard error while something takes long, where that is a terminal.

    The value is called with what is under way now.
    """
    if not sys.stderr.isatty():
        yield lambda _: None
        return
    from rich.live import Live
    from rich.spinner import Spinner

    spinner = Spinner("dots" if _unicode(sys.stderr.encoding) else "line", Text(what))
    live = Live(spinner, console=Console(stderr=True), transient=True, redirect_stdout=sys.stdout.isatty())
    with _after(LATE, live.start, live.stop):
        yield lambda now: spinner.update(text=Text(now))


@contextmanager
def _after(seconds: float, start: Callable[[], None], stop: Callable[[], None]) -> Iterator[None]:
    """`start` is called where the block takes longer than `seconds`, and `stop` at its end."""
    timer = threading.Timer(seconds, start)
    timer.daemon = True
    timer.start()
    try:
        yield
    finally:
        timer.cancel()
        timer.join()
        stop()


def _unicode(encoding: str | None) -> bool:
    return (encoding or "").lower().startswith("utf")
