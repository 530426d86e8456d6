"""The speed benchmark: what is held against what, texts that repeat, and a small run from end to end."""

from io import StringIO
from pathlib import Path

import numpy as np
import pytest
from rich.console import Console

from engram.bench import texts
from engram.bench.figures import Figure
from engram.bench.floors import BareTable, nearest
from engram.bench.report import speed_table
from engram.bench.speed import measure
from engram.kernel.errors import ConfigError, StoreError


def test_a_target_bounds_the_ratio_where_there_is_a_floor() -> None:
    slow = Figure("add", 10, 31.0, "ms", "bare", 1.0, most=30)
    assert (slow.ratio, slow.met, slow.goal) == (31, False, "≤ 30x")
    rate = Figure("bulk", 10, 20.0, "/s", "bare", 100.0, least=0.1)
    assert (rate.ratio, rate.met, rate.goal) == (0.2, True, "≥ 0.1x")


def test_a_target_bounds_the_figure_where_there_is_no_floor() -> None:
    assert Figure("first", 10, 299.0, "ms", most=300).met is True
    assert Figure("memory", 10, 331.0, "MB", most=330).met is False
    assert Figure("memory", 10, 331.0, "MB", most=330).goal == "≤ 330 MB"
    assert Figure("peak", 10, 331.0, "MB").met is None


def test_json_leaves_out_what_is_not_there() -> None:
    assert Figure("peak", 10, 331.0, "MB").to_dict() == {
        "what": "peak",
        "n": 10,
        "measured": 331.0,
        "unit": "MB",
    }
    line = Figure("add", 10, 2.0, "ms", "bare", 1.0, most=30).to_dict()
    assert (line["against"], line["ratio"], line["target"], line["met"]) == ("bare", 2.0, "≤ 30x", True)


def test_the_same_number_is_always_the_same_turn() -> None:
    many = list(texts.turns(50))
    assert many[30:] == list(texts.turns(20, start=30))
    assert len({turn["content"] for turn in many}) == 50
    assert {turn["name"] for turn in many} == set(texts.NAMES)
    assert all(10 <= len(turn["content"].split()) <= 60 for turn in many)
    assert [turn["time"] for turn in many] == sorted(turn["time"] for turn in many)


def test_questions_use_words_of_the_turns() -> None:
    said = " ".join(turn["content"].lower() for turn in texts.turns(40))
    for question in texts.questions(10, 40):
        topic = question.removesuffix("?").split(" about ")[1]
        assert all(word in said for word in topic.split())
    assert texts.questions(10, 40) == texts.questions(10, 40)


def test_nearest_is_what_sorting_gives() -> None:
    dice = np.random.default_rng(1)
    matrix, query = dice.random((200, 8), np.float32), dice.random(8, np.float32)
    assert nearest(matrix, query, 10).tolist() == np.argsort(-(matrix @ query))[:10].tolist()


def test_the_bare_table_keeps_rows(tmp_path: Path) -> None:
    table = BareTable(tmp_path / "bare.db")
    table.insert(("a", b"w", b"v"))
    table.insert_many([("b", b"", None)] * 9)
    assert len(table) == 10
    table.close()


def test_the_table_says_what_each_figure_is_held_against_however_narrow() -> None:
    figures = [
        Figure("single add", 1000, 0.4, "ms", "bare insert + commit", 0.02, most=30),
        Figure("  after another's add", 1000, 7.0, "ms", "plain search", 2.0, most=3),
        Figure("import engram", 0, 20.0, "ms", "above bare Python", most=100),
    ]
    for width in (120, 96, 80):
        shown = StringIO()
        Console(file=shown, width=width).print(speed_table(figures, width))
        lines = shown.getvalue().splitlines()
        assert max(map(len, lines)) <= width
        words = " ".join(shown.getvalue().split())
        assert "…" not in words
        for wanted in ("0.400 ms", "bare insert + commit", "20.00", "≤ 30x ok", "≤ 3x MISSED", "20 ms"):
            assert wanted in words


def test_an_unknown_policy_is_refused_before_anything_is_measured() -> None:
    with pytest.raises(ConfigError, match="'nope' is not one of"):
        next(measure([100], "nope"))


def test_a_failing_process_is_reported() -> None:
    with pytest.raises(StoreError, match=r"measuring a store of 0 records failed"):
        next(measure([0], "rrf"))
