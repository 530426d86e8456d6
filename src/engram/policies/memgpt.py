"""MemGPT: a small context that the model edits itself, a queue flushed into a summary, and two stores.

Paper: Packer, Wooders, Lin, Fang, Patil, Stoica and Gonzalez, "MemGPT: Towards LLMs as Operating Systems",
arXiv:2310.08560; and the authors' code (cpacker/MemGPT 0.2 and 0.3, now Letta).

Taken: working context in blocks, edited by function calls (append, replace) that fail where a block is full;
archival storage (insert, search) and recall storage (search) with pages; a queue of messages, first in, first
out; a warning of memory pressure at 70 % of the window; a flush at 100 %, which lets go of 50 % and writes a
recursive summary of the one before and of what is let go (2.2); a failed call, or the wish to go on
(`heartbeat`), gives the model its results and another step (2.3, 2.4).

Differs: messages are events, but the assistant that answers is the caller's: `send_message` and pauses are
not there, and a search is the caller's too: words and cosine over both stores in one order. A line of a block
is a record of its own, so it names what it was made from. A reply's calls come together, in one question.
Tokens are estimated. A message that is told late is read, but not summed up. Without a model, the queue is
flushed by rule, and the user's block holds facts taken by rules.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar, Literal

import numpy as np

from engram.kernel.changes import Changes
from engram.kernel.effects import Model, Recent, Score
from engram.kernel.errors import ConfigError
from engram.kernel.policy import Policy, Query, Recall
from engram.kernel.record import Record
from engram.operators.retrieval.recall import best, reciprocal_rank
from engram.operators.summaries.backlog import in_order
from engram.operators.summaries.main_context import MainContext
from engram.operators.summaries.pressure import Window
from engram.operators.summaries.running import BY_RULES, Running
from engram.operators.summaries.sizes import groups_within, last_within

__all__ = ["MemGPT"]

_BESIDE = 10, 500  # messages of the queue, and their tokens, that every prompt shows
_SUMMARY = 400  # tokens


@dataclass(frozen=True)
class MemGPT(Policy):
    """Blocks that the model edits by calls, a queue flushed into a recursive summary, two storages to search.

    The context `window` is in tokens; its shares `warning` and `flush` are when the model is warned and when
    the queue is flushed, by the share `evict`; the last `keep` messages stay. A block holds `limit`
    characters. The model is asked at every `add` ("always"), or when pressure begins ("pressure"), at most
    `steps` times.
    """

    name: ClassVar[str] = "memgpt"
    aside: ClassVar[frozenset[str]] = frozenset({"entity", "core"})

    window: int = 8192
    warning: float = 0.7
    flush: float = 1.0
    evict: float = 0.5
    keep: int = 3
    limit: int = 2000
    steps: int = 5
    asks: Literal["always", "pressure"] = "always"

    def __post_init__(self) -> None:
        shares = 0 < self.warning <= self.flush <= 1 and 0 < self.evict < 1
        if not shares or self.asks not in ("always", "pressure") or self.window < 1000:
            raise ConfigError(
                "memgpt: warning, flush and evict are shares of the window, warning not above flush; window "
                "is 1,000 tokens or more, asks 'always' or 'pressure'"
            )
        if min(self.keep, self.limit, self.steps) < 1:
            raise ConfigError("memgpt: keep, limit and steps are 1 or more")

    async def write(self, episodes: Sequence[Record]) -> Changes:
        """What the model does at the new messages, and what leaves the queue for them."""
        new = in_order([turn for turn in episodes if turn.text.strip()])
        if not new:
            return Changes()
        window = Window(self.window, self.warning, self.flush, self.evict, self.keep)
        lane = new[0].scope.lane
        context = await MainContext.of(window, self.limit, lane, {turn.id for turn in episodes})
        running = Running("a short account", _SUMMARY, longest=self.window, sentences=8)
        modelled = await Model() is not None
        for group in groups_within(new, int(self.evict * self.window)):
            pressure = context.pressure(group)
            if not modelled:
                await context.event_by_rules(group)
            elif pressure or self.asks == "always":
                await context.event(group, self.steps, pressure=pressure)
            await context.take(group, running)
        return Changes(tuple(await context.changes("" if modelled else BY_RULES)))

    async def read(self, query: Query) -> Recall:
        """Messages in recall storage and what was archived, by words and cosine."""
        names = ("bm25_turn", "dense_turn")
        columns = await Score(query.text, names, at=query.at, level=query.level, kinds=query.kinds)
        ranking = reciprocal_rank(*(np.asarray(columns.signals[name]) for name in names))
        return await best(query, columns, ranking, lambda positions: 30.5 * ranking[positions])

    async def beside(self, query: Query) -> tuple[Record, ...]:
        """The last messages of the queue."""
        count, most = _BESIDE
        return last_within(await Recent(count), most)
