"""MemoryBank: turns, a summary of each day, a portrait of the user; memories fade and are kept by recalling.

Paper: Zhong, Guo, Gao, Ye and Wang, "MemoryBank: Enhancing Large Language Models with Long-Term Memory",
arXiv:2305.10250; and the authors' code.

Taken: turns stored with their time; a summary of every day's events and of what the day shows of the user;
of these, a summary of all events and a portrait, which every prompt begins with; turns and daily summaries
found by a dense encoder alone; the forgetting curve R = e^(-t/S), where S begins at 1 and grows by 1 with
each recall, from which t counts anew.

Differs: day and person are one question, all events and the portrait another. What is forgotten is hidden,
not deleted: below a floor of R, or by the authors' draw. t counts from when a memory was learned, so that an
old conversation that is imported today is new today. Daily summaries are recalled too. A day that is closed
is extended by what comes late. Days are UTC. Without a model: leading sentences and facts by rule.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from typing import ClassVar, Literal

import numpy as np

from engram.kernel.changes import Changes, SetState
from engram.kernel.effects import Now, Score, State
from engram.kernel.errors import ConfigError
from engram.kernel.policy import Policy, Query, Recall
from engram.kernel.record import Record
from engram.kernel.scope import Scope
from engram.operators.consolidation.days import Day, before, begun, daily, day_of, days_of, open_days
from engram.operators.consolidation.diary import Diary
from engram.operators.consolidation.digest import Summarise
from engram.operators.forgetting import Forgetting
from engram.operators.retrieval.recall import best

__all__ = ["MemoryBank"]

_LATE = "late"  # the state that names days whose summary lacks turns that came late


@dataclass(frozen=True)
class MemoryBank(Policy):
    """Daily summaries and a portrait beside the turns; what is not recalled is forgotten, and hidden.

    `forget`: a memory is forgotten while less than `floor` of it is retained ("floor"), by a draw at every
    `tend` ("chance"), or "never". `unit` is the curve's unit of time in days. The first `recalled` hits of a
    search count as recalled. A model reads at most `longest` characters in one question.
    """

    name: ClassVar[str] = "memorybank"
    aside: ClassVar[frozenset[str]] = frozenset({"entity", "core"})
    reading: ClassVar[tuple[str, ...]] = ("forget", "floor", "unit", "recalled")

    forget: Literal["floor", "chance", "never"] = "floor"
    floor: float = 0.01
    unit: float = 1.0
    recalled: int = 6
    longest: int = 12_000

    def __post_init__(self) -> None:
        known = self.forget in ("floor", "chance", "never") and 0 < self.floor < 1
        if not known or self.unit <= 0 or self.recalled < 0 or self.longest < 1000:
            raise ConfigError(
                "memorybank: forget is 'floor', 'chance' or 'never', floor between 0 and 1, unit more than "
                "0, recalled 0 or more, longest 1,000 or more"
            )

    async def write(self, episodes: Sequence[Record]) -> Changes:
        """Nothing, until a day has begun: then the days before it are summed up."""
        lane, now = episodes[0].scope.lane, await begun()
        said = {day_of(episode.time) for episode in episodes}
        last = await before(min(said))
        over = {day for day in (*said, last) if day is not None and day < now}
        made = await daily(over, lane)
        again = {str(day) for day, summary in made.items() if _missing(day, summary, episodes)}
        if not again and over <= made.keys():
            return Changes()
        late = await State(_LATE)
        held = set(late.value or ())
        waiting = held | again
        days: list[Day] = []
        if over - made.keys():
            days = await days_of({*(over - made.keys()), *map(date.fromisoformat, waiting)}, lane)
        if not days:
            return Changes.of(SetState(_LATE, sorted(waiting), late.version)) if waiting - held else Changes()
        changes = await self._closed([day for day in days if day.new], lane)
        return changes + await self._forgetting.fade(lane, every=False)

    async def tend(self, scope: Scope) -> Changes:
        """Sums up the days that are over, and reckons how much of each memory is retained."""
        days = await open_days(scope, day_of(await Now()))
        return await self._closed(days, scope) + await self._forgetting.fade(scope)

    async def read(self, query: Query) -> Recall:
        """Turns and daily summaries by their cosine, the forgotten left out; those found are recalled."""
        signals = ("dense_turn", "strength")
        columns = await Score(query.text, signals, at=query.at, level=query.level, kinds=query.kinds)
        cosine = np.asarray(columns.signals["dense_turn"])
        if query.level or query.past:
            return await best(query, columns, cosine, lambda at: cosine[at])
        return await self._forgetting.recall(query, columns, cosine)

    @property
    def _forgetting(self) -> Forgetting:
        return Forgetting(self.forget, self.floor, self.unit, self.recalled)

    async def _closed(self, days: Sequence[Day], lane: Scope) -> Changes:
        """A summary for each of the days, then the blocks; the state's version lets nobody do so twice."""
        late = await State(_LATE)
        changes = await Diary(Summarise(self.longest)).closed(days, lane)
        return changes + Changes.of(SetState(_LATE, [], late.version)) if changes else changes


def _missing(day: date, summary: Record, episodes: Sequence[Record]) -> bool:
    """Whether a day's summary lacks any of the episodes."""
    known = set(summary.sources)
    return any(day_of(episode.time) == day and episode.id not in known for episode in episodes)
