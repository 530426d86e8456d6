"""Second Me: raw memories, a profile in plain language above them, and a hook for a model trained on both.

Papers: Shang and others, "AI-native Memory: A Pathway from LLMs Towards AGI", arXiv:2406.18312; Wei and
others, "AI-native Memory 2.0: Second Me", arXiv:2503.08102; and the authors' code (mindverse/Second-Me).

Taken: three layers. L0 is the raw data, found by retrieval. L1 is memory in natural language, made of L0 in
the background: topics of batches of 20 memories, which know the topics so far; shades (the sides that the
user shows) made of topics; a biography and what is going on of late; preferences. L2 is memory in a model's
parameters, trained on questions and answers about L0 and L1.

Differs: a profile is one question, where the authors have one for each shade, for merging shades, and for
each person in which a biography speaks. Blocks and shades stand on every topic that they were shown. L2 is
a hook (`operators.topics.rows`): it names what would be trained and exports rows, with questions from
templates where the authors have a model make them up; nothing is trained. Images and sound are not read.
Without a model, topics are what resembles each other, and the profile is facts by rule.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from engram.kernel.changes import Changes
from engram.kernel.effects import Find, Read, Score, Told
from engram.kernel.errors import ConfigError
from engram.kernel.policy import Policy, Query, Recall
from engram.kernel.record import Record
from engram.kernel.scope import Scope
from engram.operators.retrieval.nearest import SIGNALS, mixed
from engram.operators.retrieval.recall import best
from engram.operators.topics.file import File
from engram.operators.topics.profile import SHADE, Profile, sketched
from engram.operators.topics.shelf import filing, shelf_of, topics_after

__all__ = ["SecondMe"]

_BY_RULES = "by rules: no model is configured"


@dataclass(frozen=True)
class SecondMe(Policy):
    """Turns, and above them topics, shades, biography and preferences, made by `tend`.

    `together` turns are filed under topics in one question. In a search, words count `words` beside the
    cosine's 1. A prompt holds the blocks of the profile and the `shades` that are nearest to the question.
    Without a model, rules make all of it.
    """

    name: ClassVar[str] = "second_me"
    aside: ClassVar[frozenset[str]] = frozenset({"entity", "core", "summary"})
    reading: ClassVar[tuple[str, ...]] = ("words", "shades")

    together: int = 20
    words: float = 0.3
    shades: int = 2

    def __post_init__(self) -> None:
        if self.together < 1 or self.words < 0 or self.shades < 0:
            raise ConfigError("second_me: together is 1 or more, words and shades are 0 or more")

    async def tend(self, scope: Scope) -> Changes:
        """Files the turns that are under no topic yet; where that changes topics, the profile follows."""
        told = await Read(tuple(id for _, id in await Told()))
        turns = [turn for turn in told if turn.scope.lane == scope and turn.text.strip()]
        shelf = await shelf_of(scope)
        loose = [turn for turn in turns if turn.id not in shelf.members]
        filed = await filing(loose, shelf, File(self.together), turns, _BY_RULES)
        topics = topics_after(filed, shelf)
        if not topics or (not filed and await sketched(scope)):
            return filed
        return filed + await Profile().changes(topics, turns, scope, _BY_RULES)

    async def read(self, query: Query) -> Recall:
        """Turns by cosine and words: the raw layer."""
        columns = await Score(query.text, SIGNALS, at=query.at, level=query.level, kinds=query.kinds)
        if not len(columns):
            return Recall()
        near = mixed(columns, self.words) / (1 + self.words)
        return await best(query, columns, near, lambda at: near[at])

    async def beside(self, query: Query) -> tuple[Record, ...]:
        """The shades that are nearest to the question."""
        if not self.shades:
            return ()
        found = await Find(query.text, 10 * self.shades, ("summary",))
        return tuple(hit.record for hit in found if SHADE in hit.record.metadata)[: self.shades]
