"""From a question to the nodes of a graph: the entities that it names, and the triples that it is like.

Query-to-entity linking is HippoRAG's (arXiv:2405.14831, section 2.3), query-to-triple linking that of its
second form (arXiv:2502.14802, section 3.2). Both weigh an entity by node specificity, one over the number of
passages that name it.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from heapq import nlargest

import numpy as np

from engram.kernel.effects import Entities, Read, Score, Similar
from engram.kernel.policy import Query
from engram.kernel.record import Record
from engram.operators.analysis import STOPWORDS, ordered_hashes
from engram.operators.retrieval.stated import folded
from engram.operators.retrieval.top import top

__all__ = ["Linked", "Seeds", "facts_like", "named_in", "seeds_of_facts", "specificity"]

Seeds = dict[str, float]
"""Weights by record id."""
_UNSPACED = "\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u2e80-\u9fff\uac00-\ud7a3\uf900-\ufaff"
_WORD = re.compile(rf"[{_UNSPACED}]|[^\W{_UNSPACED}]+")
_LONGEST_NAME = 12
_WORDS = 200


@dataclass(frozen=True)
class Linked:
    """A triple that a question is like: its fact and how like it is, from 0 to 1."""

    fact: Record
    score: float

    @property
    def triple(self) -> tuple[str, str, str]:
        """Subject, relation and object, folded."""
        said = self.fact.metadata
        return folded(said["subject"]), folded(said["relation"]), folded(said["object"])


def specificity(entity: Record) -> float:
    """One over the number of records that name the entity."""
    return 1.0 / max(1, len(entity.sources))


async def named_in(text: str, near: float = 0.8) -> Seeds:
    """The entities that a text names, by specificity.

    A name is a stretch of up to twelve words that is an entity's name, the longest first. Where the text
    has capital letters or digits, a name has some; where it has none, any stretch but function words may
    be one. Of capitalised stretches that are no entity's name, the entity whose name is nearest counts, if
    its cosine is `near` or more.
    """
    words = list(_words(text))
    spans = list(_spans(words))
    found = await Entities(tuple(text[start:end] for start, end, _, _ in spans))
    seeds: Seeds = {}
    taken: set[int] = set()
    for (_, _, first, last), known in zip(spans, found, strict=True):
        if known and taken.isdisjoint(range(first, last)):
            taken.update(range(first, last))
            seeds.update((record.id, specificity(record)) for record in known)
    strange = [text[start:end] for start, end in _strange(words, taken)]
    nearest = await Similar(tuple(strange), 1, ("entity",), near) if strange else []
    for record in await Read(tuple(dict.fromkeys(id for pairs in nearest for id, _ in pairs))):
        seeds.setdefault(record.id, specificity(record))
    return seeds


async def facts_like(query: Query, k: int) -> list[Linked]:
    """The `k` triples whose embeddings are nearest to the query's, nearest first, each once.

    Scores are cosines scaled so that the nearest of all facts has 1 and the farthest 0.
    """
    columns = await Score(query.text, ("dense_turn",), at=query.at, kinds=("fact",))
    if not len(columns):
        return []
    cosine = np.asarray(columns.signals["dense_turn"], np.float64)
    low, high = float(cosine.min()), float(cosine.max())
    scaled = (cosine - low) / (high - low) if high > low else np.ones(len(cosine))
    positions = top(scaled, 4 * k, columns.rows)
    scores = dict(zip(columns.rows(positions), scaled[positions].tolist(), strict=True))
    found: dict[tuple[str, str, str], Linked] = {}
    for fact in await Read(tuple(scores)):
        if all(fact.metadata.get(part) for part in ("subject", "relation", "object")):
            linked = Linked(fact, scores[fact.id])
            found.setdefault(linked.triple, linked)
    return list(found.values())[:k]


async def seeds_of_facts(facts: Sequence[Linked], most: int = 5) -> Seeds:
    """The entities at the ends of triples: the mean score of their triples, by specificity.

    The `most` that weigh most.
    """
    ends = [(name, linked.score) for linked in facts for name in (linked.triple[0], linked.triple[2])]
    found = await Entities(tuple(name for name, _ in ends))
    scores: dict[str, list[float]] = {}
    for (_, score), known in zip(ends, found, strict=True):
        for record in known:
            scores.setdefault(record.id, []).append(score * specificity(record))
    seeds = [(sum(each) / len(each), id) for id, each in scores.items()]
    return {id: weight for weight, id in nlargest(most, seeds)}


def _words(text: str) -> Iterator[tuple[int, int, bool, bool]]:
    """Each word's bounds, whether it may be (part of) a name, and whether it is a function word."""
    for place, match in enumerate(_WORD.finditer(text)):
        if place == _WORDS:
            return
        word = match.group()
        plain = _function_words(word)
        named = not word[0].islower() and not (plain and (place == 0 or word[1:].islower()))
        yield match.start(), match.end(), named, plain


def _function_words(text: str) -> bool:
    hashes = np.frombuffer(ordered_hashes(text), np.uint32)
    return all(int(hashed) in STOPWORDS for hashed in hashes)


def _spans(words: Sequence[tuple[int, int, bool, bool]]) -> Iterator[tuple[int, int, int, int]]:
    """Stretches that may be a name, the longest first: bounds in the text, and in words."""
    cased = any(named for _, _, named, _ in words)
    for length in range(min(_LONGEST_NAME, len(words)), 0, -1):
        for first in range(len(words) - length + 1):
            part = words[first : first + length]
            if any(named for _, _, named, _ in part) if cased else not all(plain for _, _, _, plain in part):
                yield part[0][0], part[-1][1], first, first + length


def _strange(words: Sequence[tuple[int, int, bool, bool]], taken: Iterable[int]) -> Iterator[tuple[int, int]]:
    """Bounds of the longest stretches of capitalised words, none of which is of a name that was found."""
    known = set(taken)
    start: int | None = None
    clear = True
    for place, (first, _, named, _) in enumerate([*words, (0, 0, False, False)]):
        if named:
            start = first if start is None else start
            clear &= place not in known
            continue
        if start is not None and clear:
            yield start, words[place - 1][1]
        start, clear = None, True
