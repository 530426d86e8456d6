"""Facts that are added directly, and those that a policy makes: which of them hold."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, ClassVar

import pytest
from pydantic import BaseModel

from engine.conftest import Open
from engram import Memory, Receipt, Record, Schema
from engram.policies.mem0 import Mem0
from engram.testing.doubles import ScriptedModel

Given = Callable[..., Receipt]


def give(memory: Memory, value: str, start: str, end: str | None = None, *, infer: bool = True) -> Receipt:
    metadata = {"subject": "Ana", "relation": "lives_in", "object": value}
    valid = {"start": f"{start}T00:00Z", "end": end and f"{end}T00:00Z"}
    message = {"content": f"Ana lives in {value}.", "metadata": metadata, "valid": valid}
    return memory.add(message, kind="fact", infer=infer, user_id="ana")


def say(memory: Memory, text: str, day: str) -> Receipt:
    return memory.add({"content": text, "name": "Ana", "time": f"{day}T00:00Z"}, user_id="ana")


def homes(memory: Memory, day: str | None = None) -> list[str]:
    seen = memory if day is None else memory.as_of(valid=f"{day}T00:00Z")
    found = seen.get_all(user_id="ana")
    return sorted(str(record.metadata["object"]) for record in found if record.kind == "fact")


@pytest.fixture
def memory(open_memory: Open) -> Memory:
    return open_memory(policy="mem0")


def test_a_fact_that_is_given_ends_what_was_said_before(memory: Memory) -> None:
    say(memory, "I live in Porto.", "2024-01-01")
    receipt = give(memory, "Oslo", "2025-01-01")
    assert [item.event for item in receipt.items] == ["stored", "superseded"]
    assert receipt.items[1].reason == "Porto until 2025-01-01, when Oslo begins"
    assert (homes(memory), homes(memory, "2024-06-01")) == (["Oslo"], ["Porto"])


def test_a_fact_that_is_given_is_ended_by_what_is_said_later_and_keeps_its_words(memory: Memory) -> None:
    id = give(memory, "Porto", "2024-01-01").ids[0]
    receipt = say(memory, "I moved to Oslo.", "2025-01-01")
    assert homes(memory) == ["Oslo"]
    first, last = memory.history(id, user_id="ana")
    assert (first.text, first.original, first.origin) == (last.text, last.original, last.origin)
    assert (first.valid.end, f"{last.valid.end:%Y-%m-%d}") == (None, "2025-01-01")
    memory.undo(str(memory.get(receipt.items[1].id or "", user_id="ana").opened), user_id="ana")
    assert homes(memory) == ["Porto"]
    say(memory, "I moved to Rome.", "2026-01-01")
    assert homes(memory) == ["Rome"]


def test_in_whatever_order_they_come(open_memory: Open) -> None:
    memory = open_memory(policy="mem0")
    told = [("Rome", "2022-01-01"), ("Porto", "2023-01-01"), ("Oslo", "2024-01-01")]
    for number, order in enumerate(([0, 1, 2], [2, 1, 0], [1, 2, 0], [2, 0, 1], [0, 2, 1], [1, 0, 2])):
        for given in (1, 2, 4, 3, 6, 7):
            scoped = memory.scoped(tenant=f"t{number}{given}")
            for place in order:
                value, day = told[place]
                give(scoped, value, day) if given >> place & 1 else say(scoped, f"I moved to {value}.", day)
            found = [homes(scoped, day) for day in ("2022-06-01", "2023-06-01", "2024-06-01")]
            assert (homes(scoped), found) == (["Oslo"], [["Rome"], ["Porto"], ["Oslo"]]), (order, given)


def test_one_that_ended_long_ago_ends_nothing(memory: Memory) -> None:
    say(memory, "I live in Oslo.", "2024-01-01")
    give(memory, "Rome", "2019-01-01", "2021-01-01")
    assert homes(memory) == ["Oslo"]
    assert (homes(memory, "2020-01-01"), homes(memory, "2022-01-01")) == (["Rome"], [])


def test_what_is_stored_without_inference_ends_nothing_by_itself(memory: Memory) -> None:
    say(memory, "I live in Porto.", "2024-01-01")
    assert [item.event for item in give(memory, "Oslo", "2025-01-01", infer=False).items] == ["stored"]
    assert homes(memory) == ["Oslo", "Porto"]
    say(memory, "I moved to Rome.", "2026-01-01")
    assert homes(memory) == ["Rome"]


def test_what_is_said_again_adds_nothing_to_what_was_given(memory: Memory) -> None:
    give(memory, "Porto", "2024-01-01")
    assert [item.event for item in say(memory, "I live in Porto.", "2025-01-01").items] == ["stored"]
    assert homes(memory) == ["Porto"]


def test_forgetting_what_ended_a_fact_that_was_given_opens_it_again(memory: Memory) -> None:
    id = give(memory, "Porto", "2024-01-01").ids[0]
    turn = say(memory, "I moved to Oslo.", "2025-01-01").ids[0]
    memory.forget(turn, user_id="ana")
    assert homes(memory) == ["Porto"]
    assert memory.get(id, user_id="ana").valid.end is None
    say(memory, "I moved to Oslo.", "2025-01-01")
    memory.forget(id, user_id="ana")
    assert (homes(memory), memory.verify().ok) == (["Oslo"], True)


def test_forgetting_a_fact_that_was_given_opens_what_it_ended(memory: Memory) -> None:
    say(memory, "I live in Porto.", "2024-01-01")
    id = give(memory, "Oslo", "2025-01-01").ids[0]
    memory.forget(id, user_id="ana")
    assert homes(memory) == ["Porto"]


def test_a_schema_says_what_has_one_value(open_memory: Open) -> None:
    class LivesIn(BaseModel):
        single: ClassVar[bool] = False

    memory = open_memory(policy="mem0", schema=Schema(facts=[LivesIn]))
    say(memory, "I live in Porto.", "2024-01-01")
    give(memory, "Oslo", "2025-01-01")
    assert homes(memory) == ["Oslo", "Porto"]


def test_another_users_facts_are_left_alone(memory: Memory) -> None:
    give(memory, "Porto", "2024-01-01")
    memory.add({"content": "I moved to Oslo.", "name": "Ana", "time": "2025-01-01T00:00Z"}, user_id="bo")
    assert homes(memory) == ["Porto"]


def fact(value: str, relation: str = "owns") -> dict[str, Any]:
    return {"facts": [{"turn": 1, "subject": "Ana", "relation": relation, "object": value}]}


@pytest.mark.parametrize(
    ("action", "texts"),
    [
        ("DELETE", ["Ana gave away the dog called Rex"]),
        ("UPDATE", ["Ana has a dog, Rex.", "Ana gave away the dog called Rex"]),
        ("NOOP", ["Ana has a dog, Rex."]),
    ],
)
def test_a_model_may_end_what_was_given_and_change_no_word_of_it(
    open_memory: Open, action: str, texts: list[str]
) -> None:
    decision = {"fact": 1, "action": action, "memory": 1, "reason": "Rex is not hers any more"}
    model = ScriptedModel([fact("the dog called Rex", "gave away"), {"decisions": [decision]}])
    memory = open_memory(policy=Mem0(near=0.1), model=model)
    given = {"content": "Ana has a dog, Rex.", "time": "2024-01-01T00:00Z"}
    id = memory.add(given, kind="fact", user_id="ana").ids[0]
    say(memory, "I gave Rex away.", "2025-01-01")
    kept: list[Record] = [record for record in memory.get_all(user_id="ana") if record.kind == "fact"]
    assert [record.text for record in kept] == texts
    assert {version.text for version in memory.history(id, user_id="ana")} == {"Ana has a dog, Rex."}


@pytest.mark.parametrize("relation", ["lives_in", "lives in", "Lives In", "LIVES_IN"])
@pytest.mark.parametrize("policy", ["mem0", "zep"])
def test_a_relation_is_the_same_however_it_is_spelled(open_memory: Open, policy: str, relation: str) -> None:
    memory = open_memory(policy=policy)
    for day, city in (("2024-01-01", "Rome"), ("2024-03-01", "Oslo")):
        triple = ["Ana", "lives_in" if city == "Rome" else relation, city]
        memory.add_triples(
            [dict(zip(("subject", "relation", "object"), triple, strict=True), valid_start=day)]
        )
    hits = memory.search("Ana", user_id="default", filters={"kind": "fact"})
    assert [hit.record.metadata["object"] for hit in hits] == ["Oslo"]
    then = memory.as_of(valid="2024-02-01").search("Ana", user_id="default", filters={"kind": "fact"})
    assert [hit.record.metadata["object"] for hit in then] == ["Rome"]
