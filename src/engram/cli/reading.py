"""Commands that look something up: `search`, `context`, `as-of`, `list`."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Annotated, Any

import typer

from engram.cli.filtering import filtered
from engram.cli.group import complain
from engram.cli.options import (
    Agent,
    At,
    Everyone,
    Explain,
    Filters,
    Json,
    Known,
    Limit,
    MinScore,
    Run,
    Tenant,
    Url,
    User,
    Valid,
    asked,
    moment_of,
    opened,
)
from engram.cli.output import emit, output, printable, show_hit, show_records, status

if TYPE_CHECKING:
    from collections.abc import Sequence

    from engram.bound import ScopeIds
    from engram.engine.results import Page
    from engram.kernel.record import Hit
    from engram.memory import Memory
    from engram.view import View

__all__ = ["as_of", "context", "listing", "nothing", "search", "seen"]

_NOTHING_THEN = "nothing found that held then"
Query = Annotated[str, typer.Argument(metavar="QUERY", help="What to look for, in plain words.")]
Budget = Annotated[
    int | None,
    typer.Option("--budget", metavar="TOKENS", min=1, help="The most tokens it may take. Default: 1500."),
]


def search(
    context: typer.Context,
    query: Query,
    k: Limit = 10,
    at: At = None,
    min_score: MinScore = 0.0,
    filters: Filters = None,
    explain: Explain = False,
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
    question: dict[str, Any] = {**_question(k, at, min_score, filters), "everyone": everyone, **ids}
    with status("searching"), opened(context, url) as memory:
        hits = memory.search(query, explain=explain, **question)
        advice = "" if hits else nothing(memory, ids)
    _show_hits(hits, advice, explain=explain, as_json=json)


def _question(k: int, at: str | None, min_score: float, filters: Sequence[str] | None) -> dict[str, Any]:
    """What every searching call takes, as it was given."""
    return {"k": k, "at": moment_of(at, "--at"), "min_score": min_score, "filters": filtered(filters)}


def _show_hits(hits: Sequence[Hit], advice: str, *, explain: bool, as_json: bool) -> None:
    """Hits for a reader or a program; where there are none, the advice."""
    console = output()
    for hit in hits:
        if as_json:
            emit(hit.to_dict())
        else:
            show_hit(console, hit, explain=explain)
    if not hits:
        complain(advice)


def nothing(memory: Memory, ids: ScopeIds) -> str:
    """That nothing was found, and where there is something."""
    held = sum(
        row["records"] for row in memory.scopes() if all(row[key] == value for key, value in ids.items())
    )
    if held:
        return "nothing found"
    users = sorted({row["user_id"] for row in memory.scopes() if row["user_id"]})
    there = f"; users with records: {', '.join(map(repr, users[:5]))}" if users else "; the store is empty"
    asked_for = ", ".join(f"{key} {value!r}" for key, value in ids.items()) or "this tenant"
    return f"nothing is stored for {asked_for}{there}"


def context(
    context: typer.Context,
    query: Query,
    budget: Budget = None,
    copy: Annotated[bool, typer.Option("--copy", help="Put it on the clipboard, over ssh too.")] = False,
    k: Limit = 10,
    at: At = None,
    min_score: MinScore = 0.0,
    filters: Filters = None,
    valid: Valid = None,
    known: Known = None,
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
    question: dict[str, Any] = {**_question(k, at, min_score, filters), "everyone": everyone, **ids}
    with status("searching"), opened(context, url) as memory:
        packed = seen(memory, valid, known).context(query, budget=budget, **question)
        advice = "" if packed.citations else nothing(memory, ids)
    if not packed.text:
        complain(advice or "nothing fits into so few tokens; give a larger --budget")
    elif copy:
        from engram.cli.clipboard import copy as to_clipboard

        way = to_clipboard(packed.text)
        typer.echo(f"{packed.tokens:,} tokens, {len(packed.citations)} records copied {way}", err=True)
    if json:
        emit(packed.to_dict())
    elif packed.text and not copy:
        print(printable(packed.text) if sys.stdout.isatty() else packed.text, flush=True)
    for note in () if json else packed.notes:
        complain(note)


def seen(memory: Memory, valid: str | None, known: str | None) -> Memory | View:
    """The memory, or as it was where a moment is given."""
    if valid is None and known is None:
        return memory
    return memory.as_of(valid=moment_of(valid, "--valid"), known=moment_of(known, "--known"))


def as_of(
    context: typer.Context,
    query: Annotated[str | None, typer.Argument(metavar="[QUERY]", help="Without: list what held.")] = None,
    valid: Valid = None,
    known: Known = None,
    k: Limit = 10,
    at: At = None,
    min_score: MinScore = 0.0,
    filters: Filters = None,
    explain: Explain = False,
    user: User = None,
    agent: Agent = None,
    run: Run = None,
    tenant: Tenant = None,
    everyone: Everyone = False,
    url: Url = None,
    json: Json = False,
) -> None:
    """Search the memory as it was, or list what was believed then.

    --valid asks what was true in the world at a time, --known what was stored
    and believed by then; with both, what was believed then of that time.
    """
    if valid is None and known is None:
        raise typer.BadParameter("give --valid TIME, --known TIME or both")
    ids = asked(user, agent, run, tenant, everyone=everyone)
    question: dict[str, Any] = {**_question(k, at, min_score, filters), "everyone": everyone, **ids}
    with status("searching"), opened(context, url) as memory:
        view = seen(memory, valid, known)
        found: list[Hit] | Page
        if query is not None:
            found = view.search(query, explain=explain, **question)
        else:
            found = view.get_all(filters=question["filters"], limit=min(k, 1000), everyone=everyone, **ids)
    if isinstance(found, list):
        _show_hits(found, _NOTHING_THEN, explain=explain, as_json=json)
        return
    _show_page(found, as_json=json)
    if found.next or not found:
        complain("there is more: engram list --all goes to the end" if found else _NOTHING_THEN)


def listing(
    context: typer.Context,
    limit: Annotated[int, typer.Option(metavar="N", min=1, max=1000, help="Records to list.")] = 100,
    after: Annotated[
        str | None, typer.Option(metavar="PLACE", help="Go on behind this place: a record's arrival.")
    ] = None,
    every: Annotated[bool, typer.Option("--all", help="To the end, not --limit only.")] = False,
    filters: Filters = None,
    valid: Valid = None,
    known: Known = None,
    user: User = None,
    agent: Agent = None,
    run: Run = None,
    tenant: Tenant = None,
    everyone: Everyone = False,
    url: Url = None,
    json: Json = False,
) -> None:
    """List records, in order of arrival.

    Without a scope: user "default". A page that is not the last one says on
    standard error how to go on.
    """
    ids, kept = asked(user, agent, run, tenant, everyone=everyone), filtered(filters)
    with opened(context, url) as memory:
        view, place, count = seen(memory, valid, known), after, 0
        while True:
            with status("reading"):
                page = view.get_all(filters=kept, after=place, limit=limit, everyone=everyone, **ids)
            count += len(page)
            _show_page(page, as_json=json)
            place = page.next
            if place is None or not every:
                break
        advice = "" if count else nothing(memory, ids)
    if place is not None:
        complain(f"there is more: --after {place} goes on, --all lists to the end")
    elif not count:
        complain(advice)


def _show_page(page: Page, *, as_json: bool) -> None:
    if as_json:
        for record in page:
            emit(record.to_dict())
    else:
        show_records(output(), page.items)
