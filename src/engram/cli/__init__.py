"""The command line. Nothing is loaded until `main` is called."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import typer

__all__ = ["main"]


def main() -> None:
    """Run `engram` with the process's arguments.

    Exit codes: 0 done; 1 it could not be done, or `verify` found something wrong; 2 the command was not
    understood; 130 interrupted. A character that standard output's encoding lacks is printed as its escape.
    """
    import gc
    import os
    import sys
    from io import TextIOWrapper

    if sys.stdout is None:  # whoever called has closed it: what is printed goes nowhere
        sys.stdout = os.fdopen(os.open(os.devnull, os.O_WRONLY), "w", encoding="utf-8")
    gc.disable()  # modules stay: looking for garbage among them takes a tenth of the start
    try:
        from typer.main import get_command

        from engram.cli.app import app

        if isinstance(sys.stdout, TextIOWrapper):
            sys.stdout.reconfigure(errors="backslashreplace")
        command = get_command(_only(app, sys.argv[1:2]))
        gc.enable()
        command()  # calling the app itself would put typer's hook in sys.excepthook
    except KeyboardInterrupt:  # while modules were being loaded
        print("engram: interrupted", file=sys.stderr)
        sys.exit(130)


def _only(app: typer.Typer, first: list[str]) -> typer.Typer:
    """The application with the one command that comes first, where one does: making them all takes long."""
    import copy

    commands = [command for command in app.registered_commands if command.name in first]
    groups = [group for group in app.registered_groups if group.name in first]
    if not commands and not groups:
        return app
    made = copy.copy(app)
    made.registered_commands, made.registered_groups = commands, groups
    return made
