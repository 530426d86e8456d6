"""Measuring and drawing, as somebody at a terminal does it."""

import json
import re
from pathlib import Path

import pytest

from bench.test_plots import Picture
from terminal.conftest import Kept
from terminal.driver import BASH, Terminal, drives

TALK = {
    "name": "ada",
    "turns": [
        {"id": "1", "session": 1, "speaker": "Ada", "text": "My cat is called Plum.", "time": "2024-01-02"},
        {"id": "2", "session": 1, "speaker": "Ben", "text": "Mine is a goldfish.", "time": "2024-01-02"},
    ],
    "questions": [{"question": "What is the cat called?", "evidence": ["1"], "category": "pets"}],
}
FIGURES = (
    "single add",
    "bulk add",
    "import, 20 a chat",
    "import, one chat",
    "search, k=10",
    "after an add",
    "after another's add",
    "first search",
    "resident memory",
    "at its peak",
    "import engram",
)


@drives("bench recall", "bench plot")
def test_recall_is_measured_shown_and_drawn_twice(reader: Terminal, tmp_path: Path) -> None:
    talk, lines, picture = tmp_path / "talk.json", tmp_path / "lines.jsonl", tmp_path / "recall.svg"
    talk.write_text(json.dumps(TALK), encoding="utf-8")
    seen = reader.run("bench", str(talk), "--policy", "rrf", "--k", "1,2", "--svg", str(picture))
    assert "talk: recall over 1 questions" in seen.words
    assert "drawn to" in seen.words
    assert seen.width <= 80
    assert {"rrf", "bm25", "dense"} <= set(Picture(picture).words)
    line = f"engram bench recall {talk} --policy rrf --k 1,2 --json > {lines}"
    with reader.talk("-c", line, program=str(BASH)):
        pass
    first = picture.read_bytes()
    told = reader.run("bench", "plot", str(lines), "--svg", str(picture))
    assert told.words.startswith("3 measurements drawn to")
    assert picture.read_bytes() == first


@pytest.mark.timeout(180)
@drives("bench speed")
def test_speed_is_measured_shown_and_drawn(reader: Terminal, tmp_path: Path) -> None:
    picture = tmp_path / "speed.svg"
    seen = reader.run("bench", "speed", "--n", "200", "--policy", "rrf", "--svg", str(picture))
    assert "200 records" in seen.words
    assert [name for name in FIGURES if name not in seen.words] == []
    assert "≤ 30x" in seen.words
    assert "…" not in seen.words
    assert seen.width <= 80
    drawn = Picture(picture)
    assert {"single add (ms)", "200", "floor: bare insert + commit"} <= set(drawn.words)
    assert [name for name in FIGURES if name not in drawn.said("desc")] == []


@pytest.mark.timeout(180)
@drives("bench ann")
def test_large_scopes_are_measured_and_shown(reader: Terminal, tmp_path: Path) -> None:
    seen = reader.run("bench", "ann", "--n", "200", "--keep", str(tmp_path))
    assert "200 records" in seen.words
    assert re.search(r"recall@10 of exact, dense \d\.\d{3} ≥ 0\.950 ", seen.words)
    assert "the index on disk" in seen.words
    assert "…" not in seen.words
    assert seen.width <= 80
    assert (tmp_path / "200" / "memory.db.ann").is_dir()


@drives("stats")
def test_memory_over_time_is_drawn(reader: Terminal, kept: Kept, tmp_path: Path) -> None:
    picture = tmp_path / "time.svg"
    seen = reader.run("stats", "--user", "ana", "--plot", str(picture))
    assert seen.words.startswith("records 5 ")
    assert "picture" in seen.words
    assert "episode 5" in Picture(picture).words
    assert "user_id=ana" in Picture(picture).said("title")


@drives("compare")
def test_methods_are_compared_and_an_outcome_is_measured_once(terminal: Terminal, tmp_path: Path) -> None:
    talk, out = tmp_path / "talk.json", tmp_path / "out.jsonl"
    talk.write_text(json.dumps(TALK), encoding="utf-8")
    asked = ("compare", str(talk), "--policy", "bm25", "--out", str(out), "-j", "1")
    seen = terminal.run(*asked)
    assert "talk: 1 questions, p against fusion" in seen.words
    assert "bm25 1.000" in seen.words
    assert "best by category" in seen.words
    kept = out.read_bytes()
    assert len(kept.splitlines()) == 2
    assert terminal.run(*asked).words == seen.words
    assert out.read_bytes() == kept
    drawn = terminal.run(*asked, "--svg", str(tmp_path / "cost.svg"))
    assert "cost.svg" in drawn.joined
    assert "recall@10" in (tmp_path / "cost.svg").read_text(encoding="utf-8")
    neither = terminal.run("compare", str(talk), code=2)
    assert "name methods with --policy, or give --all" in neither.words
