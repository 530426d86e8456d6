"""`engram import` and `engram export`, as someone at a terminal would use them."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from engram.cli.app import app

Call = Callable[..., Result]
MESSAGES = [
    {"role": "user", "content": "My cat is called Plum.", "id": "1"},
    {"role": "assistant", "content": "A fine name for a cat.", "id": "2"},
    {"role": "user", "content": "", "id": "3"},
    {"role": "user", "content": "bad \0 text", "id": "4"},
]


@pytest.fixture
def call(tmp_path: Path) -> Call:
    """Run a command on one store; the exit code is expected to be `code`."""

    def run(*arguments: str, code: int = 0) -> Result:
        result = CliRunner().invoke(app, arguments, env={"ENGRAM_URL": f"sqlite:///{tmp_path}/a.db"})
        assert result.exit_code == code, result.output
        return result

    return run


@pytest.fixture
def chat(tmp_path: Path) -> Path:
    path = tmp_path / "chat.json"
    path.write_text(json.dumps({"messages": MESSAGES}), encoding="utf-8")
    return path


def told(result: Result) -> list[dict[str, Any]]:
    return [json.loads(line) for line in result.stdout.splitlines()]


def test_the_report_says_what_was_stored_left_out_and_why(call: Call, chat: Path) -> None:
    result = call("import", str(chat), "--user", "ana", code=1)
    assert result.stderr.startswith("engram: 1 of the messages could not be stored; --skipped FILE")
    head, *reasons = result.stdout.splitlines()
    assert head == f"{chat} (openai): 2 stored, 2 left out, 1 of them could not be stored"
    assert any("no text" in line for line in reasons)
    assert any("NUL character" in line for line in reasons)
    assert sum(str(chat) in line for line in reasons) == 2
    again = call("import", str(chat), "--user", "ana", code=1).stdout
    assert "0 stored, 2 there already" in again


def test_a_dry_run_stores_nothing(call: Call, chat: Path) -> None:
    assert "2 would be stored" in call("import", str(chat), "--dry-run", code=1).stdout
    assert told(call("import", str(chat), "--dry-run", "--json", code=1))[0]["dry_run"] is True
    assert told(call("list", "--json")) == []


def test_what_was_left_out_can_be_written_down(call: Call, chat: Path, tmp_path: Path) -> None:
    call("import", str(chat), "--skipped", str(tmp_path / "left.jsonl"), code=1)
    left = [json.loads(line) for line in (tmp_path / "left.jsonl").read_text().splitlines()]
    assert [item["failed"] for item in left] == [False, True]
    assert all(item["place"].startswith(str(chat)) for item in left)


def test_several_files_are_reported_one_by_one(call: Call, chat: Path, tmp_path: Path) -> None:
    text = tmp_path / "talk.txt"
    text.write_text("Ana: hello there\nBen: hello\nAna: how are you?\n")
    chat.write_text(json.dumps({"messages": MESSAGES[:2]}))
    found = told(call("import", str(chat), str(text), "--json"))
    assert [(item["path"], item["format"], item["stored"]) for item in found] == [
        (str(chat), "openai", 2),
        (str(text), "transcript", 3),
    ]


def test_the_format_can_be_named(call: Call, chat: Path) -> None:
    chat.write_text(json.dumps({"messages": MESSAGES[:2]}))
    assert "(openai)" in call("import", str(chat), "--format", "openai").stdout
    refused = call("import", str(chat), "--format", "nope", code=1).stderr
    assert "'nope' is unknown; it may be" in refused
    assert "chatgpt" in refused


def test_what_nobody_wrote_is_refused(call: Call, tmp_path: Path) -> None:
    path = tmp_path / "x.bin"
    path.write_bytes(bytes(range(256)))
    assert "no known kind of file" in call("import", str(path), code=1).stderr


def test_exports_by_time_compressed_and_as_pages(call: Call, tmp_path: Path) -> None:
    for day in (1, 2, 3):
        call("add", f"on day {day}", "--time", f"2026-01-0{day}", "--user", "ana")
    packed, folder = tmp_path / "x.jsonl.gz", tmp_path / "pages"
    assert told(call("export", str(packed), "--since", "2026-01-02", "--json")) == [
        {"path": str(packed), "format": "jsonl", "records": 2}
    ]
    assert call("export", str(folder), "--format", "markdown").stdout == f"{folder}: 3 records\n"
    assert "not empty" in call("export", str(folder), "--format", "markdown", code=1).stderr
    call("export", str(folder), "--topic", "day 2", "--overwrite", "--user", "ana")
    assert [page.parent.name for page in folder.rglob("*-*.md")] == ["topics"]
    assert "is a directory" in call("export", str(folder), code=2).stderr
    assert "--since" in call("export", str(packed), "--since", "soonish", code=2).stderr
    other = f"sqlite:///{tmp_path}/b.db"
    assert "2 stored" in call("import", str(packed), "--url", other).stdout


def test_an_empty_file_is_named(call: Call, tmp_path: Path) -> None:
    (tmp_path / "x.jsonl").touch()
    assert "x.jsonl: the file is empty" in call("import", str(tmp_path / "x.jsonl"), code=1).stderr


def test_an_export_to_standard_output_is_the_file(call: Call, chat: Path, tmp_path: Path) -> None:
    call("import", str(chat), "--user", "u", code=1)
    call("export", str(tmp_path / "all.jsonl"))
    assert call("export", "-").stdout_bytes == (tmp_path / "all.jsonl").read_bytes()
    assert "name a folder or a file" in call("export", "-", "--format", "markdown", code=2).output
    assert "save it to a file first" in call("import", "-", code=2).output


def test_tables_of_triples(call: Call, tmp_path: Path) -> None:
    """Without names of columns they are told to be of triples; what is none is named with its line."""
    path = tmp_path / "facts.csv"
    path.write_text("Ada,lives in,Porto\nAda,likes\n", encoding="utf-8")
    lost = call("import", str(path), "--triples", "--user", "ana", "--json", code=1)
    found = json.loads(lost.stdout.splitlines()[0])
    assert (found["format"], found["stored"], found["failed"]) == ("triples", 1, 1)
    assert found["examples"][0]["place"].endswith("facts.csv:2")
    assert "Ada lives in Porto" in call("list", "--user", "ana").stdout
    refused = call("import", str(path), "--triples", "--format", "markdown", code=2)
    assert "--triples says that the files are of triples" in refused.output
