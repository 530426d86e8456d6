"""Pictures, read as a person or a screen reader reads them: what is there, where it lies, what is said."""

import math
import re
import sys
import xml.etree.ElementTree as ET
from dataclasses import replace
from pathlib import Path

import matplotlib as mpl
import pytest

from engram.bench.figures import Figure
from engram.bench.plots import LOOKS, ready
from engram.bench.plots_recall import draw_recall
from engram.bench.plots_speed import draw_speed
from engram.bench.run import Measured
from engram.kernel.errors import InvalidInput, MissingExtra

SVG = "{http://www.w3.org/2000/svg}"
Point = tuple[float, float]


class Picture:
    """An SVG, parsed."""

    def __init__(self, path: Path) -> None:
        self.text = path.read_text(encoding="utf-8")
        self.root = ET.fromstring(self.text)  # noqa: S314 - drawn here
        self.parts = {part.get("id", ""): part for part in self.root.iter()}

    @property
    def words(self) -> list[str]:
        """Everything that is written in it."""
        return ["".join(part.itertext()).strip() for part in self.root.iter(f"{SVG}text")]

    def ids(self, start: str) -> list[str]:
        return sorted(id for id in self.parts if id.startswith(start))

    def points(self, id: str) -> list[Point]:
        """Where a line or its markers lie; y grows downwards."""
        part = self.parts[id]
        used = [(float(mark.get("x", "")), float(mark.get("y", ""))) for mark in part.iter(f"{SVG}use")]
        if used:
            return used
        path = next(part.iter(f"{SVG}path")).get("d", "")
        numbers = [float(number) for number in re.findall(r"-?[\d.]+", path)]
        return list(zip(numbers[::2], numbers[1::2], strict=True))

    def style(self, id: str) -> str:
        return next(self.parts[id].iter(f"{SVG}path")).get("style", "")

    def said(self, name: str) -> str:
        """The title or the description."""
        return next(part for part in self.root if part.tag == f"{SVG}{name}").text or ""


def measured(data: str, policy: str, *values: float, questions: int = 10) -> Measured:
    recall = dict(zip((5, 10, 20, 50), values, strict=True))
    return Measured(data, policy, questions, recall, {"": (questions, recall)}, 1490.0, 3.5, 0.6)


RECALL = [
    measured("locomo", "fusion", 0.5, 0.6, 0.8, 1.0, questions=1234),
    measured("locomo", "bm25", 0.25, 0.3, 0.4, 0.5, questions=1234),
    measured("beam & co <1>", "fusion", 0.4, 0.4, 0.4, 0.4),
    measured("beam & co <1>", "bm25", 0.0, 0.1, 0.2, 0.3),
]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "picture.svg"


def test_recall_has_a_panel_a_data_set_and_a_line_a_policy(path: Path) -> None:
    draw_recall(RECALL, path)
    picture = Picture(path)
    assert picture.ids("recall/") == [
        "recall/beam---co--1-/bm25",
        "recall/beam---co--1-/fusion",
        "recall/locomo/bm25",
        "recall/locomo/fusion",
    ]
    words = picture.words
    assert {"locomo, 1,234 questions", "beam & co <1>, 10 questions"} <= set(words)
    assert words.count("bm25") == 1
    assert words.count("k") == 2
    assert {"0", "5", "10", "20", "50", "0.0", "0.2", "1.0", "recall"} <= set(words)
    assert {"0.50", "0.60", "0.80", "1.00"} <= set(words)


def test_recall_lies_where_its_values_say_on_axes_from_zero(path: Path) -> None:
    draw_recall(RECALL, path)
    picture = Picture(path)
    best, other = picture.points("recall/locomo/fusion"), picture.points("recall/locomo/bm25")
    assert [x for x, _ in best] == [x for x, _ in other]
    zero = 2 * other[0][1] - best[0][1]  # 0.25 is half of 0.5
    scale = zero - best[-1][1]  # 1.0
    for points, item in ((best, RECALL[0]), (other, RECALL[1])):
        assert [(zero - y) / scale for _, y in points] == pytest.approx(list(item.recall.values()), abs=1e-3)
    left = best[0][0] - (best[1][0] - best[0][0])  # k = 0 lies as far before 5 as 10 behind
    assert [(x - left) / (best[0][0] - left) for x, _ in best] == pytest.approx([1, 2, 4, 10], abs=1e-2)
    axes = [x for x, _ in picture.points("patch_3")]
    assert min(axes) == pytest.approx(left, abs=0.1)


def test_policies_differ_in_colour_dashes_and_marker(path: Path) -> None:
    many = [measured("d", f"policy {place}", 0.1, 0.2, 0.3, 0.4) for place in range(6)]
    draw_recall(many, path)
    picture = Picture(path)
    styles = [picture.style(f"recall/d/policy-{place}") for place in range(6)]
    assert len({style.split("stroke: ")[1][:7] for style in styles}) == 6
    assert len({re.sub(r"stroke: #\w+|stroke-width: [\d.]+", "", style) for style in styles}) == 6
    assert len({look.marker for look in LOOKS}) == len({look.hatch for look in LOOKS}) == len(LOOKS)


def test_the_picture_says_in_words_what_it_shows(path: Path) -> None:
    draw_recall(RECALL, path)
    picture = Picture(path)
    assert picture.root.get("role") == "img"
    assert picture.root.get("aria-labelledby") == "title desc"
    assert picture.said("title").startswith("Recall")
    assert "locomo, 1,234 questions, fusion: 0.500 at 5, 0.600 at 10" in picture.said("desc")
    assert "beam & co <1>, 10 questions, bm25: 0.000 at 5" in picture.said("desc")


def test_the_same_measurements_give_the_same_bytes_whatever_matplotlib_is_told(path: Path) -> None:
    draw_recall(RECALL, path)
    first = path.read_bytes()
    with mpl.rc_context({"font.size": 30, "axes.facecolor": "black", "svg.fonttype": "path"}):
        draw_recall(RECALL, path)
        assert mpl.rcParams["font.size"] == 30
    assert path.read_bytes() == first
    assert b"matplotlib.org" not in first
    assert b"<dc:date>" not in first
    assert not re.search(rb"20\d\d-\d\d-\d\d", first)


def test_dark_pages_have_colours_of_their_own(path: Path) -> None:
    draw_recall(RECALL, path)
    text = path.read_text(encoding="utf-8")
    rules = text[text.index("prefers-color-scheme: dark") :]
    drawn = set(re.findall(r"(fill|stroke): (#[0-9a-f]{6})", text.split("</style>", 1)[1]))
    assert len(drawn) > 5
    for what, colour in drawn - {("stroke", "#000000")}:
        assert f'[style*="{what}: {colour}"]' in rules


def luminance(colour: str) -> float:
    """Relative luminance as WCAG 2 defines it."""
    parts = [int(colour[place : place + 2], 16) / 255 for place in (1, 3, 5)]
    linear = [part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts]
    return sum(weight * part for weight, part in zip((0.2126, 0.7152, 0.0722), linear, strict=True))


@pytest.mark.parametrize("look", LOOKS, ids=lambda look: look.marker)
def test_lines_stand_out_from_light_and_dark_paper(look: tuple[str, str]) -> None:
    white, black = luminance("#ffffff"), luminance("#12161b")
    assert (white + 0.05) / (luminance(look[0]) + 0.05) >= 4.5
    assert (luminance(look[1]) + 0.05) / (black + 0.05) >= 4.5


def test_hostile_names_stay_words(path: Path) -> None:
    name = '$x^2$ </svg><script>alert("1")</script> \x1b[31m]]>'
    draw_recall([replace(RECALL[0], data=name, policy=name)], path)
    picture = Picture(path)
    assert f"{name}, 1,234 questions".replace("\x1b", "\ufffd") in picture.words
    assert not list(picture.root.iter(f"{SVG}script"))
    assert name.replace("\x1b", "\ufffd") in picture.said("desc")


def test_one_policy_at_one_k_can_be_drawn_too(path: Path) -> None:
    draw_recall([replace(RECALL[0], recall={1: 0.5})], path)
    assert {"0", "1", "0.50"} <= set(Picture(path).words)


def test_many_data_sets_and_a_png(tmp_path: Path) -> None:
    draw_recall([replace(RECALL[0], data=f"set {place}") for place in range(5)], tmp_path / "many.svg")
    assert len(Picture(tmp_path / "many.svg").ids("recall/")) == 5
    draw_recall(RECALL[:1], tmp_path / "one.PNG")
    assert (tmp_path / "one.PNG").read_bytes().startswith(b"\x89PNG")


def speed(*sizes: int) -> list[Figure]:
    figures = []
    for n in sizes:
        figures += [
            Figure("single add", n, 0.5, "ms", "bare insert", 0.02, most=30),
            Figure("bulk add", n, 7000.0, "/s", "bare insert", 50_000.0, least=0.1),
            Figure("bulk add", n, 7000.0, "/s", "bare bulk", 250_000.0),
            Figure("import, one chat", n, 6000.0, "/s", "bulk add", 7000.0, least=0.5),
            Figure("search, k=10", n, 2.0, "ms", "dot product", n / 10_000),
            Figure("  after an add", n, 7.0, "ms", "plain search", 2.0, most=3),
            Figure("resident memory", n, 70.0 + n / 1000, "MB", most=330),
        ]
    return [*figures, Figure("import engram", 0, 20.0, "ms", "above bare Python", most=100)]


def test_speed_has_lines_floors_limits_and_what_was_missed(path: Path) -> None:
    draw_speed(speed(1000, 10_000), path)
    picture = Picture(path)
    assert picture.ids("measured/") == [
        "measured/bulk-add/bulk-add",
        "measured/bulk-add/import--one-chat",
        "measured/import-engram",
        "measured/resident-memory/resident-memory",
        "measured/search--k-10/after-an-add",
        "measured/search--k-10/search--k-10",
        "measured/single-add/single-add",
    ]
    assert picture.ids("floor/") == [
        "floor/bulk-add/bare-bulk",
        "floor/bulk-add/bare-insert",
        "floor/search--k-10/dot-product",  # the plain search is drawn already
        "floor/single-add/bare-insert",
    ]
    assert len(picture.ids("limit/single-add")) == len(picture.ids("limit/resident-memory")) == 2
    assert picture.ids("limit/import") == ["limit/import-engram"]
    assert picture.ids("missed/") == [f"missed/search--k-10/after-an-add/{n}" for n in (1000, 10_000)]
    assert picture.words.count("missed") == 2
    assert {"single add (ms)", "bulk add (a second, more is better)", "resident memory (MB)"} <= set(
        picture.words
    )
    assert {"floor: bare insert", "limit", "records", "1,000", "10,000"} <= set(picture.words)
    assert "import engram: 20 ms, limit 100 ms" in picture.words


def test_times_lie_on_a_logarithmic_axis_and_memory_on_one_from_zero(path: Path) -> None:
    draw_speed(speed(1000, 10_000), path)
    picture = Picture(path)
    [(_, add)] = {(0, y) for _, y in picture.points("measured/single-add/single-add")}
    [(_, floor)] = {(0, y) for _, y in picture.points("floor/single-add/bare-insert")}
    limit = picture.points("limit/single-add/single-add/1000")[0][1]
    per_decade = (floor - add) / math.log10(0.5 / 0.02)
    assert (add - limit) / per_decade == pytest.approx(math.log10(0.6 / 0.5), abs=0.01)
    low, high = (y for _, y in picture.points("measured/resident-memory/resident-memory"))
    top = picture.points("limit/resident-memory/resident-memory/1000")[0][1]
    zero = low + 71 * (low - high) / 9
    assert (zero - top) / (zero - low) == pytest.approx(330 / 71, rel=0.01)


def test_speed_says_every_figure_in_words(path: Path) -> None:
    draw_speed(speed(1000), path)
    said = Picture(path).said("desc")
    assert "single add at 1,000 records: 0.500 ms, floor 0.020 ms (bare insert), to be ≤ 30x: kept." in said
    assert (
        "after an add at 1,000 records: 7.000 ms, floor 2.000 ms (plain search), to be ≤ 3x: missed." in said
    )
    assert "import engram: 20 ms, to be ≤ 100 ms: kept." in said


def test_a_picture_is_refused_before_anything_is_measured(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ready(None)
    ready(tmp_path / "a.svg")
    ready(tmp_path / "a.PNG")
    with pytest.raises(InvalidInput, match=r"ends in \.svg or \.png"):
        ready(tmp_path / "a.pdf")
    with pytest.raises(InvalidInput, match=r"there is no folder .*nowhere"):
        ready(tmp_path / "nowhere" / "a.svg")
    (tmp_path / "folder.svg").mkdir()
    with pytest.raises(InvalidInput, match="a folder"):
        ready(tmp_path / "folder.svg")
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    with pytest.raises(MissingExtra, match=r"pip install 'engram\[plots\]'"):
        ready(tmp_path / "a.svg")
