"""Measurements drawn again from what was printed."""

import json
from dataclasses import replace
from pathlib import Path

import pytest

from bench.test_plots import RECALL, speed
from engram.bench.figures import Figure
from engram.bench.plots_recall import draw_recall
from engram.bench.plots_speed import draw_speed
from engram.bench.report import json_line
from engram.bench.saved import draw_saved, saved
from engram.kernel.errors import InvalidInput


def written(path: Path, *lines: str) -> Path:
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path


def test_what_was_printed_is_what_is_read(tmp_path: Path) -> None:
    recall = written(tmp_path / "r.jsonl", *(json_line(item.to_dict()) for item in RECALL))
    assert saved(recall) == (RECALL, [])
    figures = speed(1000, 10_000)
    assert saved(written(tmp_path / "s.jsonl", *(json_line(item.to_dict()) for item in figures))) == (
        [],
        figures,
    )


def test_a_limit_that_is_kept_by_a_hair_is_kept_when_read_again() -> None:
    figure = Figure("single add", 10_000, 0.72382, "ms", "bare insert", 0.0241301, most=30)
    assert figure.met
    assert Figure.from_dict(figure.to_dict()).met


def test_the_picture_is_the_one_that_measuring_drew(tmp_path: Path) -> None:
    measured = [
        replace(item, recall={k: value + 1 / 30_000 for k, value in item.recall.items()}) for item in RECALL
    ]
    lines = written(tmp_path / "r.jsonl", *(json_line(item.to_dict()) for item in measured), "")
    assert draw_saved(lines, tmp_path / "again.svg") == 4
    draw_recall(measured, tmp_path / "first.svg")
    assert (tmp_path / "again.svg").read_bytes() == (tmp_path / "first.svg").read_bytes()
    figures = [replace(figure, measured=figure.measured * 10 / 3) for figure in speed(1000)]
    lines = written(tmp_path / "s.jsonl", *(json_line(item.to_dict()) for item in figures))
    assert draw_saved(lines, tmp_path / "again.svg") == 8
    draw_speed(figures, tmp_path / "first.svg")
    assert (tmp_path / "again.svg").read_bytes() == (tmp_path / "first.svg").read_bytes()


@pytest.mark.parametrize(
    ("lines", "complaint"),
    [
        ([], r"f\.jsonl: empty"),
        (["{"], r"f\.jsonl:1: not JSON"),
        (["", "[1]"], r"f\.jsonl:2: no measurement"),
        (["7"], r"f\.jsonl:1: no measurement"),
        (['{"data": "x"}'], r"f\.jsonl:1: no measurement; give what engram bench --json"),
        (['{"what": "x"}'], r"f\.jsonl:1: no measurement"),
        ([json.dumps({**RECALL[0].to_dict(), "recall": {"five": 1}})], r"f\.jsonl:1: no measurement"),
        ([json.dumps({**RECALL[0].to_dict(), "recall": {}})], r"f\.jsonl:1: no measurement"),
        ([json.dumps({**speed(1000)[0].to_dict(), "measured": "fast"})], r"f\.jsonl:1: no measurement"),
        ([json.dumps({**speed(1000)[0].to_dict(), "unit": "parsec"})], r"f\.jsonl:1: no measurement"),
        (
            [json_line(RECALL[0].to_dict()), json_line(speed(1000)[0].to_dict())],
            r"f\.jsonl:2: the file holds recall and speed",
        ),
    ],
)
def test_anything_else_is_refused_with_its_line(tmp_path: Path, lines: list[str], complaint: str) -> None:
    with pytest.raises(InvalidInput, match=complaint):
        draw_saved(written(tmp_path / "f.jsonl", *lines), tmp_path / "f.svg")


def test_bytes_that_are_no_text_are_refused(tmp_path: Path) -> None:
    (tmp_path / "f.jsonl").write_bytes(b'{"what": "\xff"}\n')
    with pytest.raises(InvalidInput, match=r"f\.jsonl:1: not JSON"):
        draw_saved(tmp_path / "f.jsonl", tmp_path / "f.svg")
