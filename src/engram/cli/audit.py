"""`engram audit`: who read and changed what through a service."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.text import Text

from engram.cli.group import complain
from engram.cli.options import Agent, Json, Run, Tenant, Url, User, moment_of, scope
from engram.cli.output import emit, moment, one_line, output, table
from engram.kernel.clock import parse_time
from engram.kernel.errors import NotFound

if TYPE_CHECKING:
    from engram.client.call import Request
    from engram.serve.trail import Line, Trail, Wanted

__all__ = ["audit"]

_MOST = 1000  # lines of a page that a service gives
_Page = Callable[[str | None, int], "Trail"]

_WHICH = "Which lines"
Since = Annotated[
    str | None, typer.Option(metavar="TIME", help="From then on, such as 2024-05-02.", rich_help_panel=_WHICH)
]
Until = Annotated[str | None, typer.Option(metavar="TIME", help="Before then.", rich_help_panel=_WHICH)]
Key = Annotated[
    str | None, typer.Option(metavar="KEY", help="By the key of that id.", rich_help_panel=_WHICH)
]
Call = Annotated[
    str | None, typer.Option(metavar="CALL", help="Of a call, such as search.", rich_help_panel=_WHICH)
]
Record = Annotated[
    str | None, typer.Option(metavar="ID", help="About the record of that id.", rich_help_panel=_WHICH)
]
Most = Annotated[int, typer.Option("--limit", metavar="N", min=1, help="How many lines, the newest first.")]
File = Annotated[
    Path | None,
    typer.Option(metavar="FILE", dir_okay=False, help="The audit's file. Default: beside the store's file."),
]


def audit(
    context: typer.Context,
    since: Since = None,
    until: Until = None,
    key: Key = None,
    call: Call = None,
    record: Record = None,
    user: User = None,
    agent: Agent = None,
    run: Run = None,
    tenant: Tenant = None,
    limit: Most = 100,
    file: File = None,
    url: Url = None,
    json: Json = False,
) -> None:
    """Who read and changed what through engram serve, in ids, the newest first.

    It reads the audit's file, and files that it was rotated into beside it.
    Of a service, with its url and an admin's key in ENGRAM_KEY, it tells what
    the key reaches.
    """
    from engram.serve.trail import Wanted

    ids = {name: str(id) for name, id in scope(user, agent, run, tenant).items() if id is not None}
    wanted = Wanted(_time(since, "--since"), _time(until, "--until"), key, call, record, ids)
    with _opened(file, url or context.obj.url, wanted) as page:
        lines, damaged = _read(page, limit)
    if damaged:
        complain(f"{damaged} line{'s' if damaged != 1 else ''} of the audit cannot be read")
    if json:
        for line in lines:
            emit(line)
    elif lines:
        _show(lines)
    else:
        complain("no line of the audit fits")


@contextmanager
def _opened(file: Path | None, url: str | None, wanted: Wanted) -> Iterator[_Page]:
    """What gives a page of the audit: a file that is named, a service, or the file beside the store."""
    from engram.client.service import Service, is_service
    from engram.config import default_url, service_key
    from engram.serve.trail import Trail, read_trail

    place = url or default_url()
    if file is None and is_service(place):
        from engram.client.wire import Wire

        wire = Wire(Service(place, Service(place).keyed(service_key)))
        with closing(wire):
            yield lambda after, limit: Trail(**wire.ask(_request(wanted, after, limit)))
        return
    path = _file(file, place)
    yield lambda after, limit: read_trail(path, wanted, lambda _line: True, after, limit)


def _request(wanted: Wanted, after: str | None, limit: int) -> Request:
    """The request for a page of a service's audit."""
    from engram.client.call import Request

    times = {"since": wanted.since, "until": wanted.until}
    named = {"key": wanted.key, "call": wanted.call, "record": wanted.record, "after": after}
    given = {name: time.isoformat() for name, time in times.items() if time is not None}
    given |= {name: text for name, text in named.items() if text is not None}
    return Request("GET", "/audit", {**given, **wanted.scope, "limit": str(min(limit, _MOST))})


def _file(named: Path | None, url: str | None) -> Path:
    """The audit's file, by default the one beside the store. Raises `NotFound`."""
    from engram.cli.serve import beside

    path = named or beside(url)
    if path is None or not path.exists():
        where = "" if path is None else f" at {path}"
        raise NotFound(f"there is no audit{where}; engram serve writes one, and --file names another")
    return path


def _time(text: str | None, name: str) -> datetime | None:
    return None if text is None else parse_time(moment_of(text, name), name)[0]


def _read(page: _Page, limit: int) -> tuple[list[Line], int]:
    """So many lines, and how many were damaged."""
    found: list[Line] = []
    damaged, after = 0, None
    while True:
        told = page(after, limit - len(found))
        found += told.items
        damaged += told.damaged
        after = told.next
        if after is None or len(found) == limit:
            return found, damaged


def _show(lines: list[Line]) -> None:
    shown = table("time", "key", "call", "scope", "records", "outcome", numbers=("records",))
    for line in lines:
        cells: list[Any] = [moment(parse_time(line["time"], "time")[0]), line["key"], line["call"]]
        cells.append(", ".join(f"{name} {id}" for name, id in line["scope"].items()))
        cells += [line["count"], line["outcome"]]
        shown.add_row(*(Text(one_line(str(cell))) for cell in cells))
    output().print(shown)
