"""The speed benchmark: what is held against what, texts that repeat, and a small run from end to end."""

import json
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from bench.test_plots import Picture
from engram.bench import texts
from engram.bench.figures import Figure
from engram.bench.floors import BareTable, nearest
from engram.bench.report import speed_table
from engram.bench.speed import measure
from engram.cli.app import app
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


@pytest.mark.timeout(180)
def test_a_small_run_gives_every_figure_and_draws_them(tmp_path: Path) -> None:
    picture = tmp_path / "speed.svg"
    command = ["bench", "speed", "--n", "200", "--policy", "rrf", "--json", "--svg", str(picture)]
    done = CliRunner().invoke(app, command)
    assert done.exit_code == 0, done.output
    figures = [Figure.from_dict(json.loads(line)) for line in done.stdout.splitlines()]
    assert [figure.what.strip() for figure in figures] == [
        "single add",
        "bulk add",
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
    ]
    assert all(figure.measured > 0 for figure in figures[:-1])
    assert speed_table(figures).row_count == len(figures) + 2
    assert {"single add (ms)", "200", "floor: bare insert + commit"} <= set(Picture(picture).words)


def test_an_unknown_policy_is_refused_before_anything_is_measured() -> None:
    with pytest.raises(ConfigError, match="'nope' is not one of"):
        next(measure([100], "nope"))


def test_a_failing_process_is_reported() -> None:
    with pytest.raises(StoreError, match=r"measuring a store of 0 records failed"):
        next(measure([0], "rrf"))
