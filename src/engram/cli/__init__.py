"""The command line. Nothing is loaded until `main` is called."""

from __future__ import annotations

__all__ = ["main"]


def main() -> None:
    """Run `engram` with the process's arguments.

    Exit codes: 0 done; 1 it could not be done, or `verify` found something wrong; 2 the command was not
    understood; 130 interrupted. A character that standard output's encoding lacks is printed as its escape.
    """
    import os
    import sys
    from io import TextIOWrapper

    if sys.stdout is None:  # whoever called has closed it: what is printed goes nowhere
        sys.stdout = os.fdopen(os.open(os.devnull, os.O_WRONLY), "w", encoding="utf-8")
    try:
        from typer.main import get_command

        from engram.cli.app import app

        if isinstance(sys.stdout, TextIOWrapper):
            sys.stdout.reconfigure(errors="backslashreplace")
        get_command(app)()  # calling the app itself would put typer's hook in sys.excepthook
    except KeyboardInterrupt:  # while modules were being loaded
        print("engram: interrupted", file=sys.stderr)
        sys.exit(130)
