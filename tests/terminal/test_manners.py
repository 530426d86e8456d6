"""How every command behaves: colour, width, pipes, misuse, completion. Commands start cold here."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from typer.main import get_command

from engram.cli.app import app
from terminal.conftest import Kept
from terminal.driver import BASH, Terminal, commands, driven, drives

needs_bash = pytest.mark.skipif(BASH is None, reason="there is no bash here")


def test_every_command_is_driven_through_a_terminal() -> None:
    """Whoever adds a command drives it in this folder, in a test that says so with `drives`."""
    assert commands() - driven(Path(__file__).parent) == set()
    assert driven(Path(__file__).parent) - commands() == set()


def test_help_is_grouped_and_fits(reader: Terminal) -> None:
    wide, narrow, search = reader.run("--help"), reader.but(40).run("--help"), reader.run("search", "-h")
    assert wide.width <= 80
    assert narrow.width <= 40
    titles = [line.strip("╭─╮ ") for line in wide.lines if line.startswith("╭")]
    assert titles == [
        "Options",
        "Remember and forget",
        "Find",
        "Move in and out",
        "Look after the store",
        "Serve",
        "See for yourself",
    ]
    short = {" ".join(item.split()[:2]) for item in wide.lines}
    root: Any = get_command(app)
    assert {f"│ {name}" for name in root.commands} <= short
    assert "install-completion" not in wide.text
    assert "Exit codes: 0 done, 1 it could not be done" in wide.words
    assert 'Example: engram search "Where does she live?" --user ana --explain' in search.words


@pytest.mark.parametrize(
    "arguments, says",
    [
        (("serch", "x"), "No such command 'serch'. Did you mean 'search', 'serve', 'bench'?"),
        (("list", "--usr", "ana"), "No such option: --usr. Did you mean '--user'? see engram list --help"),
        (("jobs", "shwo"), "No such command 'shwo'. Did you mean 'show'? see engram jobs --help"),
        (("list", "--policy", "rrf"), "it goes before the command, engram --policy … list; see engram list"),
        (("--json", "list"), "it goes behind the command, engram COMMAND --json; see engram --help"),
        (("show",), "Missing argument 'ID'; see engram show --help"),
        (("completion", "tcsh"), "'tcsh' is not one of bash, zsh, fish, powershell"),
    ],
)
def test_misuse_is_one_line_with_the_nearest(reader: Terminal, arguments: tuple[str, ...], says: str) -> None:
    seen = reader.but(200).run(*arguments, code=2)
    assert len(seen.lines) == 1
    assert seen.lines[0].startswith("engram: ")
    assert says in seen.lines[0]


def test_a_list_of_wide_signs_is_a_line_a_record_too(terminal: Terminal) -> None:
    terminal.run("add", "鷺が堰の上に立っていた。" * 8, "--user", "kei")
    seen = terminal.but(100).run("list", "--user", "kei")
    assert len(seen.lines) == 1
    assert seen.lines[0].endswith("…")


def test_help_names_the_extra_and_optional_arguments_as_they_are_typed(reader: Terminal) -> None:
    assert "needs engram[plots]" in reader.but(100).run("stats", "--help").words
    assert "needs engram[plots]" in reader.but(100).run("bench", "speed", "--help").words
    assert "{ID} [TEXT]" in reader.run("edit", "--help").words


@pytest.mark.parametrize(
    "environment, coloured, escapes",
    [({}, True, True), ({"NO_COLOR": "1"}, False, True), ({"TERM": "dumb"}, False, False)],
    ids=["plain", "NO_COLOR", "dumb"],
)
def test_colour_is_asked_of_terminals_that_have_it(
    reader: Terminal, environment: dict[str, str], coloured: bool, escapes: bool
) -> None:
    seen = reader.cold(**environment).run("search", "heron", "--user", "ana", "-k", "1")
    assert seen.coloured is coloured
    assert ("\x1b" in seen.raw) is escapes
    assert "A heron stood on the weir" in seen.words


def shell(terminal: Terminal, line: str, code: int = 0) -> str:
    """What a line typed to a shell writes to the terminal."""
    with terminal.talk("-c", line, code=code, program=str(BASH)) as talk:
        pass
    return talk.seen.raw


@needs_bash
def test_a_pipe_gets_no_colour_no_frame_and_whole_lines(reader: Terminal, kept: Kept) -> None:
    piped = shell(reader, "engram list --user ana | cat; FORCE_COLOR=1 engram search heron --user ana | cat")
    plain, _, forced = piped.partition("\x1b")
    assert len(plain.splitlines()) >= 5
    assert "I moved to Lisbon in May, to a flat by the river." in plain
    assert forced
    last = json.loads(shell(reader, "engram list --user ana --json | tail -n 1"))
    assert last["id"] == kept.ids[-1]


@needs_bash
def test_a_reader_that_leaves_early_is_no_error(reader: Terminal, kept: Kept) -> None:
    written = shell(reader, "engram list --user ana --json | head -n 1; echo ${PIPESTATUS[1]}")
    first, status = written.splitlines()
    assert json.loads(first)["id"] == kept.ids[0]
    assert status == "0"


@needs_bash
@pytest.mark.timeout(60)
def test_nothing_waits_for_an_answer_that_cannot_come(reader: Terminal, kept: Kept) -> None:
    """Standard input is no terminal: a command that would ask refuses, and says how to do without."""
    written = shell(
        reader,
        f"sleep 50 | (engram forget --user ana; echo $?; engram edit {kept.ids[0]}; echo $?; kill 0)",
        -15,
    )
    lines = written.splitlines()
    assert "Nobody can be asked, as this is no terminal: add --yes to say so" in written
    assert "give the new text, - for standard input, or --metadata" in written
    assert [line for line in lines if line in ("1", "2")] == ["1", "2"]


@needs_bash
@drives("completion")
def test_the_tab_key_completes_commands_options_and_names(reader: Terminal) -> None:
    shown = reader.but(ENGRAM_URL="").run("completion", "fish")
    assert "complete --command engram" in shown.words
    with reader.but(PS1="ready> ").talk("--norc", "--noprofile", "-i", program=str(BASH), code=None) as talk:
        talk.until("ready> ")
        talk.type("source <(engram completion bash)\n")
        talk.until("ready> ")
        for typed, completed in (
            ("engram sea\t", "engram search "),
            ("engram search --exp\t", "engram search --explain "),
            ("engram jobs ret\t", "engram jobs retry "),
            ("engram --policy fus\t", "engram --policy fusion "),
        ):
            talk.type(typed)
            talk.until(completed)
            talk.type("\x15")
        talk.type("exit\n")


@drives("completion")
def test_completion_is_installed_where_the_shell_looks(reader: Terminal, tmp_path: Path) -> None:
    seen = reader.but(HOME=str(tmp_path)).run("completion", "bash", "--install")
    assert "completion works in the next bash" in seen.words
    [line] = (tmp_path / ".bashrc").read_text(encoding="utf-8").split("\n")[1:2]
    script = Path(line.removeprefix("source ").strip("'"))
    assert "_engram_completion" in script.read_text(encoding="utf-8")


@drives("demo")
def test_the_demo_tells_its_story(reader: Terminal) -> None:
    seen = reader.run("demo")
    assert seen.width <= 80
    assert "engram remembers, a session at a time" in seen.words
    assert "found in the first 3" in seen.words
    assert "engram import chatgpt-export.zip --user ana; engram import --help says what else" in seen.words
    assert seen.coloured


def test_the_version_and_the_bare_command(reader: Terminal) -> None:
    assert reader.run("--version").words.startswith("engram 0.")
    assert "Usage: engram [OPTIONS] COMMAND" in reader.run(code=2).words
