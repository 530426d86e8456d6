"""The default policy: every turn verbatim, found by a learned fusion of signals."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from engram.kernel.effects import Score
from engram.kernel.policy import Policy, Query, Recall
from engram.operators.retrieval.calibrate import calibrated
from engram.operators.retrieval.fuse import fuse, shipped
from engram.operators.retrieval.recall import best

__all__ = ["Fusion"]


@dataclass(frozen=True)
class Fusion(Policy):
    """Keeps turns as they are and ranks them by many signals at several granularities, with no model.

    Engram's own method. Lexical and dense signals of the turn, of windows around it and of its session
    (a turn's meaning often lies beside it), who speaks, question and answer, length, time, are fused by
    weights that adapt to the kind of conversation; they ship with the package and are learned by
    `make train-fusion`. The hits' scores are probabilities, calibrated on questions that can and that
    cannot be answered.
    """

    name: ClassVar[str] = "fusion"

    async def read(self, query: Query) -> Recall:
        """The candidates with the highest fused score, best first."""
        fusion = shipped()
        columns = await Score(query.text, fusion.signals, at=query.at, level=query.level, kinds=query.kinds)
        if not len(columns):
            return Recall()
        fused = fuse(columns, fusion)
        return await best(
            query,
            columns,
            fused.scores,
            lambda positions: calibrated(columns, fused, fusion, positions),
            fused.explain,
        )
