"""Replies of a chat model kept on disk, so that a comparison that goes on, or is made again, pays once."""

from __future__ import annotations

import hashlib
import json
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path

from engram.kernel.chat import ChatModel, ChatReply, ChatRequest

__all__ = ["KeptReplies"]

_TIMEOUT = 30.0


class KeptReplies:
    """A chat model whose replies are kept in a SQLite file, and given again to the very same request.

    A reply that is given again has the tokens that it took the first time: figures are those of a run that
    has nothing kept. Any number of processes may share the file.
    """

    def __init__(self, model: ChatModel, path: Path) -> None:
        self.name = model.name
        self._model = model
        self._path = path
        with self._opened() as connection:
            connection.execute(
                "CREATE TABLE IF NOT EXISTS replies (key TEXT PRIMARY KEY, reply TEXT NOT NULL)"
            )

    def reply(self, request: ChatRequest) -> ChatReply:
        """The kept reply, else the model's, which is kept. Raises as the model does."""
        key = hashlib.blake2b(f"{self.name}\n{request!r}".encode(), digest_size=16).hexdigest()
        with self._opened() as connection:
            row = connection.execute("SELECT reply FROM replies WHERE key = ?", (key,)).fetchone()
        if row is not None:
            return ChatReply(**json.loads(row[0]))
        made = self._model.reply(request)
        with self._opened() as connection:
            connection.execute("INSERT OR IGNORE INTO replies VALUES (?, ?)", (key, json.dumps(asdict(made))))
        return made

    @contextmanager
    def _opened(self) -> Iterator[sqlite3.Connection]:
        connection = sqlite3.connect(self._path, timeout=_TIMEOUT)
        try:
            with connection:
                yield connection
        finally:
            connection.close()
