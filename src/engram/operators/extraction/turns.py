"""What extractors read of turns, and facts with where they come from."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from engram.kernel.record import Record
from engram.kernel.schema import Schema
from engram.operators.extraction.fact import Fact
from engram.operators.extraction.schema import fitted

__all__ = ["Said", "by_rules", "importance", "speaker_of"]

_HIGH = frozenset(
    {"name", "allergic_to", "birthday", "lives_in", "works_at", "works_as", "wife", "husband", "partner"}
    | {"mother", "father", "sister", "brother", "son", "daughter", "email", "phone", "diet"}
)
_READ = 100_000  # characters of a turn; reading them takes a second or two
_BY_LASTING = {"state": 0.5, "plan": 0.4, "event": 0.3}


@dataclass(frozen=True, slots=True)
class Said:
    """A fact and the turn that says it; `note` is what an extractor has to tell of it.

    `others` are the ids of what else it was made from, such as the earlier turn that tells who "she" is.
    """

    fact: Fact
    turn: Record
    note: str = ""
    others: tuple[str, ...] = ()

    @property
    def sources(self) -> tuple[str, ...]:
        """The ids of all that it was made from, the turn first."""
        return (self.turn.id, *self.others)


def speaker_of(turn: Record) -> str:
    """Who speaks, as facts name them: by name, else "User"."""
    return turn.name or ("User" if turn.role in (None, "user") else str(turn.role).capitalize())


def importance(fact: Fact) -> float:
    """How much a fact matters, in [0, 1], by its kind: who somebody is before what they did."""
    return 0.9 if fact.relation in _HIGH else _BY_LASTING[fact.lasting]


def by_rules(turns: Sequence[Record], schema: Schema | None = None) -> list[Said]:
    """The facts that people state in `turns`, by rule; what an assistant says of itself is none.

    Of those that a `schema` declares, only what fits it is taken, and bears its types. Of a turn, 100,000
    characters are read.
    """
    from engram.operators.extraction.rules import (
        extract_by_rules,
    )  # many patterns, which take long to compile

    wanted = schema or Schema()
    return [
        Said(replace(fitting, importance=importance(fitting)), turn, note)
        for turn in turns
        if turn.role in (None, "user")
        for text, note in [_read(turn.text)]
        for fact in extract_by_rules(text, speaker_of(turn), turn.time)
        if (fitting := fitted(fact, wanted)) is not None
    ]


def _read(text: str) -> tuple[str, str]:
    """The whole sentences that are read of a text, and what there is to tell of it."""
    if len(text) <= _READ:
        return text, ""
    head = text[:_READ]
    end = max(head.rfind(mark) for mark in (". ", "! ", "? ", "\n"))
    return head[: end + 1], f"of a text of which {_READ:,} characters were read"
