"""Who makes the files of large scopes: a thread of its own, when an index is large or much has come."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable

from engram.engine.shelf import Shelf
from engram.kernel.errors import StoreError
from engram.kernel.scope import Scope
from engram.operators.retrieval.index import ScopeIndex
from engram.operators.retrieval.mapped import MappedIndex

__all__ = ["Maker"]

_SHARE = 0.1
_PATIENCE = 30.0


class Maker:
    """Keeps files of scopes above `above` records, made anew when a tenth has come since.

    One thread, which ends with the process or with `close`; what it had not finished is gone.
    """

    def __init__(self, shelf: Shelf, above: int) -> None:
        self.shelf = shelf
        self._above = above
        self._lock = threading.Lock()
        self._tried: dict[Scope, int] = {}
        self._made: set[Scope] = set()
        self._thread: threading.Thread | None = None
        self._stopped = False

    def wanted(self, index: ScopeIndex) -> bool:
        """Whether the file of this index, or a newer one, would help."""
        if not self.shelf.usable or len(index) <= self._above:
            return False
        return not isinstance(index, MappedIndex) or index.behind > _SHARE * len(index)

    def look_after(self, scope: Scope, index: ScopeIndex) -> None:
        """Have the file of a scope made, if that would help and is not under way; comes back at once."""
        if not self.wanted(index):
            return
        with self._lock:
            busy = self._thread is not None and self._thread.is_alive()
            if busy or self._stopped or len(index) < (1 + _SHARE) * self._tried.get(scope, 0):
                return
            self._tried[scope] = len(index)
            self._thread = threading.Thread(target=self._make, args=(scope,), name="engram-ann", daemon=True)
            self._thread.start()

    def make(self, scope: Scope) -> bool:
        """Make the file of a scope now; False where there can be none."""
        done = self.shelf.make(scope, lambda: self._stopped)
        if done:
            with self._lock:
                self._made.add(scope)
        return done

    def tend(self, scopes: Iterable[Scope]) -> None:
        """Make the files of scopes that have none, or an old one."""
        for scope in scopes:
            if self.shelf.usable and self.shelf.due(scope, _SHARE):
                self.make(scope)

    def made(self, scope: Scope) -> bool:
        """Whether a file of the scope was made since this was last asked."""
        with self._lock:
            found = scope in self._made
            self._made.discard(scope)
        return found

    def clear(self) -> None:
        """Forget what was made: something was erased, by whomever."""
        with self._lock:
            self._tried.clear()
            self._made.clear()

    def forget(self) -> None:
        """Something was erased here: no file is right any more."""
        self.clear()
        self.shelf.drop()

    def wait(self, done: Callable[[], bool]) -> bool:
        """Wait for the thread until `done`; for tests and for whoever closes."""
        thread = self._thread
        if thread is not None:
            thread.join(_PATIENCE)
        return done()

    def close(self) -> None:
        """Stop making; a file that is not finished is removed."""
        self._stopped = True
        self.wait(lambda: True)

    def _make(self, scope: Scope) -> None:
        try:
            self.make(scope)
        except StoreError:
            return  # closed, or out of reach: whoever asks next is told, and tries again
