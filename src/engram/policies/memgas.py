"""MemGAS: sessions as memories of four granularities, associated by a mixture and selected by entropy.

Paper: Xu, Wen, Jia, Zhang, Zhang, Wang, Guo, Tang, Zhao, Chen and Xu, "From Single to Multi-Granularity:
Toward Long-Term Memory Association and Selection of Conversational Agents", arXiv:2505.19549; and the
authors' code.

Taken: of each session its words, its turns, a summary and keywords; a new memory is associated with those of
the 30 nearest earlier ones, of any granularity, that fall to the upper of two normal distributions; a query's
entropy over the units of a granularity says how much that counts; personalised PageRank from the 15 best,
with damping 0.1, adds up by session; a model leaves out what does not help to answer (`sift`).

Differs: a session is reflected on when the next begins, or by `tend`. Summary and keywords are one question.
A turn is a node of its own, where the code has the mean of a session's turns; the router has their mean. Hits
are turns: a session's share is handed down to them by the softmax of their cosines, and a turn's own cosine
counts beside it. Granularities weigh one over their entropy; the code's weights, one less the entropy, are
`routing="difference"`. Without a model, summary and keywords are made by rule.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import ClassVar

from engram.kernel.changes import Changes
from engram.kernel.effects import Model
from engram.kernel.errors import ConfigError
from engram.kernel.policy import Policy, Query, Recall
from engram.kernel.record import Record
from engram.kernel.scope import Scope
from engram.operators.attempt import PASSING
from engram.operators.granular.associate import associated
from engram.operators.granular.router import Routing
from engram.operators.granular.select import Select
from engram.operators.granular.sessions import Session, confirmed, due, marks, waiting
from engram.operators.granular.units import Units
from engram.operators.retrieval.recall import BY_MODEL, explained
from engram.operators.retrieval.rerank import ByModel

__all__ = ["MemGAS"]


@dataclass(frozen=True)
class MemGAS(Policy):
    """Session, turns, summary and keywords, associated and routed; by rules without a model.

    `candidates` earlier memories are looked at for associations. A search starts from `seeds` memories, goes
    on along associations with probability `damping`, and takes entropies at `temperature`; `routing` is the
    paper's weights or the code's ("difference"), and a turn's own cosine counts `own`. With `sift`, the model
    is shown the best `sifted` hits of a search, and leaves out what does not help. A question shows at most
    `longest` characters of a session.
    """

    name: ClassVar[str] = "memgas"
    aside: ClassVar[frozenset[str]] = frozenset({"entity", "summary"})
    reading: ClassVar[tuple[str, ...]] = (
        *("seeds", "damping", "temperature", "routing", "own", "sift", "sifted"),
    )

    candidates: int = 30
    seeds: int = 15
    damping: float = 0.1
    temperature: float = 0.2
    routing: Routing = "inverse"
    own: float = 0.1
    sift: bool = False
    sifted: int = 20
    longest: int = 12_000

    def __post_init__(self) -> None:
        known = self.routing in ("inverse", "difference") and 0 <= self.damping < 1 and self.temperature > 0
        if (
            not known
            or min(self.candidates, self.seeds) < 1
            or self.own < 0
            or min(self.sifted, self.longest - 998) < 2
        ):
            raise ConfigError(
                "memgas: routing is 'inverse' or 'difference', damping from 0 to below 1, temperature more "
                "than 0, candidates and seeds 1 or more, own 0 or more, sifted 2 or more, longest 1,000"
            )

    async def write(self, episodes: Sequence[Record]) -> Changes:
        """The units of the sessions that are over by now, and what they are associated with."""
        kept = await confirmed(episodes)
        return await self._reflected(await due(episodes)) + Changes(tuple(kept))

    async def tend(self, scope: Scope) -> Changes:
        """The same of every session that nothing was made of yet."""
        return await self._reflected(await waiting(scope))

    async def _reflected(self, sessions: Sequence[Session]) -> Changes:
        units = await Units(self.longest).added(sessions)
        edges = await associated(sessions, units, self.candidates)
        done: list[tuple[Record, str]] = []
        added = 0
        for session, adds in zip(sessions, units, strict=True):
            refs = [f"#{added + place}" for place in range(len(adds))]
            done += [*((turn, refs[0]) for turn in session), *((session[0], ref) for ref in refs[1:])]
            added += len(adds)
        return Changes((*(unit for adds in units for unit in adds), *edges, *marks(done)))

    async def read(self, query: Query) -> Recall:
        """The turns that a walk from what is nearest finds; sifted, where that is wanted and possible."""
        select = Select(self.seeds, self.damping, self.temperature, self.routing, self.own)
        if not self.sift or await Model() is None:
            return await select.recall(query)
        found = (await select.recall(replace(query, depth=max(query.depth, self.sifted)))).hits
        first, rest = found[: self.sifted], found[self.sifted :]
        if not first:
            return Recall()
        try:
            helps = await ByModel(self.sifted).ranking(query.text, [hit.text for hit in first])
        except PASSING:
            return Recall(tuple(explained(query, found[: query.depth], **{BY_MODEL: 0.0})))
        kept = [hit for hit, figure in zip(first, helps, strict=True) if figure > 0]
        return Recall((*kept, *rest)[: query.depth])
