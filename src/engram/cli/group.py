"""How commands are found, and how errors reach whoever typed them."""

from __future__ import annotations

import errno
import os
import sys
from typing import Any

import typer
from typer.core import TyperGroup

from engram.kernel.errors import EngramError

__all__ = ["DefaultGroup", "ErrorGroup", "complain"]


def complain(message: str) -> None:
    """One line on standard error."""
    typer.echo(f"engram: {' '.join(message.split())}", err=True)


class ErrorGroup(TyperGroup):
    """A group whose commands end with a line that says what to do, where engram cannot do what was asked."""

    def invoke(self, ctx: Any) -> Any:
        """Run the command; an `EngramError` and a file or disk that fails end it with exit code 1."""
        try:
            done = super().invoke(ctx)
            sys.stdout.flush()
        except EngramError as error:
            complain(str(error))
            raise typer.Exit(1) from error
        except OSError as error:
            if error.errno == errno.EPIPE:  # a reader such as head has seen enough
                raise
            where = f"{error.filename}: " if error.filename else "while reading or writing: "
            complain(f"{where}{error.strerror or error}; mend that and call again")
            _give_up_output()
            raise typer.Exit(1) from error
        return done


def _give_up_output() -> None:
    """Where standard output cannot be written, drop what it still holds: Python would fail on it at exit."""
    try:
        sys.stdout.flush()
    except OSError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


class DefaultGroup(TyperGroup):
    """A group whose first command is meant where none is named: `engram bench PATH`."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Put the first command's name before arguments that name none."""
        if args and args[0] not in self.commands and args[0] != "--help":
            args = [next(iter(self.commands)), *args]
        return super().parse_args(ctx, args)
