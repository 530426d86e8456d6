"""What a query asks for, found out once: its terms, whom it may name, and its cues."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from functools import cache, lru_cache

import numpy as np
from numpy.typing import NDArray

from engram.operators.analysis import STOPWORDS, analyse

__all__ = ["Query", "ask"]

CUES = {
    "you": re.compile(r"\b(?:you|your|yours)\b", re.IGNORECASE),
    "me": re.compile(r"\b(?:i|my|me|mine)\b", re.IGNORECASE),
    "advice": re.compile(r"summar|recommend|suggest|explain|advice|advise|\btips\b", re.IGNORECASE),
    "when": re.compile(r"\b(?:when|date)\b", re.IGNORECASE),
}
@dataclass(frozen=True)
class Query:
    """Terms (uint32 hashes, ascending) with their weights, and cues (0 or 1 by name).

    `every` are the hashes of all words, common ones included: names are recognised in them.
    """

    text: str
    every: NDArray[np.uint32]
    hashes: NDArray[np.uint32]
    weights: NDArray[np.float32]
    cues: dict[str, float] = field(default_factory=dict)


@lru_cache(maxsize=256)
def ask(text: str) -> Query:
    """The query of a text. Common English words carry no weight unless there are no others."""
    words = analyse(text)
    hashes, counts = np.asarray(words.hashes, np.uint32), np.asarray(words.counts, np.float32)
    telling = ~np.isin(hashes, _stop())
    if not telling.any():
        telling[:] = True
    cues = {name: float(bool(pattern.search(text))) for name, pattern in CUES.items()}
    return Query(text, hashes, hashes[telling], counts[telling], cues)


@cache
def _stop() -> NDArray[np.uint32]:
    return np.array(sorted(STOPWORDS), np.uint32)
