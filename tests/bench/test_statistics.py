"""Intervals and tests against what is known of them, by hand and by enumeration."""

import random
from itertools import product
from statistics import fmean

import pytest

from engram.bench.statistics import holm, interval, paired


def test_an_interval_of_equal_values_is_a_point() -> None:
    assert interval([0.5] * 20, ["a"] * 20) == (0.5, 0.5)


def test_an_interval_is_as_wide_as_the_normal_law_says() -> None:
    dice = random.Random(1)
    values = [float(dice.random() < 0.3) for _ in range(2000)]
    low, high = interval(values, ["a"] * 2000)
    mean = fmean(values)
    half = 1.96 * (mean * (1 - mean) / 2000) ** 0.5
    assert low == pytest.approx(mean - half, abs=0.004)
    assert high == pytest.approx(mean + half, abs=0.004)


def test_groups_keep_their_weight() -> None:
    """All that differs is which conversation a question is from: drawn again within, nothing moves."""
    values, groups = [1.0] * 30 + [0.0] * 70, ["a"] * 30 + ["b"] * 70
    assert interval(values, groups) == (0.3, 0.3)
    low, high = interval(values, ["one"] * 100)
    assert low < 0.25
    assert high > 0.35


def test_the_same_seed_gives_the_same_interval() -> None:
    values = [number % 7 / 7 for number in range(50)]
    assert interval(values, ["a"] * 50, seed=3) == interval(values, ["a"] * 50, seed=3)
    assert interval(values, ["a"] * 50, seed=3) != interval(values, ["a"] * 50, seed=4)


def test_an_interval_of_nothing_is_refused() -> None:
    with pytest.raises(ValueError, match="at least one"):
        interval([], [])


@pytest.mark.parametrize("seed", range(3))
def test_the_paired_test_is_the_exact_one_up_to_chance(seed: int) -> None:
    dice = random.Random(seed)
    first = [dice.random() for _ in range(12)]
    second = [value - dice.uniform(-0.2, 0.4) for value in first]
    differences = [one - other for one, other in zip(first, second, strict=True)]
    reached = abs(sum(differences)) - 1e-12
    signs = list(product((-1, 1), repeat=12))
    exact = sum(
        abs(sum(sign * value for sign, value in zip(row, differences, strict=True))) >= reached
        for row in signs
    ) / len(signs)
    assert paired(first, second) == pytest.approx(exact, abs=0.02)


def test_what_is_equal_everywhere_is_no_difference() -> None:
    assert paired([0.2, 0.4], [0.2, 0.4]) == 1.0


def test_a_difference_everywhere_is_one() -> None:
    assert paired([1.0] * 100, [0.0] * 100) == pytest.approx(1 / 10_001)


def test_holm_by_hand() -> None:
    corrected = holm({"a": 0.01, "b": 0.04, "c": 0.03, "d": 0.005})
    assert corrected == {
        "a": pytest.approx(0.03),
        "b": pytest.approx(0.06),
        "c": pytest.approx(0.06),
        "d": pytest.approx(0.02),
    }
    assert holm({}) == {}
    assert holm({"only": 0.9, "other": 0.8}) == {"only": 1.0, "other": 1.0}
