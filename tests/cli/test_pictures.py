"""Pictures from the command line: `bench --svg`, `bench plot`, `stats --plot`."""

import json
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from bench.test_plots import Picture
from engram import Memory
from engram.cli.app import app

TALK = {
    "name": "ada",
    "turns": [
        {"id": "1", "session": 1, "speaker": "Ada", "text": "My cat is called Plum.", "time": "2024-01-02"},
        {"id": "2", "session": 1, "speaker": "Ben", "text": "Mine is a goldfish.", "time": "2024-01-02"},
    ],
    "questions": [{"question": "What is the cat called?", "evidence": ["1"], "category": "pets"}],
}


def call(*arguments: str, code: int = 0) -> Result:
    result = CliRunner().invoke(app, list(arguments))
    assert result.exit_code == code, result.output
    return result


@pytest.fixture
def talk(tmp_path: Path) -> str:
    path = tmp_path / "talk.json"
    path.write_text(json.dumps(TALK), encoding="utf-8")
    return str(path)


@pytest.fixture
def url(tmp_path: Path) -> str:
    """A store with three records of Ana's and one of Ben's."""
    url = f"sqlite:///{tmp_path}/a.db"
    with Memory(url, policy="rrf") as memory:
        memory.add(["one", "two", "three"], user_id="ana")
        memory.add("four", user_id="ben")
    return url


def test_recall_is_drawn_beside_its_tables_and_again_from_its_lines(talk: str, tmp_path: Path) -> None:
    first, again = tmp_path / "first.svg", tmp_path / "again.svg"
    printed = call("bench", talk, "--policy", "rrf", "--k", "1,2", "--svg", str(first), "--json").stdout
    assert [json.loads(line)["policy"] for line in printed.splitlines()] == ["rrf", "bm25", "dense"]
    picture = Picture(first)
    assert [id.rsplit("/", 1)[1] for id in picture.ids("recall/")] == ["bm25", "dense", "rrf"]
    assert {"1", "2", "bm25", "dense", "rrf"} <= set(picture.words)
    lines = tmp_path / "lines.jsonl"
    lines.write_text(printed, encoding="utf-8")
    told = json.loads(call("bench", "plot", str(lines), "--svg", str(again), "--json").stdout)
    assert told == {"picture": str(again), "measurements": 3}
    assert Picture(again).ids("recall/") == picture.ids("recall/")
    assert "3 measurements drawn to" in call("bench", "plot", str(lines), "--svg", str(again)).stdout


def test_memory_over_time_is_drawn_for_the_scope_named(url: str, tmp_path: Path) -> None:
    path = tmp_path / "time.svg"
    assert str(path) in call("--url", url, "stats", "--plot", str(path)).stdout
    assert "episode 4" in Picture(path).words
    found = json.loads(call("--url", url, "stats", "--user", "ana", "--plot", str(path), "--json").stdout)
    assert found["records"] == 3
    picture = Picture(path)
    assert "episode 3" in picture.words
    assert "user_id=ana" in picture.said("title")


def test_where_no_picture_can_be_drawn_nothing_is_measured(
    talk: str, url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    bad, good = str(tmp_path / "a.pdf"), str(tmp_path / "a.svg")
    commands = [
        ("bench", talk, "--svg"),
        ("bench", "speed", "--svg"),
        ("bench", "plot", talk, "--svg"),
        ("--url", url, "stats", "--plot"),
    ]
    for command in commands:
        result = call(*command, bad, code=1)
        assert "ends in .svg or .png" in result.stderr
        assert result.stdout == ""
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    for command in commands:
        result = call(*command, good, code=1)
        assert "pip install 'engram[plots]'" in result.stderr
        assert result.stdout == ""
    assert not Path(good).exists()


def test_an_empty_scope_is_told_and_leaves_no_picture(url: str, tmp_path: Path) -> None:
    path = tmp_path / "none.svg"
    assert (
        "no records to draw"
        in call("--url", url, "stats", "--user", "nobody", "--plot", str(path), code=1).stderr
    )
    assert not path.exists()


def test_results_that_are_none_are_refused_with_their_line(talk: str, tmp_path: Path) -> None:
    result = call("bench", "plot", talk, "--svg", str(tmp_path / "a.svg"), code=1)
    assert "talk.json:1: no measurement" in result.stderr
