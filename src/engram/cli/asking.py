"""What a command asks whoever typed it for: a yes, a text in an editor, standard input."""

from __future__ import annotations

import json
import shlex
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import typer

from engram.kernel.errors import EngramError, InvalidInput

__all__ = ["agreed", "confirmed", "edited", "metadata_of", "on_a_terminal", "standard_input"]


class CannotAskError(EngramError):
    """Nobody can be asked: standard input is no terminal."""


def on_a_terminal() -> bool:
    """Whether somebody can be asked: standard input and standard error are terminals."""
    return sys.stdin.isatty() and sys.stderr.isatty()


def confirmed(question: str, *, yes: bool) -> None:
    """Go on where `yes` is given or typed; otherwise leave with exit code 1 and nothing done."""
    if not yes and not agreed(question):
        raise typer.Abort


def agreed(question: str) -> bool:
    """Whether a yes was typed. Raises an error that tells of `--yes` where nobody can be asked."""
    if not on_a_terminal():
        raise CannotAskError(f"{question} Nobody can be asked, as this is no terminal: add --yes to say so")
    typer.echo(f"{question} [y/N]: ", nl=False, err=True)
    return sys.stdin.readline().strip().lower() in ("y", "yes")


def edited(text: str) -> str:
    """The text after its reader has changed it in an editor (VISUAL, EDITOR, or what there is).

    Raises `InvalidInput` where no editor can be started, or it ends with an error.
    """
    from engram.config import editor

    command = shlex.split(editor())
    with tempfile.TemporaryDirectory(prefix="engram-") as folder:
        path = Path(folder) / "record.txt"
        path.write_text(text, encoding="utf-8")
        try:
            done = subprocess.run([*command, str(path)], check=False)
        except OSError as error:
            raise InvalidInput(
                f"the editor {command[0]!r} does not start ({error.strerror}); set EDITOR, or give the text"
            ) from error
        if done.returncode:
            raise InvalidInput(f"the editor ended with {done.returncode}; nothing was changed")
        changed = path.read_text(encoding="utf-8")
    return changed if text.endswith("\n") else changed.removesuffix("\n")


def standard_input() -> str:
    """All of standard input, which is read no further than a message may be long."""
    from engram.engine.ingest import MAX_TEXT

    if on_a_terminal():
        typer.echo("Type the text; an empty line and Ctrl-D end it, Ctrl-C gives up.", err=True)
    content = sys.stdin.buffer.read(MAX_TEXT + 1)
    if len(content) > MAX_TEXT:
        raise InvalidInput("standard input is over 10 MB; split it into several messages")
    try:
        return content.decode()
    except UnicodeDecodeError as error:
        raise InvalidInput(
            f"standard input is not UTF-8 (byte {error.start}); convert it, for instance with iconv"
        ) from error


def metadata_of(text: str | None) -> Any:
    """The value of `--metadata`, which is JSON."""
    try:
        return None if text is None else json.loads(text)
    except ValueError as error:
        raise typer.BadParameter(f"--metadata is no JSON ({error})") from error
