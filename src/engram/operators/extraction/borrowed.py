"""What a fact has from elsewhere than the turn that says it."""

from __future__ import annotations

from collections.abc import Sequence

from engram.kernel.record import Record
from engram.operators.analysis import terms
from engram.operators.extraction.fact import Fact
from engram.operators.extraction.turns import speaker_of

__all__ = ["borrowed"]


def borrowed(fact: Fact, turn: Record, shown: Sequence[Record], common: str = "") -> tuple[str, ...]:
    """The ids of the turns `shown` beside `turn` that a fact has words from; of what is derived, its sources.

    So a fact that says "Maria moved to Oslo" stands on the turn that named her too, and goes when that is
    erased. A word of the turn itself, of its speaker or of `common` (the question's own words) is borrowed
    from nobody; any other one from the last record that has it.
    """
    own = {*terms(turn.text), *terms(speaker_of(turn)), *terms(common)}
    words = [*terms(fact.subject), *terms(fact.relation), *terms(fact.object)]
    missing = {word for word in words if word not in own}
    lenders: dict[str, None] = {}
    for record in reversed(shown if missing else ()):
        lent = missing.intersection(terms(f"{record.name or ''} {record.text}"))
        if lent:
            missing -= lent
            lenders |= dict.fromkeys((record.id,) if record.made_by is None else record.sources)
    return tuple(id for id in lenders if id != turn.id)
