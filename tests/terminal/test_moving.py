"""Importing and exporting, with a bar, an interrupt and what is left after it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from engram import Memory
from terminal.driver import CTRL_C, Terminal, drives

LONG = 20_000


@pytest.fixture(scope="module")
def long_talk(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A conversation that takes seconds to import."""
    path = tmp_path_factory.mktemp("long") / "talk.json"
    turns = [
        {"id": str(number), "session": 1 + number // 100, "speaker": "Ada", "text": f"heron number {number}"}
        for number in range(LONG)
    ]
    path.write_text(json.dumps({"name": "ada", "turns": turns}), encoding="utf-8")
    return path


@drives("import", "verify")
def test_an_import_shows_how_far_it_is_and_may_be_interrupted(terminal: Terminal, long_talk: Path) -> None:
    with terminal.talk("import", str(long_talk), code=130) as talk:
        talk.until("importing talk.json")
        talk.until("%")
        talk.type(CTRL_C)
    assert "Traceback" not in talk.seen.raw
    assert talk.seen.lines[-1] == "engram: interrupted; what was committed stays"
    assert "all agree" in terminal.run("verify").words
    url = terminal.environment["ENGRAM_URL"]
    with Memory(url) as memory:
        assert memory.stats()["records"] < LONG


@drives("import", "export", "list")
def test_a_talk_goes_in_and_out_and_in_again(terminal: Terminal, tmp_path: Path) -> None:
    path = tmp_path / "talk.json"
    turns = [{"id": "1", "session": 1, "speaker": "Ada", "text": "My cat is called Plum."}]
    path.write_text(json.dumps({"name": "ada", "turns": turns}), encoding="utf-8")
    assert "1 stored" in terminal.run("import", str(path)).words
    assert "1 there already" in terminal.run("import", str(path)).words
    copy = tmp_path / "copy.jsonl"
    assert "copy.jsonl: 1 records" in terminal.run("export", str(copy)).joined
    other = terminal.but(ENGRAM_URL=f"sqlite:///{tmp_path}/other.db")
    assert "1 stored" in other.run("import", str(copy)).words
    assert "My cat is called Plum." in other.run("list", "--user", "ada").words
    assert "1 there already" in other.run("import", str(copy)).words


@drives("copy", "add", "search")
def test_a_store_is_copied_into_another(terminal: Terminal, tmp_path: Path) -> None:
    terminal.run("add", "My cat is called Plum.", "--user", "ada")
    source, goal = terminal.environment["ENGRAM_URL"], f"sqlite:///{tmp_path}/goal.db"
    assert (
        "1 records, 1 versions, 0 edges: the same on both sides" in terminal.run("copy", source, goal).words
    )
    assert "Plum" in terminal.but(ENGRAM_URL=goal).run("search", "cat", "--user", "ada").words
    terminal.but(ENGRAM_URL=goal).run("add", "Plum is grey.", "--user", "ada")
    refused = terminal.run("copy", source, goal, code=1)
    assert "written to since" in refused.words


@drives("import")
def test_a_broken_file_is_named_with_its_line(terminal: Terminal, tmp_path: Path) -> None:
    path = tmp_path / "broken.jsonl"
    path.write_text('{"type": "header", "format": "engram-export/1"}\nnonsense\n', encoding="utf-8")
    refused = terminal.but(200).run("import", str(path), code=1)
    assert refused.lines[-1].startswith("engram: ")
    assert "broken.jsonl:2" in refused.text
    assert "there is no such file" in terminal.run("import", "nowhere.zip", code=1).words
