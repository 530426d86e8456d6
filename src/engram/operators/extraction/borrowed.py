"""What a fact has from elsewhere than the turn that says it."""

from __future__ import annotations

from collections.abc import Sequence

from engram.kernel.record import Record
from engram.operators.analysis import terms
from engram.operators.extraction.fact import Fact
from engram.operators.extraction.turns import speaker_of

__all__ = ["borrowed", "lent"]


def borrowed(fact: Fact, turn: Record, shown: Sequence[Record], common: str = "") -> tuple[str, ...]:
    """The ids of the turns `shown` beside `turn` that a fact has words from; of what is derived, its sources.

    So a fact that says "Maria moved to Oslo" stands on the turn that named her too, and goes when that is
    erased. A word of the turn itself, of its speaker or of `common` (the question's own words) is borrowed
    from nobody; any other one from the last record that has it.
    """
    text = f"{fact.subject} {fact.relation} {fact.object}"
    own = f"{turn.text} {speaker_of(turn)} {common}"
    others = [
        (f"{record.name or ''} {record.text}", (record.id,) if record.made_by is None else record.sources)
        for record in shown
    ]
    return tuple(id for id in lent(text, own, others) if id != turn.id)


def lent(text: str, own: str, others: Sequence[tuple[str, Sequence[str]]]) -> tuple[str, ...]:
    """The ids of those of `others`, each a text and ids, that lent words to a text that was written of `own`.

    A word is lent by the last of them that has it.
    """
    missing = {*terms(text)} - {*terms(own)}
    lenders: dict[str, None] = {}
    for other, ids in reversed(others if missing else ()):
        shared = missing.intersection(terms(other))
        if shared:
            missing -= shared
            lenders |= dict.fromkeys(ids)
    return tuple(lenders)
