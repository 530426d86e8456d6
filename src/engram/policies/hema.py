"""HEMA: a running sentence and a summary of summaries in view, turns by cosine, and pruning by salience.

Paper: Ahn, "HEMA: A Hippocampus-Inspired Extended Memory Architecture for Long-Context AI Conversations",
arXiv:2504.16754 (there is no public code of the author's).

Taken: compact memory, a summary of one sentence and at most 60 tokens that each turn brings up to date, with
a summary of summaries every 100 turns (3.2); vector memory, found by cosine (3.3); semantic forgetting: every
100 turns, of what is left, the 0.5 % with the lowest salience are pruned (3.4); a prompt of at most 3,500
tokens of compact memory, what was found and the last two turns, where the least similar is left out (3.5).

Differs: the turns of one `add` bring the sentence up to date together. A sentence is of its hundred turns,
and the summary of summaries is made anew of all of them. The paper says that salience has a bonus for recent
retrieval, and prints one for the lack of it: here it is as said, and as printed by a parameter. What is
pruned is hidden, not deleted. The index is exact. Without a model, sentences are chosen by rule.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar, Literal

import numpy as np

from engram.kernel.changes import Changes
from engram.kernel.effects import Model, Recent, Score
from engram.kernel.errors import ConfigError
from engram.kernel.policy import Policy, Query, Recall
from engram.kernel.record import Record
from engram.kernel.scope import Scope
from engram.operators.retrieval.recall import best
from engram.operators.summaries.hierarchy import Hierarchy
from engram.operators.summaries.running import BY_RULES, Running
from engram.operators.summaries.salience import Salience
from engram.operators.summaries.sizes import last_within

__all__ = ["HEMA"]

_TAIL = 1000  # tokens of the last turns


@dataclass(frozen=True)
class HEMA(Policy):
    """A running sentence of at most `most` tokens, turns by cosine, and pruning of what is not recalled.

    Every `every` turns a sentence is closed, all of them are summed up, and the share `prune` of the turns is
    hidden. Salience is freshness · e^(-rate · age in turns), and `bonus` for what was recalled (`salience`
    "printed": was not recalled) within that many turns. The first `recalled` hits of a search count as
    recalled; a prompt holds the last `tail` turns.
    """

    name: ClassVar[str] = "hema"
    aside: ClassVar[frozenset[str]] = frozenset({"entity", "core", "summary"})
    reading: ClassVar[tuple[str, ...]] = (
        *("freshness", "rate", "bonus", "prune", "salience"),
        *("recalled", "tail"),
    )

    every: int = 100
    most: int = 60
    freshness: float = 1.0
    rate: float = 0.002
    bonus: float = 0.5
    prune: float = 0.005
    salience: Literal["recalled", "printed"] = "recalled"
    recalled: int = 5
    tail: int = 2

    def __post_init__(self) -> None:
        counts = min(self.every, self.most) >= 1 and min(self.recalled, self.tail) >= 0
        weights = min(self.freshness, self.rate, self.bonus) >= 0 and self.freshness + self.bonus > 0
        if not (counts and weights and 0 <= self.prune < 1 and self.salience in ("recalled", "printed")):
            raise ConfigError(
                "hema: every and most are 1 or more, recalled, tail, freshness, rate and bonus 0 or more, "
                "prune from 0 to below 1, salience 'recalled' or 'printed'"
            )

    async def write(self, episodes: Sequence[Record]) -> Changes:
        """The sentences brought up to date, and what is pruned."""
        turns = [turn for turn in episodes if turn.text.strip()]
        if not turns:
            return Changes()
        lane = turns[0].scope.lane
        pruned = await self._salience.pruned(lane, {turn.id for turn in turns})
        return Changes((*await self._summed_up(lane, turns), *pruned))

    async def tend(self, scope: Scope) -> Changes:
        """The summary of summaries where it is not there, and how salient each turn is now."""
        return Changes((*await self._summed_up(scope, ()), *await self._salience.reckoned(scope)))

    async def read(self, query: Query) -> Recall:
        """Turns by their cosine, the pruned left out; those found count as recalled."""
        names = ("dense_turn", "strength")
        columns = await Score(query.text, names, at=query.at, level=query.level, kinds=query.kinds)
        cosine, strength = (np.asarray(columns.signals[name]) for name in names)
        shown = np.where((strength > 0) | (self.prune == 0), cosine, -np.inf)
        found = await best(query, columns, cosine if query.level else shown, lambda at: cosine[at])
        again = await self._salience.recalled(found.hits[: min(query.k, self.recalled)])
        return found if query.level or query.past else Recall(found.hits, Changes(tuple(again)))

    async def beside(self, query: Query) -> tuple[Record, ...]:
        """The last turns."""
        return last_within(await Recent(self.tail), _TAIL) if self.tail else ()

    async def _summed_up(self, lane: Scope, turns: Sequence[Record]) -> Changes:
        note = "" if await Model() is not None else BY_RULES
        hierarchy = Hierarchy(Running("one sentence", self.most), self.every)
        return Changes(tuple(await hierarchy.changes(lane, turns, note)))

    @property
    def _salience(self) -> Salience:
        return Salience(self.freshness, self.rate, self.bonus, self.prune, self.every, self.salience)
