"""Erasing what ended a fact: it holds as if the erased had never been said, whatever the order of telling."""

from __future__ import annotations

from itertools import permutations

import pytest

from engine.conftest import Open
from engram import Memory

TOLD = {"Porto": "2023-01-01", "Oslo": "2024-01-01", "Rome": "2025-01-01", "Graz": "2026-01-01"}


def say(memory: Memory, text: str, day: str) -> str:
    return memory.add({"content": text, "name": "Ana", "time": f"{day}T00:00Z"}, user_id="ana").ids[0]


def give(memory: Memory, value: str, day: str) -> str:
    metadata = {"subject": "Ana", "relation": "lives_in", "object": value}
    message = {"content": f"Ana lives in {value}.", "metadata": metadata, "valid": {"start": f"{day}T00:00Z"}}
    return memory.add(message, kind="fact", user_id="ana").ids[0]


def spans(memory: Memory) -> dict[str, tuple[str, str | None]]:
    """Since and until when each value holds."""
    found: dict[str, tuple[str, str | None]] = {}
    for year in range(2022, 2027):
        for record in memory.as_of(valid=f"{year}-06-01").get_all(user_id="ana"):
            if record.kind == "fact":
                ends = None if record.valid.end is None else f"{record.valid.end:%Y-%m-%d}"
                found[str(record.metadata["object"])] = (f"{record.valid.start:%Y-%m-%d}", ends)
    return found


def following(values: list[str]) -> dict[str, tuple[str, str | None]]:
    days = [*(TOLD[value] for value in values), None]
    return {value: (TOLD[value], days[place + 1]) for place, value in enumerate(values)}


@pytest.mark.parametrize("given", [(), ("Oslo",), ("Porto", "Rome"), ("Graz", "Oslo")])
def test_what_is_left_follows_each_other(open_memory: Open, given: tuple[str, ...]) -> None:
    memory = open_memory(policy="mem0")
    for number, order in enumerate(permutations(TOLD)):
        scoped = memory.scoped(tenant=f"t{number}")
        ids = {
            value: give(scoped, value, TOLD[value])
            if value in given
            else say(scoped, f"I moved to {value}.", TOLD[value])
            for value in order
        }
        left = list(TOLD)
        for value in order[1:3]:
            scoped.forget(ids[value], user_id="ana")
            left.remove(value)
            assert spans(scoped) == following(left), (order, value)
    assert memory.verify().ok


def test_the_end_that_another_told_stays(open_memory: Open) -> None:
    memory = open_memory(policy="mem0")
    say(memory, "I live in Porto.", "2023-01-01")
    oslo = say(memory, "I moved to Oslo.", "2025-01-01")
    say(memory, "I do not live in Porto any more.", "2024-01-01")
    assert spans(memory)["Porto"] == ("2023-01-01", "2024-01-01")
    memory.forget(oslo, user_id="ana")
    assert spans(memory) == {"Porto": ("2023-01-01", "2024-01-01")}


def test_a_receipt_says_until_when_it_is_valid_again(open_memory: Open) -> None:
    memory = open_memory(policy="mem0")
    ids = [say(memory, f"I moved to {value}.", day) for value, day in list(TOLD.items())[:3]]
    reasons = [item.reason for item in memory.forget(ids[1], user_id="ana").items]
    assert "valid again until 2025-01-01: the cause of its end was erased" in reasons
    reasons = [item.reason for item in memory.forget(ids[2], user_id="ana").items]
    assert "valid again: the cause of its end was erased" in reasons


def test_what_has_many_values_is_opened_without_end(open_memory: Open) -> None:
    memory = open_memory(policy="mem0")
    say(memory, "I love tea.", "2023-01-01")
    turn = say(memory, "I do not like tea any more.", "2024-01-01")
    say(memory, "I love plums.", "2025-01-01")
    memory.forget(turn, user_id="ana")
    assert spans(memory)["tea"] == ("2023-01-01", None)
