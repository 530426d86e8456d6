"""Summaries and a portrait without a model: leading sentences of a day, and the facts that rules find."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from engram.kernel.effects import Wanted
from engram.operators.consolidation.days import Day
from engram.operators.consolidation.digest import INSIGHTS, Digest, Whole
from engram.operators.consolidation.sentences import leading
from engram.operators.consolidation.timeline import holds_one
from engram.operators.extraction.turns import Said, by_rules, speaker_of
from engram.operators.retrieval.stated import folded

__all__ = ["FACTS", "day_by_rules", "whole_by_rules"]

FACTS = "facts"
"""The key of a daily summary's metadata that holds the facts that rules found in the day."""
_A_DAY = 20
_LINES = 12
_EVENTS = 10
_LONGEST = 160  # characters of a day among the events


async def day_by_rules(day: Day, note: str) -> Digest:
    """The day's leading sentences, and the facts that people state in it."""
    said = by_rules(day.turns, await Wanted())
    best = sorted(said, key=lambda item: -(item.fact.importance or 0))[:_A_DAY]
    facts = [_plain(item) for item in said if item in best]
    told = " ".join(f"{speaker_of(item.turn)}: {item.text}" for item in leading(day.turns))
    shows = "; ".join(str(fact["text"]) for fact in facts)
    return Digest(f"{day.date}: {told}", {INSIGHTS: shows, FACTS: facts}, note)


def whole_by_rules(days: Sequence[tuple[str, str, Mapping[str, Any]]]) -> Whole:
    """Each of the last ten days in a line; and the facts that matter most, the latest where one holds.

    `days` are date, summary and metadata of each, oldest first.
    """
    events = [_short(summary) for _, summary, _ in days[-_EVENTS:]]
    held: dict[tuple[str, ...], Mapping[str, Any]] = {}
    for _, _, metadata in days:
        for fact in _facts(metadata):
            parts = ("subject", "relation") if fact.get("single") else ("subject", "relation", "object")
            key = tuple(folded(fact[part]) for part in parts)
            held.pop(key, None)
            if not fact.get("ended"):
                held[key] = fact
    latest = list(reversed(held.values()))
    best = sorted(latest, key=lambda fact: -float(fact["importance"]))[:_LINES]
    return Whole("\n".join(events), ". ".join(str(fact["text"]) for fact in best))


def _plain(item: Said) -> dict[str, Any]:
    fact = item.fact
    return {
        "subject": fact.subject,
        "relation": fact.relation,
        "object": fact.object,
        "text": fact.text,
        "importance": fact.importance or 0.0,
        "single": holds_one(fact),
        "ended": fact.ended,
    }


def _facts(metadata: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    """The facts of a daily summary; somebody may have edited them."""
    found = metadata.get(FACTS)
    items = found if isinstance(found, list) else []
    needed = {"subject", "relation", "object", "text", "importance"}
    return [item for item in items if isinstance(item, Mapping) and needed <= item.keys()]


def _short(text: str) -> str:
    words = " ".join(text.split())
    return words if len(words) <= _LONGEST else words[:_LONGEST].rsplit(" ", 1)[0] + " […]"
