"""Triples that come with messages (`kernel.triple`), and those that people state, by rule."""

from __future__ import annotations

from collections.abc import Iterable

from engram.kernel.record import Record
from engram.kernel.triple import LONGEST, Entity, Given, Triple, bears_graph, given, given_entities
from engram.operators.extraction.turns import by_rules

__all__ = ["Entity", "Given", "Triple", "bears_graph", "given", "given_entities", "ruled"]


def ruled(episodes: Iterable[Record]) -> list[tuple[Record, tuple[Triple, ...]]]:
    """What people state in turns, by rule (`operators.extraction.rules`): each turn and its triples.

    What holds no more, by the turn's own words, ends when it was said.
    """
    turns = list(episodes)
    found: dict[str, dict[Triple, None]] = {turn.id: {} for turn in turns}
    for said in by_rules(turns):
        valid = said.fact.valid(said.turn.time)
        parts = (said.fact.subject, said.fact.relation, said.fact.object)
        if all(0 < len(part) <= LONGEST for part in parts):
            found[said.turn.id][Triple(*parts, valid.start, valid.end)] = None
    return [(turn, tuple(found[turn.id])) for turn in turns]
