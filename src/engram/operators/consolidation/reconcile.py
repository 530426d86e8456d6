"""Comparing new facts with those that are known: what is added, confirmed, reworded or ended."""

from __future__ import annotations

from collections.abc import Sequence

from engram.kernel.changes import Changes
from engram.kernel.effects import Facts, each
from engram.operators.consolidation.ledger import Ledger, key_of
from engram.operators.extraction.turns import Said

__all__ = ["known_of", "reconcile_by_rules"]


async def known_of(said: Sequence[Said]) -> Ledger:
    """The facts known of the subjects and relations that new ones name."""
    asked = {key_of(item.fact): Facts(item.fact.subject, item.fact.relation) for item in said}
    found = await each(asked.values())
    return Ledger(record for records in found for record in records)


async def reconcile_by_rules(
    said: Sequence[Said], reason: str = "", *, single: bool | None = None
) -> Changes:
    """New facts among those of the same subject and relation, each where it belongs in valid time.

    `reason` stands with what is added. A relation that holds one value at a time ends the value before;
    `single=False` lets all stand side by side.
    """
    ledger = await known_of(said)
    for item in said:
        ledger.place(item.fact, item.turn.time, item.sources, single=single, reason=reason)
    return ledger.changes()
