"""Small policies and a clock for the engine's tests."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import ClassVar

from engram.kernel.changes import Add, Changes, Merge, Reinforce, Retire, Revise, SetState
from engram.kernel.effects import Ask, Find, Random, State
from engram.kernel.errors import ModelUnavailable
from engram.kernel.policy import Policy, Query, Recall
from engram.kernel.record import Record
from engram.kernel.scope import Scope
from engram.policies.rrf import RRF
from engram.testing.doubles import ScriptedModel as Double

START = datetime(2026, 3, 1, 9, tzinfo=UTC)


class Ticking:
    """A clock that moves on by a second at every look."""

    def __init__(self, start: datetime = START) -> None:
        self.now = start

    def __call__(self) -> datetime:
        self.now += timedelta(seconds=1)
        return self.now

    def skip(self, **delta: float) -> datetime:
        """Move on by that much."""
        self.now += timedelta(**delta)
        return self.now


class ScriptedModel(Double):
    """Answers by a function of the prompt; `answer` may be put in its place."""

    def __init__(self, answer: Callable[[str], str]) -> None:
        super().__init__(lambda request: self.answer(request.messages[-1].text))
        self.answer = answer

    @property
    def prompts(self) -> list[str]:
        """What it was asked."""
        return self.asked


def down(prompt: str) -> str:
    """A model out of reach."""
    raise ModelUnavailable("no answer")


@dataclass(frozen=True)
class Facts(RRF):
    """One fact for each "X is Y"; the same again joins its sources; another Y retires the old."""

    name: ClassVar[str] = "facts"

    async def write(self, episodes: Sequence[Record]) -> Changes:
        """Add, join or retire."""
        changes = Changes()
        for episode in episodes:
            if " is " not in episode.text:
                continue
            subject = episode.text.split(" is ")[0]
            near = await Find(subject, k=20, kinds=("fact",))
            same = [hit.record for hit in near if hit.record.text.split(" is ")[0] == subject]
            for old in same:
                if old.text == episode.text:
                    changes += Changes.of(
                        Revise(old.id, old.version, sources=(episode.id,), reason="said again")
                    )
                elif old.valid.end is None:
                    changes += Changes.of(Retire(old.id, old.version, episode.time, (episode.id,), "changed"))
            if not any(old.text == episode.text for old in same):
                changes += Changes.of(Add(episode.text, "fact", (episode.id,)))
        return changes


@dataclass(frozen=True)
class Digest(RRF):
    """One summary for each add, of all its episodes; asks the model for it."""

    name: ClassVar[str] = "digest"

    async def write(self, episodes: Sequence[Record]) -> Changes:
        """A summary that stands on all episodes together."""
        texts = " / ".join(episode.text for episode in episodes)
        summary = await Ask(f"Summarise: {texts}", str)
        second = await Ask(f"Title of: {summary}", str)
        return Changes.of(
            Add(f"{second}: {summary}", "summary", tuple(episode.id for episode in episodes)),
        )


@dataclass(frozen=True)
class Counting(RRF):
    """Keeps a count in its state, reinforces what it reads, merges doubles when tending."""

    name: ClassVar[str] = "counting"

    async def write(self, episodes: Sequence[Record]) -> Changes:
        """Count episodes; note a random number with each."""
        state = await State("count")
        added = [
            Add(f"note {await Random():.6f}", "fact", (episode.id,), metadata={"of": episode.text})
            for episode in episodes
        ]
        return Changes((*added, SetState("count", (state.value or 0) + len(episodes), state.version)))

    async def read(self, query: Query) -> Recall:
        """As RRF, and what was found grows stronger."""
        recall = await super().read(query)
        return Recall(
            recall.hits, Changes(tuple(Reinforce(hit.id, strength=-0.25) for hit in recall.hits[:1]))
        )

    async def tend(self, scope: Scope) -> Changes:
        """Merge all facts into the first."""
        found = [hit.record for hit in await Find("note", k=100, kinds=("fact",))]
        found.sort(key=lambda record: record.arrival)
        if len(found) < 2:
            return Changes()
        first, *others = found
        return Changes.of(
            Merge(first.id, first.version, tuple((other.id, other.version) for other in others))
        )


@dataclass(frozen=True)
class Broken(Policy):
    """Raises an error of its own in write."""

    name: ClassVar[str] = "broken"

    async def write(self, episodes: Sequence[Record]) -> Changes:
        """A bug."""
        raise ZeroDivisionError("a bug in the policy")

    async def read(self, query: Query) -> Recall:
        """Nothing."""
        return Recall()
