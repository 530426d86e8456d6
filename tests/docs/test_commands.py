"""Every command and option is documented, with an example that is understood."""

import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import typer
from docs_site import commands, examples, on_page_markdown, reference

from engram.cli.app import app
from pages import check_parses

ROOT = Path(__file__).resolve().parents[2]
COMMANDS = list(commands())
LEAVES = [(name, command) for name, command in COMMANDS if not hasattr(command, "commands")]
NO_JSON = {
    "engram completion": "prints a program for the shell",
    "engram demo": "is there to be looked at",
}
NAMES = [name for name, _ in LEAVES]


def section(name: str) -> str:
    """What the generated page says about one command."""
    found = re.search(rf"^### {name}\n(.*?)(?=^##)", reference() + "\n##", re.MULTILINE | re.DOTALL)
    assert found, f"{name} has no section"
    return found[1]


def test_there_are_all_the_commands_that_help_names() -> None:
    helped = subprocess.run(
        [Path(sys.executable).with_name("engram"), "--help"], capture_output=True, text=True, check=True
    ).stdout
    top = {name.split()[1] for name in NAMES}
    assert len(top) > 15
    assert [name for name in top if not re.search(rf"^\W*{name}\s", helped, re.MULTILINE)] == []


@pytest.mark.parametrize(("name", "command"), LEAVES, ids=NAMES)
def test_a_command_is_documented(
    name: str, command: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    told = section(name)
    assert (command.help or "").strip().endswith((".", ")")), f"{name} needs help that is a sentence"
    assert f"{name} " in told.splitlines()[2]
    for parameter in command.params:
        names = [] if getattr(parameter, "hidden", False) else [*parameter.opts, *parameter.secondary_opts]
        shown = (
            names if parameter.param_type_name == "option" else [parameter.metavar or parameter.name.upper()]
        )
        assert [option for option in shown if option not in told] == []
        assert parameter.help, f"{name}: {names} says nothing about itself"
    monkeypatch.chdir(tmp_path)
    found = examples(command)
    assert found, f"{name} needs an example: Example: [bold]{name} …[/bold] in its epilog"
    for line in found:
        assert line.startswith(name)
        check_parses(line)


@pytest.mark.parametrize(("name", "command"), LEAVES, ids=NAMES)
def test_a_command_speaks_json(name: str, command: Any) -> None:
    assert (name in NO_JSON) != any("--json" in parameter.opts for parameter in command.params)


def test_commands_within_sentences_are_there() -> None:
    known = dict(COMMANDS)
    pages = [ROOT / "README.md", *(ROOT / "docs").rglob("*.md")]
    spans = [
        span for page in pages for span in re.findall(r"`(engram [^`]+)`", page.read_text(encoding="utf-8"))
    ]
    assert len(spans) > 20
    root: Any = typer.main.get_command(app)
    first = "|".join(option for parameter in root.params for option in parameter.opts)
    wrong = []
    for written in spans:
        span = re.sub(rf"^engram (?:(?:{first}) \S+ )*", "engram ", written)
        names = re.match(r"engram(?: [a-z-]+)*", span)
        path = (names[0] if names else "").split()
        while len(path) > 1 and " ".join(path) not in known:
            path.pop()
        command = known.get(" ".join(path))
        if command is not None and hasattr(command, "commands"):
            command = next(iter(command.commands.values()))  # the one that is meant where none is named
        options = {option for parameter in getattr(command, "params", []) for option in parameter.opts}
        asked = set(re.findall(r"(?<!\S)--[a-z-]+", span)) - {"--help", "--version"}
        if (command is None and not re.match(r"engram (COMMAND|--)", span)) or asked - options:
            wrong.append(written)
    assert wrong == []


def test_exit_codes_are_told() -> None:
    assert re.search(r"Exit codes: 0 .*1 .*2 ", reference())


def test_the_page_says_what_help_says() -> None:
    assert "needs engram\\[plots\\]" in section("engram stats")
    assert "completion for the current shell" not in reference()


def test_links_that_leave_the_pages_are_text() -> None:
    class Page:
        class file:  # noqa: N801 - as mkdocs has it
            src_uri = "howto/a.md"

    text = "[a](../b.md#c) [CHANGELOG.md](../../CHANGELOG.md) [that](../../src/x.py)"
    assert on_page_markdown(text, page=Page) == "[a](../b.md#c) CHANGELOG.md that (`src/x.py`)"
