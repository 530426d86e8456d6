"""How commands are found, and how errors reach whoever typed them."""

from __future__ import annotations

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
        """Run the command; an `EngramError` ends it with exit code 1."""
        try:
            return super().invoke(ctx)
        except EngramError as error:
            complain(str(error))
            raise typer.Exit(1) from error


class DefaultGroup(TyperGroup):
    """A group whose first command is meant where none is named: `engram bench PATH`."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Put the first command's name before arguments that name none."""
        if args and args[0] not in self.commands and args[0] != "--help":
            args = [next(iter(self.commands)), *args]
        return super().parse_args(ctx, args)
