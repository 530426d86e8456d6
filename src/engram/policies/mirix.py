"""MIRIX: six memories, a meta-manager that routes what is said to their managers, search by topic in each.

Paper: Wang and Chen, "MIRIX: Multi-Agent Memory System for LLM-Based Agents", arXiv:2507.07957; and the
authors' code.

Taken: core memory of two blocks, human and persona; episodic, semantic, procedural and resource memory and
the knowledge vault, with their fields; a meta-manager that says which of them an input concerns, and these
managers, asked at once, each shown what its memory holds; active retrieval: a topic is made of the question,
by which each memory gives its ten best entries. The vault's entries have a sensitivity; what is low or
medium is known by its caption.

Differs: the meta-manager sees what was said, not what is retrieved for it. Calls name the turns they stand
on, and entries by small numbers; what is not shown cannot be changed. An update is a version and a deletion
an end, which `undo` takes back. A core block is rewritten whole. A value in the vault is found by no search,
nor are the turns that told it; other entries of the same input are kept free of it. Search is over turns too.
Without a model: facts by rule in semantic memory, and search by the question itself.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import ClassVar

from engram.kernel.changes import Changes
from engram.kernel.effects import Find, Model, Wanted, each
from engram.kernel.errors import ConfigError
from engram.kernel.policy import Policy, Query, Recall
from engram.kernel.record import Hit, Record
from engram.operators.consolidation.reconcile import reconcile_by_rules
from engram.operators.extraction.turns import by_rules
from engram.operators.managing.calls import Calling, chunks, desks
from engram.operators.managing.desk import Desk, settled
from engram.operators.managing.logbook import Call, refused
from engram.operators.managing.routing import routed, topic_of
from engram.operators.managing.six import MANAGERS, VAULT
from engram.operators.managing.vault import SECRET, Vault, opened, outside_vault
from engram.operators.retrieval.nearest import current
from engram.operators.retrieval.recall import explained
from engram.operators.retrieval.replaced import inserted

__all__ = ["Mirix"]

_RULES = "by rules: no model is configured"
_SHELVES = tuple(shelf for manager in MANAGERS.values() for shelf in manager.shelves)
_SEARCHED = tuple(dict.fromkeys(shelf.kind for shelf in _SHELVES if not shelf.single))
_TOLD = {name: manager.told for name, manager in MANAGERS.items()}


@dataclass(frozen=True)
class Mirix(Policy):
    """Six memories kept by managers, and search by topic in each; by rules without a model.

    A manager is shown the `recent` last entries of its memory and the `near` nearest, with `chunk` characters
    of turns at most. With `active`, the model makes a topic of a question, and each memory gives its `k`
    best entries for it.
    """

    name: ClassVar[str] = "mirix"
    aside: ClassVar[frozenset[str]] = frozenset({"entity", "core", SECRET})
    reading: ClassVar[tuple[str, ...]] = ("active", "k")

    recent: int = 10
    near: int = 10
    chunk: int = 8000
    active: bool = True
    k: int = 10

    def __post_init__(self) -> None:
        if min(self.recent, self.near) < 0 or self.chunk < 200 or self.k < 1:
            raise ConfigError("mirix: recent and near are 0 or more, chunk 200 or more, k 1 or more")

    async def write(self, episodes: Sequence[Record]) -> Changes:
        """What the managers concerned make of each chunk of what was said."""
        if await Model() is None:
            return await reconcile_by_rules(by_rules(episodes, await Wanted()), _RULES)
        vault = await opened(episodes)
        held = await desks(_SHELVES, episodes, self.recent, self.near)
        calls: list[Call] = []
        for chunk in chunks(episodes, self.chunk):
            calls += await self._managed(chunk, held, vault)
        secrets, links = vault.changes()
        return secrets + settled(held.values(), refused(calls)) + links

    async def _managed(self, turns: Sequence[Record], held: dict[str, Desk], vault: Vault) -> list[Call]:
        """The calls of the managers that a chunk concerns, those on the vault first; gives all of them."""
        names = sorted(await routed(turns, _TOLD, self.chunk), key=lambda name: name != VAULT)
        mine = [{shelf.name: held[shelf.name] for shelf in MANAGERS[name].shelves} for name in names]
        asked = await each(
            Calling(MANAGERS[name].reply, MANAGERS[name].system, self.chunk).asked(turns, own)
            for name, own in zip(names, mine, strict=True)
        )
        done = [reply.done(own, vault.taken) for reply, own in zip(asked, mine, strict=True)]
        return [call for made in done for call in made.calls]

    async def read(self, query: Query) -> Recall:
        """Entries and turns, those lifted that are nearest to the topic; nothing of the vault."""
        hits: list[Hit] = []
        deep = replace(query, depth=query.depth + self.k)
        while True:
            found = await current(deep)
            hits = await outside_vault(query, found)
            if len(hits) >= query.depth or len(found) < deep.depth:
                break
            deep = replace(deep, depth=4 * deep.depth)
        asks = self.active and not query.level and not query.kinds and await Model() is not None
        topic = await topic_of(query.text) if asks else None
        if topic:
            memories = await each(Find(topic, self.k, (kind,)) for kind in _SEARCHED)
            score = {hit.id: hit.score for hit in hits}
            lifted = {
                hit.id: replace(hit, why={"topic": hit.score})
                for own in memories
                for hit in own
                if hit.record.made_by is not None and hit.score > score.get(hit.id, 0.0)
            }
            hits = inserted(hits, lifted)
        return Recall(tuple(explained(query, hits[: query.depth], by_model=float(topic is not None))))
