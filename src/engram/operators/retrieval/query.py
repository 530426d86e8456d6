"""What a query asks for, found out once: its terms, pairs of terms and cues."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from engram.operators.analysis import analyse
from engram.operators.retrieval.pairs import ordered, pairs, telling
from engram.operators.retrieval.speakers import Speakers

__all__ = ["Parts", "Query", "Reading", "ask", "read"]

CUES = {
    "you": re.compile(r"\b(?:you|your|yours)\b", re.IGNORECASE),
    "me": re.compile(r"\b(?:i|my|me|mine)\b", re.IGNORECASE),
    "summary": re.compile(r"\b(?:summar\w*|overview|recap)\b", re.IGNORECASE),
    "told": re.compile(
        r"\b(?:did|have|had) you\b|\byour (?:suggestion|recommendation|advice|answer|explanation|list)s?\b"
        r"|\byou(?:'ve| have| had)? (?:said|told|gave|given|recommended|suggested|mentioned|explained|listed"
        r"|provided|advised|proposed|shared|described|offered)\b",
        re.IGNORECASE,
    ),
    "when": re.compile(r"\b(?:when|date)\b", re.IGNORECASE),
}
_SESSION = re.compile(r"\b(session|conversation|chat|run)\s+(?:number\s+|no\.?\s*|#\s*)?([\w-]+)")
Parts = Sequence[tuple[str, NDArray[Any]]]
Hashes = NDArray[np.uint32]


@dataclass(frozen=True)
class Query:
    """A question: the hashes of all its words in order, [words], cues (0 or 1 by name), sessions it names."""

    text: str
    words: Hashes
    cues: dict[str, float] = field(default_factory=dict)
    sessions: frozenset[str] = frozenset()


@dataclass(frozen=True)
class Reading:
    """A query as one scope reads it.

    `terms` are the different terms to look for, ascending, `weights` how often each stands in the query;
    `pairs` are hashes of its pairs of neighbouring terms; `named` says by code of the speakers' names
    whether the query names them.
    """

    terms: Hashes
    weights: NDArray[np.float32]
    pairs: Hashes
    named: NDArray[np.bool_]


@lru_cache(maxsize=256)
def ask(text: str) -> Query:
    """The query of a text."""
    cues = {name: float(bool(pattern.search(text))) for name, pattern in CUES.items()}
    called = frozenset(
        name
        for word, number in _SESSION.findall(text.casefold())
        for name in (number, f"{word} {number}", f"{word}-{number}", f"{word}_{number}")
    )
    return Query(text, ordered(text), cues, called)


def read(query: Query, speakers: Speakers, names: int) -> Reading:
    """The query as a scope reads it.

    `names` is how many codes of names there are; those of `speakers` are below it.
    Common words are left out, and so are speakers' names, as far as anything else is left.
    """
    named = np.zeros(names, bool)
    spoken = np.zeros(len(query.words), bool)
    for place, word in enumerate(query.words.tolist()):
        for code in speakers.codes(word):
            named[code] = spoken[place] = True
    content = telling(query.words)
    words = query.words[content & ~spoken]
    if not len(words):
        words = query.words[content] if content.any() else query.words
    terms, counts = np.unique(words, return_counts=True)
    return Reading(terms, counts.astype(np.float32), pairs(words), named)


@lru_cache(maxsize=4096)
def term(word: str) -> int:
    """The hash of a word's first term, or -1."""
    hashes = analyse(word).hashes
    return int(hashes[0]) if len(hashes) else -1
