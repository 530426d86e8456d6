"""Structured: long texts and sessions as scope, aspects and descriptions, filed in a hierarchy of topics.

Papers: Liu, Fu, Chen, Zhang, Jiang, Zhou, Chen, Wu and Ye, "Enhancing LLM's Cognition via Structurization",
arXiv:2407.16434; Hsu, Bransom, Sparks, Kuehl, Tan, Wadden, Wang and Naik, "CHIME: LLM-Assisted Hierarchical
Organization of Scientific Studies for Literature Review Support", arXiv:2407.16148; and the code of both.

Taken: the three layers of context structurisation, made in one round; from CHIME, topics under topics, made
of claims, each of which is filed under one or more of them.

Differs: the first was made to help a reader with one text, the second to sort studies for one review; here
both make a memory. A record is one aspect with its descriptions, and stands on the turns that these name;
aspects are the claims that are filed. The hierarchy grows with every session instead of being made at once,
and nobody corrects it. No model is fine-tuned. Without a model, aspects are words that sentences share, and
topics those of a small ontology.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

from engram.kernel.changes import Add, Change, Changes, Revise
from engram.kernel.effects import Find, Model, each
from engram.kernel.errors import ConfigError
from engram.kernel.policy import Policy, Query, Recall
from engram.kernel.record import Record
from engram.kernel.scope import Scope
from engram.operators.granular.sessions import marks, waiting
from engram.operators.retrieval.stated import folded
from engram.operators.thoughts.hierarchy import Hierarchy
from engram.operators.thoughts.outline import Structurise, outlined_by_rules
from engram.operators.thoughts.outlined import Outlined

__all__ = ["Structured"]

_BY_RULES = "by rules: no model is configured"
_PAGE = 2000  # turns of one `tend`


@dataclass(frozen=True)
class Structured(Policy):
    """Aspects of long texts and sessions, under a hierarchy of topics; by rules without a model.

    What is added at once is structured where it holds `least` characters; `tend` does it for sessions that
    came piece by piece. Paths of topics are at most `depth` long. In a search, words count `words` beside the
    cosine's 1; a topic near to the query lifts what is filed under it by `lift` times its cosine, and an
    aspect its turns to `share` of its own value.
    """

    name: ClassVar[str] = "structured"
    reading: ClassVar[tuple[str, ...]] = ("words", "lift", "share")

    least: int = 600
    depth: int = 3
    words: float = 0.3
    lift: float = 0.1
    share: float = 0.5

    def __post_init__(self) -> None:
        low = self.least < 0 or self.depth < 1 or self.words < 0
        if low or not (0 <= self.lift <= 1 and 0 <= self.share <= 1):
            raise ConfigError(
                "structured: least and words are 0 or more, depth 1 or more, lift and share from 0 to 1"
            )

    async def write(self, episodes: Sequence[Record]) -> Changes:
        """The aspects of what is long enough, and their topics."""
        told = [episode for episode in episodes if episode.text.strip()]
        return await self._structured(told if sum(len(item.text) for item in told) >= self.least else [])

    async def tend(self, scope: Scope) -> Changes:
        """The same for what has come piece by piece and was not looked at yet, a session at a time."""
        turns = [turn for session in await waiting(scope) for turn in session]
        return await self._structured(turns[:_PAGE])

    async def _structured(self, turns: Sequence[Record]) -> Changes:
        """The aspects of turns, those that are known as they are left out, and where they belong."""
        asking = await Model() is not None
        if not turns:
            return Changes()
        adds = await Structurise().aspects(turns) if asking else outlined_by_rules(turns, _BY_RULES)
        near = await each(Find(add.text[:2000], 3, ("summary",)) for add in adds)
        new: list[Add] = []
        again: list[Change] = []
        for add, hits in zip(adds, near, strict=True):
            own = (hit.record for hit in hits if hit.record.made_by)
            same = next((record for record in own if folded(record.text) == folded(add.text)), None)
            if same is None:
                new.append(add)
            elif not {*add.sources} <= {*same.sources}:
                again.append(Revise(same.id, same.version, sources=add.sources, reason="told again"))
        filed = await Hierarchy(self.depth).filed(new, ask=asking and bool(new))
        return filed + Changes((*again, *marks((turn, turn.id) for turn in turns)))

    async def read(self, query: Query) -> Recall:
        """Turns and aspects, lifted by the topics that they are filed under."""
        return await Outlined(self.words, self.lift, self.share).search(query)
