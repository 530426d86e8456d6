"""Exports as Markdown: pages that people can read, whatever was remembered."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.helpers import Facts, Ticking
from engram import InvalidInput, Memory
from engram.engine.markdown import MARK, file_name, plain, quoted

NASTY = (
    "# heading\n> quote\n- list\n1. one\n```\ncode\n```\n    indented\n| a | b |\n---\n===\n"
    "<script>alert(1)</script> </blockquote> &amp; [link](http://x) ![i](y) *b* _i_ `c` ~~s~~ $x$\n"
    "[ref]: http://x\n\x1b[31mred\u202e\u2028next"
)


def pages(folder: Path) -> dict[str, str]:
    found = {
        str(page.relative_to(folder)): page.read_text("utf-8") for page in folder.rglob("*") if page.is_file()
    }
    assert all(text.startswith(MARK) for text in found.values())
    return found


def linked(index: str) -> set[str]:
    return set(re.findall(r"\]\(([^)]*)\)", index))


def remembered(folder: Path) -> str:
    """Pages of two sessions without a run, one with, a document and a fact; the id of the first turn."""
    with Memory("ram:", policy=Facts(), clock=Ticking()) as memory:
        trip = memory.add(
            [
                {"content": "The train is late.", "name": "Ana", "time": "2026-01-02T10:00:00Z"},
                {
                    "role": "assistant",
                    "content": "Take the bus.\n\nIt goes\nat ten.",
                    "time": "2026-01-02T10:01:00Z",
                },
            ],
            user_id="ana",
            run_id="trip to Porto",
        )
        memory.add({"content": "morning", "name": "Ana", "time": "2026-01-03T08:00:00Z"}, user_id="ana")
        memory.add({"content": "evening", "name": "Ana", "time": "2026-01-03T20:00:00Z"}, user_id="ana")
        memory.add({"content": "old"}, user_id="ana", expires="2020-01-01")
        memory.add("a manual", user_id="ana", run_id="boiler.md", kind="resource")
        assert memory.export(folder, format="markdown") == 6
    return trip.ids[0]


def test_a_page_a_session_with_an_index(tmp_path: Path) -> None:
    folder = tmp_path / "pages"
    first = remembered(folder)
    found = pages(folder)
    index = found.pop("index.md")
    assert linked(index) == found.keys()
    names = sorted(found)
    assert names[0].startswith("documents/boiler-md-")
    assert names[1].startswith("kinds/fact-")
    assert [name.rsplit("-", 1)[0] for name in names[2:]] == [
        "sessions/2026-01-02-trip-to-porto",
        "sessions/2026-01-03-ana-2026-01-03",
        "sessions/2026-01-03-ana-2026-01-03",
    ]
    page = found[names[2]]
    assert "# trip to Porto" in page
    assert "user ana · run trip to Porto" in page
    assert f'<a id="{first}"></a>\n**Ana** · 2026-01-02 10:00:00 · {first}\n\n> The train is late.\n' in page
    assert "> Take the bus.\n>\n> It goes\\\n> at ten.\n" in page
    assert f"from {first}" in found[names[1]]
    assert "old" not in "".join(found.values()).split()


def test_a_stretch_of_time_and_a_scope(tmp_path: Path) -> None:
    with Memory("ram:") as memory:
        for day in range(1, 5):
            for user in "uv":
                memory.add({"content": f"{user} {day}", "time": f"2026-01-0{day}"}, user_id=user)
        count = memory.export(
            tmp_path / "p", format="markdown", since="2026-01-02", until="2026-01-04", user_id="u"
        )
    assert count == 2
    text = "".join(pages(tmp_path / "p").values())
    assert sorted(re.findall(r"^> (. .)$", text, re.MULTILINE)) == ["u 2", "u 3"]


def test_a_page_a_topic_holds_the_best_records(tmp_path: Path) -> None:
    told: list[tuple[int, int | None]] = []
    with Memory("ram:") as memory:
        for number in range(40):
            memory.add(
                {"content": f"The weather on day {number} was dull.", "time": "2026-01-01"}, user_id="u"
            )
        piano = memory.add({"content": "The piano tuner came.", "time": "2026-02-01"}, user_id="u").ids[0]
        memory.add({"content": "The piano is sold.", "time": "2026-03-01"}, user_id="u")
        memory.export(
            tmp_path / "p",
            format="markdown",
            topics=["the piano", "../../etc", "the piano"],
            until="2026-02-15",
            user_id="u",
            progress=lambda done, total: told.append((done, total)),
        )
        with pytest.raises(InvalidInput, match="only format='markdown'"):
            memory.export(tmp_path / "x", topics=["the piano"])
    found = pages(tmp_path / "p")
    index = found.pop("index.md")
    assert linked(index) == found.keys()
    assert len(found) == 2
    page = next(text for name, text in found.items() if name.startswith("topics/the-piano-"))
    assert page.index(piano) < page.index("weather")
    assert "sold" not in page
    assert page.count("<a id=") == 25
    assert len(told) == 2


def test_hostile_names_and_texts_stay_on_their_page(tmp_path: Path) -> None:
    runs = ["../../../tmp/x", "CON", "a" * 300, "</h1><script>", "é茶", ".hidden", "same name", "same/name"]
    folder = tmp_path / "in" / "pages"
    folder.parent.mkdir()
    with Memory("ram:") as memory:
        for number, run in enumerate(runs):
            said = {"content": NASTY, "name": "*Ana*\n# x", "time": f"2026-01-01T0{number}:00"}
            memory.add(said, user_id="[u](x)", run_id=run)
        assert memory.export(folder, format="markdown") == len(runs)
    assert [item.name for item in tmp_path.iterdir()] == ["in"]
    assert [item.name for item in folder.parent.iterdir()] == ["pages"]
    found = pages(folder)
    assert len(found) == len(runs) + 1
    assert all(re.fullmatch(r"index\.md|sessions/2026-01-01[a-z0-9-]*\.md", name) for name in found)
    for text in found.values():
        assert "<script>" not in text
        assert "\x1b" not in text
        assert "\u202e" not in text
        assert len(re.findall(r"^# ", text, re.MULTILINE)) == 1
        outside = [line for line in text.split("\n") if line and not line.startswith(">")]
        assert not any(re.match(r"```|~~~|\s{4}|-{3}$|={3}", line) for line in outside)
    quotation = quoted(NASTY)
    assert all(line.startswith(">") for line in quotation.split("\n"))


@given(st.text(st.sampled_from("ab #>-+*_`~[]()<>&|\\!1.:=$\n\t"), max_size=40))
def test_no_text_leaves_its_quotation(text: str) -> None:
    for line in quoted(text).split("\n"):
        assert line == ">" or line.startswith("> ")
        inner = line[2:].removesuffix("\\")
        assert not re.match(r"#{1,6}(\s|$)|[-+=*_]|>|`{3}|~{3}|\d+[.)]|\s", inner)
        assert not re.search(r"(?<!\\)(\\\\)*[<>`*_\[\]|&]", inner)
    assert "\n" not in plain(text)


def test_names_of_files_are_plain_and_differ() -> None:
    names = {file_name(title) for title in ("a/b", "a b", "A b", "", "..", "é", "茶", "b" * 999)}
    assert len(names) == 8
    assert all(re.fullmatch(r"[a-z0-9-]{1,60}\.md", name) for name in names)


def test_a_folder_that_holds_something_is_left_alone_unless_told(tmp_path: Path) -> None:
    folder = tmp_path / "notes"
    (folder / "sessions").mkdir(parents=True)
    mine = folder / "sessions" / "mine.md"
    mine.write_text("my own")
    with Memory("ram:") as memory:
        memory.add("one", user_id="u", run_id="first")
        with pytest.raises(InvalidInput, match="not empty"):
            memory.export(folder, format="markdown")
        assert [path.name for path in folder.rglob("*.md")] == ["mine.md"]
        memory.export(folder, format="markdown", overwrite=True)
        memory.forget(run_id="first")
        memory.add("two", user_id="u", run_id="second")
        memory.export(folder, format="markdown", overwrite=True)
        assert mine.read_text() == "my own"
        assert len(list(folder.rglob("*.md"))) == 3
        assert "one" not in "".join(page.read_text() for page in folder.rglob("*.md"))
        with pytest.raises(InvalidInput, match="is a file"):
            memory.export(mine, format="markdown")
        with pytest.raises(InvalidInput, match="cannot be written"):
            memory.export(tmp_path / "no" / "such", format="markdown")
        with pytest.raises(InvalidInput, match="'pdf' is not one of jsonl, markdown"):
            memory.export(folder, format="pdf")
    assert [item.name for item in tmp_path.iterdir()] == ["notes"]


def test_an_empty_memory_has_an_index(tmp_path: Path) -> None:
    with Memory("ram:") as memory:
        assert memory.export(tmp_path / "p", format="markdown") == 0
    assert pages(tmp_path / "p").keys() == {"index.md"}
