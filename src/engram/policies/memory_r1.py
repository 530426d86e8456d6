"""Memory-R1: a manager adds, updates, deletes or leaves; an answer agent distils what was retrieved.

Paper: Yan, Yang, Huang, Nie, Ding, Li, Ma, Bi, Kersting, Pan, Schütze, Tresp and Ma, "Memory-R1: Enhancing
Large Language Model Agents to Manage and Utilize Memories via Reinforcement Learning", arXiv:2508.19828. No
code of the authors was to be had.

Taken: facts are extracted from each turn, and the manager, which is shown the memories like them, says for
each ADD, UPDATE, DELETE or NOOP; up to 60 memories are retrieved for a question, 30 for each participant, of
which the answer agent first chooses those that help; both agents' reward is the exact match of the answer.

Differs: all facts of an `add` are decided on in one question, and in none where nothing is near. Choosing and
answering are two questions: a search gives what was chosen, `ask` answers from it. DELETE ends a memory and
UPDATE makes a version of it. Turns are retrieved too. Nothing is trained here: each question to the manager
is logged with its calls, and training rows with the reward are made of that. Without a model: facts by rule,
and what was retrieved as it is.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import ClassVar

from engram.kernel.changes import Changes
from engram.kernel.effects import Model, Wanted
from engram.kernel.errors import ConfigError
from engram.kernel.policy import Policy, Query, Recall
from engram.kernel.record import Hit, Record
from engram.operators.consolidation.compare import Compare
from engram.operators.consolidation.reconcile import reconcile_by_rules
from engram.operators.extraction.model import Extract
from engram.operators.extraction.turns import by_rules
from engram.operators.managing.decided import steps_of
from engram.operators.managing.distil import Distil, shared_out
from engram.operators.managing.logbook import CASE, logged
from engram.operators.retrieval.nearest import current
from engram.operators.retrieval.recall import explained

__all__ = ["MemoryR1"]

_RULES = "by rules: no model is configured"


@dataclass(frozen=True)
class MemoryR1(Policy):
    """Facts managed by calls, and a search whose hits the model has chosen; by rules without a model.

    The manager is shown the `k` memories nearest to each fact, those as similar as `near` at least. For a
    search, `retrieved` memories are looked at, of one participant `each` at most, and with `distil` the model
    says which help. `log`: each question to the manager is kept as a record of kind `case`.
    """

    name: ClassVar[str] = "memory_r1"
    aside: ClassVar[frozenset[str]] = frozenset({"entity", CASE})
    reading: ClassVar[tuple[str, ...]] = ("retrieved", "each", "distil", "log")

    k: int = 10
    near: float = 0.35
    retrieved: int = 60
    each: int = 30
    distil: bool = True
    log: bool = True
    earlier: int = 10

    def __post_init__(self) -> None:
        if min(self.k, self.retrieved, self.each) < 1 or self.earlier < 0 or not 0 <= self.near <= 1:
            raise ConfigError(
                "memory_r1: k, retrieved and each are 1 or more, earlier 0 or more, near from 0 to 1"
            )

    async def write(self, episodes: Sequence[Record]) -> Changes:
        """What the episodes say, and what the manager makes of it."""
        if await Model() is None:
            return await reconcile_by_rules(by_rules(episodes, await Wanted()), _RULES)
        said, _ = await Extract(earlier=self.earlier).facts(episodes)
        changes, decided = await Compare(self.k, self.near).managed(said)
        return changes + await logged(steps_of(changes, decided)) if self.log else changes

    async def read(self, query: Query) -> Recall:
        """Of what is nearest, what the model says helps; all of it without a model, and where it fails.

        Where filters will drop hits, what helps comes first and the others stay behind it.
        """
        distils = self.distil and not query.level and not query.kinds and await Model() is not None
        deep = replace(query, depth=max(query.depth, 2 * self.retrieved)) if distils else query
        hits = await current(deep, self.k)
        chosen = shared_out(hits, self.each, self.retrieved) if distils else []
        useful = await Distil().useful(query.text, chosen) if chosen else None
        told = float(useful is not None)
        if not useful:
            return Recall(tuple(explained(query, hits[: query.depth], by_model=told)))
        found = [Hit(hit.record, hit.score, {**hit.why, "distilled": 1.0}) for hit in useful]
        if query.depth > query.k:
            ids = {hit.id for hit in found}
            found += [hit for hit in hits if hit.id not in ids]
        return Recall(tuple(explained(query, found[: query.depth], by_model=told)))
