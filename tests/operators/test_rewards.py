"""Rewards of managing agents against the papers' formulas, worked out by other means."""

from __future__ import annotations

import statistics
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engram.operators.managing.rewards import (
    Rewards,
    advantages,
    compression,
    exact_match,
    share,
)

UNIT = st.floats(0, 1, allow_nan=False)


@pytest.mark.parametrize(
    "answer, gold, same",
    [
        ("Oslo", "oslo.", 1.0),
        ("the  Cat", "a cat!", 1.0),
        ("7 May 2023", "7 May, 2023", 1.0),
        ("Oslo and Rome", "Oslo", 0.0),
        ("", "", 1.0),
        ("", "Oslo", 0.0),
        ("Ärger", "ärger", 1.0),
        ("theatre", "atre", 0.0),
        ("snake_case", "snakecase", 1.0),
    ],
)
def test_exact_match_after_squads_normalisation(answer: str, gold: str, same: float) -> None:
    assert exact_match(answer, gold) == same
    assert exact_match(gold, answer) == same


@given(st.integers(0, 50), st.integers(0, 50))
def test_a_share_of_calls(good: int, more: int) -> None:
    calls = good + more
    wanted = Fraction(good, calls) if calls else Fraction(0)
    assert share(good, calls) == pytest.approx(float(wanted), abs=1e-6)


def test_more_good_calls_than_calls_is_a_mistake() -> None:
    with pytest.raises(ValueError, match="3 of 2 calls"):
        share(3, 2)
    with pytest.raises(ValueError, match="-1 of 2 calls"):
        share(-1, 2)


@given(st.integers(0, 10**6), st.integers(1, 10**6))
def test_compression_is_one_less_the_ratio(kept: int, told: int) -> None:
    assert compression(kept, told) == pytest.approx(float(1 - Fraction(kept, told)), abs=1e-6)


def test_of_nothing_nothing_was_compressed() -> None:
    assert compression(10, 0) == 0.0
    assert compression(30, 10) == -2.0


@given(UNIT, UNIT, st.floats(-5, 1), UNIT)
def test_the_total_has_the_papers_weights(r1: float, r2: float, r3: float, r4: float) -> None:
    exact = Fraction(r1) + Fraction(r2) + Fraction(5, 100) * Fraction(r3) + Fraction(1, 10) * Fraction(r4)
    rewards = Rewards(calls=r2, content=r4, compression=r3, correctness=r1)
    assert rewards.total() == pytest.approx(float(exact), abs=1e-6)


def test_without_questions_correctness_counts_nothing() -> None:
    assert Rewards(calls=0.5, content=1.0, compression=0.8).total() == pytest.approx(0.5 + 0.04 + 0.1)


@given(st.lists(st.floats(-3, 3), min_size=1, max_size=16))
def test_advantages_are_standard_scores_of_the_group(rewards: list[float]) -> None:
    mean, spread = statistics.fmean(rewards), statistics.pstdev(rewards)
    wanted = [(reward - mean) / (spread + 1e-6) for reward in rewards]
    assert advantages(rewards) == pytest.approx(wanted, abs=1e-6, rel=1e-6)


def test_a_group_of_equals_teaches_nothing() -> None:
    assert advantages([1.0, 1.0, 1.0]) == [0.0, 0.0, 0.0]
    assert advantages([]) == []
