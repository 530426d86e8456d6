"""MemOS: memories with a life of their own: generated, activated by use, merged, archived, or frozen.

Papers: Li and others, "MemOS: An Operating System for Memory-Augmented Generation (MAG) in Large Language
Models", arXiv:2505.22101, and "MemOS: A Memory OS for AI System", arXiv:2507.03724; the authors' code
(MemTensor/MemOS) and its documentation, where the papers' text gives no figures.

Taken: the MemCube, a memory with what is known of its origin, its state and its use; the states and which
may follow which; merging with what is known already; the scheduler, with the importance of the authors' code
(relevance, words shared with queries, uses; weights 0.9, 0.05, 0.05) and its room for 20 in the activation
tier; filing under topics in the background; a hand-over point from plain text to activation and parameters.

Differs: a cube is a fact (subject, relation, object). Merging is a comparison of all facts of an `add` in
one question. What is archived stands behind the rest in a search, and use brings it back; nothing expires by
itself. The tree has one level of topics, each a record that stands on its members. The hand-over point names
candidates; no cache is made and nothing is trained here. Turns are found besides cubes. Without a model,
facts are taken by rules and topics are what resembles each other.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

from engram.kernel.changes import Changes
from engram.kernel.effects import Model, Now, Wanted
from engram.kernel.errors import ConfigError
from engram.kernel.policy import Policy, Query, Recall
from engram.kernel.record import Record
from engram.kernel.scope import Scope
from engram.operators.consolidation.compare import Compare
from engram.operators.consolidation.reconcile import reconcile_by_rules
from engram.operators.extraction.model import Extract
from engram.operators.extraction.turns import by_rules
from engram.operators.lifecycle.schedule import Schedule
from engram.operators.lifecycle.search import Living
from engram.operators.lifecycle.states import governed
from engram.operators.lifecycle.tend import cubes_of, lived, targets
from engram.operators.lifecycle.tiers import Tiers
from engram.operators.topics.file import File
from engram.operators.topics.shelf import filing, shelf_of

__all__ = ["MemOS"]

_BY_RULES = "by rules: no model is configured"


@dataclass(frozen=True)
class MemOS(Policy):
    """Facts with lifecycle states, scheduled by use, filed by topic; by rules without a model.

    A new fact is compared with the `k` nearest, as similar as `near` at least; `together` are filed in one
    question. One used `active` times is activated, one idle for `idle` days archived. Of the activated, the
    `room` most important are candidates for activation memory, and for parametric memory those with `uses`
    uses that have not changed for `stable` days. In a search, words count `words` beside the cosine's 1, a
    topic lifts its members by `lift` of its cosine, and the first `counted` facts count as used.
    """

    name: ClassVar[str] = "memos"
    aside: ClassVar[frozenset[str]] = frozenset({"entity", "summary"})
    reading: ClassVar[tuple[str, ...]] = (
        *("active", "idle", "room", "uses", "stable", "words", "lift", "counted"),
    )

    k: int = 10
    near: float = 0.35
    together: int = 20
    active: int = 2
    idle: float = 90.0
    room: int = 20
    uses: int = 10
    stable: float = 30.0
    words: float = 0.3
    lift: float = 0.1
    counted: int = 5

    def __post_init__(self) -> None:
        few = min(self.k, self.together, self.active, self.room, self.uses) < 1
        if (
            few
            or min(self.idle, self.stable, self.words, self.lift, self.counted) < 0
            or not 0 <= self.near <= 1
        ):
            raise ConfigError(
                "memos: k, together, active, room and uses are 1 or more, near is from 0 to 1, idle, stable, "
                "words, lift and counted are 0 or more"
            )

    async def write(self, episodes: Sequence[Record]) -> Changes:
        """Facts that are new, generated; those known that are said again or say more, merged."""
        if await Model() is None:
            changes = await reconcile_by_rules(by_rules(episodes, await Wanted()), _BY_RULES)
        else:
            said, _ = await Extract().facts(episodes)
            changes = await Compare(self.k, self.near).changes(said)
        return governed(changes, await targets(changes), await Now())

    async def tend(self, scope: Scope) -> Changes:
        """Files what is under no topic yet, and lets the scheduler move states and name candidates."""
        cubes, shelf = await cubes_of(scope), await shelf_of(scope)
        loose = [cube for cube in cubes if cube.id not in shelf.members]
        filed = await filing(loose, shelf, File(self.together), cubes, _BY_RULES)
        filed += shelf.emptied({cube.id for cube in cubes}, filed)
        return filed + await lived(cubes, self._schedule, Tiers(self.room, self.uses, self.stable))

    async def read(self, query: Query) -> Recall:
        """Facts and turns by importance, the archived last; the facts found are used."""
        return await Living(self.words, self.lift, self.counted, self._schedule).recall(query)

    @property
    def _schedule(self) -> Schedule:
        return Schedule(self.active, self.idle)
