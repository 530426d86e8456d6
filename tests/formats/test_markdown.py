"""Documents: where they are cut, what a section is called, and ids that stay."""

from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from markdown_it import MarkdownIt

from engram.formats.base import Format
from engram.formats.cutting import LONGEST_SECTION, Section, _Heading, _Markdown, sections
from engram.formats.markdown import Markdown
from engram.formats.source import Source
from engram.formats.whatsapp import WhatsApp
from formats.exports import archive, messages, read, skipped, write
from formats.samples import NOTES


def cut(text: str, *, rst: bool = False) -> list[Section]:
    """The sections of a text."""
    return list(sections(enumerate(text.split("\n"), 1), rst=rst))


def paths(text: str, *, rst: bool = False) -> list[tuple[str, str]]:
    """The headings of every section as one text, and what stands under them."""
    return [(" > ".join(section.headings), section.text) for section in cut(text, rst=rst)]


def test_a_document(tmp_path: Path) -> None:
    path = write(tmp_path / "kiln.md", NOTES)
    found = messages(path)
    assert [(item.message.get("title"), item.message["content"]) for item in found] == [
        ("Kiln notes", "Before the first heading."),
        ("Firing", "Slowly at first.\n\n```sh\n# no heading\nmake heat\n```"),
        ("Firing > Bisque", "Up to 1,000 degrees."),
        ("Firing > Glaze", "Later."),
        ("Kiln notes", "Empty"),
    ]
    assert {(item.kind, item.run_id, item.message["time"]) for item in found} == {
        ("resource", "kiln.md", "2026-01-02")
    }
    assert found[2].message["metadata"] == {
        "source": "kiln.md",
        "headings": ["Firing", "Bisque"],
        "part": 1,
        "front_matter": {"title": "Kiln notes", "tags": ["pottery", "heat"], "date": "2026-01-02"},
    }
    assert [item.place for item in found] == [f"{path}:{line}" for line in (6, 10, 19, 24, 26)]


def test_a_folder(tmp_path: Path) -> None:
    for name in ("a.md", "deep/b.txt", "deep/c.rst"):
        write(tmp_path / "notes" / name, f"Words of {name}.\n")
    write(tmp_path / "notes" / "d.png", b"\x89PNG")
    write(tmp_path / "notes" / ".git" / "config", "[core]")
    write(tmp_path / "notes" / "e.md", "\n \n")
    assert [(item.run_id, item.message["content"]) for item in messages(tmp_path / "notes")] == [
        (name, f"Words of {name}.") for name in ("a.md", "deep/b.txt", "deep/c.rst")
    ]
    assert skipped(tmp_path / "notes") == [
        ("e.md", "no text"),
        ("d.png", "not a Markdown or text file"),
    ]
    packed = archive(
        tmp_path / "notes.zip", {"a.md": "Words of a.md.\n", "deep/b.txt": "Words of deep/b.txt.\n"}
    )
    assert [item.message["id"] for item in messages(packed)] == [
        item.message["id"] for item in messages(tmp_path / "notes")[:2]
    ]


def test_ids_stay_when_other_sections_change(tmp_path: Path) -> None:
    text = "# A\n\nOne.\n\n# B\n\nTwo.\n\n# A\n\nThree.\n"
    first = {item.message["content"]: item.message["id"] for item in messages(write(tmp_path / "n.md", text))}
    more = "# New\n\nZero.\n\n" + text.replace("Two.", "Two, better.") + "\n# C\n\nFour.\n"
    later = {item.message["content"]: item.message["id"] for item in messages(write(tmp_path / "n.md", more))}
    assert len({*first.values()}) == 3
    assert later["One."] == first["One."]
    assert later["Three."] == first["Three."]
    assert later["Two, better."] == first["Two."]


@pytest.mark.parametrize(
    ("text", "headings"),
    [
        ("# A\ntext", ["A"]),
        ("   ### A ###  \ntext", ["A"]),
        ("#A\ntext", [""]),
        ("    # A\n", [""]),
        ("####### A\ntext", [""]),
        ("A\n===\ntext", ["A"]),
        ("A\nB\n---\ntext", ["A B"]),
        ("- A\n---\ntext", [""]),
        ("> A\n---\ntext", [""]),
        ("```\n# A\n```\ntext", [""]),
        ("~~~~\n# A\n~~~\n# B\n~~~~\n# C\ntext", ["", "C"]),
        ("``` `\n# A\ntext", ["", "A"]),
        ("<!--\n# A\n-->\n# B\ntext", ["", "B"]),
        ("<pre>\n# A\n</pre>\n# B\ntext", ["", "B"]),
        ("a\n\n---\n\nb", [""]),
        ("# A\n## B\n### C\nx\n## D\ny", ["A > B > C", "A > D"]),
        ("## B\nx\n# A\ny", ["B", "A"]),
        ("# A\n# B\nx", ["", "B"]),
        ("#\ntext", [""]),
        (f"# {'long ' * 70}\ntext", [""]),
    ],
)
def test_headings_of_markdown(text: str, headings: list[str]) -> None:
    assert [heading for heading, _ in paths(text)] == headings


@pytest.mark.parametrize(
    ("text", "headings"),
    [
        (
            "=====\nTitle\n=====\n\nOne\n---\n\nx\n\nTwo\n~~~\ny\n\nSix\n---\n\nz",
            ["Title > One", "Title > One > Two", "Title > Six"],
        ),
        ("Title\n===\n\nx", [""]),
        ("Title::\n\n    code\n    ====\n", [""]),
        ("one\n\n----\n\ntwo", [""]),
    ],
)
def test_headings_of_restructured_text(text: str, headings: list[str]) -> None:
    assert [heading for heading, _ in paths(text, rst=True)] == headings


def test_an_empty_heading_is_kept() -> None:
    assert paths("# A\n\n## B\n\n## C\n\nx\n\n# D\n") == [("A", "B"), ("A > C", "x"), ("", "D")]


def test_long_sections_are_cut_at_paragraphs() -> None:
    paragraphs = [f"Paragraph {number} " + "word " * 100 for number in range(20)]
    found = cut("# A\n\n" + "\n\n".join(paragraphs))
    assert all(len(section.text) <= LONGEST_SECTION for section in found)
    assert "\n\n".join(section.text for section in found) == "\n\n".join(text for text in paragraphs)
    assert [section.line for section in found] == [3, 9, 15, 21, 27, 33, 39]


def test_one_long_line_is_cut_behind_a_sentence() -> None:
    line = "A sentence of six words here. " * 500
    found = cut(line)
    assert all(len(section.text) <= LONGEST_SECTION for section in found)
    assert all(section.text.rstrip().endswith(".") for section in found)
    assert "".join(section.text for section in found).replace(" ", "") == line.replace(" ", "")
    assert max(len(section.text) for section in cut("x" * 9000)) == LONGEST_SECTION


@pytest.mark.parametrize(
    ("front", "fields"),
    [
        (
            "---\ntitle: 'A: b'\ntags:\n  - x\n  - \"y\"\n# remark\n---\ntext",
            {"title": "A: b", "tags": ["x", "y"]},
        ),
        ('+++\ntitle = "A"\n+++\ntext', {"title": "A"}),
        ("---\nauthor:\n  name: Ana\n---\ntext", {"author": "name: Ana"}),
        ("---\n---\ntext", None),
        ("---\n\ntext", None),
        ("---\njust text\n---\ntext", None),
        ("---\na: b\ntext", None),
    ],
)
def test_front_matter(tmp_path: Path, front: str, fields: dict[str, Any] | None) -> None:
    found = messages(write(tmp_path / "n.md", front), "markdown")
    got = found[-1].message["metadata"].get("front_matter")
    assert (
        got is None
        if fields is None
        else {key: str(value).strip() for key, value in got.items()}
        == {key: str(value) for key, value in fields.items()}
    )
    assert found[-1].message["content"].endswith("text")


TRICKY = ("# A", "## B ##", "#C", "#", "text", "more text", "   text", "`x`", "", "    code", "\ttab")
MARKS = ("---", "===", "***", "- item", "1. one", "2. two", "> quote", "```", "~~~", "<!-- c", "-->", "<pre>")
LINES = st.sampled_from([*TRICKY, *MARKS])


@given(st.lists(LINES, max_size=8))
def test_the_same_headings_as_commonmark(lines: list[str]) -> None:
    tokens = MarkdownIt("commonmark").parse("\n".join(lines))
    wanted = [
        (token.tag, " ".join(inside.content.split()))
        for token, inside in pairwise(tokens)
        if token.type == "heading_open" and token.level == 0
    ]
    events = _Markdown().events(enumerate(lines, 1))
    found = [event for event in events if isinstance(event, _Heading)]
    assert [(f"h{heading.level}", " ".join(heading.title.split())) for heading in found] == wanted


@given(st.lists(LINES | st.text(max_size=30), max_size=30), st.booleans())
def test_no_word_is_lost(lines: list[str], rst: bool) -> None:
    text = "\n".join(line.replace("\n", " ").replace("\r", " ") for line in lines)
    found = "".join("".join((*section.headings, section.text)) for section in cut(text, rst=rst))
    words = {word.strip("#=-~`") for line in text.split("\n") for word in line.split()}
    assert all(word in found for word in words if any(mark.isalnum() for mark in word))


def test_front_matter_without_a_document_is_told(tmp_path: Path) -> None:
    assert len(read(write(tmp_path / "n.md", "---\ntitle: A\n---\n"))) == 1
    assert skipped(tmp_path / "n.md") == [("n.md", "no text")]


class Counted(str):
    """A name that counts how often it is looked up."""

    __slots__ = ()
    looked_up = 0

    def __hash__(self) -> int:
        Counted.looked_up += 1
        return super().__hash__()


@pytest.mark.parametrize("format", [Markdown(), WhatsApp()])
def test_the_work_grows_with_the_files_not_with_their_square(tmp_path: Path, format: Format) -> None:
    files = {f"{number}.txt": "no chat" for number in range(300)}
    with Source(archive(tmp_path / "many.zip", files)) as source:
        source.names = tuple(map(Counted, source.names))
        Counted.looked_up = 0
        assert sum(1 for _ in format.read(source)) == 300
    assert Counted.looked_up < 300 * 30
