"""Extraction: the sentences of some turns that the others bear out most, without a model.

Method: SumBasic (Nenkova and Vanderwende, "The Impact of Frequency on Summarization", MSR-TR-2005-101).
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from engram.kernel.record import Record
from engram.operators.analysis import STOPWORDS, term_hash, terms

__all__ = ["Sentence", "leading"]

_ENDS = re.compile(r"(?<=[.!?])\s+|(?<=[\u3002\uff01\uff1f])|\n+")
_FEWEST = 3  # words that tell something
_LONGEST = 300
_LOOKED_AT = 3000
_READ = 20_000


@dataclass(frozen=True, slots=True)
class Sentence:
    """A sentence and the turn that it stands in."""

    text: str
    turn: Record


def leading(turns: Sequence[Record], most: int = 5, longest: int = 600) -> list[Sentence]:
    """At most `most` sentences of at most `longest` characters together, in the order of `turns`.

    A word weighs as much as the share of the turns that have it; the sentence whose words weigh most on
    average goes first, and what it says weighs less from then on. Questions, and sentences with fewer than
    three words that tell something, are passed over, as is what was said already; where there is nothing
    else, the first turn is cut. Of a turn, 20,000 characters are read.
    """
    spread = Counter(word for turn in turns for word in set(_words(turn.text[:_READ])))
    weight = {word: count / len(turns) for word, count in spread.items()}
    found = _candidates(turns)
    chosen: list[tuple[int, Sentence]] = []
    room = longest
    while found and len(chosen) < most:
        best = max(found, key=lambda item: (sum(weight[word] for word in item[2]) / len(item[2]), -item[0]))
        chosen.append(best[:2])
        room -= len(best[1].text)
        found = [item for item in found if item is not best and len(item[1].text) <= room]
        weight.update((word, weight[word] ** 2) for word in best[2])
    if not chosen and turns:
        return [Sentence(" ".join(turns[0].text[:_LONGEST].split()), turns[0])]
    return [sentence for _, sentence in sorted(chosen, key=lambda item: item[0])]


def _candidates(turns: Sequence[Record]) -> list[tuple[int, Sentence, frozenset[str]]]:
    """Their places, the sentences that may be chosen, and the words that tell something in each."""
    found: list[tuple[int, Sentence, frozenset[str]]] = []
    seen: set[str] = set()
    for turn in turns:
        for part in _ENDS.split(turn.text[:_READ]):
            text = " ".join(part.split())
            if len(text) > _LONGEST or text.endswith(("?", "\uff1f")) or text.casefold() in seen:
                continue
            words = frozenset(_words(text))
            if len(words) >= _FEWEST:
                seen.add(text.casefold())
                found.append((len(found), Sentence(text, turn), words))
            if len(found) == _LOOKED_AT:
                return found
    return found


def _words(text: str) -> list[str]:
    return [word for word in terms(text) if term_hash(word) not in STOPWORDS]
