"""Commands about the store itself: `stats`, `verify`, `repair`, `reembed`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from engram.cli.options import Agent, Json, Opening, Run, Tenant, Url, User, opened, scope
from engram.cli.output import emit, output, status

if TYPE_CHECKING:
    from engram.engine.results import Report

__all__ = ["reembed", "repair", "stats", "verify"]

_SHOWN = 20


def stats(
    context: typer.Context,
    user: User = None,
    agent: Agent = None,
    run: Run = None,
    tenant: Tenant = None,
    url: Url = None,
    json: Json = False,
) -> None:
    """How much is remembered, and what made its index entries."""
    with opened(context, url) as memory:
        found = memory.stats(**scope(user, agent, run, tenant))
    if json:
        emit(found)
        return
    console = output()
    for name, value in found.items():
        shown = (
            ", ".join(f"{key} {item:,}" for key, item in value.items()) if isinstance(value, dict) else value
        )
        console.print(
            f"{name:<12} {shown:,}" if isinstance(shown, int) else f"{name:<12} {shown}", markup=False
        )


def verify(context: typer.Context, url: Url = None, json: Json = False) -> None:
    """Prove every index entry against its record.

    Exit code 1 where something is wrong.
    """
    with opened(context, url) as memory, status() as say:
        say("verifying")
        report = memory.verify()
    _report(report, "checked", as_json=json, advice="run engram repair")


def repair(context: typer.Context, url: Url = None, json: Json = False) -> None:
    """Rebuild what verify finds wrong; complete a pending purge."""
    with opened(context, url) as memory, status() as say:
        say("repairing")
        report = memory.repair()
    _report(
        report, "mended", as_json=json, advice="restore the file from a backup, or export what can be read"
    )


def reembed(
    context: typer.Context,
    embedder: Annotated[str | None, typer.Option(metavar="SPEC", help="Default: the built-in one.")] = None,
    url: Url = None,
    json: Json = False,
) -> None:
    """Write all index entries anew, with another embedder or version.

    The store keeps to that embedder from then on.
    """
    from engram.config import open_core
    from engram.engine.check import reembed as rewrite

    opening: Opening = context.obj
    core = open_core(
        url or opening.url, policy=opening.policy, embedder=embedder or opening.embedder, mend=True
    )
    try:
        with status() as say:
            say("embedding")
            report = rewrite(core)
    finally:
        core.close()
    _report(report, "mended", as_json=json, advice="run engram verify")


def _report(report: Report, count: str, *, as_json: bool, advice: str) -> None:
    """A report; exit code 1 where it holds problems."""
    if as_json:
        emit(report.to_dict())
    else:
        console = output()
        console.print(
            f"{getattr(report, count):,} of {report.checked:,} records {count}"
            if count == "mended"
            else f"{report.checked:,} records checked"
        )
        for problem in report.problems[:_SHOWN]:
            console.print(f"{problem.id or 'store'}: {problem.what}", markup=False)
        if len(report.problems) > _SHOWN:
            console.print(f"… and {len(report.problems) - _SHOWN:,} more")
        console.print(
            "[green]all agree[/green]" if report.ok else f"{len(report.problems):,} wrong: {advice}"
        )
    if not report.ok:
        raise typer.Exit(1)
