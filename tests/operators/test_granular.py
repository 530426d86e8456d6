"""Mixture and router against independent computations, made with SciPy."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.optimize import minimize
from scipy.special import logsumexp
from scipy.stats import entropy as shannon
from scipy.stats import norm

from engram.operators.granular.mixture import posteriors
from engram.operators.granular.router import entropy, routed

Floats = NDArray[np.float64]


def fitted(values: Floats) -> Floats:
    """The probability of the upper of two normals, by expectation maximisation written with SciPy."""
    held = np.sort(values)
    costs = [part.var() * len(part) + rest.var() * len(rest) for part, rest in _parts(held)]
    cut = held[int(np.argmin(costs))]
    shares = np.stack([values <= cut, values > cut]).astype(float)
    before = -np.inf
    for _ in range(100):
        weight, mean, deviation = _estimated(values, shares)
        logs = np.log(weight)[:, None] + norm.logpdf(values, mean[:, None], deviation[:, None])
        bound = float(np.mean(np.asarray(logsumexp(logs, axis=0))))
        shares = np.exp(logs - logsumexp(logs, axis=0))
        if abs(bound - before) < 1e-3:
            break
        before = bound
    weight, mean, deviation = _estimated(values, shares)
    logs = np.log(weight)[:, None] + norm.logpdf(values, mean[:, None], deviation[:, None])
    found: Floats = np.exp(logs - logsumexp(logs, axis=0))[int(np.argmax(mean))]
    return found


def _parts(held: Floats) -> list[tuple[Floats, Floats]]:
    return [(held[:size], held[size:]) for size in range(1, len(held))]


def _estimated(values: Floats, shares: Floats) -> tuple[Floats, Floats, Floats]:
    weight = shares.mean(1)
    mean = np.array([np.average(values, weights=share) for share in shares])
    variance = [
        np.average((values - middle) ** 2, weights=share) for middle, share in zip(mean, shares, strict=True)
    ]
    return weight, mean, np.sqrt(np.array(variance) + 1e-6)


def _similarities(seed: int, low: int = 20, high: int = 10) -> Floats:
    draw = np.random.default_rng(seed)
    return np.concatenate([draw.normal(0.2, 0.06, low), draw.normal(0.6, 0.09, high)])


def test_posteriors_equal_an_independent_fit_whatever_stands_in_the_other_rows() -> None:
    rows = [_similarities(seed, 3 + seed, 2 + seed // 2) for seed in range(20)]
    for row, found in zip(rows, posteriors([row.tolist() for row in rows]), strict=True):
        assert found == pytest.approx(fitted(row), abs=1e-6)
        assert found == pytest.approx(posteriors([row.tolist()])[0], abs=1e-12)


def test_the_fit_is_the_most_likely_one_where_two_groups_lie_apart() -> None:
    places = (np.arange(20) + 0.5) / 20
    values = np.concatenate([norm.ppf(places, 0.2, 0.05), norm.ppf(places[::2], 0.7, 0.05)])

    def unlikely(given: Floats) -> float:
        share = 1 / (1 + np.exp(-given[0]))
        low = np.log(share) + norm.logpdf(values, given[1], np.exp(given[2]))
        high = np.log(1 - share) + norm.logpdf(values, given[3], np.exp(given[4]))
        return -float(np.logaddexp(low, high).sum())

    best = minimize(unlikely, np.array([0.7, 0.2, -2.8, 0.6, -2.4]), method="Nelder-Mead", tol=1e-8).x
    low = np.log(1 / (1 + np.exp(-best[0]))) + norm.logpdf(values, best[1], np.exp(best[2]))
    high = np.log(1 - 1 / (1 + np.exp(-best[0]))) + norm.logpdf(values, best[3], np.exp(best[4]))
    accepted = posteriors([values.tolist()])[0] > 0.5
    assert accepted.tolist() == (high > low).tolist()
    assert accepted.sum() == 10


@pytest.mark.parametrize("row", [[], [0.4], [0.1, 0.9, 0.5, 0.7], [0.3] * 12, [0.0] * 5])
def test_nothing_is_accepted_where_there_is_nothing_to_tell_apart(row: list[float]) -> None:
    (found,) = posteriors([row])
    assert found.tolist() == [0.0] * len(row)


def test_of_five_values_one_that_stands_out_is_accepted() -> None:
    (found,) = posteriors([[0.1, 0.12, 0.9, 0.11, 0.1]])
    assert (found > 0.5).tolist() == [False, False, True, False, False]


@pytest.mark.parametrize("temperature", [0.05, 0.2, 1.0])
def test_entropy_and_weights_equal_an_independent_computation(temperature: float) -> None:
    draw = np.random.default_rng(5)
    similarities = {name: draw.uniform(-0.2, 0.9, 40) for name in ("session", "turns", "summary", "keywords")}
    known = {
        name: float(shannon(np.exp(values / temperature - np.asarray(logsumexp(values / temperature)))))
        for name, values in similarities.items()
    }
    for name, values in similarities.items():
        assert entropy(values, temperature) == pytest.approx(known[name], abs=1e-6)
    inverse = {name: 1 / value for name, value in known.items()}
    weights = routed(similarities, temperature)
    assert weights == pytest.approx({name: part / sum(inverse.values()) for name, part in inverse.items()})
    less = {name: 1 - value for name, value in known.items()}
    code = routed(similarities, temperature, "difference")
    assert code == pytest.approx({name: part / sum(less.values()) for name, part in less.items()})
    assert sum(weights.values()) == pytest.approx(1.0)


def test_the_surer_granularity_counts_more_but_not_by_the_code() -> None:
    sure, unsure = np.array([0.9, *[0.0] * 30]), np.full(31, 0.4)
    paper = routed({"sure": sure, "unsure": unsure}, 0.2)
    code = routed({"sure": sure, "unsure": unsure}, 0.2, "difference")
    assert paper["sure"] > paper["unsure"]
    assert code["sure"] < code["unsure"]


def test_one_unit_alone_leaves_every_granularity_alike() -> None:
    one = {"a": np.array([0.3]), "b": np.array([-0.9])}
    assert routed(one, 0.2) == pytest.approx({"a": 0.5, "b": 0.5})
    assert routed(one, 0.2, "difference") == pytest.approx({"a": 0.5, "b": 0.5})
