"""CAIM: a controller decides whether memory is needed; thoughts with tags and days, merged and extended.

Paper: Westhäusser, Berenz, Minker and Zepf, "CAIM: Development and Evaluation of a Cognitive AI Memory
Framework for Long-Term Interaction with Intelligent Agents", arXiv:2505.13044; and the authors' code.

Taken: the memory controller, which decides whether a question needs memory; retrieval that selects tags of
an ontology for the question and the days that it names, and takes thoughts with such a tag or day, of which
a filter keeps the relevant; post-thinking: key points become inductive thoughts with two or three tags and
a date, the ontology is expanded where none fits, and a review merges thoughts that say the same.

Differs: summary, expansion and tagging are one question, the review another, asked where a kept thought
shares a tag; both after each `add` instead of at the session's end. A search decides by rules and asks no
model unless `controller` says so. What is merged is a version, which `undo` takes back. Turns stay, and are
found beside thoughts. The ontology is our own. Without a model, thoughts are facts taken by rules.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar, Literal

from engram.kernel.changes import Changes
from engram.kernel.effects import Find, Model, Wanted, each
from engram.kernel.errors import ConfigError
from engram.kernel.policy import Policy, Query, Recall
from engram.kernel.record import Record
from engram.operators.thoughts.control import Control
from engram.operators.thoughts.remember import Remember, Review, remembered_by_rules
from engram.operators.thoughts.tags import tags_in

__all__ = ["CAIM"]

_BY_RULES = "by rules: no model is configured"


@dataclass(frozen=True)
class CAIM(Policy):
    """Tagged thoughts, found where a controller wants them; merged where they say the same.

    `controller`: a search decides by "rules", or asks the "model" where there is one. A new thought is
    reviewed beside the `k` nearest that share a tag with it, as similar as `near` at least. Thoughts of a day
    that is named are lifted by `lift`. `turns`: a search finds turns besides. `instructions` go to the model.
    """

    name: ClassVar[str] = "caim"
    reading: ClassVar[tuple[str, ...]] = ("controller", "turns", "lift")

    controller: Literal["rules", "model"] = "rules"
    k: int = 5
    near: float = 0.3
    lift: float = 0.1
    turns: bool = True
    instructions: str = ""

    def __post_init__(self) -> None:
        known = self.controller in ("rules", "model")
        if not known or self.k < 1 or not 0 <= self.near <= 1 or not 0 <= self.lift <= 1:
            raise ConfigError(
                "caim: controller is 'rules' or 'model', k 1 or more, near and lift from 0 to 1"
            )

    async def write(self, episodes: Sequence[Record]) -> Changes:
        """What is to be remembered of the episodes, reviewed beside what is."""
        schema, review = await Wanted(), Review(self.k, self.near)
        if await Model() is None:
            return await review.changes(remembered_by_rules(episodes, schema, _BY_RULES), ask=False)
        found = await each(Find(episode.text[:2000], self.k, ("summary",)) for episode in episodes[:20])
        tags = {
            tag
            for hits in found
            for hit in hits
            if hit.record.made_by
            for tag in tags_in(hit.record.metadata)
        }
        instructions = " ".join(filter(None, (self.instructions, schema.instructions)))
        adds = await Remember(instructions=instructions).memories(episodes, tags)
        return await review.changes(adds, ask=True)

    async def read(self, query: Query) -> Recall:
        """What the controller finds that the question needs."""
        return await Control(self.controller == "model", self.turns, self.lift).search(query)
