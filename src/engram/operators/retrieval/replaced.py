"""Facts before the turns that say what they have replaced."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import replace

from engram.kernel.effects import Facts, each
from engram.kernel.record import Hit
from engram.operators.retrieval.stated import folded

__all__ = ["before_replaced", "inserted", "stretches"]

_WORD = re.compile(r"\w+(?:['\u2019.-]\w+)*")
_LONGEST = 4
_WORDS = 100


async def before_replaced(hits: Sequence[Hit], facts: Sequence[Hit]) -> list[Hit]:
    """`hits` in order, and each of `facts` before the turns of what it has replaced.

    A turn says what it said for ever: one that says "I live in Porto" may be nearer to a question than the
    fact that it is Oslo now. So a fact comes no later than the sources of those of its subject and relation
    that have ended.
    """
    keys = [_key(hit) for hit in facts]
    asked = list(dict.fromkeys(keys))
    told = dict(zip(asked, await each(Facts(*key) for key in asked), strict=True))
    score = {hit.id: hit.score for hit in hits}
    lifted: dict[str, float] = {}
    found = [*hits]
    for hit, key in zip(facts, keys, strict=True):
        others = (fact for fact in told[key] if fact.valid.end is not None and fact.id != hit.id)
        ended = {id for fact in others for id in fact.sources}
        stale = next((place for place, other in enumerate(found) if other.id in ended), None)
        here = next((place for place, other in enumerate(found) if other.id == hit.id), len(found))
        if stale is None or here < stale:
            continue
        lifted[hit.id] = max(hit.score, score.get(found[stale].id, 0.0))
        found = [*found[:stale], hit, *(other for other in found[stale:] if other.id != hit.id)]
    return [replace(hit, score=lifted.get(hit.id, hit.score)) for hit in found]


def _key(hit: Hit) -> tuple[str, str]:
    return folded(hit.record.metadata.get("subject", "")), folded(hit.record.metadata.get("relation", ""))


def inserted(hits: Sequence[Hit], lifted: Mapping[str, Hit]) -> list[Hit]:
    """`hits` in order, those in `lifted` (by id) moved up to before the first that has a lower score."""
    found = [hit for hit in hits if hit.id not in lifted]
    for hit in sorted(lifted.values(), key=lambda hit: hit.score):
        place = next((place for place, other in enumerate(found) if other.score < hit.score), len(found))
        found.insert(place, hit)
    return found


def stretches(text: str) -> tuple[str, ...]:
    """Every stretch of up to four words of a text, in which names may be looked for."""
    bounds = [match.span() for match in _WORD.finditer(text)][:_WORDS]
    return tuple(
        text[start : bounds[last][1]]
        for first, (start, _) in enumerate(bounds)
        for last in range(first, min(first + _LONGEST, len(bounds)))
    )
