"""Commands about owed work: `jobs list, show, retry, drop, wait`, and `tend`."""

from __future__ import annotations

from contextlib import closing
from typing import TYPE_CHECKING, Annotated

import typer
from rich.text import Text

from engram.cli.asking import confirmed
from engram.cli.group import ListGroup, complain
from engram.cli.options import (
    Agent,
    Json,
    Run,
    Tenant,
    Url,
    User,
    Yes,
    opened,
    opened_core,
    scope,
)
from engram.cli.output import (
    INDENT,
    cut,
    emit,
    moment,
    one_line,
    output,
    padded,
    printable,
    receipt_shown,
    show_facts,
    status,
)

if TYPE_CHECKING:
    from rich.console import Console

    from engram.engine.core import Core
    from engram.kernel.operations import Job
    from engram.kernel.scope import Scope

__all__ = ["jobs", "tend"]

JobId = Annotated[str, typer.Argument(metavar="JOB", help="A job's id, as engram jobs shows it.")]

jobs = typer.Typer(
    cls=ListGroup,
    help="Owed work: what is pending, what failed and why.",
    epilog="Example: [bold]engram jobs[/bold]",
)


def _pattern(user: str | None, agent: str | None, run: str | None, tenant: str | None) -> Scope | None:
    """The scope that was named, `None` where none was."""
    from engram.kernel.scope import Scope

    ids = scope(user, agent, run, tenant)
    return Scope.of(**ids) if ids else None


@jobs.command("list", epilog="Example: [bold]engram jobs list --user ana[/bold]")
def list_(
    context: typer.Context,
    user: User = None,
    agent: Agent = None,
    run: Run = None,
    tenant: Tenant = None,
    url: Url = None,
    json: Json = False,
) -> None:
    """Every owed job, oldest first. Without a scope: all."""
    from engram.engine import queue

    with closing(opened_core(context, url)) as core:
        found = core.call(queue.owed, _pattern(user, agent, run, tenant))
        console = output()
        for job in found:
            if json:
                emit(queue.to_dict(core, job))
            else:
                _line(console, core, job)
    if not found:
        complain("no work is owed")


def _line(console: Console, core: Core, job: Job) -> None:
    """A job on a line, and why it failed on a second."""
    from engram.engine import queue

    now = queue.state(core, job)
    colour = {"parked": "bold red", "running": "bold green"}.get(now, "bold")
    head = Text.assemble(job.id, "  ", (now, colour), f"  {job.kind}  {moment(job.created)}")
    console.print(head.append(f"  {_whose(job.scope)}", style="dim"), soft_wrap=True)
    if job.error:
        console.print(padded(cut(job.error), INDENT))


def _whose(named: Scope) -> str:
    """The fields of a scope that are set."""
    return one_line(", ".join(f"{name} {value}" for name, value in named.to_dict().items() if value))


@jobs.command(epilog="Example: [bold]engram jobs show 06GZV2VW5G00000002AFDVGQ3G[/bold]")
def show(
    context: typer.Context, id: JobId, tenant: Tenant = None, url: Url = None, json: Json = False
) -> None:
    """One job: what it is for, why it failed, what was asked and replied."""
    from engram.engine import queue

    with closing(opened_core(context, url)) as core:
        job = core.call(queue.find, id, _pattern(None, None, None, tenant))
        shown = queue.to_dict(core, job)
    if json:
        emit(shown)
        return
    console = output()
    facts = {
        "id": job.id,
        "status": str(shown["status"]),
        "kind": f"{job.kind}: if dropped, {queue.without(job)}",
        "policy": job.policy or "",
        "scope": _whose(job.scope),
        "created": moment(job.created),
        "priority": str(job.priority),
        "attempts": str(job.attempts),
        "next try": moment(job.not_before),
        "records": " ".join(job.records),
        "reason": printable(job.error or ""),
    }
    show_facts(console, {name: value for name, value in facts.items() if value})
    for item in queue.replies(job):
        for name, said in (("asked", item.prompt), ("replied", item.reply), ("of no use", item.error)):
            if said is not None:
                console.print(Text(f"\n{name}", style="bold"), Text(printable(said)), sep="\n")


@jobs.command(epilog="Example: [bold]engram jobs retry 06GZV2VW5G00000002AFDVGQ3G[/bold]")
def retry(
    context: typer.Context, id: JobId, tenant: Tenant = None, url: Url = None, json: Json = False
) -> None:
    """Make a parked job pending again.

    engram worker does it, or engram tend. Replies that could not be used are
    asked for anew.
    """
    from engram.engine import queue

    with closing(opened_core(context, url)) as core:
        job = core.call(queue.retry, id, _pattern(None, None, None, tenant))
        if json:
            emit(queue.to_dict(core, job))
        else:
            print(f"{job.id} is pending; engram worker --once does it now")


@jobs.command(epilog="Example: [bold]engram jobs drop 06GZV2VW5G00000002AFDVGQ3G[/bold]")
def drop(
    context: typer.Context,
    id: JobId,
    yes: Yes = False,
    tenant: Tenant = None,
    url: Url = None,
    json: Json = False,
) -> None:
    """Give a job up: its work is never done. The records stay."""
    from engram.engine import queue

    named = _pattern(None, None, None, tenant)
    with closing(opened_core(context, url)) as core:
        job = core.call(queue.find, id, named)
        confirmed(f"Drop this {job.kind} job? Then {queue.without(job)}.", yes=yes)
        core.call(queue.drop, id, named)
        if json:
            emit({**queue.to_dict(core, job), "status": "dropped"})
        else:
            print(f"{job.id} is dropped: {queue.without(job)}")


@jobs.command(epilog="Example: [bold]engram jobs wait --timeout 300[/bold]")
def wait(
    context: typer.Context,
    timeout: Annotated[float, typer.Option(metavar="SECONDS", min=0, help="The longest to wait.")] = 60.0,
    url: Url = None,
    json: Json = False,
) -> None:
    """Do what is owed. Exit code 1 where something is left."""
    with status("doing what is owed"), opened(context, url) as memory:
        done = memory.wait(timeout)
        left = memory.stats()["jobs"]
    if json:
        emit({"done": done, **left})
    else:
        owed = f"{left['pending']} pending, {left['parked']} parked; engram jobs shows them"
        print("nothing is owed" if done else owed)
    if not done:
        raise typer.Exit(1)


def tend(
    context: typer.Context,
    user: User = None,
    agent: Agent = None,
    run: Run = None,
    tenant: Tenant = None,
    url: Url = None,
    json: Json = False,
) -> None:
    """Erase what has expired, do owed work, let the policy tidy up.

    Without a scope: the whole tenant.
    """
    with status("tending"), opened(context, url) as memory:
        done = memory.tend(**scope(user, agent, run, tenant))
        left = memory.stats()["jobs"]
    if not json:
        print(_tended(len(done.items), done.purge, done.change_set))
    receipt_shown(done, as_json=json)
    if sum(left.values()):
        complain(f"{left['pending']} jobs are pending, {left['parked']} parked: engram jobs shows them")


def _tended(count: int, purge: str | None, change_set: str | None) -> str:
    """What tending came to, in a line."""
    said = "nothing was to be done" if not count else f"{count:,} record{'s' if count != 1 else ''} changed"
    back = f"; engram undo {change_set} takes back what the policy did" if change_set else ""
    return said + (f", bytes on disk: {purge}" if purge else "") + back
