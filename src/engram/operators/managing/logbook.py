"""A logbook of managing: each question to the manager is a record of kind `case` with its calls and rewards.

It holds no text: who was shown what is told by ids and versions, and what the calls wrote by the change set
that the case itself came with. So erasing a turn leaves no byte of it in the log, and `engram.bench.training`
puts a row together from what is still there.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from engram.kernel.changes import Add, Change, Changes, Revise
from engram.kernel.effects import Read, Told, each
from engram.kernel.record import Record
from engram.operators.managing.rewards import share

__all__ = ["AGENT", "CASE", "Call", "Step", "logged", "refused"]

CASE = "case"
"""The kind of a step's record."""
AGENT = "agent"
"""The key of its metadata that names the agent that was asked."""
_REASON = "logged for training"


@dataclass(frozen=True)
class Call:
    """One call of a reply: its tool, and what came of it.

    `done`: it was done as asked for; else `note` says why not. `valid`: its content is fit for its memory
    (`None`: nobody has judged it). `record` and `version` are what it was to change as it was shown, `added`
    is the place among the records that its change set adds.
    """

    tool: str
    memory: str = ""
    done: bool = True
    valid: bool | None = None
    record: str | None = None
    version: int | None = None
    added: int | None = None
    note: str = ""

    def to_dict(self) -> dict[str, Any]:
        """The fields as JSON values, those left out that say nothing."""
        found = {name: getattr(self, name) for name in self.__dataclass_fields__}
        return {name: value for name, value in found.items() if value is not None and value != ""}


def refused(calls: Sequence[Call]) -> str:
    """What there is to tell of calls that were not done."""
    why = [call.note for call in calls if not call.done]
    reasons = ", ".join(dict.fromkeys(why))
    return f"{len(why)} of {len(calls)} calls refused: {reasons}" if why else ""


@dataclass(frozen=True)
class Step:
    """One question to an agent: the turns it was about, the records shown beside them, and the calls made."""

    agent: str
    turns: tuple[Record, ...]
    shown: tuple[Record, ...]
    calls: tuple[Call, ...]
    part: int = 0

    @property
    def metadata(self) -> dict[str, Any]:
        """What its record keeps."""
        judged = [call.valid for call in self.calls if call.valid is not None]
        rewards = {"calls": share(sum(call.done for call in self.calls), len(self.calls))}
        if judged:
            rewards["content"] = share(sum(judged), len(self.calls))
        return {
            AGENT: self.agent,
            "part": self.part,
            "turns": [turn.id for turn in self.turns],
            "shown": [[record.id, record.version] for record in self.shown],
            "calls": [call.to_dict() for call in self.calls],
            "rewards": rewards,
        }


async def logged(steps: Sequence[Step]) -> Changes:
    """A record for each step, or a version of the one that its first turn has from before.

    It stands on that turn alone: erasing another one derives nothing anew for the log's sake.
    """
    befores = await each(_before(step) for step in steps)
    changes: list[Change] = []
    for step, old in zip(steps, befores, strict=True):
        done = sum(call.done for call in step.calls)
        text = f"{step.agent}, question {step.part + 1}: {done} of {len(step.calls)} calls done"
        if old is None:
            changes.append(Add(text, CASE, (step.turns[0].id,), metadata=step.metadata, reason=_REASON))
        else:
            changes.append(Revise(old.id, old.version, text, step.metadata, reason=_REASON))
    return Changes(tuple(changes))


async def _before(step: Step) -> Record | None:
    """The record of the step's turn, agent and part."""
    turn = step.turns[0]
    told = await Told(turn.time, turn.time + timedelta(microseconds=1), (CASE,))
    same = [
        record
        for record in await Read(tuple(id for _, id in told))
        if record.made_by is not None
        and turn.id in record.sources
        and (record.metadata.get(AGENT), record.metadata.get("part")) == (step.agent, step.part)
    ]
    return same[0] if same else None
