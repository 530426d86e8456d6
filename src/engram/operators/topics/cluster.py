"""Topics without a model: memories that resemble each other, named by the words that they share."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Collection, Sequence

import numpy as np
from numpy.typing import NDArray

from engram.operators.analysis import STOPWORDS, term_hash, terms

__all__ = ["clustered", "topic_name"]

_WORD = re.compile(r"[^\W\d_]{3,40}")
_READ = 2000


def clustered(vectors: NDArray[np.float32], floor: float) -> list[list[int]]:
    """The rows of unit vectors, shape [n, d], in groups, in order: each joins the group nearest to it.

    Nearest by the cosine with the group's mean, from `floor` on; else it begins a group.
    """
    sums = np.zeros_like(vectors)
    groups: list[list[int]] = []
    for place, vector in enumerate(vectors):
        means = sums[: len(groups)]
        norms = np.maximum(np.linalg.norm(means, axis=1), 1e-9)
        near = means @ vector / norms
        best = int(near.argmax()) if groups else -1
        if best < 0 or near[best] < floor:
            best = len(groups)
            groups.append([])
        groups[best].append(place)
        sums[best] += vector
    return groups


def topic_name(texts: Sequence[str], without: Collection[str] = (), words: int = 2) -> str:
    """The words that most of the texts have, the more common first; "other" where they have none.

    Those that stand in a text of `without`, such as the speaker's name, are left out.
    """
    passed = {word for text in without for word in _WORD.findall(text.casefold())}
    spread: Counter[str] = Counter()
    for text in texts:
        said = dict.fromkeys(_WORD.findall(text[:_READ].casefold()))
        spread.update(
            word
            for word in said
            if word not in passed and not STOPWORDS.issuperset(map(term_hash, terms(word)))
        )
    best = sorted(spread.items(), key=lambda item: (-item[1], item[0]))[:words]
    return ", ".join(word for word, _ in best) or "other"
