"""The command as a process of its own."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

ENGRAM = str(Path(sys.executable).with_name("engram"))


def engram(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [ENGRAM, *arguments], capture_output=True, text=True, check=False, env={**os.environ, **environment}
    )


def test_add_then_search_in_two_processes_by_environment(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/mine.db"
    assert engram("add", "The spare key is with Ines.", ENGRAM_URL=url).returncode == 0
    found = engram("search", "Who has the spare key?", "--json", ENGRAM_URL=url)
    assert json.loads(found.stdout)["text"] == "The spare key is with Ines."
    assert found.stderr == ""


def test_the_default_store_is_in_the_data_folder(tmp_path: Path) -> None:
    assert engram("add", "words", ENGRAM_HOME=str(tmp_path / "home")).returncode == 0
    assert (tmp_path / "home" / "memory.db").is_file()


def test_an_error_is_one_line_without_a_traceback(tmp_path: Path) -> None:
    path = tmp_path / "text.db"
    path.write_text("This is no database, but a text that is long enough to look at. " * 20, encoding="utf-8")
    failed = engram("stats", "--url", f"sqlite:///{path}")
    assert failed.returncode == 1
    assert failed.stdout == ""
    assert failed.stderr.startswith("engram: ")
    assert failed.stderr.count("\n") == 1


def test_no_colour_and_no_progress_into_a_pipe(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/mine.db"
    added = engram("add", "a heron by the weir", "--url", url)
    found = engram("search", "heron", "--explain", "--url", url)
    assert "\x1b" not in added.stdout + found.stdout + found.stderr


def test_standard_input_that_cannot_be_taken(tmp_path: Path) -> None:
    """Bytes that are not UTF-8, and more of them than a message holds: refused, and nothing is stored."""
    url = f"sqlite:///{tmp_path}/mine.db"
    for given, says in ((b"caf\xe9", "not UTF-8 (byte 3)"), (b"a" * (10 * 1024 * 1024 + 1), "over 10 MB")):
        command = [ENGRAM, "add", "-", "--url", url]
        failed = subprocess.run(command, input=given, capture_output=True, check=False)
        assert failed.returncode == 1
        assert says in failed.stderr.decode()
        assert failed.stderr.count(b"\n") == 1
    assert json.loads(engram("stats", "--json", ENGRAM_URL=url).stdout)["records"] == 0


def test_a_terminal_without_unicode(tmp_path: Path) -> None:
    """Characters that it lacks are escaped; JSON stays JSON."""
    url = f"sqlite:///{tmp_path}/mine.db"
    engram("add", "Zürich ✓", "--url", url)
    asked = ("search", "Zürich", "--url", url)
    assert r"Z\xfcrich \u2713" in engram(*asked, PYTHONIOENCODING="ascii", PYTHONUTF8="1").stdout
    found = engram(*asked, "--json", PYTHONIOENCODING="ascii", PYTHONUTF8="1").stdout
    assert json.loads(found)["text"] == "Zürich ✓"


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs a file that is always full")
@pytest.mark.parametrize("json_too", [(), ("--json",)])
def test_output_that_cannot_be_written(tmp_path: Path, json_too: tuple[str, ...]) -> None:
    with Path("/dev/full").open("w") as full:
        command = [ENGRAM, "--url", "ram:", "stats", *json_too]
        failed = subprocess.run(command, stdout=full, stderr=subprocess.PIPE, text=True, check=False)
    assert failed.returncode == 1
    assert failed.stderr.startswith("engram: ")
    assert "No space left" in failed.stderr
    assert failed.stderr.count("\n") == 1


def test_a_reader_that_has_seen_enough(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/mine.db"
    engram("add", *(f"a heron {number} " * 20 for number in range(300)), "--url", url)
    command = [ENGRAM, "search", "heron", "-k", "300", "--json", "--url", url]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as running:
        assert running.stdout
        assert running.stderr
        assert json.loads(running.stdout.readline())["text"]
        running.stdout.close()
        assert running.stderr.read() == ""


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs a file that is always full")
def test_help_that_cannot_be_written() -> None:
    with Path("/dev/full").open("w") as full:
        failed = subprocess.run(
            [ENGRAM, "--help"], stdout=full, stderr=subprocess.PIPE, text=True, check=False
        )
    assert failed.returncode == 1
    assert failed.stderr.splitlines() == [
        "engram: while reading or writing: No space left on device; mend that and call again"
    ]


@pytest.mark.skipif(os.name != "posix", reason="needs a POSIX shell")
def test_standard_output_that_is_closed(tmp_path: Path) -> None:
    """A service without one still remembers."""
    line = f"exec {ENGRAM} add 'a heron' --url sqlite:///{tmp_path}/mine.db >&-"
    added = subprocess.run(["/bin/sh", "-c", line], capture_output=True, text=True, check=False)
    assert (added.returncode, added.stderr) == (0, "")
    assert "a heron" in engram("list", "--url", f"sqlite:///{tmp_path}/mine.db").stdout


def test_help_loads_neither_the_engine_nor_numpy() -> None:
    code = (
        "import sys\nfrom typer.testing import CliRunner\nfrom engram.cli.app import app\n"
        "assert CliRunner().invoke(app, ['--help']).exit_code == 0\n"
        "print({'numpy', 'Stemmer', 'dateparser', 'engram.engine.core'}.intersection(sys.modules))"
    )
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert loaded.stdout.strip() == "set()"


def test_the_version_is_printed() -> None:
    from engram import __version__

    assert engram("--version").stdout.strip() == f"engram {__version__}"
