"""Whether two mentions are of one thing, against pairs written before there was a rule for any."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from measure_entities import DATA, measured, pairs

from engram.operators.graph.likeness import Known, Mention, likeness
from engram.operators.graph.names import keys_of


@pytest.mark.parametrize("split", ["development", "test"])
def test_precision_and_recall(split: str) -> None:
    figures = measured(split)
    assert (figures.pairs, figures.same) == (150, 75)
    assert figures.precision >= 0.95
    assert figures.recall >= 0.80


def test_there_are_300_pairs() -> None:
    assert len(set(DATA.read_text(encoding="utf-8").splitlines())) == 300


def test_what_is_taken_for_one_shares_a_key() -> None:
    """Names are looked up by keys, and compared where they share one; by their names alone, that is."""
    same = [pair for split in ("development", "test") for pair in pairs(split) if pair.same]
    missed = [
        pair
        for pair in same
        if likeness(Mention(pair.one.name, pair.one.type), Mention(pair.other.name, pair.other.type)).same
        and not keys_of(pair.one.name) & keys_of(pair.other.name)
    ]
    assert missed == []


def test_which_is_named_first_makes_no_difference() -> None:
    for split in ("development", "test"):
        for pair in pairs(split):
            there, back = likeness(pair.one, pair.other), likeness(pair.other, pair.one)
            assert there.score == pytest.approx(back.score), pair


def person(name: str, *facts: tuple[str, str]) -> Mention:
    return Mention(name, "person", facts=tuple(Known(*fact) for fact in facts))


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (person("Ann Lee", ("mother", "Joan")), person("Ann Lee", ("mother", "Ruth"))),
        (person("Ann Lee", ("daughter", "Ruth Lee")), person("Ruth Lee")),
        (person("Ann Lee"), Mention("Ann Lee", "ship")),
        (person("Mr Lee"), person("Mrs Lee")),
        (person("Ann Lee", ("died", "1950")), person("Ann Lee", ("born", "1970"))),
    ],
)
def test_what_cannot_be_one_is_not_whatever_its_name(one: Mention, other: Mention) -> None:
    assert not likeness(one, other, cosine=1.0).same


def test_a_cosine_alone_is_a_doubt_and_no_more() -> None:
    found = likeness(Mention("the firm"), Mention("Kestrel Media"), cosine=0.99)
    assert found.unsure
    assert not likeness(Mention("Room 12", "place"), Mention("Room 21", "place"), cosine=0.99).unsure


@given(st.text(max_size=60), st.text(max_size=60), st.sampled_from(["", "person", "place", "thing", "\x00"]))
def test_any_text_has_a_likeness(one: str, other: str, kind: str) -> None:
    assert 0 <= likeness(Mention(one, kind), Mention(other, kind)).score <= 1
    assert keys_of(one) is not None


def test_a_very_long_name_is_compared_in_time() -> None:
    long = Mention("na " * 100_000, "person", facts=(Known("likes", "x" * 100_000),))
    assert likeness(long, long).same
