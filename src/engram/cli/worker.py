"""`engram worker`: does what is owed, until it is stopped."""

from __future__ import annotations

import signal
from collections import Counter
from collections.abc import Iterator
from contextlib import closing, contextmanager
from datetime import timedelta
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.text import Text

from engram.cli.group import complain
from engram.cli.observing import LogForm, MetricsAt, Traces, metrics_at, observed
from engram.cli.options import Agent, Json, Run, Tenant, Url, User, opened_core, scope, span_of
from engram.cli.output import emit, one_line, output

if TYPE_CHECKING:
    from engram.engine.core import Core
    from engram.engine.turns import Done
    from engram.engine.worker import Besides, Worker

__all__ = ["worker"]

_COLOURS = {"done": "bold green", "parked": "bold red"}


Once = Annotated[bool, typer.Option("--once", help="Do what is owed now, then leave.")]
Poll = Annotated[
    float, typer.Option(metavar="SECONDS", min=0.05, help="How often to look where nothing is owed.")
]
Every = Annotated[
    str | None, typer.Option(metavar="EVERY", help="Tend the store that often, such as 12h or 1d.")
]
Kept = Annotated[
    float | None,
    typer.Option(
        metavar="SECONDS",
        min=1,
        help="How long other workers wait for one that gives no sign. Default: five minutes, or more "
        "where a model may take longer.",
    ),
]
Jobs = Annotated[
    bool,
    typer.Option("--log", help="A line on standard error for each job.", rich_help_panel="What it tells"),
]


def worker(
    context: typer.Context,
    once: Once = False,
    poll: Poll = 2.0,
    tend: Every = None,
    lease: Kept = None,
    log: Jobs = False,
    log_format: LogForm = "text",
    traces: Traces = False,
    metrics: MetricsAt = None,
    user: User = None,
    agent: Agent = None,
    run: Run = None,
    tenant: Tenant = None,
    url: Url = None,
    json: Json = False,
) -> None:
    """Do owed work until stopped; several may share one store.

    Without a scope: everybody's. The first Ctrl-C or TERM lets a model's reply
    that is under way come in and gives the job back, the second stops at once.
    With --once, exit code 1 where something failed.
    """
    from engram.engine.worker import Worker
    from engram.kernel.scope import Scope

    ids = scope(user, agent, run, tenant)
    whose = Scope.of(**ids) if ids else None
    every = None if tend is None else span_of(tend, "--tend")
    patience = None if lease is None else timedelta(seconds=lease)
    at = metrics_at(metrics)
    with (
        observed("worker", log_format, log=log, traces=traces),
        closing(opened_core(context, url, new=True)) as core,
        _measured(core, at),
    ):
        _work(Worker(core, whose, poll, every, patience), once=once, json=json)


@contextmanager
def _measured(core: Core, at: tuple[str, int] | None) -> Iterator[None]:
    """Metrics at a port, where they are wanted; its url is told on standard error."""
    if at is None:
        yield
        return
    from engram.observe.meters import Meters
    from engram.observe.port import metrics_port

    with metrics_port(Meters(core), at) as url:
        complain(f"metrics: {url}")
        yield


def _work(working: Worker, *, once: bool, json: bool) -> None:
    """Work, with a word before and after. Raises `Exit` with 1 where something failed within `--once`."""
    with _signals(working):
        if not json and not once:
            print("waiting for work; Ctrl-C ends it", flush=True)
        tally = _told(working, once=once, json=json)
    summary = _summary(tally) + ("; stopped" if working.stopped else "")
    if json:
        complain(summary)
    else:
        print(summary, flush=True)
    others = _others(working.core.store.jobs(working.scope), working.core.policy.made_by)
    if others:
        complain(
            f"left, as other policies owe it: {others}; see engram jobs, and engram --policy NAME worker"
        )
    if once and not working.stopped and tally["pending"] + tally["parked"] + tally["failed"]:
        raise typer.Exit(1)


@contextmanager
def _signals(working: Worker) -> Iterator[None]:
    """INT and TERM stop the work at the next effect; the second one stops it at once."""

    def told(_number: int, _frame: object) -> None:
        if working.stopped:
            raise KeyboardInterrupt
        working.stop()

    before = {number: signal.signal(number, told) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _told(working: Worker, *, once: bool, json: bool) -> Counter[str]:
    """Work, and tell each thing that is done; how many of each."""
    from engram.engine.turns import Done

    tally: Counter[str] = Counter()
    console = output()
    for item in working.work(once=once):
        shown = _job(item) if isinstance(item, Done) else _besides(item)
        tally[
            shown["status"] if isinstance(item, Done) or shown["status"] == "failed" else shown["kind"]
        ] += 1
        if json:
            emit(shown)
        else:
            console.print(_line(shown), soft_wrap=True)
    return tally


def _job(done: Done) -> dict[str, Any]:
    """A job that was run, as JSON values."""
    job, outcome = done.job, done.outcome
    return {
        "id": job.id,
        "kind": job.kind,
        "status": done.status,
        "scope": job.scope.to_dict(),
        "changed": sum(item.event not in ("pending", "failed") for item in outcome.items),
        "change_set": None if outcome.change_set is None else str(outcome.change_set),
        "reason": next((item.reason for item in outcome.items if item.event in ("pending", "failed")), None),
        "usage": outcome.usage,
        "seconds": round(done.seconds, 3),
    }


def _besides(item: Besides) -> dict[str, Any]:
    """A purge or a tending, in the same form."""
    receipt = item.receipt
    failed = next((each.reason for each in receipt.items if each.event == "failed"), None)
    return {
        "id": None,
        "kind": item.what,
        "status": "done" if failed is None else "failed",
        "scope": None if item.scope is None else item.scope.to_dict(),
        "changed": sum(each.event != "failed" for each in receipt.items),
        "change_set": receipt.change_set,
        "reason": failed,
        "usage": dict(receipt.usage),
        "seconds": round(item.seconds, 3),
    }


def _line(shown: dict[str, Any]) -> Text:
    """What was done, on a line."""
    status = shown["status"]
    named = {name: value for name, value in (shown["scope"] or {}).items() if value is not None}
    words = [shown["id"], shown["kind"], ", ".join(f"{name} {value}" for name, value in named.items())]
    line = Text.assemble((f"{status:<7}", _COLOURS.get(status, "bold")))
    line.append("".join(f"  {one_line(word)}" for word in words if word))
    calls = int(shown["usage"].get("model_calls", 0))
    asked = f", {calls} model call{'s' if calls != 1 else ''}" if calls else ""
    changed = f"{shown['changed']} record{'s' if shown['changed'] != 1 else ''}"
    line.append(f"  {changed}{asked}, {shown['seconds']:.2f} s", style="dim")
    if shown["reason"]:
        line.append(f"  {one_line(shown['reason'])}")
    return line


def _summary(tally: Counter[str]) -> str:
    """What all of it came to, in a line."""
    said = [f"{tally['done']} job{'s' if tally['done'] != 1 else ''} done"]
    names = {
        "pending": "put off",
        "parked": "parked",
        "failed": "failed",
        "purge": "purged",
        "tend": "tended",
    }
    said += [f"{tally[key]} {name}" for key, name in names.items() if tally[key]]
    return ", ".join(said)


def _others(jobs: list[Any], made_by: str) -> str:
    """How many jobs another policy has left."""
    count = sum(job.kind in ("write", "rebuild") and job.policy != made_by for job in jobs)
    return f"{count} job{'s' if count != 1 else ''}" if count else ""
