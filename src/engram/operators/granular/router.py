"""The entropy router: how much each granularity of memory counts for a query."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

import numpy as np
from numpy.typing import NDArray

__all__ = ["Routing", "entropy", "routed", "softmax"]

Floats = NDArray[np.float64]
Routing = Literal["inverse", "difference"]
_LEAST = 1e-12


def softmax(values: Floats, temperature: float) -> Floats:
    """exp(value / temperature), scaled to add up to 1."""
    powers = np.exp((values - values.max()) / temperature)
    return np.asarray(powers / powers.sum())


def entropy(similarities: Floats, temperature: float) -> float:
    """Shannon's entropy, in nats, of the softmax of a query's similarities with all units of a kind."""
    shares = softmax(np.asarray(similarities, np.float64), temperature)
    held = shares[shares > 0]
    return float(-(held * np.log(held)).sum())


def routed(
    similarities: Mapping[str, Floats], temperature: float, how: Routing = "inverse"
) -> dict[str, float]:
    """The weights of the granularities, adding up to 1: the surer one is, the more it counts.

    "inverse": 1 / entropy over the sum of these. "difference": (1 - entropy) over the sum of these, as in the
    authors' code; entropies of more than 1 so give the less sure granularity more.
    """
    found = {name: entropy(values, temperature) for name, values in similarities.items()}
    if how == "difference":
        parts = {name: 1 - value for name, value in found.items()}
    else:
        parts = {name: 1 / max(value, _LEAST) for name, value in found.items()}
    whole = sum(parts.values())
    if abs(whole) < _LEAST:
        return dict.fromkeys(parts, 1 / len(parts))
    return {name: part / whole for name, part in parts.items()}
