"""Rewards of agents that manage a memory, by the formulas of Memory-R1 and Mem-alpha."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from math import sqrt

__all__ = ["BETA", "GAMMA", "Rewards", "advantages", "compression", "exact_match", "share"]

BETA, GAMMA = 0.05, 0.1
"""The weights of compression and of content in Mem-alpha (arXiv:2509.25911, its main configuration)."""
_MARKS = re.compile(r"[^\w\s]|_")
_ARTICLES = re.compile(r"\b(?:a|an|the)\b")


def exact_match(answer: str, gold: str) -> float:
    """1.0 where both say the same, else 0.0: case, punctuation, articles and spacing aside.

    The reward of both agents of Memory-R1 (arXiv:2508.19828), with the normalisation of SQuAD (Rajpurkar and
    others, EMNLP 2016).
    """
    return float(_plain(answer) == _plain(gold))


def share(good: int, all: int) -> float:
    """The share of calls that are good, 0.0 where there were none.

    Of those that could be done as asked it is Mem-alpha's r2, of those whose content is fit for its memory
    its r4. Raises `ValueError` where more are good than there are.
    """
    if not 0 <= good <= all:
        raise ValueError(f"{good} of {all} calls: give at most as many good ones as there are")
    return good / all if all else 0.0


def compression(kept: float, told: float) -> float:
    """Mem-alpha's r3: 1 - kept / told, the lengths of the memory and of all that was told, in one unit.

    Negative where the memory is the longer; 0.0 where nothing was told.
    """
    return 1.0 - kept / told if told else 0.0


@dataclass(frozen=True)
class Rewards:
    """The four rewards of Mem-alpha for one step of a rollout.

    `correctness` (r1) and `compression` (r3) are those of the whole rollout, `calls` (r2) and `content` (r4)
    of the step. Without questions there is no correctness, and it counts nothing.
    """

    calls: float
    content: float = 0.0
    compression: float = 0.0
    correctness: float | None = None

    def total(self, beta: float = BETA, gamma: float = GAMMA) -> float:
        """r1 + r2 + beta r3 + gamma r4."""
        return (self.correctness or 0.0) + self.calls + beta * self.compression + gamma * self.content


def advantages(rewards: Sequence[float], least: float = 1e-6) -> list[float]:
    """Each reward of a group against the group's mean, in standard deviations: what GRPO trains on.

    (r - mean) / (standard deviation + `least`), that of the group itself, as in DeepSeekMath
    (arXiv:2402.03300, 4.1.2), so that a group of equal rewards teaches nothing. Both methods use it.
    """
    if not rewards:
        return []
    mean = sum(rewards) / len(rewards)
    spread = sqrt(sum((reward - mean) ** 2 for reward in rewards) / len(rewards))
    return [(reward - mean) / (spread + least) for reward in rewards]


def _plain(text: str) -> str:
    return " ".join(_ARTICLES.sub(" ", _MARKS.sub("", text.casefold())).split())
