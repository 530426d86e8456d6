"""Commands that look something up: `search`, `context`, `show`, `history`."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Annotated

import typer

from engram.cli.group import complain
from engram.cli.options import (
    Agent,
    At,
    Everyone,
    Id,
    Json,
    Limit,
    Run,
    Tenant,
    Url,
    User,
    asked,
    opened,
    scope,
)
from engram.cli.output import cut, emit, moment, output, printable, show_hit, who

if TYPE_CHECKING:
    from engram.bound import ScopeIds
    from engram.kernel.record import Record
    from engram.memory import Memory

__all__ = ["context", "history", "search", "show"]

Query = Annotated[str, typer.Argument(metavar="QUERY", help="What to look for, in plain words.")]


def search(
    context: typer.Context,
    query: Query,
    k: Limit = 10,
    at: At = None,
    min_score: Annotated[float, typer.Option(min=0, max=1, help="Leave out hits below this.")] = 0.0,
    explain: Annotated[bool, typer.Option("--explain", help="Show each signal's share.")] = False,
    user: User = None,
    agent: Agent = None,
    run: Run = None,
    tenant: Tenant = None,
    everyone: Everyone = False,
    url: Url = None,
    json: Json = False,
) -> None:
    """Find what was said, best first.

    Scores run from 0 to 1. Without a scope: user "default".
    """
    ids = asked(user, agent, run, tenant, everyone=everyone)
    with opened(context, url) as memory:
        hits = memory.search(
            query, k=k, at=at, min_score=min_score, explain=explain, everyone=everyone, **ids
        )
        if not hits:
            _nothing(memory, ids)
    console = output()
    for hit in hits:
        if json:
            emit(hit.to_dict())
        else:
            show_hit(console, hit, explain=explain)


def context(
    context: typer.Context,
    query: Query,
    budget: Annotated[int, typer.Option(metavar="TOKENS", help="The most tokens it may take.")] = 1500,
    at: At = None,
    min_score: Annotated[float, typer.Option(min=0, max=1, help="Leave out hits below this.")] = 0.0,
    user: User = None,
    agent: Agent = None,
    run: Run = None,
    tenant: Tenant = None,
    everyone: Everyone = False,
    url: Url = None,
    json: Json = False,
) -> None:
    """Pack what is remembered about something for a prompt."""
    ids = asked(user, agent, run, tenant, everyone=everyone)
    with opened(context, url) as memory:
        packed = memory.context(query, budget=budget, at=at, min_score=min_score, everyone=everyone, **ids)
        if not packed.citations:
            _nothing(memory, ids)
    if json:
        emit(packed.to_dict())
    elif packed.text:
        print(printable(packed.text) if sys.stdout.isatty() else packed.text)


def _nothing(memory: Memory, ids: ScopeIds) -> None:
    """Say that nothing was found, and where there is something."""
    held = sum(
        row["records"] for row in memory.scopes() if all(row[key] == value for key, value in ids.items())
    )
    if held:
        complain("nothing found")
        return
    users = sorted({row["user_id"] for row in memory.scopes() if row["user_id"]})
    there = f"; users with records: {', '.join(map(repr, users[:5]))}" if users else "; the store is empty"
    asked_for = ", ".join(f"{key} {value!r}" for key, value in ids.items()) or "this tenant"
    complain(f"nothing is stored for {asked_for}{there}")


def show(
    context: typer.Context,
    id: Id,
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
        record = memory.get(id, **ids)
        versions = record.version if record.sources else len(memory.history(id, **ids))
        sources = [memory.get(source, **ids) for source in record.sources]
    if json:
        emit({**record.to_dict(), "versions": versions})
        return
    console = output()
    for name, value in _facts(record, versions).items():
        console.print(f"[dim]{name:<9}[/dim]", end=" ")
        console.print(value, markup=False)
    for source in sources:
        console.print(f"[dim]{'source':<9}[/dim]", end=" ")
        console.print(f"{source.id}  {who(source)}: {cut(source.text, 50)}", markup=False)
    console.print()
    console.print(printable(record.text), markup=False)


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
        "metadata": str(dict(record.metadata)) if record.metadata else "",
        "expires": moment(record.expires),
        "versions": str(versions),
    }
    return {name: printable(value) for name, value in facts.items() if value}


def _span(start: object, end: object) -> str:
    return (
        f"{start:%Y-%m-%d %H:%M} to {end:%Y-%m-%d %H:%M}"
        if start and end
        else f"{start:%Y-%m-%d %H:%M} on"
        if start
        else ""
    )


def history(
    context: typer.Context,
    id: Id,
    user: User = None,
    agent: Agent = None,
    run: Run = None,
    tenant: Tenant = None,
    url: Url = None,
    json: Json = False,
) -> None:
    """Every version of a record, and when it was believed."""
    with opened(context, url) as memory:
        versions = memory.history(id, **scope(user, agent, run, tenant))
    console = output()
    for record in versions:
        if json:
            emit(record.to_dict())
        else:
            console.print(
                f"[bold]{record.version}[/bold]  [dim]{_span(record.known.start, record.known.end)}[/dim]"
            )
            console.print(f"   {cut(record.text)}", markup=False)
