"""Commands about the state of a store: `migrate`, `doctor`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer
from rich.text import Text

from engram.cli.asking import agreed
from engram.cli.group import complain
from engram.cli.options import Json, Opening, Url
from engram.cli.output import counting, emit, output, printable, show_row
from engram.kernel.keeping import size

if TYPE_CHECKING:
    from engram.kernel.keeping import Finding, MigrationPlan

__all__ = ["doctor", "migrate"]

_COLOURS = {"ok": "green", "warn": "yellow", "wrong": "red"}
_DEEDS = {
    "rights": "close the files to other users (chmod 600)",
    "copies": "remove the copies of a migration that is done",
    "large": "make indexes for tenants with many records",
    "migrate": "migrate the store to the present format",
    "purge": "rewrite the file, so that no byte of what was forgotten is left",
    "repair": "make anew what disagrees (engram repair)",
    "reembed": "finish the reembed that stopped",
}


def migrate(
    context: typer.Context,
    status: Annotated[bool, typer.Option("--status", help="Only say which format the store has.")] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only say what would be done.")] = False,
    new: Annotated[bool, typer.Option("--new", help="Make the store where there is none.")] = False,
    url: Url = None,
    json: Json = False,
) -> None:
    """Bring the store to the format of this engram.

    Opening a store does the same; this says what is done and how large it
    is, and is for before a service starts. A copy of a file is kept beside it until all steps are done.
    """
    from engram.upkeep import migrate as upgrade
    from engram.upkeep import migration

    opening: Opening = context.obj
    address = url or opening.url
    plan = migration(address)
    done = False
    if new and plan is not None and not plan.format and not (status or dry_run):
        _make(address)
        plan, done = migration(address), True
    if plan is not None and plan.steps and not (status or dry_run):
        with counting("copying") as tell:
            plan = upgrade(address, progress=tell)
        done = True
    if json:
        emit({**(plan.to_dict() if plan else {"steps": []}), "done": done})
    else:
        _show_plan(plan, done=done, briefly=status)


def _make(address: str | None) -> None:
    from contextlib import closing

    from engram.config import default_url
    from engram.stores import open_store

    with closing(open_store(address or default_url())):
        pass


def _show_plan(plan: MigrationPlan | None, *, done: bool, briefly: bool) -> None:
    console = output()
    if plan is None:
        console.print("this store keeps no files that engram migrates")
        return
    if not plan.format:
        console.print(
            f"there is no store at {plan.path} yet; it will be made in format {plan.latest}", markup=False
        )
        return
    state = "the latest" if not plan.steps else f"this engram writes {plan.latest}"
    console.print(f"{plan.path}: format {plan.format}, {state}", markup=False)
    if briefly:
        return
    for step in plan.steps:
        console.print(f"  {'done' if done else 'due'}: format {step.number}, {step.title}", markup=False)
    if not plan.steps:
        console.print("nothing to do")
    elif not done:
        if plan.copied:
            room = f"the disk has {size(plan.free)} left"
            console.print(f"a copy of {size(plan.copied)} is kept meanwhile; {room}")
        if plan.free < plan.copied:
            console.print("free space first, then run engram migrate")
    else:
        console.print(f"the store is of format {plan.latest} now")


def doctor(
    context: typer.Context,
    full: Annotated[bool, typer.Option("--full", help="Prove all index entries, not some.")] = False,
    fix: Annotated[bool, typer.Option("--fix", help="Do what is safe, asking before each.")] = False,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="With --fix: do not ask.")] = False,
    embedder: Annotated[str | None, typer.Option(metavar="SPEC", help="Default: the built-in one.")] = None,
    url: Url = None,
    json: Json = False,
) -> None:
    """Find what is wrong with the installation or the store, and the command that mends it.

    Nothing is changed without --fix. Works where the store cannot be opened
    at all. Exit code 1 where something is wrong.
    """
    from engram.upkeep import doctor as look

    opening: Opening = context.obj
    address, spec = url or opening.url, embedder or opening.embedder

    def looked() -> list[Finding]:
        with counting("looking") as tell:
            return look(address, embedder=spec, full=full, progress=tell)

    findings, asked = looked(), set[str]()
    while fix and _mend(findings, asked, address, spec, yes=yes):
        findings = looked()  # what is mended may bring to light what lay behind it
    for finding in findings:
        if json:
            emit(finding.to_dict())
        else:
            _show_finding(finding)
    if any(finding.level == "wrong" for finding in findings):
        raise typer.Exit(1)


def _mend(
    findings: list[Finding], asked: set[str], url: str | None, embedder: str | None, *, yes: bool
) -> bool:
    """Do what is safe to do and was not `asked` before, one after another; whether anything was done."""
    from engram.kernel.errors import EngramError
    from engram.upkeep import fix

    done = False
    for finding in findings:
        if finding.fix is None or finding.fix in asked:
            continue
        asked.add(finding.fix)
        typer.echo(f"{finding.check}: {printable(finding.what)}", err=True)
        deed = _DEEDS.get(finding.fix, finding.fix)
        if not yes and not agreed(f"  {deed}?"):
            continue
        try:
            with counting(finding.check) as tell:
                fix(finding, url, embedder=embedder, progress=tell)
        except EngramError as error:
            complain(str(error))
        else:
            done = True
            typer.echo(f"  done: {deed}", err=True)
    return done


def _show_finding(finding: Finding) -> None:
    console = output()
    colour = _COLOURS[finding.level]
    what = Text(printable(finding.what))
    show_row(console, Text(f"{finding.level:<6}", style=colour), Text(f"{finding.check:<12}"), what)
    if finding.mend is not None:
        show_row(console, Text(" " * 6), Text(" " * 12), Text(f"mend: {printable(finding.mend)}"))
