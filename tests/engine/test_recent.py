"""`Recent`: the last turns of a run or a scope, in the order in which they were said."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, ClassVar

import pytest

from engine.conftest import Open
from engine.helpers import START, Ticking
from engram import Memory
from engram.kernel.changes import Add, Changes
from engram.kernel.effects import Recent
from engram.kernel.policy import Policy, Query, Recall
from engram.kernel.record import Hit, Record


@dataclass(frozen=True)
class Last(Policy):
    """Notes what was said before each turn; finds what was said last."""

    name: ClassVar[str] = "last"

    count: int = 2

    async def write(self, episodes: Sequence[Record]) -> Changes:
        """What stands before each episode."""
        notes = []
        for episode in episodes:
            before = await Recent(self.count, episode.id)
            notes.append(Add(" ".join(record.text for record in before) or "-", "summary", (episode.id,)))
        return Changes(tuple(notes))

    async def read(self, query: Query) -> Recall:
        """The last turns, oldest first."""
        return Recall(tuple(Hit(record, 1.0) for record in await Recent(query.k)))


def noted(memory: Memory) -> dict[str, str]:
    """What was noted of each turn."""
    records = {record.id: record for record in memory.get_all(user_id="u", limit=100)}
    made = [record for record in records.values() if record.made_by]
    return {
        records[source].text: record.text for record in made for source in record.sources if source in records
    }


def said(text: str, minutes: int) -> dict[str, str]:
    return {"content": text, "time": (START + timedelta(minutes=minutes)).isoformat()}


def test_turns_before_a_turn_are_of_its_run_and_in_order_of_time(open_memory: Open) -> None:
    memory = open_memory(policy=Last())
    memory.add("x", user_id="v", run_id="one")
    memory.add([said("a", 1), said("b", 2), said("c", 3)], user_id="u", run_id="one")
    memory.add("y", user_id="u", run_id="two")
    memory.add([said("e", 5), said("d", 4)], user_id="u", run_id="one")
    memory.add({**said("", 6), "content": None, "role": "assistant"}, user_id="u", run_id="one")
    assert noted(memory) == {"a": "-", "b": "a", "c": "a b", "y": "-", "d": "b c", "e": "c d", "": "d e"}


def test_the_last_turns_of_the_scope_that_is_asked(open_memory: Open) -> None:
    memory = open_memory(policy=Last())
    memory.add([said("b", 2), said("a", 1)], user_id="u", run_id="one")
    memory.add(said("c", 3), user_id="u", run_id="two")
    memory.add(said("x", 9), user_id="v", run_id="one")

    def last(k: int, **scope: Any) -> list[str]:
        return [hit.text for hit in memory.search("?a", k=k, **scope)]

    assert last(9, user_id="u") == ["a", "b", "c"]
    assert last(2, user_id="u") == ["b", "c"]
    assert last(9, user_id="u", run_id="one") == ["a", "b"]
    assert last(9, run_id="one") == ["a", "b", "x"]


def test_what_is_erased_expired_or_of_another_user_is_not_shown(open_memory: Open, clock: Ticking) -> None:
    memory = open_memory(policy=Last(count=9))
    memory.add("gone", user_id="u")
    first = memory.add("erased", user_id="u")
    memory.add("short", user_id="u", expires=clock.now + timedelta(minutes=1))
    memory.add("theirs", user_id="v")
    memory.forget(first.ids[:1], user_id="u")
    clock.skip(minutes=2)
    memory.add("now", user_id="u")
    assert noted(memory)["now"] == "gone"


@pytest.mark.parametrize("agent", [None, "a"])
def test_another_users_turns_in_the_same_agents_run_are_left_out(
    open_memory: Open, agent: str | None
) -> None:
    memory = open_memory(policy=Last(count=3))
    for number in range(40):
        memory.add(f"v{number}", user_id="v", agent_id=agent, run_id="one")
        if number % 10 == 0:
            memory.add(f"u{number}", user_id="u", agent_id=agent, run_id="one")
    assert noted(memory)["u30"] == "u0 u10 u20"
