"""Comparing new facts with those that are known: what is added, confirmed, reworded or ended."""

from __future__ import annotations

from collections.abc import Sequence

from engram.kernel.changes import Changes
from engram.kernel.effects import Facts, each
from engram.kernel.record import Record
from engram.kernel.schema import Schema
from engram.operators.consolidation.ledger import Ledger, key_of
from engram.operators.extraction.fact import Fact
from engram.operators.extraction.turns import Said

__all__ = ["known_of", "reconcile_by_rules", "settle_given", "stated"]


def stated(record: Record, schema: Schema | None = None) -> Fact | None:
    """The fact that was added directly as `record`; `None` where it names no subject, relation and object."""
    parts = [record.metadata.get(name) for name in ("subject", "relation", "object")]
    if (
        record.kind != "fact"
        or record.made_by is not None
        or not all(isinstance(part, str) for part in parts)
    ):
        return None
    subject, relation, value = map(str, parts)
    declared = (schema or Schema()).relation(relation)
    return Fact(subject, relation, value, single=None if declared is None else declared.single)


async def settle_given(records: Sequence[Record], schema: Schema | None = None) -> Changes:
    """What facts that were added directly change among those known: what has one value at a time is settled.

    They themselves stay as they were given, but that one may be ended by a value that begins later.
    """
    given = [(record, fact) for record in records if (fact := stated(record, schema)) is not None]
    found = await each(Facts(fact.subject, fact.relation) for _, fact in given)
    ledger = Ledger(record for records in found for record in records)
    for record, fact in given:
        ledger.settle(record, fact)
    return ledger.changes()


async def known_of(said: Sequence[Said]) -> Ledger:
    """The facts known of the subjects and relations that new ones name."""
    asked = {key_of(item.fact): Facts(item.fact.subject, item.fact.relation) for item in said}
    found = await each(asked.values())
    return Ledger(record for records in found for record in records)


async def reconcile_by_rules(
    said: Sequence[Said], reason: str = "", *, single: bool | None = None
) -> Changes:
    """New facts among those of the same subject and relation, each where it belongs in valid time.

    `reason` stands with what is added, and what the extractor has to tell of it. A relation that holds one
    value at a time ends the value before; `single=False` lets all stand side by side.
    """
    ledger = await known_of(said)
    for item in said:
        why = "; ".join(filter(None, (reason, item.note)))
        ledger.place(item.fact, item.turn.time, item.sources, single=single, reason=why)
    return ledger.changes()
