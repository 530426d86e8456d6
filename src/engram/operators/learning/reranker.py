"""An online reranker of memories: the retriever's best in the order that earlier answers taught."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from engram.kernel.changes import Changes, SetState
from engram.kernel.effects import Random, Score, Space, State, StateValue
from engram.kernel.policy import Cited, Query, Recall
from engram.kernel.record import Hit, Record
from engram.operators.embedding import embedded
from engram.operators.granular.topics import BY_RULE
from engram.operators.learning.adapters import Step, drawn, packed, step, uniforms, unpacked
from engram.operators.retrieval.recall import best

__all__ = ["BATCH", "WEIGHTS", "Reranker"]

WEIGHTS, BATCH = "reranker", "batch"
"""The names of the states that hold the weights, and the steps of a batch that is not full yet."""
Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Reranker:
    """Orders the retriever's `top` best by adapters that it learns, one batch of `batch` answers at a time.

    Of the candidates that an answer was shown, `drawn` are drawn with Gumbel noise times `noise`; each that
    the answer stands on is rewarded by 1, each other by -1, less `baseline`; the `rate` is that of the steps.
    """

    top: int
    drawn: int
    rate: float
    temperature: float
    baseline: float
    noise: float
    batch: int

    async def recall(self, query: Query) -> Recall:
        """What is nearest by cosine, the first `top` of it by what was learned; the scores stay in order."""
        found = await _found(query, max(query.depth, self.top))
        weights = await State(WEIGHTS)
        held = weights.value if isinstance(weights.value, dict) else {}
        if query.level or query.kinds or len(found) < 2 or held.get("space") != await Space():
            return Recall(tuple(found[: query.depth]))
        first, rest = found[: self.top], found[self.top :]
        own, others = await _vectors(query.text, [hit.record for hit in first])
        scores = unpacked(held, len(own)).scores(own, others)
        order = np.argsort(-scores, kind="stable").tolist()
        handed = sorted((hit.score for hit in first), reverse=True)
        moved = [
            replace(
                first[place],
                score=score,
                why={**first[place].why, "learned": float(scores[place])} if query.explain else {},
            )
            for place, score in zip(order, handed, strict=True)
        ]
        return Recall((*moved, *rest)[: query.depth])

    async def learn(self, told: Cited) -> Changes:
        """What an answer that stands on `told.cited` teaches; nothing where it was shown one candidate."""
        found = [hit.record for hit in await _found(told.query, self.top)]
        candidates = [record for record in found if told.shown is None or _among(record, told.shown)]
        if len(candidates) < 2 or told.query.level or told.query.kinds:
            return Changes()
        own, others = await _vectors(told.query.text, candidates)
        space, weights, batch = await Space(), await State(WEIGHTS), await State(BATCH)
        fits = isinstance(weights.value, dict) and weights.value.get("space") == space
        adapters = unpacked(weights.value if fits else None, len(own))
        steps, heard = _steps(batch, space)
        chance = uniforms(await Random(), heard, told.query.text, len(candidates))
        draw = drawn(adapters.scores(own, others), chance, self.drawn, self.noise, self.temperature)
        rewards = np.array([1.0 if _among(record, told.cited) else -1.0 for record in candidates])
        steps.append(
            step(adapters, own, others, draw, rewards, baseline=self.baseline, temperature=self.temperature)
        )
        if len(steps) < self.batch:
            return Changes.of(_batch(batch, space, steps, heard + 1))
        return Changes.of(
            SetState(
                WEIGHTS, {"space": space, **packed(adapters.updated(steps, self.rate))}, weights.version
            ),
            _batch(batch, space, [], heard + 1),
        )


def _batch(old: StateValue, space: str, steps: Sequence[Step], heard: int) -> SetState:
    value = {"space": space, "heard": heard, "steps": [taken.to_list() for taken in steps]}
    return SetState(BATCH, value, old.version)


def _steps(batch: StateValue, space: str) -> tuple[list[Step], int]:
    """The steps that wait for their batch to be full, and how many answers were heard of."""
    value: Any = batch.value if isinstance(batch.value, dict) else {}
    steps = value.get("steps", []) if value.get("space") == space else []
    return [Step.from_list(texts) for texts in steps], int(value.get("heard", 0))


def _among(record: Record, ids: Collection[str]) -> bool:
    """Whether a memory, or a turn that it stands on, is one of these."""
    return record.id in ids or not set(record.sources).isdisjoint(ids)


async def _found(query: Query, depth: int) -> list[Hit]:
    """What is nearest by cosine, topics that a model gave among it; those cut by rule are an outline only."""
    found = await _nearest(query, depth)
    if query.level or query.kinds:
        return found
    known = {hit.id for hit in found}
    topics = await _nearest(replace(query, kinds=("summary",)), 2 * depth)
    told = [hit for hit in topics if hit.id not in known and not hit.record.metadata.get(BY_RULE)]
    return sorted([*found, *told], key=lambda hit: (-hit.score, hit.id))[:depth]


async def _nearest(query: Query, depth: int) -> list[Hit]:
    columns = await Score(query.text, ("dense_turn",), at=query.at, level=query.level, kinds=query.kinds)
    cosine = np.asarray(columns.signals["dense_turn"])
    recall = await best(replace(query, depth=depth), columns, cosine, lambda at: cosine[at], _told(cosine))
    return list(recall.hits)


def _told(cosine: NDArray[Any]) -> Any:
    return lambda row: {"dense_turn": float(cosine[row])}


async def _vectors(text: str, records: Sequence[Record]) -> tuple[Floats, Floats]:
    """The query's vector and those of the records, a row each."""
    rows = (await embedded([text, *(record.indexed for record in records)])).astype(np.float64)
    return rows[0], rows[1:]
