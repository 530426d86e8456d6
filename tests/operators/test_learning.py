"""The reranker's formulas against independent computations: numerical gradients, SciPy's distributions."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.optimize import approx_fprime
from scipy.special import log_softmax
from scipy.stats import gumbel_r, kstest

from engram.operators.learning.adapters import (
    Adapters,
    Step,
    drawn,
    packed,
    step,
    uniforms,
    unpacked,
)

Floats = NDArray[np.float64]
D, K = 4, 6


def some(seed: int) -> tuple[Adapters, Floats, Floats]:
    draw = np.random.default_rng(seed)
    adapters = Adapters(draw.normal(0, 0.1, (D, D)), draw.normal(0, 0.1, (D, D)))
    return adapters, draw.normal(0, 1, D), draw.normal(0, 1, (K, D))


def test_scores_are_those_of_the_residual_adapters() -> None:
    adapters, query, memories = some(1)
    own = query + adapters.query @ query
    known = [own @ (memory + adapters.memory @ memory) for memory in memories]
    assert adapters.scores(query, memories) == pytest.approx(known, abs=1e-12)
    assert Adapters.zero(D).scores(query, memories) == pytest.approx(memories @ query, abs=1e-12)


def test_the_draw_is_by_gumbel_noise_and_its_chances_are_a_softmax() -> None:
    adapters, query, memories = some(2)
    scores = adapters.scores(query, memories)
    chance = uniforms(0.25, 3, "which cat?", K)
    noisy = scores + 0.7 * gumbel_r.ppf(chance)
    draw = drawn(scores, chance, 3, 0.7, 0.5)
    assert draw.places == np.argsort(-noisy)[:3].tolist()
    assert np.log(draw.chances) == pytest.approx(log_softmax(noisy / 0.5), abs=1e-6)
    assert drawn(scores, chance, 3, 0.0, 0.5).places == np.argsort(-scores)[:3].tolist()
    assert drawn(scores, chance, 99, 0.7, 0.5).places == np.argsort(-noisy).tolist()


def test_chance_is_uniform_and_follows_from_what_is_given() -> None:
    values = np.concatenate([uniforms(0.5, count, "q", 20) for count in range(100)])
    assert kstest(values, "uniform").pvalue > 0.01
    assert uniforms(0.5, 1, "q", 3).tolist() == uniforms(0.5, 1, "q", 3).tolist()
    assert uniforms(0.5, 1, "q", 3).tolist() != uniforms(0.5, 2, "q", 3).tolist()


@pytest.mark.parametrize("seed", range(4))
def test_a_step_is_the_gradient_of_the_rewarded_log_probability(seed: int) -> None:
    adapters, query, memories = some(seed)
    chance = uniforms(0.1, seed, "q", K)
    rewards = np.array([1.0, -1, -1, 1, -1, -1])
    noise = -0.05 * np.log(-np.log(chance))
    draw = drawn(adapters.scores(query, memories), chance, 3, 0.05, 0.5)

    def gained(flat: Floats) -> float:
        held = Adapters(flat[: D * D].reshape(D, D), flat[D * D :].reshape(D, D))
        logs = log_softmax((held.scores(query, memories) + noise) / 0.5)
        return float(sum((rewards[place] - 0.5) * logs[place] for place in draw.places))

    flat = np.concatenate([adapters.query.ravel(), adapters.memory.ravel()])
    known = approx_fprime(flat, gained, 1e-7)
    taken = step(adapters, query, memories, draw, rewards, baseline=0.5, temperature=0.5)
    ours = np.concatenate([np.outer(taken.pull, taken.query), np.outer(taken.adapted, taken.push)]).ravel()
    assert ours == pytest.approx(known, abs=1e-5)
    new = adapters.updated([taken, taken], 1e-3)
    moved = np.concatenate([new.query.ravel(), new.memory.ravel()])
    assert moved == pytest.approx(flat + 2e-3 * ours, abs=1e-12)


def test_what_is_cited_rises_and_what_is_not_falls() -> None:
    _, query, memories = some(3)
    rewards = np.array([-1.0, -1, 1, -1, -1, -1])
    adapters = Adapters.zero(D)
    before = adapters.scores(query, memories)
    for count in range(200):
        draw = drawn(adapters.scores(query, memories), uniforms(0.1, count, "q", K), 5, 0.05, 0.5)
        taken = step(adapters, query, memories, draw, rewards, baseline=0.5, temperature=0.5)
        adapters = adapters.updated([taken], 1e-3)
    after = adapters.scores(query, memories)
    assert int(np.argmax(after)) == 2
    assert after[2] - after.mean() > before[2] - before.mean()


def test_weights_and_steps_go_through_json_to_seven_digits() -> None:
    draw = np.random.default_rng(4)
    adapters = Adapters(draw.normal(0, 0.01, (130, 130)), draw.normal(0, 0.01, (130, 130)))
    back = unpacked(packed(adapters), 130)
    assert np.abs(back.query - adapters.query).max() < 1e-8
    assert np.abs(back.memory - adapters.memory).max() < 1e-8
    parts = Step(*(draw.normal(0, 1, 5) for _ in range(4)))
    assert Step.from_list(parts.to_list()).push == pytest.approx(parts.push, abs=1e-6)


@pytest.mark.parametrize("value", [None, {}, 7, {"query": ["AAAA"], "memory": []}, {"query": 1, "memory": 2}])
def test_what_is_no_weights_is_nothing_learned(value: Any) -> None:
    assert not unpacked(value, 3).query.any()
    other = packed(Adapters(np.ones((2, 2)), np.ones((2, 2))))
    assert not unpacked(other, 3).memory.any()
