"""A note: a turn's words, and beside them keywords, tags and a sentence of context."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from engram.kernel.record import Record
from engram.kernel.schema import Schema
from engram.operators.analysis import STOPWORDS, analyse
from engram.operators.extraction.turns import by_rules
from engram.operators.retrieval.stated import folded

__all__ = ["LINK", "NOTE_OF", "Note", "borrowed", "cleaned", "noted_by_rules", "turn_of"]

NOTE_OF = "note_of"
"""The type of the edge from a note to its turn."""
LINK = "link"
"""The type of the edge between two notes."""
_MOST = 10  # keywords, and tags
_LONGEST_WORD = 60
_LONGEST_CONTEXT = 400
_LONGEST_TEXT = 6000  # characters of a turn that its note repeats
_TURN = "turn"


@dataclass(frozen=True, slots=True)
class Note:
    """What is noted of a turn beside its words: keywords and tags, most telling first, and context."""

    keywords: tuple[str, ...] = ()
    tags: tuple[str, ...] = ()
    context: str = ""

    @classmethod
    def of(cls, record: Record) -> Note:
        """What a note's record holds beside its turn's words."""
        held = record.metadata
        return cls(tuple(held.get("keywords", ())), tuple(held.get("tags", ())), str(held.get("context", "")))

    def metadata(self, turn: str) -> dict[str, Any]:
        """What the record of a note keeps beside its text; `turn` is the id of what it is a note of."""
        parts = {"keywords": list(self.keywords), "tags": list(self.tags), "context": self.context}
        return {_TURN: turn, **parts}

    def text(self, words: str) -> str:
        """The note as it is found and shown: the turn's words, then context, keywords and tags."""
        labels = "; ".join(", ".join(part) for part in (self.keywords, self.tags) if part)
        more = [f"({self.context})" if self.context else "", f"[{labels}]" if labels else ""]
        return "\n".join(filter(None, [words[:_LONGEST_TEXT], *more]))


def turn_of(record: Record) -> str | None:
    """The id of the turn that a record is a note of; `None` where it is none of a policy's notes."""
    turn = record.metadata.get(_TURN)
    return turn if record.kind == "summary" and record.made_by and isinstance(turn, str) else None


def cleaned(keywords: Iterable[str], tags: Iterable[str], context: str) -> Note:
    """The note of what a model gave, without repeats and what is too long; ten words of each at most."""
    return Note(_few(keywords), _few(tags), " ".join(context.split())[:_LONGEST_CONTEXT])


def _few(words: Iterable[str]) -> tuple[str, ...]:
    plain = (" ".join(word.split()) for word in words)
    kept = {folded(word): word for word in plain if 0 < len(word) <= _LONGEST_WORD and folded(word)}
    return tuple(kept.values())[:_MOST]


def noted_by_rules(turns: Sequence[Record], schema: Schema | None = None) -> dict[str, Note]:
    """Notes by the turns' ids, of those in which the rules extractor finds facts.

    Keywords are the facts' objects, tags their relations, the context is the facts as sentences.
    """
    found: dict[str, Note] = {}
    for said in by_rules(turns, schema):
        fact, before = said.fact, found.get(said.turn.id, Note())
        tag = fact.relation.replace("_", " ")
        context = f"{before.context} {fact.text}.".strip()
        found[said.turn.id] = cleaned([*before.keywords, fact.object], [*before.tags, tag], context)
    return found


def borrowed(text: str, own: str, others: Mapping[str, str]) -> list[str]:
    """Which of `others` (a text by its key) lent words to a text that was written of `own`.

    Words that every text may hold ("the") do not tell. What is said in other words is not seen.
    """
    new = _words(text) - _words(own)
    return [key for key, other in others.items() if new & _words(other)] if new else []


def _words(text: str) -> set[int]:
    return set(analyse(text).hashes.tolist()) - STOPWORDS
