"""`engram top`: what a memory does, as it does it."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Group, RenderableType
from rich.live import Live
from rich.table import Table
from rich.text import Text

from engram.cli.group import complain
from engram.cli.options import Json, Url, opened_core
from engram.cli.output import emit, one_line, output, table
from engram.cli.typed import keys_typed
from engram.kernel.errors import StoreError

if TYPE_CHECKING:
    from engram.cli.options import Opening
    from engram.observe.board import Board
    from engram.observe.sources import Look, Source

__all__ = ["top"]

_UNITS = ("B", "kB", "MB", "GB", "TB")
_UNKNOWN = "?"

Once = Annotated[bool, typer.Option("--once", help="Look once, and leave.")]
Every = Annotated[float, typer.Option("--every", metavar="SECONDS", min=0.2, help="How often to look.")]


def top(
    context: typer.Context, once: Once = False, every: Every = 2.0, url: Url = None, json: Json = False
) -> None:
    """What a memory does: traffic, jobs and workers, models, sizes, errors.

    The url is a store's, or that of an engram serve, with ENGRAM_KEY. In a
    terminal it is a screen that q or Ctrl-C ends; else, or with --json, one
    look follows the other. With --once rates are those since the service began.
    """
    with _source(context, url) as source:
        try:
            _looks(source, every, once=once, json=json)
        except KeyboardInterrupt:
            return


@contextmanager
def _source(context: typer.Context, url: str | None) -> Iterator[Source]:
    """The store or the service to look at."""
    from engram.client.service import Service, is_service
    from engram.config import default_url, service_key
    from engram.observe.sources import Served, Stored

    opening: Opening = context.obj
    place = url or opening.url or default_url()
    if not is_service(place):
        with closing(opened_core(context, url)) as core:
            yield Stored(core)
        return
    service = Service(place)
    with closing(Served(Service(place, service.keyed(service_key), timeout=30.0))) as served:
        yield served


def _looks(source: Source, every: float, *, once: bool, json: bool) -> None:
    """Look again and again, and show it."""
    console = output()
    screen = console.is_terminal and not (once or json)
    before: tuple[Look, float] | None = None
    with ExitStack() as stack:
        live = stack.enter_context(Live(console=console, screen=True, auto_refresh=False)) if screen else None
        pressed = stack.enter_context(keys_typed()) if screen else None
        while True:
            shown, before = _next(source, before)
            if live is not None:
                live.update(shown if isinstance(shown, Text) else _screen(shown), refresh=True)
            elif isinstance(shown, Text):
                complain(shown.plain)
            elif json:
                emit(shown)
            else:
                console.print(_screen(shown))
            if once:
                return
            if pressed is None:
                time.sleep(every)
            elif pressed(every) in ("q", "Q"):
                return


def _next(
    source: Source, before: tuple[Look, float] | None
) -> tuple[Board | Text, tuple[Look, float] | None]:
    """The board of one look, or why there is none, which ends it where it is the first."""
    from engram.observe.board import board

    began = time.monotonic()
    try:
        look = source.look()
    except StoreError as error:
        if before is None:
            raise
        return Text(f"{one_line(source.name)}: {one_line(str(error))}", style="red"), before
    earlier = (None, 0.0) if before is None else (before[0], began - before[1])
    return board(source.name, look, *earlier), (look, began)


def _screen(board: Board) -> RenderableType:
    """The board for people."""
    parts: list[RenderableType] = [_head(board), _figures(board)]
    if board["calls_per_second"]:
        parts.append(_calls(board))
    for title, rows in (("Being done", board["workers"]), ("Largest scopes", board["largest"])):
        if rows:
            parts += [Text(f"\n{title}", style="bold"), _rows(rows)]
    if board["errors"]:
        parts += [Text("\nParked or put off", style="bold"), _rows(board["errors"])]
    if board["missing"]:
        parts.append(Text(f"\nthis key may not see: {', '.join(board['missing'])}", style="dim"))
    return Group(*parts)


def _head(board: Board) -> Text:
    head = Text.assemble(("engram top", "bold"), f"  {one_line(board['source'])}  ")
    about = [f"{name} {board[name]}" for name in ("version", "policy", "store") if board[name]]
    return head.append(one_line("  ".join([*about, board["time"]])), style="dim")


def _figures(board: Board) -> Table:
    """The figures in pairs of name and value."""
    jobs, tokens = board["jobs"], board["model_tokens"]
    oldest = board["oldest_job_seconds"]
    cost = board["model_cost_dollars"]
    dollars = _UNKNOWN if cost is None else f"${cost:,.4f}"
    pairs = [
        ("requests", f"{_rate(board['requests_per_second'])}, {_number(board['in_progress'])} under way"),
        ("refused, failed", f"{_number(board['refused'])}, {_number(board['failed'])}"),
        ("records", f"{_number(board['records'])}, {_rate(board['records_per_second'])} written"),
        ("scopes", _number(board["scopes"])),
        ("jobs", ", ".join(f"{_number(jobs[name])} {name}" for name in jobs)),
        ("oldest waits", _UNKNOWN if oldest is None else f"{oldest:,.0f} s"),
        ("model calls", f"{_number(board['model_calls'])}, {_rate(board['model_calls_per_second'])}"),
        ("tokens, cost", f"{_number(tokens['in'])} in, {_number(tokens['out'])} out, {dollars}"),
        ("store", _size(board["bytes"]) + (", purge pending" if board["purge_pending"] else "")),
        ("indexes", _size(board["cache_bytes"])),
    ]  # fmt: skip
    grid = Table.grid(padding=(0, 2))
    for first, second in zip(pairs[::2], pairs[1::2], strict=True):
        grid.add_row(Text(first[0], style="dim"), first[1], Text(second[0], style="dim"), second[1])
    return grid


def _calls(board: Board) -> Table:
    shown = table("call", "a second", "median", "95 %", numbers=("a second", "median", "95 %"))
    for call, rate in board["calls_per_second"].items():
        times = board["latency_ms"].get(call, {})
        shown.add_row(
            Text(one_line(call)),
            _rate(rate, ""),
            *(_milliseconds(times.get(name)) for name in ("p50", "p95")),
        )
    return shown


def _rows(rows: list[dict[str, Any]]) -> Table:
    """Objects as a table of their fields."""
    names = list(rows[0])
    shown = table(*names)
    for row in rows:
        shown.add_row(*(Text(one_line(_said(row[name]))) for name in names))
    return shown


def _said(value: object) -> str:
    if isinstance(value, dict):
        return ", ".join(f"{name} {one}" for name, one in value.items() if one is not None)
    return "" if value is None else str(value)


def _rate(rate: float | None, unit: str = "/s") -> str:
    return _UNKNOWN if rate is None else f"{rate:,.1f}{unit}"


def _number(value: float | None) -> str:
    return _UNKNOWN if value is None else f"{value:,}"


def _milliseconds(value: float | None) -> str:
    return _UNKNOWN if value is None else f"≤ {value:,.1f} ms"


def _size(value: float | None) -> str:
    if value is None:
        return _UNKNOWN
    for unit in _UNITS[:-1]:
        if value < 1000:
            return f"{value:,.0f} {unit}"
        value /= 1000
    return f"{value:,.1f} {_UNITS[-1]}"
