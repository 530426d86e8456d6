"""Facts by rule, against sentences written before the rules were tried on them."""

from datetime import UTC, datetime
from time import process_time

import pytest
from hypothesis import given
from hypothesis import strategies as st
from measure_facts import DATA, measured, said

from engram.kernel.record import Interval, Record
from engram.kernel.scope import Scope
from engram.operators.extraction.patterns import base_form
from engram.operators.extraction.rules import extract_by_rules
from engram.operators.extraction.turns import by_rules

SAID = datetime(2026, 3, 10, 9, tzinfo=UTC)


@pytest.mark.parametrize("name", ["facts-test.jsonl", "facts-development.jsonl"])
def test_precision_and_recall(name: str) -> None:
    found = measured(DATA / name)
    assert found.sentences == 200
    assert found.precision >= 0.90
    assert found.recall >= 0.50


@pytest.mark.parametrize(
    "text",
    [
        "Do I live in Rome?",
        "If I lived in Rome, I would walk more.",
        "She says I work at Ford.",
        'He wrote "I live in Rome" on the wall.',
        "I might move to Oslo in May.",
        "I'm not vegetarian.",
        "I have an idea.",
        "I love you.",
        "",
    ],
)
def test_what_is_not_stated_gives_nothing(text: str) -> None:
    assert extract_by_rules(text, "Ana", SAID) == []


def test_a_compound_sentence_gives_each_clause_its_own_day() -> None:
    found = extract_by_rules("I moved to Lisbon in May and now work at Galp.", "Ana", SAID)
    assert [said(fact) for fact in found] == [
        ("ana", "lives_in", "lisbon", "2025-05-01/2025-06-01", False),
        ("ana", "works_at", "galp", None, False),
    ]


def test_valid_time_follows_what_kind_of_fact_it_is() -> None:
    home, trip, plan, past = (
        extract_by_rules(text, "Ana", SAID)[0].valid(SAID)
        for text in (
            "We moved to Lisbon last May.",
            "We went to Rome last May.",
            "I'm going to visit Rome next week.",
            "I used to live in Leeds.",
        )
    )
    may = datetime(2025, 5, 1, tzinfo=UTC)
    assert (home.start, home.end) == (may, None)
    assert (trip.start, trip.end) == (may, None)
    assert (plan.start, plan.end) == (SAID, datetime(2026, 3, 23, tzinfo=UTC))
    assert (past.start, past.end) == (None, SAID)


def test_a_fact_says_itself_in_a_sentence() -> None:
    texts = [
        fact.text
        for text in ("I live in Porto.", "I'm going to visit Rome.", "I used to live in Leeds.")
        for fact in extract_by_rules(text, "Ana", SAID)
    ]
    assert texts == ["Ana lives in Porto", "Ana plans to visit Rome", "Ana lives in Leeds (no longer)"]


@pytest.mark.parametrize(
    ("verb", "base"),
    [("flying", "fly"), ("moving", "move"), ("running", "run"), ("visiting", "visit"), ("seeing", "see"),
     ("getting", "get"), ("singing", "sing"), ("travelling", "travel")],
)  # fmt: skip
def test_base_forms(verb: str, base: str) -> None:
    assert base_form(verb) == base


@given(st.text(max_size=300))
def test_any_text_is_survived_and_facts_have_no_empty_parts(text: str) -> None:
    for fact in extract_by_rules(text, "Ana", SAID):
        assert fact.subject
        assert fact.relation
        assert fact.object


WORDS = (
    "I we my sister cat live in Rome am going to visit May 2019 since and , . ! not no longer work at Ford "
    "have two every Friday was bought"
)


@given(st.lists(st.sampled_from(WORDS.split()), max_size=25))
def test_any_order_of_the_words_it_knows_is_survived(words: list[str]) -> None:
    for fact in extract_by_rules(" ".join(words), "Ana", SAID):
        assert 0 < fact.confidence <= 1


LONG = (
    "and and, ",
    "my ",
    "in 2019 ",
    "I live in ",
    "every Friday I ",
    "x",
    "two cats and ",
    "My sister, Ann, ",
)


@pytest.mark.parametrize("words", [*LONG, '"', "\u201c", "' ", " ", "\n", "I like tea. ", "(I am ", "- "])
def test_no_text_is_slow(words: str) -> None:
    """A pattern that tries again and again would take minutes for a hundred thousand characters."""
    text = "I have " + words * (100_000 // len(words))
    start = process_time()
    extract_by_rules(text, "Ana", SAID)
    assert process_time() - start < 5


def test_of_a_long_text_whole_sentences_are_read_and_it_is_said() -> None:
    text = "I like rye bread. " + "So it goes on. " * 10_000 + "I live in Oslo."
    cut = "I live in New " + "York " * 30_000
    turns = [episode(text), episode(cut)]
    (found,) = by_rules(turns)
    assert (found.fact.object, found.note) == ("rye bread", "of a text of which 100,000 characters were read")


def episode(text: str) -> Record:
    return Record("e", "episode", text, Scope(), SAID, Interval(SAID), Interval(SAID), name="Ana")
