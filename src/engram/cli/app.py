"""The `engram` command and its subcommands."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated

import typer

from engram.cli import reading, upkeep, writing
from engram.cli.bench import bench
from engram.cli.demo import demo
from engram.cli.group import ErrorGroup
from engram.cli.options import Opening, PolicyName, Url

__all__ = ["app"]

app = typer.Typer(
    name="engram",
    cls=ErrorGroup,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    add_completion=False,
    epilog="Exit codes: 0 done, 1 it could not be done (standard error says why), 2 command not understood.",
)


def _version(asked: bool) -> None:
    if asked:
        from engram import __version__

        typer.echo(f"engram {__version__}")
        raise typer.Exit


@app.callback()
def _root(
    context: typer.Context,
    url: Url = None,
    policy: PolicyName = None,
    embedder: Annotated[
        str | None,
        typer.Option(metavar="SPEC", help="Such as sentence-transformers:NAME. Default: built in."),
    ] = None,
    version: Annotated[  # noqa: ARG001 - its callback does all
        bool, typer.Option("--version", help="Print the version and leave.", callback=_version, is_eager=True)
    ] = False,
) -> None:
    """A memory for LLM agents: keeps what was said, finds it again, forgets it when told to."""
    context.obj = Opening(url, policy, embedder)


_REMEMBER, _TRY, _UPKEEP = "Remember and find", "See for yourself", "Look after the store"
_COMMANDS: tuple[tuple[str, Callable[..., None], str, str], ...] = (
    (_REMEMBER, writing.add, "add", '"I moved to Lisbon in May." --user ana'),
    (_REMEMBER, writing.import_, "import", "conversation.json"),
    (_REMEMBER, reading.search, "search", '"Where does she live?" --user ana --explain'),
    (_REMEMBER, reading.context, "context", '"her move" --user ana --budget 500'),
    (_REMEMBER, reading.show, "show", "06GZV2VW5G00000002AFDVGQ3G"),
    (_REMEMBER, reading.history, "history", "06GZV2VW5G00000002AFDVGQ3G"),
    (_REMEMBER, writing.forget, "forget", "--user ana --dry-run"),
    (_REMEMBER, writing.export, "export", "backup.jsonl --user ana"),
    (_TRY, demo, "demo", ""),
    (_UPKEEP, upkeep.stats, "stats", "--json"),
    (_UPKEEP, upkeep.verify, "verify", ""),
    (_UPKEEP, upkeep.repair, "repair", ""),
    (_UPKEEP, upkeep.reembed, "reembed", "--embedder sentence-transformers:all-MiniLM-L6-v2"),
)
for _panel, _function, _name, _example in _COMMANDS:
    _epilog = f"Example: [bold]engram {_name} {_example}[/bold]"
    app.command(_name, epilog=_epilog, rich_help_panel=_panel)(_function)
app.add_typer(bench, name="bench", rich_help_panel=_TRY)
