"""Linear fusion of signals whose weights depend on the conversation and the query, and calibrated scores.

A candidate's ranking score is `sum over signals s of w_s * x_s`, with `x_s` the signal, standardised over
the query's candidates where `scale` is "z", and times 1 - `small` where it is "prior" (what speaks for a
turn whatever is asked; among few turns, where standardised signals cannot stand out, it would decide alone),
and `w_s = sum over contexts c of weights[s, c] * c`: contexts
are figures of the scope and the query (`figures`), such as how much it is a talk among people and how much
one with an assistant. The weights are learned by `scripts/train_fusion.py`.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from engram.kernel.effects import Columns
from engram.operators.retrieval.candidates import ScopeColumns

__all__ = ["Fused", "Fusion", "figures", "fuse", "shipped", "weights_of"]

_DATA = Path(__file__).parent / "data" / "fusion.json"
_FLAT = 1e-6
SHORT, LONG = 40.0, 200.0
FEW = 30


@dataclass(frozen=True)
class Fusion:
    """Learned weights: `weights` has shape [len(signals), len(contexts)], float64.

    `standardised` and `prior` say by signal how it is scaled. `calibration` maps a feature of the best
    hits to its weight in the logistic calibration of scores.
    """

    signals: tuple[str, ...]
    standardised: NDArray[np.bool_]
    prior: NDArray[np.bool_]
    contexts: tuple[str, ...]
    weights: NDArray[np.float64]
    calibration: Mapping[str, float]

    @classmethod
    def from_dict(cls, value: Mapping[str, Any]) -> Fusion:
        """The weights as `scripts/train_fusion.py` writes them."""
        signals = value["signals"]
        return cls(
            tuple(signals),
            np.array([signals[name]["scale"] == "z" for name in signals]),
            np.array([signals[name]["scale"] == "prior" for name in signals]),
            tuple(value["contexts"]),
            np.array([signals[name]["weights"] for name in signals], np.float64),
            dict(value["calibration"]),
        )


@dataclass(frozen=True)
class Fused:
    """The outcome of a fusion: `scores` of shape [n], and what is needed to explain one of them."""

    scores: NDArray[np.float32]
    _names: tuple[str, ...]
    _columns: NDArray[np.float32]
    _slopes: NDArray[np.float64]
    _means: NDArray[np.float64]

    def with_signal(self, name: str, values: NDArray[np.float32]) -> Fused:
        """The same with a signal more, shape [n], that is added as it is."""
        return Fused(
            self.scores + values,
            (*self._names, name),
            np.vstack((self._columns, values)),
            np.append(self._slopes, 1.0),
            np.append(self._means, 0.0),
        )

    def explain(self, position: int) -> dict[str, float]:
        """Each signal's share of the ranking score of a candidate, those without any left out."""
        shares = self._slopes * (self._columns[:, position] - self._means)
        return {name: float(share) for name, share in zip(self._names, shares, strict=True) if share}


@cache
def shipped() -> Fusion:
    """The weights that ship with the package."""
    return Fusion.from_dict(json.loads(_DATA.read_text(encoding="utf-8")))


def figures(columns: Columns) -> dict[str, float]:
    """What weights may depend on: the columns' context, `people`, `assisted` = 1 - `people`, and `small`.

    `assisted` goes from 0 (people in short turns) to 1 (an assistant says half of it, in turns of 200
    words or more): the mean of the assistant's share and of the turns' length on a log scale from 40 to 200.
    `small` goes from 1 (nothing is remembered yet) to 0; it is a half at 30 turns. Among few turns windows
    tell nothing, and no standardised signal can stand out.
    """
    share = min(1.0, 2 * columns.context["assistant"])
    length = math.log(max(columns.context["tokens"], 1.0) / SHORT) / math.log(LONG / SHORT)
    assisted = (share + min(1.0, max(0.0, length))) / 2
    small = FEW / (FEW + columns.context["turns"])
    return {**columns.context, "people": 1 - assisted, "assisted": assisted, "small": small}


def weights_of(columns: Columns) -> NDArray[np.float32] | None:
    """How many candidates of the scope each stands for, shape [n]; `None` where all of them are there."""
    return columns.weights if isinstance(columns, ScopeColumns) else None


def fuse(columns: Columns, fusion: Fusion) -> Fused:
    """Ranking scores of all candidates; `columns` must have the fusion's signals, in its order."""
    matrix: NDArray[np.float32] = columns.matrix
    known = figures(columns)
    context = np.array([known[name] for name in fusion.contexts])
    slopes = fusion.weights @ context * np.where(fusion.prior, 1 - known["small"], 1.0)
    each = weights_of(columns)
    count = max(1, matrix.shape[1]) if each is None else float(each.sum(dtype=np.float64))
    sums = matrix @ (np.ones(matrix.shape[1], np.float32) if each is None else each)
    means = np.where(fusion.standardised, sums / count, 0.0)
    squares = np.array([float(row.dot(row if each is None else row * each)) for row in matrix]) / count
    spread = np.sqrt(np.maximum(squares - means**2, 0.0))
    flat = fusion.standardised & (spread <= _FLAT * np.maximum(np.abs(means), 1e-3))
    slopes = np.where(flat, 0.0, slopes / np.where(fusion.standardised & ~flat, spread, 1.0))
    scores = slopes.astype(np.float32) @ matrix - np.float32(slopes @ means)
    return Fused(scores, fusion.signals, matrix, slopes, means)
