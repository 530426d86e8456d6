"""Measurements drawn again from what was printed."""

import json
from pathlib import Path

import pytest

from bench.test_plots import RECALL, Picture, speed
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


def test_the_picture_is_the_one_that_measuring_drew(tmp_path: Path) -> None:
    recall = written(tmp_path / "r.jsonl", *(json_line(item.to_dict()) for item in RECALL), "")
    assert draw_saved(recall, tmp_path / "r.svg") == 4
    assert len(Picture(tmp_path / "r.svg").ids("recall/")) == 4
    figures = written(tmp_path / "s.jsonl", *(json_line(item.to_dict()) for item in speed(1000)))
    assert draw_saved(figures, tmp_path / "s.svg") == 7
    assert Picture(tmp_path / "s.svg").ids("limit/import") == ["limit/import-engram"]


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
