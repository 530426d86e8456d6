"""How commands are found, and how errors reach whoever typed them."""

from __future__ import annotations

import difflib
import errno
import logging
import os
import sys
from collections.abc import Sequence
from typing import Any

import typer
from typer.core import TyperGroup

from engram.cli.options import Misuse
from engram.kernel.errors import EngramError
from engram.kernel.show import one_line

__all__ = ["HELP", "DefaultGroup", "ErrorGroup", "ListGroup", "complain"]

INTERRUPTED = 130
HELP = ["-h", "--help"]
_MISUSE: Any = typer.BadParameter.__mro__[
    2
]  # what every misuse of a command is: it has a message, an exit code
_INSTALLERS = ("install_completion", "show_completion")  # `engram completion` is the way to them


def complain(message: str) -> None:
    """One line on standard error; what it quotes gives the terminal no orders."""
    typer.echo(f"engram: {one_line(message)}", err=True)


class ErrorGroup(TyperGroup):
    """A group whose commands end with a line that says what to do, where engram cannot do what was asked."""

    def __init__(self, **settings: Any) -> None:
        super().__init__(**settings)
        _without_types(self)

    def main(
        self,
        args: Sequence[str] | None = None,
        prog_name: str | None = None,
        complete_var: str | None = None,
        standalone_mode: bool = True,
        windows_expand_args: bool = True,
        **extra: Any,
    ) -> Any:
        """Run the program and leave it with its exit code; without `standalone_mode` errors are raised."""
        options: list[Any] = list(self.params)
        for option in options:
            option.hidden = option.hidden or option.name in _INSTALLERS
        logging.getLogger("psycopg").addHandler(
            logging.NullHandler()
        )  # else it prints what is told here anyway
        if not standalone_mode:
            return super().main(args, prog_name, complete_var, False, windows_expand_args, **extra)
        try:
            code = super().main(args, prog_name, complete_var, False, windows_expand_args, **extra)
        except _MISUSE as error:
            _explain(error)
            code = error.exit_code
        except OSError as error:  # the help could not be written
            _complain_of(error)
            code = 1
        except typer.Abort:
            complain("nothing was done")
            code = 1
        sys.exit(code if isinstance(code, int) else 0)

    def invoke(self, ctx: Any) -> Any:
        """Run the command; `Misuse` ends it with exit code 2, other errors of engram or a disk with 1."""
        try:
            done = super().invoke(ctx)
            sys.stdout.flush()
        except EngramError as error:
            complain(str(error))
            raise typer.Exit(2 if isinstance(error, Misuse) else 1) from error
        except KeyboardInterrupt as error:
            if sys.stderr.isatty():
                typer.echo(err=True)  # the terminal has written ^C
            complain("interrupted; what was committed stays")
            raise typer.Exit(INTERRUPTED) from error
        except OSError as error:
            if error.errno == errno.EPIPE:  # a reader such as head has seen enough
                raise
            _complain_of(error)
            raise typer.Exit(1) from error
        return done


def _complain_of(error: OSError) -> None:
    """A file or disk that fails, in one line."""
    where = f"{error.filename}: " if error.filename else "while reading or writing: "
    complain(f"{where}{error.strerror or error}; mend that and call again")
    _give_up_output()


def _without_types(command: Any) -> None:
    """Flags take no value: their help names no type of one, in any command below."""
    for option in (*command.params, command.get_help_option(typer.Context(command, help_option_names=HELP))):
        if getattr(option, "is_flag", False) and option.metavar is None:
            option.metavar = ""
    for below in getattr(command, "commands", {}).values():
        _without_types(below)


def _explain(error: Any) -> None:
    """A misuse in one line: what is wrong, the nearest that there is, where help is."""
    if type(error).__name__ == "NoArgsIsHelpError":
        return  # its message is the help, which has been printed
    context = getattr(error, "ctx", None)
    said = error.format_message().rstrip(".")
    possible = getattr(error, "possibilities", None)
    if hasattr(error, "option_name") and possible is not None and context is not None:
        said = f"{error.message.rstrip('.')}{_nearest(error.option_name, context)}"
    where = context.command_path if context is not None else "engram"
    stop = "" if said.endswith("?") else ";"
    complain(f"{said}{stop} see {where} --help")


def _nearest(option: str, context: Any) -> str:
    """Where an option that the command lacks belongs, or the command's own that is most like it, if any."""
    root = context.find_root()
    if any(option in item.opts for item in root.command.get_params(root)):
        return f": it goes before the command, engram {option} … {context.command.name}"
    if context is root and any(
        option in item.opts for below in root.command.commands.values() for item in below.params
    ):
        return f": it goes behind the command, engram COMMAND {option}"
    known = [name for item in context.command.get_params(context) for name in item.opts if name[:2] == "--"]
    close = difflib.get_close_matches(option, known, n=1, cutoff=0.5)
    return f". Did you mean {close[0]!r}?" if close else ""


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
        if args and args[0] not in self.commands and args[0] not in HELP:
            args = [next(iter(self.commands)), *args]
        return super().parse_args(ctx, args)


class ListGroup(TyperGroup):
    """A group whose first command is meant where none is named and only options are given: `engram jobs`."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Put the first command's name before options, or before nothing."""
        bare = not args or (args[0].startswith("-") and args[0] not in HELP)
        if bare and not ctx.resilient_parsing:  # the Tab key completes the group's own commands
            args = [next(iter(self.commands)), *args]
        return super().parse_args(ctx, args)
