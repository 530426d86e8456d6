"""Keys that somebody types while a screen is shown."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

__all__ = ["keys_typed"]


@contextmanager
def keys_typed() -> Iterator[Callable[[float], str]]:
    """The value waits so many seconds for a key and gives it or nothing; without a terminal it just waits."""
    if not sys.stdin.isatty():
        yield _waiting
        return
    try:
        import termios
    except ImportError:  # a system that has another way
        yield _polled
        return
    import tty

    number = sys.stdin.fileno()
    before = termios.tcgetattr(number)
    tty.setcbreak(number)
    try:
        yield _selected
    finally:
        termios.tcsetattr(number, termios.TCSADRAIN, before)


def _waiting(seconds: float) -> str:
    time.sleep(seconds)
    return ""


def _selected(seconds: float) -> str:
    import os
    import select

    number = sys.stdin.fileno()
    ready, _, _ = select.select([number], [], [], seconds)
    return os.read(number, 1).decode("ascii", "replace") if ready else ""


def _polled(seconds: float) -> str:
    import msvcrt

    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if msvcrt.kbhit():  # type: ignore[attr-defined]
            key: str = msvcrt.getwch()  # type: ignore[attr-defined]
            return key
        time.sleep(0.05)
    return ""
