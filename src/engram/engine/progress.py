"""How far something long has come, told to whoever wants to know."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import CancelledError

__all__ = ["Progress", "Stoppable"]

Progress = Callable[[int, int | None], None]
"""Called with how much is done (bytes, records) and how much there is, `None` where that is not known.

It is called often, from the thread that works; it should return at once. What it raises ends the work.
"""


class Stoppable:
    """Progress that ends the work, at its next word, once `stop` was called."""

    def __init__(self, told: Progress | None) -> None:
        self._told = told
        self._stopped = threading.Event()

    def stop(self) -> None:
        """End the work."""
        self._stopped.set()

    def __call__(self, done: int, total: int | None) -> None:
        """Pass it on; raises `CancelledError` once it is stopped."""
        if self._stopped.is_set():
            raise CancelledError
        if self._told is not None:
            self._told(done, total)
