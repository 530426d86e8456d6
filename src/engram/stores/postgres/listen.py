"""Being told of new jobs: one connection that listens, for whoever in this process waits."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from contextlib import suppress

import psycopg
from psycopg import sql

from engram.kernel.errors import EngramError
from engram.stores.postgres.connection import Database, Link, connect

__all__ = ["Listener"]

_LOOK = 0.5  # seconds between two looks at whether anybody still waits
_PAUSE = 1.0


class Listener:
    """A thread with a connection of its own, there while anybody watches.

    While the server is away nobody is told anything; whoever waits looks by himself now and then as well.
    """

    def __init__(self, database: Database) -> None:
        self._database = database
        self._told: list[threading.Event] = []
        self._lock = threading.Lock()
        self._ended = threading.Event()
        self._thread: threading.Thread | None = None
        self._process = os.getpid()

    def watch(self, told: threading.Event) -> Callable[[], None]:
        """Have `told` set at every notice, until the function that is given back is called."""
        with self._lock:
            if self._process != os.getpid():  # the thread is the parent's
                self._thread, self._told, self._process = None, [], os.getpid()
            self._told.append(told)
            if self._thread is None:
                self._ended = threading.Event()
                self._thread = threading.Thread(target=self._listen, args=(self._ended,), daemon=True)
                self._thread.start()

        def unwatch() -> None:
            with self._lock:
                if told in self._told:
                    self._told.remove(told)
                last = not self._told
            if last:
                self.close()

        return unwatch

    def close(self) -> None:
        """Let the thread end, and wait for it."""
        with self._lock:
            thread, self._thread = self._thread, None
            self._ended.set()
        if thread is not None and thread is not threading.current_thread() and self._process == os.getpid():
            thread.join()

    def _listen(self, ended: threading.Event) -> None:
        while not ended.is_set():
            with suppress(psycopg.Error, OSError, EngramError), connect(self._database.target) as link:
                self._hear(link, ended)
            ended.wait(_PAUSE)

    def _hear(self, link: Link, ended: threading.Event) -> None:
        link.execute(sql.SQL("LISTEN {}").format(sql.Identifier(self._database.target.channel)))
        self._tell()  # of what came before it listened
        while not ended.is_set():
            if list(link.notifies(timeout=_LOOK, stop_after=1)):
                self._tell()

    def _tell(self) -> None:
        with self._lock:
            waiting = list(self._told)
        for told in waiting:
            told.set()
