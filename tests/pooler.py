"""A pooler as PgBouncer is in its mode `transaction`: connections are lent for one transaction at a time."""

from __future__ import annotations

import queue
import select
import socket
import struct
import threading
from contextlib import suppress

__all__ = ["Pooler"]

_SSL, _GSS = 80877103, 80877104
_END = b"X" + struct.pack("!I", 4)


class Pooler:
    """Lends `size` connections to a server in turn, so that no client has the same one twice on end.

    What a client sets for its session stays with the connection, and meets whoever is lent it next.
    """

    def __init__(self, host: str, size: int = 3) -> None:
        self._host = host
        self._size = size
        self._door = socket.create_server(("127.0.0.1", 0))
        self._servers: queue.Queue[socket.socket] = queue.Queue()
        self._greeting = b""
        self._lock = threading.Lock()
        self._open: list[socket.socket] = []
        threading.Thread(target=self._accept, daemon=True).start()

    def url(self, schema: str, user: str = "postgres") -> str:
        """The store's url through the pooler."""
        port = self._door.getsockname()[1]
        return (
            f"postgresql://{user}@127.0.0.1:{port}/postgres?gssencmode=disable&pgbouncer=true&schema={schema}"
        )

    def close(self) -> None:
        """Take no more clients and leave the server."""
        self._door.close()
        with self._lock:
            for end in self._open:
                with suppress(OSError):
                    end.close()

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._door.accept()
            except OSError:
                return
            threading.Thread(target=self._serve, args=(client,), daemon=True).start()

    def _serve(self, client: socket.socket) -> None:
        with self._lock:
            self._open.append(client)
        with suppress(OSError, EOFError):
            self._greet(client)
            while True:
                first = _message(client)
                if first[:1] == b"X":
                    return
                server = self._servers.get()
                try:
                    _lend(client, server, first)
                finally:
                    self._servers.put(server)

    def _greet(self, client: socket.socket) -> None:
        """What a client says first; the server's answer to the first of all is given to each."""
        while True:
            size = struct.unpack("!I", _exactly(client, 4))[0]
            start = _exactly(client, size - 4)
            if struct.unpack("!I", start[:4])[0] not in (_SSL, _GSS):
                break
            client.sendall(b"N")
        with self._lock:
            for _ in range(0 if self._greeting else self._size):
                server = socket.socket(socket.AF_UNIX)
                self._open.append(server)
                server.connect(f"{self._host}/.s.PGSQL.5432")
                server.sendall(struct.pack("!I", len(start) + 4) + start)
                said = [_message(server)]
                while said[-1][:1] != b"Z":
                    said.append(_message(server))
                self._greeting = b"".join(said)
                self._servers.put(server)
        client.sendall(self._greeting)


def _lend(client: socket.socket, server: socket.socket, first: bytes) -> None:
    """Carry messages both ways until the server is in no transaction and owes no answer."""
    owed = _asks(first)
    server.sendall(first)
    while True:
        ready, _, _ = select.select([client, server], [], [])
        if client in ready:
            try:
                message = _message(client)
            except (OSError, EOFError):
                message = _END
            if message == _END:
                _roll_back(server, owed)
                return
            owed += _asks(message)
            server.sendall(message)
        if server in ready:
            message = _message(server)
            client.sendall(message)
            if message[:1] == b"Z":
                owed -= 1
                if not owed and message[-1:] == b"I":
                    return


def _roll_back(server: socket.socket, owed: int) -> None:
    """End what a client has left open."""
    server.sendall(b"Q" + struct.pack("!I", 13) + b"ROLLBACK\0")
    while owed >= 0:
        owed -= int(_message(server)[:1] == b"Z")


def _asks(message: bytes) -> int:
    """Whether the server says that it is ready after this message."""
    return int(message[:1] in (b"Q", b"S"))


def _message(end: socket.socket) -> bytes:
    head = _exactly(end, 5)
    return head + _exactly(end, struct.unpack("!I", head[1:])[0] - 4)


def _exactly(end: socket.socket, size: int) -> bytes:
    found = b""
    while len(found) < size:
        part = end.recv(size - len(found))
        if not part:
            raise EOFError
        found += part
    return found
