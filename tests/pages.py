"""A page of the documentation as its reader meets it: files written, code run, commands typed.

- a block with a title, such as ```` ```json title="talk.json" ````, is a file of that name;
- ```` ```python ```` runs in one namespace a page; a ```` ```text ```` right behind it is what it prints;
- ```` ```sh ```` is commands, ```` ```console ```` is commands behind `$ ` with what they print.

In what is printed, `…` stands for anything in a line, or on a line of its own for any lines; an id for any
id, and a moment for itself or any minute of today.
"""

import os
import re
import shlex
import subprocess
import tomllib
from collections.abc import Iterable
from contextlib import redirect_stdout
from datetime import UTC, datetime
from io import StringIO
from pathlib import Path
from typing import Any

import typer
from sybil import Document, Example, Region, Sybil
from sybil.evaluators.python import PythonEvaluator
from sybil.parsers.markdown.lexers import FencedCodeBlockLexer
from typer.testing import CliRunner

from engram.cli.app import app

LANGUAGES = frozenset({"python", "sh", "console", "text", "json", "toml", "csv", "markdown"})
# What no test can run, and why. Commands of engram that stand here are parsed all the same.
NOT_RUN = {
    r"(python -m )?pip install\b": "installs packages; the entry points of `pip install -e .` are made known",
    r"make\b": "works on the whole checkout; that the targets exist is tested",
    r"engram bench \.\./shared/data\b": "needs the development conversations",
    r"engram compare \.\./shared/data\b": "needs the development conversations",
    r"engram bench speed\b(?!.*--n)": "takes minutes",
    r"engram bench ann\b": "takes minutes",
    r"engram .*\bsentence-transformers:": "downloads a model",
    r"engram .*\bopenai:": "asks a server",
    r"engram serve\b": "goes on until it is stopped; tests/serve starts it",
    r"engram (--\S+ \S+ )*mcp\b(?!.*--json)": "goes on until its client goes; tests/serve starts it",
    r"curl\b": "asks that service",
    r"docker run\b": "fetches an image",
}
_INFO = re.compile(r'(?P<language>\w*)(?: title="(?P<title>[^"]+)")?$')
_ID = r"[0-9A-HJKMNP-TV-Z]{26}"
_MOMENT = r"\d{4}-\d\d-\d\d \d\d:\d\d"
_VARIES = re.compile(f"(…|{_ID}|{_MOMENT})")
_QUOTED = re.compile(r"'[^']*'|\"[^\"$`\\]*\"")
_SHELL = re.compile(r"[|&;<>$`*?~\\(){}]")


class Reader:
    """Reads one page in `folder`, which is where the process stands."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._python = PythonEvaluator()
        self._printed = ""
        self._after = -1
        self.ran: list[str] = []

    def __call__(self, document: Document) -> Iterable[Region]:
        """Sybil's parser: every fenced block of the page."""
        for region in FencedCodeBlockLexer(r".*", mapping={"language": "info", "source": "source"})(document):
            region.parsed = (region.lexemes["info"].strip(), region.lexemes["source"])
            region.evaluator = self.evaluate
            yield region

    def evaluate(self, example: Example) -> None:
        """Do what one block says."""
        info, source = example.parsed
        match = _INFO.match(info)
        assert match is not None, (
            f'a block is opened by ```{info}; write a language, and title="…" for a file'
        )
        language, title = match["language"], match["title"]
        assert language in LANGUAGES, f"```{language} is none of {', '.join(sorted(LANGUAGES))}"
        self.ran.append("file" if title else language)
        if title:
            path = self._folder / title
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(source, encoding="utf-8")
        elif language == "python":
            self._run_python(example, source)
        elif language == "text" and self._follows(example):
            check_output("the code above", self._printed, source)
        elif language in ("sh", "console"):
            for command, expected in commands(language, source):
                self._run_command(command, expected)

    def _run_python(self, example: Example, source: str) -> None:
        example.parsed = source
        with redirect_stdout(StringIO()) as printed:
            self._python(example)
        self._printed, self._after = printed.getvalue(), example.end

    def _follows(self, example: Example) -> bool:
        return self._after >= 0 and not example.document.text[self._after : example.start].strip()

    def _run_command(self, command: str, expected: str) -> None:
        if not_run(command):
            assert not expected, f"{command}: never run, so what it prints cannot be shown as output"
            if command.startswith("engram "):
                check_parses(command)
            elif command.startswith("pip install -e ."):
                install(self._folder)
            return
        code, printed = _typed(command)
        assert code == 0, f"{command}: exit code {code}\n{printed}"
        if expected:
            check_output(command, printed, expected)


def read_page(page: Path, folder: Path) -> list[str]:
    """Read one page; gives the kinds of its blocks, `file` for files, in order."""
    reader = Reader(folder)
    sybil = Sybil([reader], path=str(page.parent), pattern=page.name)
    for example in sybil.parse(page).examples():
        example.evaluate()
    return reader.ran


def commands(language: str, source: str) -> list[tuple[str, str]]:
    """The commands of a block, each with the output shown below it."""
    if language == "sh":
        lines = source.splitlines()
        alone = [line for line in lines if line.strip() and not line.lstrip().startswith("#")]
        if all(_plain(line) or not_run(line) for line in alone):
            return [(line.strip(), "") for line in alone]
        return [(source, "")]
    found: list[tuple[str, str]] = []
    for line in source.splitlines(keepends=True):
        if line.startswith("$ "):
            found.append((line[2:].strip(), ""))
        elif found and found[-1][0].endswith("\\"):
            found[-1] = (found[-1][0][:-1] + line.strip(), "")
        else:
            command, printed = found[-1]
            found[-1] = (command, printed + line)
    return [(command, printed.strip("\n")) for command, printed in found]


def not_run(command: str) -> str:
    """Why a command is not run, or nothing."""
    return next((why for pattern, why in NOT_RUN.items() if re.match(pattern, command.strip())), "")


def arguments(command: str) -> list[str]:
    """The words of a command line, comments left out."""
    return shlex.split(command, comments=True)


def check_parses(command: str) -> None:
    """Fail where engram would not understand a command line; nothing is done."""
    group: Any = typer.main.get_command(app)
    context = group.make_context("engram", arguments(command)[1:])
    while hasattr(group, "commands"):
        rest = [*context._protected_args, *context.args]
        name, group, rest = group.resolve_command(context, rest)
        context = group.make_context(name, rest, parent=context)


def install(folder: Path) -> None:
    """Make a project's entry points known, as `pip install -e .` would: `folder` is on the path of Python."""
    project = tomllib.loads((folder / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    facts = folder / f"{project['name'].replace('-', '_')}-{project['version']}.dist-info"
    facts.mkdir()
    head = f"Metadata-Version: 2.1\nName: {project['name']}\nVersion: {project['version']}\n"
    (facts / "METADATA").write_text(head, encoding="utf-8")
    points = [
        line
        for group, entries in project["entry-points"].items()
        for line in (f"[{group}]", *(f"{name} = {target}" for name, target in entries.items()))
    ]
    (facts / "entry_points.txt").write_text("\n".join(points), encoding="utf-8")


def check_output(what: str, printed: str, expected: str) -> None:
    """Fail where what was printed is not what the page shows."""
    pattern = "".join(
        r"(?:.*\n)*?" if line == "…" else "".join(map(_matching, _VARIES.split(line))) + r"[ \t]*\n"
        for line in (line.rstrip() for line in expected.strip("\n").splitlines())
    )
    given = "\n".join(line.rstrip() for line in printed.strip("\n").splitlines()) + "\n"
    assert re.fullmatch(pattern, given), f"{what}: the page shows\n{expected}\nbut it prints\n{printed}"


def _matching(part: str) -> str:
    """The pattern of a part of a line that a page shows."""
    if part == "…":
        return ".*"
    if re.fullmatch(_ID, part):
        return _ID
    if re.fullmatch(_MOMENT, part):
        return f"(?:{part}|{datetime.now(UTC):%Y-%m-%d} [0-9:]{{5}})"
    return re.escape(part)


def _plain(line: str) -> bool:
    """Whether a line is a call of engram that needs no shell."""
    return line.strip().startswith("engram ") and not _SHELL.search(_QUOTED.sub("", line))


def _typed(command: str) -> tuple[int, str]:
    """Exit code and output of a command line, in this process where no shell is needed."""
    if _plain(command) and "\n" not in command.strip():
        result = CliRunner().invoke(app, arguments(command)[1:], prog_name="engram")
        if result.exception is not None and not isinstance(result.exception, SystemExit):
            raise result.exception
        return result.exit_code, result.output
    done = subprocess.run(
        ["bash", "-euo", "pipefail", "-c", command],  # noqa: S607
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        env=os.environ,
        timeout=60,
        check=False,
        text=True,
    )
    return done.returncode, done.stdout
