"""TiM: thoughts about what was said, kept in hashed groups; they are inserted, forgotten and merged.

Paper: Liu, Yang, Shen, Hu, Zhang, Gu and Zhang, "Think-in-Memory: Recalling and Post-thinking Enable LLMs
with Long-Term Memory", arXiv:2311.08719. No code of the authors is public; details come from two readings
of the paper that cite its pages.

Taken: inductive thoughts, each a relation of two entities as a triple and its sentence (definition 3.1), made
after the response (post-thinking, 3.1.2); a hash table of thoughts, F(x) = argmax([xR; -xR]) with a random
R of shape [d, b/2] (equation 1); insert, forget what contradicts, merge what has the same head (3.4);
recall in two stages: the group of the query, then the nearest within it (3.3).

Differs: forget and merge are one question, asked where a group holds other thoughts. What is forgotten is
hidden from then on, what is merged is a version; `undo` takes both back. Turns stay, and a search finds
them beside the thoughts unless `turns` says otherwise. The number of groups is ours: the paper names none.
No model is trained. Without a model, thoughts are facts taken by rules, and of what has one value at a time
the later ends the earlier.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

from engram.kernel.changes import Add, Changes, Merge, Revise
from engram.kernel.effects import Model, Read, Told, Wanted
from engram.kernel.errors import ConfigError
from engram.kernel.policy import Policy, Query, Recall
from engram.kernel.record import Record
from engram.kernel.scope import Scope
from engram.operators.consolidation.reconcile import known_of, reconcile_by_rules
from engram.operators.extraction.model import Extract
from engram.operators.extraction.turns import by_rules
from engram.operators.thoughts.hashing import Groups
from engram.operators.thoughts.organise import Organise
from engram.operators.thoughts.search import nearest_in_group

__all__ = ["TiM"]

_BY_RULES = "by rules: no model is configured"
_PAGE = 500


@dataclass(frozen=True)
class TiM(Policy):
    """Thoughts in hashed groups, made and put in order after each `add`; by rules without a model.

    Texts are hashed into `groups` groups, an even number, by the random projection of `seed`. A new thought
    is shown with the `k` nearest of its group, as similar as `near` at least. `turns`: a search finds turns
    besides thoughts. `earlier` messages and `instructions` go to the model with those to be thought about.
    """

    name: ClassVar[str] = "tim"
    reading: ClassVar[tuple[str, ...]] = ("turns",)

    groups: int = 8
    seed: int = 0
    k: int = 5
    near: float = 0.2
    turns: bool = True
    earlier: int = 4
    instructions: str = ""

    def __post_init__(self) -> None:
        if self.groups < 2 or self.groups % 2 or not 0 <= self.seed < 2**32:
            raise ConfigError("tim: groups is an even number, 2 or more; seed is from 0 to 4,294,967,295")
        if self.k < 1 or self.earlier < 0 or not 0 <= self.near <= 1:
            raise ConfigError("tim: k is 1 or more, earlier 0 or more, near from 0 to 1")

    async def write(self, episodes: Sequence[Record]) -> Changes:
        """Thoughts about the episodes, put in order among those of their groups, and hashed."""
        if await Model() is None:
            changes = await reconcile_by_rules(by_rules(episodes, await Wanted()), _BY_RULES)
        else:
            said, _ = await Extract(earlier=self.earlier, instructions=self.instructions).facts(episodes)
            ledger = await known_of(said)
            for item in said:
                ledger.place(item.fact, item.turn.time, item.sources, single=False, reason=item.note)
            changes = await Organise(self._table, self.k, self.near).changes(ledger.changes())
        return await self._hashed(changes)

    async def _hashed(self, changes: Changes) -> Changes:
        """The changes, and the groups of what they say."""
        texts: dict[str, str] = {}
        added = 0
        for change in changes:
            match change:
                case Add():
                    texts[f"#{added}"] = change.text
                    added += 1
                case Revise(id=place, text=str(text)) | Merge(into=place, text=str(text)):
                    texts[place] = text
                case _:
                    pass
        return Changes((*changes, *await self._table.marks(texts)))

    async def tend(self, scope: Scope) -> Changes:
        """Hashes thoughts anew whose groups do not fit any more: the embedder is another one."""
        ids = [id for _, id in await Told(kinds=("fact",))]
        renewed = Changes()
        for start in range(0, len(ids), _PAGE):
            page = await Read(tuple(ids[start : start + _PAGE]))
            renewed += Changes(tuple(await self._table.renewed([item for item in page if item.made_by])))
        return renewed

    async def read(self, query: Query) -> Recall:
        """The nearest thoughts of the query's group, and turns by their own cosine."""
        return await nearest_in_group(query, self._table, turns=self.turns)

    @property
    def _table(self) -> Groups:
        return Groups(self.groups, self.seed)
