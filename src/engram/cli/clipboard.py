"""The clipboard: through the desktop's own program, or through the terminal, which also works over ssh."""

from __future__ import annotations

import base64
import shutil
import subprocess
import sys
from pathlib import Path

from engram.kernel.errors import ConfigError

__all__ = ["copy"]

_PROGRAMS = (
    ("pbcopy",),
    ("wl-copy",),
    ("xclip", "-selection", "clipboard"),
    ("xsel", "--clipboard", "--input"),
    ("clip.exe",),
    ("termux-clipboard-set",),
)
_MOST = 74_994  # bytes of text; the least that terminals with a limit take is 100,000 in base 64
_SECONDS = 5


def copy(text: str) -> str:
    """Put the text on the clipboard of whoever sits at the terminal; says by what way it went.

    On this machine's desktop a program does it, in a remote session the terminal (the escape sequence OSC
    52, which a terminal obeys without an answer). Raises `ConfigError` where there is neither.
    """
    from engram.config import remote_session

    if not remote_session():
        for command in _PROGRAMS:
            if shutil.which(command[0]) and _given_to(command, text):
                return f"by {command[0]}"
    return _to_terminal(text)


def _given_to(command: tuple[str, ...], text: str) -> bool:
    encoding = "utf-16" if command[0] == "clip.exe" else "utf-8"
    try:
        done = subprocess.run(
            command,
            input=text.encode(encoding),
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            timeout=_SECONDS,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired):
        return False
    return done.returncode == 0


def _to_terminal(text: str) -> str:
    data = text.encode()
    if len(data) > _MOST:
        raise ConfigError(
            f"{len(data):,} bytes are more than a terminal's clipboard takes ({_MOST:,}); "
            "give a smaller --budget, or write to a file with >"
        )
    order = b"\x1b]52;c;" + base64.b64encode(data) + b"\x07"
    try:
        if sys.stderr.isatty():
            sys.stderr.flush()
            sys.stderr.buffer.write(order)
            sys.stderr.buffer.flush()
        else:
            Path("/dev/tty").write_bytes(order)
    except OSError as error:
        raise ConfigError(
            "there is no terminal and no clipboard program (pbcopy, wl-copy, xclip, xsel); "
            "leave --copy out and write to a file with >"
        ) from error
    return "by the terminal (OSC 52); if pasting gives nothing, it takes none: leave --copy out"
