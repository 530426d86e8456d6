"""Pairs of neighbouring words: which texts say two things in a row, common words aside."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from engram.operators.analysis import STOPWORDS, ordered_hashes

__all__ = ["ordered", "pair", "pairs", "telling"]

Hashes = NDArray[np.uint32]
COMMON: Hashes = np.array([*sorted(STOPWORDS), 0xFFFFFFFF], np.uint32)
MIX = np.uint32(0x9E3779B1)


def ordered(text: str) -> Hashes:
    """The hashes of a text's terms in order, repeats and common words included."""
    return np.frombuffer(ordered_hashes(text), np.uint32)


def telling(hashes: Hashes) -> NDArray[np.bool_]:
    """Which of the hashes are not common words'."""
    return COMMON[np.searchsorted(COMMON[:-1], hashes)] != hashes


def pairs(words: Hashes) -> Hashes:
    """One hash for each two neighbours in a sequence of term hashes; the order of the two matters."""
    mixed = words[:-1] * MIX
    mixed ^= mixed >> np.uint32(15)
    mixed += words[1:]
    return mixed


def pair(first: int, second: int) -> int:
    """The same hash for one pair."""
    mixed = first * int(MIX) & 0xFFFFFFFF
    return ((mixed ^ mixed >> 15) + second) & 0xFFFFFFFF
