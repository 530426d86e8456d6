"""How results show themselves: what must be there, and what must never get out."""

import unicodedata
from dataclasses import replace
from datetime import UTC, datetime, timedelta, timezone
from html.parser import HTMLParser
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engram.engine.results import Imported, Item, Left, Page, Problem, Receipt, Report
from engram.kernel.record import Hit, Interval, Record
from engram.kernel.scope import Scope
from engram.kernel.show import Shown, cut, moment, plain_url, printable
from engram.operators.packing import Citation, Context

MOMENT = datetime(2024, 5, 2, 10, 7, 31, tzinfo=UTC)
ID = "06GZV2VW5G00000002AFDVGQ3G"
ALLOWED = {"div", "b", "table", "thead", "tbody", "tr", "th", "td"}
ANY = st.text(st.characters(codec=None, exclude_categories=()), max_size=200)
HOSTILE = "<script>alert(1)</script> \x1b]0;owned\x07 \x9b31m \u202eback\u2028 &amp; \"quoted\" 'too'"


def turn(text: str = "We moved to Lisbon in May.", **fields: Any) -> Record:
    known: dict[str, Any] = {"name": "Ana", "role": "user", "level": 0, **fields}
    return Record(
        ID, "episode", text, Scope(user_id="ana"), MOMENT, Interval(MOMENT), Interval(MOMENT), **known
    )


class Reader(HTMLParser):
    """The tags, attributes and text of a page; an entity counts as the character that it stands for."""

    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.open: list[str] = []
        self.tags: set[str] = set()
        self.attributes: dict[str, set[str]] = {}
        self.texts: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.open.append(tag)
        self.tags.add(tag)
        for name, value in attrs:
            self.attributes.setdefault(name, set()).add(value or "")

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.texts.append(data)

    def handle_comment(self, data: str) -> None:
        raise AssertionError(f"a comment: {data}")


def read(thing: Shown) -> Reader:
    """The notebook's page of a thing, well formed, of harmless tags without links or scripts."""
    reader = Reader()
    reader.feed(thing._repr_html_())
    reader.close()
    assert reader.open == []
    assert reader.tags <= ALLOWED
    assert set(reader.attributes) <= {"class", "style", "dir", "scope"}
    assert not any(word in style for style in reader.attributes["style"] for word in ("url", "expression"))
    return reader


class Paper:
    """A printer as IPython gives one."""

    def __init__(self, indentation: int = 0) -> None:
        self.indentation = indentation
        self.written = ""

    def text(self, text: str) -> None:
        assert "\n" not in text
        self.written += text

    def break_(self) -> None:
        self.written += "\n"


def pretty(thing: Shown, indentation: int = 0) -> str:
    paper = Paper(indentation)
    thing._repr_pretty_(paper, False)
    return paper.written


def things(text: str) -> list[Shown]:
    """One of each, with the text wherever text can stand."""
    record = turn(text, name=text, origin=text, metadata={text: text}, made_by=text, sources=(text,))
    items = (Item("stored", text, text, text), Item("failed", None, text, text))
    return [
        record,
        replace(record, kind=text, level=None),
        Hit(record, 0.5, {text: 0.25}),
        *items,
        Receipt(items, text, text, {text: 1}, text, outside=(text,)),
        Page((record, record), text),
        Problem(text, text),
        Report(3, (Problem(text, text),)),
        Left(text, text, failed=True),
        Imported(
            text, 3, reasons={text: 1}, examples=(Left(text, text),), change_sets=(text,), notes=(text,)
        ),
        Context(text, 3, (Citation(1, text, text, 0.5),)),
    ]


def test_a_hit_on_one_line_says_score_kind_time_who_what_and_id() -> None:
    hit = Hit(turn(), 0.8342)
    assert repr(hit) == f'<Hit 0.83, episode, 2024-05-02 10:07, Ana: "We moved to Lisbon in May.", {ID}>'
    assert repr(hit.record) == f'<Record episode, 2024-05-02 10:07, Ana: "We moved to Lisbon in May.", {ID}>'
    assert str(hit) == "0.83  episode  2024-05-02 10:07  Ana: We moved to Lisbon in May."


def test_a_list_of_hits_has_one_short_line_each_whatever_was_said() -> None:
    hits = [Hit(turn("word " * 100_000), 0.5), Hit(turn("one\ntwo\r\nthree"), 0.4)]
    assert all("\n" not in repr(hit) and len(repr(hit)) < 160 for hit in hits)
    assert '"word word' in repr(hits[0])
    assert '…"' in repr(hits[0])
    assert 'Ana: "one two three"' in repr(hits)
    assert len(str(hits[0])) < 2_200
    assert str(hits[0]).endswith("… (500,000 characters)")


def test_windows_and_sessions_are_called_so() -> None:
    assert repr(turn(level=1)).startswith("<Record window,")
    assert repr(turn(level=2)).startswith("<Record session,")
    assert "Ana" not in repr(turn(name=None))
    assert "user: " in repr(turn(name=None))


def test_alone_a_hit_shows_its_particulars_and_in_a_list_one_line() -> None:
    record = turn("first\nsecond", metadata={"place": "hall"}, sources=("A", "B"), version=3)
    ended = replace(record, valid=Interval(MOMENT, MOMENT + timedelta(days=1)))
    hit = Hit(ended, 0.5, {"length": -0.01, "bm25_turn": 0.3})
    shown = pretty(hit).splitlines()
    assert shown[:3] == ["Hit · 0.50 · episode · 2024-05-02 10:07 · Ana", "    first", "    second"]
    told = {line.split()[0]: line.split(maxsplit=1)[1] for line in shown[3:]}
    assert told == {
        "id": ID,
        "why": "bm25_turn +0.30 · length -0.01",
        "scope": "user_id=ana",
        "valid": "2024-05-02 10:07 to 2024-05-03 10:07",
        "version": "3",
        "sources": "A, B",
        "metadata": "place=hall",
    }
    assert pretty(hit, indentation=1) == repr(hit)


def test_a_secret_is_not_shown_unasked() -> None:
    record = replace(turn("hunter2"), kind="secret", level=None)
    for thing in (record, Hit(record, 0.5), Page((record,))):
        for shown in (repr(thing), str(thing), pretty(thing), thing._repr_html_()):
            assert "hunter2" not in shown
    assert "see .text" in repr(record)
    assert record.text == "hunter2"


def test_a_receipt_counts_and_puts_what_failed_first() -> None:
    items = [Item("stored", f"R{number}") for number in range(40)]
    receipt = Receipt((*items, Item("failed", None, "m7", "too long")), "12", job="J", usage={"tokens": 3})
    assert repr(receipt) == "<Receipt 40 stored, 1 failed, change set 12>"
    lines = str(receipt).splitlines()
    assert lines[0] == "40 stored, 1 failed  change set 12"
    assert lines[1].split() == ["failed", "m7", "too", "long"]
    assert lines[-1] == "  … and 21 more"
    assert {"too long", "… and 21 more", "tokens=3"} <= set(read(receipt).texts)
    assert repr(Receipt(dry_run=True)) == "<Receipt dry run: nothing was changed, nothing to do>"
    assert repr(Receipt((Item("erased", "R1"),), purge="pending")) == "<Receipt 1 erased, purge pending>"


def test_a_report_says_what_is_wrong_and_where() -> None:
    assert repr(Report(120)) == "<Report all agree, 120 checked>"
    wrong = Report(120, (Problem("the vector differs", "R7"), Problem("no header")), mended=1)
    assert repr(wrong) == "<Report 2 problems, 120 checked, 1 mended>"
    assert [line.split() for line in str(wrong).splitlines()[1:]] == [
        ["R7", "the", "vector", "differs"],
        ["store", "no", "header"],
    ]


def test_an_import_counts_and_says_why_something_was_left() -> None:
    done = Imported("chatgpt", 1200, 3, 2, 1, {"line N: not a message": 2}, jobs=4)
    assert repr(done) == "<Imported chatgpt, 1,200 stored, 3 there already, 2 skipped, 1 failed>"
    assert str(done).splitlines()[1].split(maxsplit=1) == ["2", "line N: not a message"]
    assert "4 owed" in pretty(done)
    assert repr(Imported("jsonl", dry_run=True)) == "<Imported jsonl, dry run: nothing was stored, 0 stored>"
    assert repr(Left("a.zip/b.json:3", "empty")) == "<Left a.zip/b.json:3: empty>"


def test_a_context_prints_its_text_and_shows_its_citations() -> None:
    context = Context("[1] 2024 Ana: hello\n[2] more", 12, (Citation(1, "R1", "m1", 0.8),))
    assert str(context) == context.text
    assert repr(context) == '<Context 1 citation, 12 tokens, "[1] 2024 Ana: hello [2] more">'
    page = read(context)
    assert {context.text, "[1]", "0.80", "R1", "m1", "score", "origin"} <= set(page.texts)
    assert repr(Context("", 0, ())) == '<Context 0 citations, 0 tokens, "">'


def test_a_page_lists_its_records_and_says_where_to_go_on() -> None:
    page = Page(tuple(turn(f"number {place}") for place in range(25)), "99")
    assert repr(page) == "<Page 25 records>"
    assert "number 19" in str(page)
    assert str(page).endswith("… and 5 more")
    assert {"Ana", "number 3", "next", "99"} <= set(read(page).texts)


@pytest.mark.parametrize("thing", things(HOSTILE), ids=lambda thing: type(thing).__name__)
def test_hostile_text_gives_no_orders_anywhere(thing: Shown) -> None:
    for shown in (repr(thing), str(thing), pretty(thing), pretty(thing, 4)):
        assert not {"\x1b", "\x07", "\x9b", "\u202e", "\u2028"} & set(shown)
    page = read(thing)
    said = "".join(page.texts)
    assert "<script>alert(1)</script>" in said
    assert "&amp;" in said
    assert "\x1b" not in thing._repr_html_()


@given(ANY)
def test_any_text_is_shown_without_harm(text: str) -> None:
    for thing in things(text):
        assert "\n" not in repr(thing)
        read(thing)
        for shown in (repr(thing), str(thing), pretty(thing), thing._repr_html_()):
            shown.encode("utf-8")
            assert all(
                unicodedata.category(character) not in {"Cc", "Cf", "Cs", "Zl", "Zp"}
                or character in "\n\t\u200c\u200d"
                for character in shown
            )


@given(ANY)
def test_the_page_holds_the_words_as_they_were_said(text: str) -> None:
    said = "".join(read(turn(text)).texts)
    assert printable(text.replace("\r\n", "\n")) in said


@given(ANY, st.integers(1, 40))
def test_cut_keeps_to_its_length(text: str, length: int) -> None:
    assert len(cut(text, length)) <= length
    assert cut("plain words", 40) == "plain words"
    assert cut("plain words", 7) == "plain…"


def test_letters_of_all_scripts_and_emoji_stay() -> None:
    persian = "\u0645\u06cc\u200c\u062e\u0648\u0627\u0647\u0645"
    for text in ("日本語\u3000テキスト", persian, "👩\u200d👩\u200d👧 ❤\ufe0f", "naïve Å", "a\u00a0b"):
        assert printable(text) == text


def test_what_dataclasses_do_is_kept() -> None:
    hit = Hit(turn(), 0.5)
    assert hit == Hit(turn(), 0.5) != Hit(turn(), 0.6)
    assert replace(hit, score=0.6).score == 0.6
    assert not hasattr(hit, "__dict__")


def test_moments_are_utc_or_say_otherwise() -> None:
    assert moment(MOMENT) == "2024-05-02 10:07"
    assert moment(MOMENT.astimezone(timezone(timedelta(hours=2)))) == "2024-05-02 12:07+02:00"
    assert moment(None) == ""


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("sqlite:///a/b.db", "sqlite:///a/b.db"),
        ("ram:", "ram:"),
        ("postgresql://ada:s3cr3t@db.example:5432/m", "postgresql://ada:***@db.example:5432/m"),
        ("postgresql://ada:s3/c:r@3t@db.example/m", "postgresql://ada:***@db.example/m"),
        ("postgresql://ada@db.example/m", "postgresql://ada@db.example/m"),
        (
            "postgresql://db/m?user=ada&password=s3cr3t&sslmode=require",
            "postgresql://db/m?user=ada&password=***&sslmode=require",
        ),
        ("https://db/m?api_key=s3cr3t", "https://db/m?api_key=***"),
        ("x://db/\x1b[2Jm", "x://db/\ufffd[2Jm"),
    ],
)
def test_urls_are_shown_without_their_secrets(url: str, shown: str) -> None:
    assert plain_url(url) == shown
