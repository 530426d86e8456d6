"""RMM: sessions become topics that are added or merged, and a reranker learns from what answers cite.

Paper: Tan, Yan, Hsu, Han, Wang, Le, Song, Chen, Palangi, Lee, Iyer, Chen, Liu, Lee and Pfister, "In Prospect
and Retrospect: Reflective Memory Management for Long-term Personalized Dialogue Agents", arXiv:2503.08026.

Taken: prospective reflection at the end of a session: topics with their turns, each added or merged with a
kept one; retrospective reflection: linear residual adapters for query and memory order the retriever's 20
best; five are drawn with Gumbel noise, rewarded +1 if the answer cites them and -1 if not, less 0.5, and
REINFORCE, with a rate of 1e-3 and a temperature of 0.5, learns from batches of four.

Differs: a search gives the learned order without noise; the draw decides what is learned from, and its noise
is scaled to the cosines of unit vectors. An answer is shown more than five memories. Turns are found beside
topics. An answer that abstains teaches nothing. Weights belong to the scope in which was asked. Without a
model, a session is cut where its turns change most, which gives an outline that no search ranks; turns alone
are found then, nothing is merged, and only `memory.cited` teaches.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

from engram.kernel.changes import Changes
from engram.kernel.errors import ConfigError
from engram.kernel.policy import Cited, Policy, Query, Recall
from engram.kernel.record import Record
from engram.kernel.scope import Scope
from engram.operators.granular.sessions import confirmed, due, waiting
from engram.operators.granular.topics import Topics
from engram.operators.learning.reranker import Reranker

__all__ = ["RMM"]


@dataclass(frozen=True)
class RMM(Policy):
    """Topics of sessions, and a reranker over the `top` best that learns from what answers cite.

    A new topic is shown with the `k` kept ones nearest to it, as similar as `near` at least; a question shows
    at most `longest` characters of turns. Of the candidates that an answer was shown, `draw` are drawn with
    Gumbel noise times `noise` at `temperature`; `baseline` is taken from the reward, and a step of `rate` is
    made for each of `batch` answers at once.
    """

    name: ClassVar[str] = "rmm"
    aside: ClassVar[frozenset[str]] = frozenset({"entity", "summary"})
    reading: ClassVar[tuple[str, ...]] = (
        *("top", "draw", "rate", "temperature", "baseline", "noise", "batch"),
    )

    k: int = 5
    near: float = 0.35
    longest: int = 12_000
    top: int = 20
    draw: int = 5
    rate: float = 1e-3
    temperature: float = 0.5
    baseline: float = 0.5
    noise: float = 0.05
    batch: int = 4

    def __post_init__(self) -> None:
        low = min(self.k, self.draw, self.batch) < 1 or self.top < 2 or self.longest < 1000
        if low or self.temperature <= 0 or min(self.rate, self.noise) < 0 or not 0 <= self.near <= 1:
            raise ConfigError(
                "rmm: k, draw and batch are 1 or more, top 2 or more, longest 1,000 or more, temperature "
                "more than 0, rate and noise 0 or more, near from 0 to 1"
            )

    async def write(self, episodes: Sequence[Record]) -> Changes:
        """The topics of the sessions that are over by now."""
        kept = await confirmed(episodes)
        return await self._topics.changes(await due(episodes)) + Changes(tuple(kept))

    async def tend(self, scope: Scope) -> Changes:
        """The same of every session that was not reflected on yet."""
        return await self._topics.changes(await waiting(scope))

    async def read(self, query: Query) -> Recall:
        """Topics and turns by their cosine, the best of them in the order that was learned."""
        return await self._reranker.recall(query)

    async def heard(self, told: Cited) -> Changes:
        """A step of the reranker's learning; four of them change its weights."""
        return await self._reranker.learn(told)

    @property
    def _topics(self) -> Topics:
        return Topics(self.k, self.near, self.longest)

    @property
    def _reranker(self) -> Reranker:
        return Reranker(
            *(self.top, self.draw, self.rate, self.temperature, self.baseline, self.noise, self.batch)
        )
