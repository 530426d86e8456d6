"""Self-Controlled Memory: a stream of turns, and a controller that decides whether and how it is recalled.

Paper: Wang, Liang, Yang, Huang, Wu, Wu, Lu, Ma and Li, "SCM: Enhancing Large Language Model with
Self-Controlled Memory Framework", arXiv:2304.13343; and the authors' code (wbbeyourself/SCM4LLMs).

Taken: a memory stream whose items have a text, a summary where it is long, and a vector; flash memory, the
last turns, which every prompt holds; a controller, a model, that is asked whether a query needs archived
memory at all, and of long memories, where they are too many to fit, whether the summary is enough; ranking by
recency + relevance.

Differs: an item is a turn, not a question with its answer. The paper gives no formula for recency: here it
falls exponentially with the hours since the last access. The authors' code ranks by cosine alone, asks twice
(of the text, then of its summary), and leaves out what does not answer. Without a model, and where it fails
at a search, memory is activated, and summaries stand for long turns until the rest fits.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from engram.kernel.changes import Changes
from engram.kernel.effects import Recent, Score
from engram.kernel.errors import ConfigError
from engram.kernel.policy import Policy, Query, Recall
from engram.kernel.record import Hit, Record
from engram.operators.retrieval.recall import best, explained
from engram.operators.summaries.activation import Activation
from engram.operators.summaries.controller import Controller
from engram.operators.summaries.long_turns import LongTurns, summaries_of
from engram.operators.summaries.sizes import tokens

__all__ = ["SCM"]


@dataclass(frozen=True)
class SCM(Policy):
    """A stream of turns with summaries of long ones, recalled where a controller finds that it is needed.

    A turn of more than `long` tokens is summed up. The last `flash` turns are in every prompt, one of more
    than `previous` tokens as its summary. The first `activated` hits are activated; where they have more than
    `total` tokens, those of more than `item` give way to their summaries, if these are enough. Recency falls
    by `decay` with each hour. With `controlled=False` the first question is not asked.
    """

    name: ClassVar[str] = "scm"
    aside: ClassVar[frozenset[str]] = frozenset({"entity", "summary"})
    reading: ClassVar[tuple[str, ...]] = (
        "flash",
        "previous",
        "activated",
        "item",
        "total",
        "decay",
        "controlled",
    )

    long: int = 300
    flash: int = 2
    previous: int = 500
    activated: int = 10
    item: int = 800
    total: int = 2000
    decay: float = 0.995
    controlled: bool = True

    def __post_init__(self) -> None:
        sizes = min(self.long, self.previous, self.activated, self.item, self.total)
        if sizes < 1 or self.flash < 0 or not 0 < self.decay <= 1:
            raise ConfigError(
                "scm: long, previous, activated, item and total are 1 or more, flash 0 or more, decay above "
                "0 and at most 1"
            )

    async def write(self, episodes: Sequence[Record]) -> Changes:
        """Summaries of the long ones."""
        return await LongTurns(self.long).changes(episodes)

    async def read(self, query: Query) -> Recall:
        """Turns by recency and relevance, or the flash memory alone where no more is needed."""
        columns = await Score(query.text, ("dense_turn",), at=query.at, level=query.level, kinds=query.kinds)
        cosine = np.asarray(columns.signals["dense_turn"])
        if query.level:
            return await best(query, columns, cosine, lambda at: cosine[at])
        controller, activation = Controller(self.item, self.total), Activation(self.decay, self.activated)
        flash = await self.beside(query)
        needed = await controller.needed(query.text, flash) if len(columns) and self.controlled else None
        if needed is False:
            return Recall(tuple(Hit(turn, 1.0) for turn in flash[: query.depth]))
        hits = await activation.ranked(query, columns, cosine)
        hits = explained(query, hits, by_model=float(needed is not None))
        active = hits[: min(query.k, self.activated)]
        changes = await activation.accessed(active)
        shown = await controller.fitted(query.text, active)
        return Recall((*shown, *hits[len(active) :]), changes)

    async def beside(self, query: Query) -> tuple[Record, ...]:
        """The flash memory: the last turns, long ones as their summaries."""
        turns = await Recent(self.flash)
        short = await summaries_of([turn for turn in turns if tokens(turn.text) > self.previous])
        return tuple(short.get(turn.id, turn) for turn in turns)
