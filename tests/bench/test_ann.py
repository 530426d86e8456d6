"""The benchmark of large scopes: turns that repeat, and what a figure is held against."""

import numpy as np

from engram.bench.ann import figures
from engram.bench.filling import USER
from engram.bench.many import SESSION, asked, records, said


def test_the_same_number_is_always_the_same_turn() -> None:
    many = list(records(0, 3 * SESSION, USER))
    assert many[SESSION:] == list(records(SESSION, 2 * SESSION, USER))
    assert len({record.id for record in many}) == len(many)
    assert [record.time for record in many] == sorted(record.time for record in many)
    assert [record.text for record in many[:SESSION]] == said(0)
    assert len({record.scope for record in many}) == 3


def test_a_filter_lets_its_share_through() -> None:
    many = list(records(0, 1000, USER))
    for field, count in (("tenth", 100), ("hundredth", 10), ("thousandth", 1)):
        assert sum(record.metadata[field] == 7 for record in many) == count


def test_questions_use_words_of_the_turns() -> None:
    told = " ".join(record.text.lower() for record in records(0, 200, USER))
    for question in asked(10, 200):
        assert all(word in told for word in question.removesuffix("?").split(" about ")[1].split())


def test_what_is_left_of_a_search_is_held_against_the_library() -> None:
    took = {name: [6.0, 4.0, 5.0] for name in ("dense", "fusion", "0.1 %", "1 %", "10 %")}
    near = {
        "took": took,
        "recall": dict.fromkeys(took, 0.97),
        "first": 50.0,
        "resident": 100.0,
        **{f"{policy}: {part}": 1.0 for policy in ("dense", "fusion") for part in ("bare", "signals")},
    }
    exact = {"took": took, "first": 500.0, "resident": 300.0}
    found = {
        figure.what: figure for figure in figures(200_000, {"disk": 5, "store": 9, "seconds": 0}, exact, near)
    }
    rest = found["  the rest of the search"]
    assert (rest.measured, rest.floor, rest.met) == (4.0, 1.0, True)
    assert found["recall@10 of exact, fusion"].met
    assert found["search, dense"].ratio == np.median(took["dense"]) / 5
    assert "making the index" not in found
