"""The `engram` command and its subcommands."""

from __future__ import annotations

from typing import Annotated

import typer

from engram.cli.bench import bench
from engram.cli.group import ErrorGroup

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
    version: Annotated[
        bool, typer.Option("--version", help="Print the version and leave.", callback=_version, is_eager=True)
    ] = False,
) -> None:
    """A memory for LLM agents: keeps what was said, finds it again, forgets it when told to."""


app.add_typer(bench, name="bench")
