"""A process that has loaded `engram` already and becomes a command by forking: 0.1 s instead of 0.6 s each.

Run as a script with the number of a socket: each request is a JSON line of `arguments`, `environment` and
`folder`, with the terminal's end as a file descriptor. The answer is the process id, and another line with
its exit code at its end.
"""

from __future__ import annotations

import fcntl
import io
import json
import os
import signal
import socket
import struct
import subprocess
import sys
import termios
from pathlib import Path
from typing import Any

_SIZE = 1 << 20


class Server:
    """The side of the tests: starts the process, and commands in it."""

    def __init__(self) -> None:
        here, there = socket.socketpair()
        self._socket = here
        command = [sys.executable, __file__, str(there.fileno())]
        environment = {**os.environ, "OPENBLAS_NUM_THREADS": "1"}
        self._process = subprocess.Popen(command, pass_fds=[there.fileno()], env=environment)
        there.close()
        self._codes: dict[int, int] = {}
        self._lines = here.makefile("r", encoding="utf-8")

    def start(
        self, arguments: list[str], environment: dict[str, str], rows: int, columns: int
    ) -> tuple[int, int]:
        """Start `engram` with these arguments; its process id, and the terminal's other end."""
        master, slave = os.openpty()
        fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))
        request = {"arguments": arguments, "environment": environment, "folder": str(Path.cwd())}
        socket.send_fds(self._socket, [json.dumps(request).encode()], [slave])
        os.close(slave)
        return int(self._answer("pid")), master

    def code(self, pid: int) -> int:
        """The exit code of a command, when it has ended; the negative signal where one ended it."""
        while pid not in self._codes:
            self._answer("")
        return self._codes.pop(pid)

    def close(self) -> None:
        """End the process."""
        self._lines.close()
        self._socket.close()
        self._process.wait(60)

    def _answer(self, wanted: str) -> int:
        """The next answer of the wanted kind; codes that come meanwhile are kept."""
        while True:
            kind, *numbers = self._lines.readline().split()
            if kind == "code":
                self._codes[int(numbers[0])] = int(numbers[1])
            if kind == wanted or not wanted:
                return int(numbers[0])


def _serve(link: socket.socket) -> None:
    """Answer requests until the tests are over."""
    import engram.cli.app  # noqa: F401 - loaded, not used
    from engram import Memory

    with Memory("ram:") as memory:  # loads what a command loads
        memory.add("a heron", user_id="ana")
        memory.search("heron", user_id="ana")
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    while True:
        data, files, _, _ = socket.recv_fds(link, _SIZE, 1)
        if not data:
            return
        if os.fork() == 0:
            _mind(link, json.loads(data), files[0])
        os.close(files[0])


def _mind(link: socket.socket, request: dict[str, Any], terminal: int) -> None:
    """Start one command, and answer for it."""
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    pid = os.fork()
    if pid == 0:
        link.close()
        _become(request, terminal)
    os.close(terminal)
    link.sendall(f"pid {pid}\n".encode())
    code = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    link.sendall(f"code {pid} {code}\n".encode())
    os._exit(0)


def _become(request: dict[str, Any], terminal: int) -> None:
    """Turn this process into the command: its terminal, environment, folder and arguments."""
    code = 1
    try:
        os.setsid()
        fcntl.ioctl(terminal, termios.TIOCSCTTY, 0)
        for number in range(3):
            os.dup2(terminal, number)
        os.close(terminal)
        signal.signal(signal.SIGINT, signal.default_int_handler)
        os.environ.clear()
        os.environ.update(request["environment"])
        os.chdir(request["folder"])
        sys.stdin = io.TextIOWrapper(open(0, "rb", closefd=False), encoding="utf-8")  # noqa: SIM115
        sys.stdout, sys.stderr = (
            io.TextIOWrapper(open(number, "wb", closefd=False), encoding="utf-8", line_buffering=True)  # noqa: SIM115
            for number in (1, 2)
        )
        sys.argv = ["engram", *request["arguments"]]
        from engram.cli import main

        main()
        code = 0
    except SystemExit as end:
        code = end.code if isinstance(end.code, int) else int(end.code is not None)
    finally:
        sys.stdout.flush()
        os._exit(code)


if __name__ == "__main__":
    _serve(socket.socket(fileno=int(sys.argv[1])))
