"""Commands that move memory in and out: `import` and `export`."""

from __future__ import annotations

import json as json_module
import shutil
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Annotated, Any, NoReturn

import typer

from engram.cli.group import complain
from engram.cli.options import Agent, Json, Run, Tenant, Url, User, moment_of, opened, scope
from engram.cli.output import counting, cut, emit, one_line, output

if TYPE_CHECKING:
    from engram.engine.results import Imported, Left
    from engram.memory import Memory

__all__ = ["copy", "export", "import_"]

_REASONS, _PLACES = 10, 3


def _formats() -> list[str]:
    from engram.formats import format_names

    return format_names()


Arrivals = Annotated[
    list[Path], typer.Argument(metavar="PATH", help="Files, folders or zip archives, as they came.")
]
WrittenBy = Annotated[
    str | None,
    typer.Option(
        "--format",
        metavar="NAME",
        help="What wrote it, such as chatgpt. Default: found out.",
        autocompletion=_formats,
    ),
]
OfTriples = Annotated[
    bool, typer.Option("--triples", help="The files are tables or lines of subject, relation, object.")
]
NoInfer = Annotated[bool, typer.Option("--no-infer", help="Keep the words only; derive nothing from them.")]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Only tell what would be stored.")]
LeftOut = Annotated[
    Path | None,
    typer.Option(metavar="FILE", dir_okay=False, help="Write what is left out here, one JSON a line."),
]
Target = Annotated[
    Path,
    typer.Argument(metavar="PATH", help="The file to write, - for standard output; a folder for markdown."),
]
WrittenAs = Annotated[
    str | None,
    typer.Option(
        "--format",
        metavar="NAME",
        help="jsonl or markdown. Default: jsonl, markdown with --topic.",
        autocompletion=lambda: ["jsonl", "markdown"],
    ),
]
Since = Annotated[
    str | None, typer.Option(metavar="TIME", help="What was said then or later: a day, a month.")
]
Until = Annotated[str | None, typer.Option(metavar="TIME", help="What was said before then.")]
Topics = Annotated[
    list[str] | None,
    typer.Option("--topic", metavar="TEXT", help="A page of what is known about it; may be repeated."),
]
Overwrite = Annotated[bool, typer.Option("--overwrite", help="Write pages into a folder that is not empty.")]


def import_(
    context: typer.Context,
    paths: Arrivals,
    format: WrittenBy = None,
    triples: OfTriples = False,
    no_infer: NoInfer = False,
    dry_run: DryRun = False,
    skipped: LeftOut = None,
    user: User = None,
    agent: Agent = None,
    run: Run = None,
    tenant: Tenant = None,
    url: Url = None,
    json: Json = False,
) -> None:
    """Take over an export of engram, or what other programs have kept.

    Among them data exports of ChatGPT and Claude, message lists as OpenAI's
    interface has them, WhatsApp, Slack, transcripts, Markdown, mem0, Zep and
    Letta, and tables or lines of triples (--triples). A scope that is named
    goes before what the file says; an export of engram keeps its own. What is
    there already is passed over, so an import that was stopped is made again.
    The exit code is 1 where messages could not be stored.
    """
    if Path("-") in paths:
        raise typer.BadParameter("standard input cannot be imported; save it to a file first")
    named, ids, failed = _format(format, triples), scope(user, agent, run, tenant), 0
    with opened(context, url, new=True) as memory, _written(skipped) as tell:
        for path in paths:
            with counting(f"importing {path.name}") as bar:
                imported = memory.import_(
                    path, format=named, infer=not no_infer, dry_run=dry_run, progress=bar, on_skip=tell, **ids
                )
            failed += imported.failed
            if json:
                emit({"path": str(path), **imported.to_dict()})
            else:
                _tell(path, imported)
    if failed:
        _lost(failed, told=skipped is not None)


def _format(named: str | None, triples: bool) -> str | None:
    """Which format the files are said to be of."""
    if triples and named not in (None, "triples"):
        raise typer.BadParameter(f"--triples says that the files are of triples, --format {named} another")
    return "triples" if triples else named


def _lost(failed: int, *, told: bool) -> NoReturn:
    """End with exit code 1: messages could not be stored."""
    more = "" if told else "; --skipped FILE keeps them all with their places"
    complain(f"{failed:,} of the messages could not be stored{more}")
    raise typer.Exit(1)


@contextmanager
def _written(path: Path | None) -> Iterator[Callable[[Left], None] | None]:
    """What takes each thing that is left out, where it is to be written down."""
    if path is None:
        yield None
        return
    with path.open("w", encoding="utf-8", newline="\n") as file:
        yield lambda left: print(json_module.dumps(left.to_dict(), ensure_ascii=False), file=file)


def _tell(path: Path, imported: Imported) -> None:
    """The report for people."""
    console = output()
    verb = "would be stored" if imported.dry_run else "stored"
    counts = [f"{imported.stored:,} {verb}"]
    counts += [f"{imported.duplicate:,} there already"] if imported.duplicate else []
    counts += [f"{imported.skipped:,} left out"] if imported.skipped else []
    counts += [f"{imported.failed:,} of them could not be stored"] if imported.failed else []
    head = f"{one_line(str(path))} ({imported.format}): {', '.join(counts)}"
    console.print(head, markup=False, soft_wrap=True)
    for reason, count in list(imported.reasons.items())[:_REASONS]:
        console.print(f"  {count:>7,}  {cut(reason, 100)}", markup=False, soft_wrap=True)
        places = [left.place for left in imported.examples if left.kind == reason][:_PLACES]
        for place in places:
            console.print(f"           {one_line(place)}", style="dim", markup=False, soft_wrap=True)
    if len(imported.reasons) > _REASONS:
        console.print(
            f"  and {len(imported.reasons) - _REASONS:,} more reasons: --skipped FILE keeps them all"
        )
    for note in imported.notes:
        console.print(f"  {note}", markup=False, soft_wrap=True)


def export(
    context: typer.Context,
    path: Target,
    format: WrittenAs = None,
    since: Since = None,
    until: Until = None,
    topic: Topics = None,
    overwrite: Overwrite = False,
    user: User = None,
    agent: Agent = None,
    run: Run = None,
    tenant: Tenant = None,
    url: Url = None,
    json: Json = False,
) -> None:
    """Write everything, a scope or a stretch of time.

    JSON Lines, one file, is what `engram import` reads: nothing is lost, and
    the same memory gives the same bytes; a name that ends in .gz compresses
    it. Markdown is a folder for people, one page a session, document or topic.
    """
    kind = format or ("markdown" if topic else "jsonl")
    if kind == "jsonl" and path.is_dir():
        raise typer.BadParameter(f"{path} is a directory; name a file in it, or give --format markdown")
    options: dict[str, Any] = {"format": kind, "topics": topic or (), "overwrite": overwrite}
    options |= {"since": moment_of(since, "--since"), "until": moment_of(until, "--until")}
    options |= scope(user, agent, run, tenant)
    if path == Path("-"):
        if kind != "jsonl" or json:
            raise typer.BadParameter("- is standard output, for JSON Lines alone; name a folder or a file")
        with opened(context, url) as memory:
            _to_standard_output(memory, options)
        return
    with opened(context, url) as memory, counting(f"exporting to {path.name}") as bar:
        count = memory.export(path, **options, progress=bar)
    if json:
        emit({"path": str(path), "format": kind, "records": count})
    else:
        print(f"{one_line(str(path))}: {count:,} records")


def _to_standard_output(memory: Memory, options: Mapping[str, Any]) -> None:
    """The whole export, once it is complete: a reader never gets half of one."""
    with TemporaryDirectory() as folder, counting("exporting") as bar:
        written = Path(folder) / "export.jsonl"
        memory.export(written, **options, progress=bar)
        with written.open("rb") as file:
            shutil.copyfileobj(file, sys.stdout.buffer)


def copy(
    source: Annotated[str, typer.Argument(metavar="SOURCE", help="The url of the store to copy.")],
    goal: Annotated[str, typer.Argument(metavar="DEST", help="The url of the store to fill.")],
    tenant: Annotated[str | None, typer.Option(metavar="ID", help="This tenant alone.")] = None,
    json: Json = False,
) -> None:
    """Copy a store into another one, of whatever kind.

    Both may be used meanwhile. A copy that was broken off goes on when it is
    made again, and one that is done catches up. At the end both sides are
    read again and compared.
    """
    from engram.upkeep import copy as copied

    with counting("copying") as bar:
        done = copied(source, goal, tenant=tenant, progress=bar)
    if json:
        emit(done.to_dict())
        return
    print(
        f"{done.records:,} records, {done.versions:,} versions, {done.edges:,} edges: the same on both sides"
    )
    print(f"checksum {done.checksum}")
    if done.behind:
        print(f"{done.behind:,} changed in the source since; run it again to catch up")
