"""Commands that change what is remembered: `add`, `edit`, `undo`, `forget`."""

from __future__ import annotations

import sys
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.text import Text

from engram.cli.asking import confirmed, edited, metadata_of, on_a_terminal, standard_input
from engram.cli.group import complain
from engram.cli.options import (
    Agent,
    Everyone,
    Id,
    Json,
    Run,
    Tenant,
    Url,
    User,
    Yes,
    moment_of,
    opened,
    scope,
)
from engram.cli.output import (
    INDENT,
    cut,
    emit,
    one_line,
    output,
    padded,
    receipt_shown,
    show_records,
    status,
)
from engram.kernel.clock import parse_time
from engram.kernel.errors import InvalidInput, NotFound

if TYPE_CHECKING:
    from engram.kernel.record import Record
    from engram.memory import Memory

__all__ = ["add", "edit", "forget", "undo"]

_SHOWN = 5
Metadata = Annotated[
    str | None, typer.Option("--metadata", metavar="JSON", help='Such as {"source": "mail"}.')
]

OwnId = Annotated[
    str | None, typer.Option("--id", metavar="ID", help="Your own id: adding it twice stores it once.")
]
ValidFrom = Annotated[
    str | None, typer.Option(metavar="TIME", help="From when it holds, of another kind than episode.")
]
ValidUntil = Annotated[str | None, typer.Option(metavar="TIME", help="Until when it holds.")]
Expires = Annotated[
    str | None, typer.Option("--expires", metavar="TIME", help="Not found from then on, erased by tend.")
]


def add(
    context: typer.Context,
    text: Annotated[list[str], typer.Argument(metavar="TEXT", help="What was said; - reads standard input.")],
    role: Annotated[
        str, typer.Option(metavar="ROLE", help="user, assistant, system, developer or tool.")
    ] = "user",
    name: Annotated[str | None, typer.Option(metavar="NAME", help="Who said it.")] = None,
    time: Annotated[str | None, typer.Option(metavar="TIME", help="When. Default: now.")] = None,
    id: OwnId = None,
    kind: Annotated[str | None, typer.Option(metavar="KIND", help="Such as fact. Default: episode.")] = None,
    valid_from: ValidFrom = None,
    valid_until: ValidUntil = None,
    metadata: Metadata = None,
    expires: Expires = None,
    infer: Annotated[
        bool, typer.Option("--infer/--no-infer", help="Whether the policy derives from it.")
    ] = True,
    wait: Annotated[bool, typer.Option("--wait/--no-wait", help="Derive now, or leave it to a job.")] = True,
    user: User = None,
    agent: Agent = None,
    run: Run = None,
    tenant: Tenant = None,
    url: Url = None,
    json: Json = False,
) -> None:
    """Remember something.

    It is stored before this returns, and found by the next search. Without a
    scope it belongs to user "default".
    """
    said: dict[str, Any] = {"role": role, "name": name, "time": moment_of(time, "--time"), "id": id}
    said |= {"valid": _valid(valid_from, valid_until), "metadata": metadata_of(metadata)}
    messages = _messages(text, said)
    ids, until = scope(user, agent, run, tenant), moment_of(expires, "--expires")
    with status("adding"), opened(context, url, new=True) as memory:
        done = memory.add(messages, kind=kind, expires=until, infer=infer, wait=wait, **ids)
    if until is not None and parse_time(until, "--expires")[0] <= datetime.now(UTC):
        complain("it has expired already: no search finds it, and engram tend erases it")
    receipt_shown(done, as_json=json)


def _valid(start: str | None, end: str | None) -> dict[str, Any] | None:
    """When it holds, as messages say it; `None` where neither is given."""
    given = {"start": moment_of(start, "--valid-from"), "end": moment_of(end, "--valid-until")}
    return {name: time for name, time in given.items() if time is not None} or None


def _messages(texts: list[str], given: dict[str, Any]) -> list[dict[str, Any]]:
    """A message for each text, - being standard input; what is `None` is left out."""
    if given["id"] is not None and len(texts) > 1:
        raise typer.BadParameter("--id names one message; add the texts one by one")
    if texts.count("-") > 1:
        raise typer.BadParameter("- stands for standard input, which can be read once")
    shared = {key: value for key, value in given.items() if value is not None}
    contents = [standard_input() if item == "-" else item for item in texts]
    if not all(content.strip() for content in contents):
        raise InvalidInput("add: the text is empty; there is nothing to remember")
    return [{**shared, "content": content} for content in contents]


def edit(
    context: typer.Context,
    id: Id,
    text: Annotated[
        str | None,
        typer.Argument(metavar="TEXT", help="The new text; - reads standard input. Without: $EDITOR."),
    ] = None,
    metadata: Annotated[
        str | None, typer.Option(metavar="JSON", help="New metadata, in place of all there is.")
    ] = None,
    user: User = None,
    agent: Agent = None,
    run: Run = None,
    tenant: Tenant = None,
    url: Url = None,
    json: Json = False,
) -> None:
    """Correct a record; its old version stays in its history.

    Without a text and on a terminal, the text opens in your editor.
    """
    ids, changed = scope(user, agent, run, tenant), metadata_of(metadata)
    if text is None and changed is None and not (on_a_terminal() and sys.stdout.isatty()):
        raise typer.BadParameter("give the new text, - for standard input, or --metadata")
    with opened(context, url) as memory:
        if text is None and changed is None:
            text = edited(memory.get(id, **ids).text)
        elif text == "-":
            text = standard_input()
        done = memory.edit(id, text=text, metadata=changed, **ids)
    receipt_shown(done, as_json=json)
    if done.change_set and not json:
        print(f"engram undo {done.change_set} takes it back")


def undo(
    context: typer.Context,
    change_set: Annotated[
        str, typer.Argument(metavar="CHANGE_SET", help="A change's number, as edit and history show it.")
    ],
    user: User = None,
    agent: Agent = None,
    run: Run = None,
    tenant: Tenant = None,
    url: Url = None,
    json: Json = False,
) -> None:
    """Take a change back: added records go, older versions return.

    Nothing is lost: the undo is a change of its own, which can be undone. An
    erasure cannot be.
    """
    with status("taking back"), opened(context, url) as memory:
        done = memory.undo(change_set, **scope(user, agent, run, tenant))
        versions = _latest(memory, done.ids[:_SHOWN])
    if json:
        emit(done.to_dict())
        return
    console = output()
    for item in done.items[:_SHOWN]:
        console.print(Text.assemble(item.id or "", (f"  {one_line(item.reason)}", "bold")), soft_wrap=True)
        if item.id in versions:
            console.print(padded(cut(versions[item.id].text), INDENT))
    if len(done.items) > _SHOWN:
        print(f"… and {len(done.items) - _SHOWN:,} more")
    print(f"engram undo {done.change_set} takes this back in turn")


def _latest(memory: Memory, ids: list[str]) -> dict[str, Record]:
    """The latest versions of records, also of those that are believed no more."""
    found = {}
    for id in ids:
        try:
            found[id] = memory.history(id)[-1]
        except NotFound:
            continue
    return found


def forget(
    context: typer.Context,
    ids: Annotated[list[str] | None, typer.Argument(metavar="ID", help="Records; without, a scope.")] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only tell what would go.")] = False,
    yes: Yes = False,
    user: User = None,
    agent: Agent = None,
    run: Run = None,
    tenant: Tenant = None,
    everyone: Everyone = False,
    url: Url = None,
    json: Json = False,
) -> None:
    """Erase records, or all of a scope. It cannot be undone.

    What was derived from them alone goes too, and their bytes leave the files.
    """
    named = scope(user, agent, run, tenant)
    if not (ids or everyone or named.keys() - {"tenant"}):
        raise typer.BadParameter(
            "name ids, or a scope by --user, --agent or --run; --everyone is the whole tenant"
        )
    with opened(context, url) as memory:
        with status("looking what hangs on it"):
            plan = memory.forget(ids or None, everyone=everyone, dry_run=True, **named)
        if plan.items and not json and (dry_run or not yes):
            _preview(memory, plan.ids)
        if plan.items and not dry_run:
            confirmed(f"Erase {len(plan.items):,} for good?", yes=yes)
        with status("erasing"):
            done = plan if dry_run else memory.forget(ids or None, everyone=everyone, **named)
    if json:
        emit(done.to_dict())
        return
    verb = "would be erased" if dry_run else "erased"
    print(f"{len(done.items):,} {verb}" + (f", bytes on disk: {done.purge}" if done.purge else ""))
    for copy in done.outside if done.items else ():
        print(f"out of reach: {copy}")


def _preview(memory: Memory, ids: list[str]) -> None:
    """The first of some records, as they are now."""
    show_records(output(), list(_latest(memory, ids[:_SHOWN]).values()))
    if len(ids) > _SHOWN:
        print(f"… and {len(ids) - _SHOWN:,} more")
