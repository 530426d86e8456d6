"""Commands about single records: `show`, `history`."""

from __future__ import annotations

import json as json_module
from typing import TYPE_CHECKING

import typer
from rich.text import Text

from engram.cli.options import (
    Agent,
    Id,
    Json,
    Known,
    Run,
    Tenant,
    Url,
    User,
    Valid,
    moment_of,
    opened,
    scope,
)
from engram.cli.output import INDENT, cut, emit, moment, one_line, output, padded, printable, show_facts, who
from engram.cli.reading import seen

if TYPE_CHECKING:
    from datetime import datetime

    from engram.kernel.record import Record

__all__ = ["history", "show"]


def show(
    context: typer.Context,
    id: Id,
    valid: Valid = None,
    known: Known = None,
    user: User = None,
    agent: Agent = None,
    run: Run = None,
    tenant: Tenant = None,
    url: Url = None,
    json: Json = False,
) -> None:
    """One record: text, what is known about it, sources, versions."""
    ids = scope(user, agent, run, tenant)
    with opened(context, url) as memory:
        view = seen(memory, valid, known)
        record = view.get(id, **ids)
        versions = record.version if record.sources else len(view.history(id, **ids))
        sources = [view.get(source, **ids) for source in record.sources]
    if json:
        emit({**record.to_dict(), "versions": versions})
        return
    console = output()
    show_facts(console, _facts(record, versions))
    for source in sources:
        said = f"{source.id}  {who(source)}: {cut(source.text, 50)}"
        console.print(Text.assemble((f"{'source':<9} ", "dim"), said), soft_wrap=True)
    console.print()
    if record.text:
        console.print(Text(printable(record.text)), soft_wrap=not console.is_terminal)
    else:
        console.print(Text(printable(json_module.dumps(record.original, ensure_ascii=False, indent=2))))


def _facts(record: Record, versions: int) -> dict[str, str]:
    """What is known about a record, what is empty left out."""
    level = {0: "turn", 1: "window", 2: "session"}.get(record.level if record.level is not None else -1)
    facts = {
        "id": record.id,
        "kind": f"{record.kind} ({level})" if level else record.kind,
        "said by": who(record),
        "time": moment(record.time),
        "valid": _span(record.valid.start, record.valid.end),
        "known": _span(record.known.start, record.known.end),
        "scope": ", ".join(f"{name} {value}" for name, value in record.scope.to_dict().items() if value),
        "origin": record.origin or "",
        "made by": record.made_by or "",
        "strength": "" if record.strength == 1 else f"{record.strength:.2f}",
        "trust": "" if record.trust == 1 else f"{record.trust:.2f}",
        "metadata": json_module.dumps(dict(record.metadata), ensure_ascii=False) if record.metadata else "",
        "expires": moment(record.expires),
        "versions": str(versions),
        "change": f"{record.opened} (engram undo {record.opened} takes it back)" if record.opened else "",
    }
    return {name: one_line(value) for name, value in facts.items() if value}


def _span(start: datetime | None, end: datetime | None) -> str:
    """A stretch of time, in words where a side is open."""
    if start and end:
        return f"{moment(start)} to {moment(end)}"
    return f"{moment(start)} on" if start else f"until {moment(end)}" if end else ""


def history(
    context: typer.Context,
    id: Id,
    known: Known = None,
    user: User = None,
    agent: Agent = None,
    run: Run = None,
    tenant: Tenant = None,
    url: Url = None,
    json: Json = False,
) -> None:
    """Every version of a record, and when it was believed."""
    ids = scope(user, agent, run, tenant)
    with opened(context, url) as memory:
        view = memory if known is None else memory.as_of(known=moment_of(known, "--known"))
        versions = view.history(id, **ids)
    console = output()
    for record in versions:
        if json:
            emit(record.to_dict())
            continue
        head = Text.assemble(
            (f"{record.version:>5}", "bold"), (f"  {_span(record.known.start, record.known.end)}", "dim")
        )
        if record.opened:
            head.append(f"  change {record.opened}", style="dim")
        console.print(head, soft_wrap=not console.is_terminal)
        console.print(padded(cut(record.text), INDENT))
