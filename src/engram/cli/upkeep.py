"""Commands about the store itself: `stats`, `verify`, `repair`, `reembed`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from engram.cli.group import complain
from engram.cli.options import Agent, Json, Opening, Run, Tenant, Url, User, opened, scope
from engram.cli.output import counting, emit, output, printable, show_facts

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
    plot: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Draw it over time, .svg or .png (needs engram\\[plots])."),
    ] = None,
    url: Url = None,
    json: Json = False,
) -> None:
    """How much is remembered, and what made its index entries."""
    if plot is not None:
        from engram.cli.pictures import plot_growth

        plot_growth(context, url, scope(user, agent, run, tenant), plot)
    with opened(context, url) as memory:
        found = memory.stats(**scope(user, agent, run, tenant))
    if json:
        emit(found)
        return
    facts = {name: _shown(name, value) for name, value in found.items()}
    if plot is not None:
        facts["picture"] = str(plot)
    show_facts(output(), facts, 12)


def _shown(name: str, value: object) -> str:
    from engram.kernel.keeping import size

    if isinstance(value, dict):
        return ", ".join(
            f"{key} {item:,}" if isinstance(item, int) else f"{key} {item}" for key, item in value.items()
        )
    if isinstance(value, int) and name.endswith("bytes"):
        return size(value)
    return f"{value:,}" if isinstance(value, int) else str(value)


def verify(context: typer.Context, url: Url = None, json: Json = False) -> None:
    """Prove everything that is derived against the records.

    The database's own check, references, versions, every index entry
    against its text. Exit code 1 where something is wrong.
    """
    with opened(context, url) as memory, counting("verifying") as tell:
        report = memory.verify(progress=tell)
    _report(report, f"{report.checked:,} records checked", as_json=json, advice="run engram repair")


def repair(context: typer.Context, url: Url = None, json: Json = False) -> None:
    """Make anew what verify finds wrong; complete a pending purge.

    What cannot be derived from the records stays, and is named: exit code 1.
    """
    with opened(context, url) as memory, counting("repairing") as tell:
        report = memory.repair(progress=tell)
    said = f"{report.checked:,} records checked, {report.mended:,} faults mended"
    _report(report, said, as_json=json, advice="restore the file from a backup, or export what can be read")


def reembed(
    context: typer.Context,
    embedder: Annotated[str | None, typer.Option(metavar="SPEC", help="Default: the built-in one.")] = None,
    url: Url = None,
    json: Json = False,
) -> None:
    """Write all index entries anew, with another embedder or version.

    The store can be searched and added to meanwhile, with the old embedder;
    at the end it is switched to the new one at once. A run that is broken
    off goes on where it stopped when the command is given again.
    """
    from engram.upkeep import reembed as rewrite

    opening: Opening = context.obj
    try:
        with counting("writing entries, then proving them") as tell:
            report = rewrite(url or opening.url, embedder=embedder or opening.embedder, progress=tell)
    except KeyboardInterrupt:
        complain("broken off; what is written is kept: the same command goes on where this one stopped")
        raise
    said = f"{report.mended:,} index entries of {report.checked:,} records written"
    _report(report, said, as_json=json, advice="run engram repair")


def _report(report: Report, said: str, *, as_json: bool, advice: str) -> None:
    """A report; exit code 1 where it holds problems."""
    if as_json:
        emit(report.to_dict())
    else:
        console = output()
        console.print(said)
        for problem in report.problems[:_SHOWN]:
            console.print(f"{problem.id or 'store'}: {printable(problem.what)}", markup=False)
        if len(report.problems) > _SHOWN:
            console.print(f"… and {len(report.problems) - _SHOWN:,} more")
        console.print(
            "[green]all agree[/green]" if report.ok else f"{len(report.problems):,} wrong: {advice}"
        )
    if not report.ok:
        raise typer.Exit(1)
