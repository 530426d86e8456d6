"""A terminal without a person: runs the installed `engram` in a pseudo-terminal and keeps what it shows."""

from __future__ import annotations

import ast
import os
import re
import shutil
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import wraps
from pathlib import Path
from typing import Any, TypeVar

import pexpect
import pyte
from pexpect.fdpexpect import fdspawn

from terminal.warm import Server

ENGRAM = str(Path(sys.executable).with_name("engram"))
ROWS = 300  # more than any command prints: nothing scrolls away
CTRL_C = "\x03"
_COLOUR = re.compile(r"\x1b\[(?:[\d;]*;)?(?:3[0-7]|9[0-7]|38;[\d;]*)m")
_RAN: set[str] = set()
T = TypeVar("T", bound=Callable[..., Any])


@dataclass(frozen=True)
class Seen:
    """What a command left on the screen: its lines, the bytes behind them, and the exit code."""

    lines: list[str]
    raw: str
    code: int

    @property
    def text(self) -> str:
        """The lines, joined."""
        return "\n".join(self.lines)

    @property
    def words(self) -> str:
        """The text with every white space and frame as one space: wherever lines were broken."""
        return " ".join(re.sub(r"[│╭╮╰╯─┃━]", " ", self.text).split())

    @property
    def joined(self) -> str:
        """The lines without what broke them, as where a terminal breaks a path."""
        return "".join(self.lines)

    @property
    def width(self) -> int:
        """The longest line."""
        return max(map(len, self.lines), default=0)

    @property
    def coloured(self) -> bool:
        """Whether any colour was asked of the terminal."""
        return _COLOUR.search(self.raw) is not None


def drives(*commands: str) -> Callable[[T], T]:
    """Names the commands that a test drives, and fails where it does not."""

    def decorate(test: T) -> T:
        @wraps(test)
        def run(*arguments: Any, **fixtures: Any) -> Any:
            _RAN.clear()
            test(*arguments, **fixtures)
            assert set(commands) <= _RAN, f"not driven: {sorted(set(commands) - _RAN)}"

        return run  # type: ignore[return-value]

    return decorate


def driven(folder: Path) -> set[str]:
    """Every command that a test in the folder says it drives."""
    calls = (
        node
        for path in folder.glob("test_*.py")
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "drives"
    )
    return {str(item.value) for call in calls for item in call.args if isinstance(item, ast.Constant)}


class Terminal:
    """A terminal of some width, with a store of its own in `ENGRAM_URL`."""

    def __init__(self, server: Server | None, url: str, columns: int = 80, **environment: str) -> None:
        self.server = server
        self.columns = columns
        home = os.environ["HOME"]
        self.environment = {
            "PATH": f"{Path(ENGRAM).parent}{os.pathsep}{os.defpath}",
            "HOME": home,
            "TERM": "xterm-256color",
            "LANG": "C.UTF-8",
            "ENGRAM_URL": url,
            "OPENBLAS_NUM_THREADS": "1",
            **environment,
        }

    def but(self, columns: int | None = None, **environment: str) -> Terminal:
        """The same terminal with another width or environment; an empty value takes a variable away."""
        made = Terminal(self.server, "", columns or self.columns)
        made.environment = {k: v for k, v in {**self.environment, **environment}.items() if v}
        return made

    def cold(self, **environment: str) -> Terminal:
        """The same terminal, where a command is a process that starts with nothing loaded."""
        made = self.but(None, **environment)
        made.server = None
        return made

    def run(self, *arguments: str, code: int = 0) -> Seen:
        """Run a command to its end."""
        with self.talk(*arguments, code=code) as talk:
            pass
        return talk.seen

    def each(self, *commands: tuple[str, ...], code: int = 0) -> list[Seen]:
        """Run several commands at once, each in a terminal of its own."""
        with ExitStack() as running:
            talks = [running.enter_context(self.talk(*command, code=code)) for command in commands]
            return [talk.close() for talk in talks]

    @contextmanager
    def talk(self, *arguments: str, code: int | None = 0, program: str = ENGRAM) -> Iterator[Talk]:
        """Run a command, and type into it meanwhile; it is at its end when the block has ended."""
        if program == ENGRAM:
            _RAN.add(" ".join(_command(arguments)))
        talk = self._started(program, list(arguments))
        try:
            yield talk
            talk.close()
            assert code is None or talk.seen.code == code, talk.seen.text
        finally:
            talk.child.close()

    def _started(self, program: str, arguments: list[str]) -> Talk:
        if self.server is None or program != ENGRAM:
            size = (ROWS, self.columns)
            spawned: Any = pexpect.spawn(program, arguments, dimensions=size, env=dict(self.environment))
            spawned.ptyproc.delayafterclose = spawned.ptyproc.delayafterterminate = 0

            def code() -> int:
                spawned.wait()
                return int(-spawned.signalstatus if spawned.exitstatus is None else spawned.exitstatus)

            return Talk(spawned, self.columns, code)
        server = self.server
        pid, end = server.start(arguments, self.environment, ROWS, self.columns)
        return Talk(fdspawn(end), self.columns, lambda: server.code(pid))


def _command(arguments: tuple[str, ...]) -> list[str]:
    """The command's name in its arguments; in a group, with the subcommand's."""
    words = [word for word in arguments if not word.startswith("-")][:2]
    if words and words[0] in GROUPS:
        first, rest = words[0], words[1:]
        return [first, rest[0]] if rest and rest[0] in GROUPS[first] else [first, GROUPS[first][0]]
    return words[:1]


class Talk:
    """A running command and the screen that it writes on."""

    def __init__(self, child: Any, columns: int, code: Callable[[], int]) -> None:
        self._code = code
        self._screen = pyte.Screen(columns, ROWS)
        self._stream = pyte.ByteStream(self._screen)
        self._bytes = b""
        self.seen = Seen([], "", -1)
        self.child = child
        child.timeout = 60
        child.delaybeforesend, child.delayafterclose, child.delayafterterminate = None, 0, 0

    def until(self, text: str) -> None:
        """Wait until the command writes that."""
        self.child.expect_exact(text.encode())
        self._take(self.child.before + self.child.after)

    def type(self, keys: str) -> None:
        """Press keys."""
        self.child.send(keys.encode())

    def close(self) -> Seen:
        """Wait for the command's end; what it left on the screen."""
        if self.seen.code != -1:
            return self.seen
        self.child.expect(pexpect.EOF)
        self._take(self.child.before)
        code = self._code()
        lines = [line.rstrip() for line in self._screen.display]
        while lines and not lines[-1]:
            lines.pop()
        self.seen = Seen(lines, self._bytes.decode("utf-8", "replace"), code)
        return self.seen

    def _take(self, data: bytes) -> None:
        self._bytes += data
        self._stream.feed(data)


def _groups() -> dict[str, list[str]]:
    """The groups of the app, and their commands."""
    from typer.main import get_command

    from engram.cli.app import app

    root: Any = get_command(app)
    return {name: list(item.commands) for name, item in root.commands.items() if hasattr(item, "commands")}


def commands() -> set[str]:
    """Every command of the app, a group's with the group's name before it."""
    from typer.main import get_command

    from engram.cli.app import app

    root: Any = get_command(app)
    plain = {name for name, item in root.commands.items() if not item.hidden}
    return (plain - set(GROUPS)) | {f"{group} {name}" for group, names in GROUPS.items() for name in names}


GROUPS = _groups()
BASH = shutil.which("bash")
