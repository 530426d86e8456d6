"""A reranker of two linear residual adapters, learned by REINFORCE from what answers cite.

RMM (arXiv:2503.08026), section 6: q' = q + Wq q and m' = m + Wm m, scores q'·m' (equation 1), Gumbel noise
before a softmax at temperature tau (equation 2), and the update eta (R - b) grad log P (equation 3).
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["Adapters", "Drawn", "Step", "drawn", "packed", "step", "uniforms", "unpacked"]

Floats = NDArray[np.float64]
_ROWS = 64  # of a matrix in one text


@dataclass(frozen=True)
class Adapters:
    """The weights of query and memories, [dimensions, dimensions] each; zero before anything was learned."""

    query: Floats
    memory: Floats

    @classmethod
    def zero(cls, dimensions: int) -> Adapters:
        """Nothing learned: scores are the dot products of what is embedded."""
        return cls(np.zeros((dimensions, dimensions)), np.zeros((dimensions, dimensions)))

    def adapted(self, query: Floats, memories: Floats) -> tuple[Floats, Floats]:
        """Query and memories adapted: q' of shape [dimensions], m' a row each, [n, dimensions]."""
        return query + self.query @ query, memories + memories @ self.memory.T

    def scores(self, query: Floats, memories: Floats) -> Floats:
        """The relevance of each memory, shape [n]."""
        own, others = self.adapted(query, memories)
        return np.asarray(others @ own)

    def updated(self, steps: Sequence[Step], rate: float) -> Adapters:
        """With the steps of a batch taken, each by `rate`."""
        query, memory = self.query.copy(), self.memory.copy()
        for taken in steps:
            query += rate * np.outer(taken.pull, taken.query)
            memory += rate * np.outer(taken.adapted, taken.push)
        return Adapters(query, memory)


@dataclass(frozen=True)
class Step:
    """A gradient: of the query's weights `pull` x `query`, of the memories' `adapted` x `push`."""

    pull: Floats
    query: Floats
    adapted: Floats
    push: Floats

    def to_list(self) -> list[str]:
        """As texts, of 32-bit floats."""
        return [_text(part) for part in (self.pull, self.query, self.adapted, self.push)]

    @classmethod
    def from_list(cls, texts: Sequence[str]) -> Step:
        """What `to_list` gave."""
        pull, query, adapted, push = (_floats(text) for text in texts)
        return cls(pull, query, adapted, push)


@dataclass(frozen=True)
class Drawn:
    """What was drawn of the candidates, best first, and the probability of each candidate, shape [n]."""

    places: list[int]
    chances: Floats


def uniforms(seed: float, count: int, text: str, size: int) -> Floats:
    """Numbers in (0, 1), shape [size], that follow from what is given alone, on every machine."""
    found = []
    for place in range(size):
        key = f"{seed!r}/{count}/{place}/{text}".encode()
        number = int.from_bytes(hashlib.blake2b(key, digest_size=6).digest(), "big")
        found.append((number + 0.5) / (1 << 48))
    return np.array(found)


def drawn(scores: Floats, chance: Floats, most: int, noise: float, temperature: float) -> Drawn:
    """The `most` candidates of the highest score with Gumbel noise times `noise`, of `chance` in (0, 1)."""
    perturbed = scores - noise * np.log(-np.log(chance))
    powers = np.exp((perturbed - perturbed.max()) / temperature)
    return Drawn(np.argsort(-perturbed, kind="stable")[:most].tolist(), powers / powers.sum())


def step(
    adapters: Adapters,
    query: Floats,
    memories: Floats,
    draw: Drawn,
    rewards: Floats,
    *,
    baseline: float,
    temperature: float,
) -> Step:
    """The sum over what was drawn of (R - b) grad log p; `rewards` are those of all candidates, shape [n]."""
    pulls = np.zeros(len(memories))
    for place in draw.places:
        gain = (float(rewards[place]) - baseline) / temperature
        pulls -= gain * draw.chances
        pulls[place] += gain
    own, others = adapters.adapted(query, memories)
    return Step(others.T @ pulls, query, own, memories.T @ pulls)


def packed(adapters: Adapters) -> dict[str, Any]:
    """The weights as JSON values, of 32-bit floats."""
    return {
        name: [_text(matrix[first : first + _ROWS]) for first in range(0, len(matrix), _ROWS)]
        for name, matrix in (("query", adapters.query), ("memory", adapters.memory))
    }


def unpacked(value: Any, dimensions: int) -> Adapters:
    """What `packed` gave; zero where it is anything else, or of other dimensions."""
    try:
        query, memory = (
            np.concatenate([_floats(text) for text in value[name]]).reshape(dimensions, dimensions)
            for name in ("query", "memory")
        )
    except (KeyError, TypeError, ValueError):
        return Adapters.zero(dimensions)
    return Adapters(query, memory)


def _text(values: Floats) -> str:
    return base64.b64encode(np.ascontiguousarray(values, "<f4").tobytes()).decode()


def _floats(text: str) -> Floats:
    return np.frombuffer(base64.b64decode(text), "<f4").astype(np.float64)
