"""Nearest rows of many vectors at once, against a plain loop; and what stands aside in an index."""

from __future__ import annotations

import numpy as np
import pytest

from engram.operators.retrieval.growing import Vectors
from engram.operators.retrieval.near import nearest


@pytest.mark.parametrize(("k", "floor"), [(3, -1.0), (50, 0.1), (2, 0.3), (0, 0.0), (5, 2.0)])
def test_it_is_what_a_plain_loop_finds(k: int, floor: float) -> None:
    rng = np.random.default_rng(1)
    units = rng.standard_normal((9000, 16)).astype(np.float32)
    units /= np.linalg.norm(units, axis=1, keepdims=True)
    held = Vectors(16)
    held.append(units)
    rows = np.flatnonzero(rng.random(9000) < 0.5)
    ids = [f"r{number:05}" for number in range(9000)]

    found = nearest(held, ids, rows, units[:20], k, floor)

    plain = units[:20] @ units[rows].T
    for number, near in enumerate(found):
        order = [at for at in np.argsort(-plain[number])[:k] if plain[number][at] >= floor]
        assert len(near) == pytest.approx(len(order), abs=1 if floor > -1 else 0)
        assert [score for _, score in near] == sorted((score for _, score in near), reverse=True)
        scores = {ids[rows[at]]: plain[number][at] for at in range(len(rows))}
        assert all(score == pytest.approx(scores[id], abs=0.02) for id, score in near)
        best = [float(plain[number][at]) for at in order]
        assert [score for _, score in near][: len(best)] == pytest.approx(best[: len(near)], abs=0.02)


def test_without_vectors_there_is_nothing_near() -> None:
    assert nearest(Vectors(0), [], np.zeros(0, np.int64), np.zeros((2, 0), np.float32), 3, 0.0) == [[], []]
