"""Waiting for work: told by the store where it can tell, by looking again where it cannot."""

from __future__ import annotations

import threading
from collections.abc import Callable

from engram.kernel.protocols import Waking

__all__ = ["Bell"]

_LONGEST = 1.0  # seconds after which whoever is told looks all the same


class Bell:
    """Rings when anybody has put or ended jobs, in any process, or when `ring` is called."""

    def __init__(self, store: Waking | None) -> None:
        self._store = store
        self._rung = threading.Event()
        self._quiet: Callable[[], None] | None = None

    def ring(self) -> None:
        """End the present wait, or the next one; safe in a signal's handler."""
        self._rung.set()

    def wait(self, seconds: float, *, longest: float = _LONGEST) -> None:
        """Wait `seconds`; with a store that tells, until it does, but no longer than `longest`."""
        if self._store is not None and self._quiet is None:
            self._quiet = self._store.watch(self._rung)
        self._rung.wait(seconds if self._store is None else max(seconds, longest))
        self._rung.clear()

    def close(self) -> None:
        """Listen no more."""
        quiet, self._quiet = self._quiet, None
        if quiet is not None:
            quiet()
