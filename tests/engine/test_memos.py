"""The policy `memos`: states and which may follow which, the scheduler, topics, the hand-over point."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from dataclasses import replace
from datetime import datetime
from typing import Any

import pytest

from engine.conftest import Open
from engine.helpers import START, Ticking
from engine.replies import held, reasons, say, unusable
from engine.sensible import taking_facts
from engine.shelving import shelving
from engram import Memory, ModelError, Record
from engram.kernel.errors import ConfigError
from engram.operators.lifecycle.schedule import USED, Schedule, Use, importance
from engram.operators.lifecycle.states import State, may_follow, moved, state_of
from engram.operators.lifecycle.tiers import candidates
from engram.policies.memos import MemOS
from engram.testing.builders import a_record
from engram.testing.doubles import ScriptedModel

Scripted = Callable[..., tuple[Memory, ScriptedModel]]
FOUR: tuple[State, ...] = ("generated", "activated", "merged", "archived")


@pytest.fixture
def scripted(open_memory: Open) -> Scripted:
    def open_one(*script: Any, **parameters: Any) -> tuple[Memory, ScriptedModel]:
        model = ScriptedModel(script or (lambda request: shelving(request, taking_facts)))
        return open_memory(policy=MemOS(**parameters), model=model), model

    return open_one


def fact(relation: str, value: str) -> dict[str, Any]:
    return {"facts": [{"turn": 1, "subject": "Ana", "relation": relation, "object": value}]}


def states(memory: Memory) -> dict[str, str]:
    return {record.text: str(record.metadata["state"]) for record in held(memory)}


def only(memory: Memory) -> Record:
    (record,) = held(memory)
    return record


@pytest.mark.parametrize(("before", "after"), list(itertools.product((*FOUR, "frozen"), repeat=2)))
def test_transitions_are_checked(before: State, after: State) -> None:
    allowed = {
        "generated": {"activated", "merged", "archived", "frozen"},
        "activated": {"merged", "archived", "frozen"},
        "merged": {"activated", "merged", "archived", "frozen"},
        "archived": {"activated", "merged", "frozen"},
        "frozen": set[str](),
    }
    record = replace(a_record("x"), metadata={"state": before})
    assert may_follow(after, before) == (after in allowed[before])
    if after in allowed[before]:
        change = moved(record, after, START)
        assert change.metadata == {"state": after, "since": START.isoformat()}
    else:
        with pytest.raises(ValueError, match=f"that is {before} cannot become {after}"):
            moved(record, after, START)


def test_a_state_that_there_is_not_counts_as_generated() -> None:
    assert state_of(replace(a_record("x"), metadata={"state": "melted"})) == "generated"
    assert state_of(a_record("x")) == "generated"


def test_generated_then_merged_with_what_says_more(scripted: Scripted) -> None:
    memory, model = scripted(
        fact("owns", "a dog"),
        fact("owns", "a dog called Rex"),
        {"decisions": [{"fact": 1, "action": "UPDATE", "memory": 1, "reason": "says more"}]},
    )
    first = say(memory, "I have a dog.")
    assert states(memory) == {"Ana owns a dog": "generated"}
    second = say(memory, "My dog is Rex.", "2026-01-02")
    assert states(memory) == {"Ana owns a dog called Rex": "merged"}
    assert only(memory).sources == (first.ids[0], second.ids[0])
    assert (first.usage["model_calls"], second.usage["model_calls"]) == (1, 2)
    assert len(model.asked) == 3
    versions = memory.history(only(memory).id, user_id="ana")
    assert [record.metadata["state"] for record in versions] == ["generated", "merged"]
    memory.undo(str(second.derived), user_id="ana")
    assert states(memory) == {"Ana owns a dog": "generated"}


def test_activated_by_use_archived_when_idle_activated_again_when_used(
    open_memory: Open, clock: Ticking
) -> None:
    memory = open_memory(policy=MemOS())
    say(memory, "I live in Porto.")
    say(memory, "My favourite tea is sencha.")
    memory.search("Where does Ana live?", user_id="ana")
    memory.tend(user_id="ana")
    assert set(states(memory).values()) == {"generated"}
    memory.search("Where does Ana live?", user_id="ana")
    memory.tend(user_id="ana")
    assert states(memory) == {"Ana lives in Porto": "activated", "Ana favourite tea sencha": "generated"}
    clock.skip(days=89)
    memory.tend(user_id="ana")
    assert states(memory)["Ana lives in Porto"] == "activated"
    clock.skip(days=1)
    memory.tend(user_id="ana")
    assert set(states(memory).values()) == {"archived"}
    texts = [hit.text for hit in memory.search("Where does Ana live?", user_id="ana")]
    assert texts.index("Ana lives in Porto") > texts.index("My favourite tea is sencha.")
    then = memory.as_of(known=clock.now).search("Where does Ana live?", user_id="ana", k=2)
    assert "Ana lives in Porto" in [hit.text for hit in then]
    memory.tend(user_id="ana")
    assert states(memory) == {"Ana lives in Porto": "activated", "Ana favourite tea sencha": "archived"}
    moves = [record.metadata["state"] for record in memory.history(_id(memory, "Porto"), user_id="ana")]
    assert [state for state, _ in itertools.groupby(moves)] == [
        "generated", "activated", "archived", "activated",
    ]  # fmt: skip


def _id(memory: Memory, word: str) -> str:
    return next(record.id for record in held(memory) if word in record.text)


def test_a_frozen_memory_is_neither_ended_nor_reworded_nor_archived(
    scripted: Scripted, clock: Ticking
) -> None:
    memory, _ = scripted(
        fact("owns", "a dog"),
        fact("owns", "a dog called Rex"),
        {"decisions": [{"fact": 1, "action": "UPDATE", "memory": 1, "reason": "says more"}]},
        fact("gave away", "the dog"),
        {"decisions": [{"fact": 1, "action": "DELETE", "memory": 1, "reason": "gone"}]},
        {"topics": []},
    )
    say(memory, "I have a dog.")
    dog = only(memory)
    memory.edit(dog.id, metadata={**dog.metadata, "state": "frozen"}, user_id="ana")
    receipt = say(memory, "My dog is Rex.")
    assert reasons(receipt) == ["beside a frozen memory"]
    say(memory, "We gave the dog away.")
    clock.skip(days=365)
    memory.tend(user_id="ana")
    found = memory.get(dog.id, user_id="ana")
    assert (found.text, found.version, found.valid.end) == ("Ana owns a dog", 2, None)
    assert state_of(found) == "frozen"
    assert states(memory)["Ana owns a dog called Rex"] == "archived"


@pytest.mark.parametrize(
    ("relevance", "words", "count", "expected"),
    [
        (0.8, 3, 4, 0.9 * 0.8 + 0.05 * 0.15 + 0.05 * 0.2),
        (0.0, 1000, 1000, 0.05 * 5 + 0.05 * 2),
        (1, 0, 0, 0.9),
    ],
)
def test_importance_is_that_of_the_authors_scheduler(
    relevance: float, words: int, count: int, expected: float
) -> None:
    assert importance(relevance, words, count) == pytest.approx(expected, abs=1e-9)


def test_what_the_store_keeps_of_use_gives_the_importance_of_a_candidate(
    open_memory: Open, clock: Ticking
) -> None:
    memory = open_memory(policy=MemOS())
    say(memory, "I live in Porto.")
    for _ in range(4):
        memory.search("Does Ana live in Porto, and what is Porto like?", user_id="ana")
    memory.tend(user_id="ana")
    (candidate,) = candidates(memory.get_all(user_id="ana"))
    graph = memory.graph([candidate.record.id], user_id="ana")
    (edge,) = [edge for edge in graph.edges if edge.type == USED]
    assert edge.weight == 4
    relevance, words = float(edge.metadata["relevance"]), int(edge.metadata["words"])
    assert words == 4  # ana, live, in, porto
    expected = 0.9 * relevance + 0.05 * min(0.05 * words, 5) + 0.05 * min(0.05 * 4, 2)
    assert candidate.importance == pytest.approx(expected, abs=1e-6)
    assert candidate.tier == "activation"


def test_candidates_for_the_parametric_tier_are_used_and_stable(open_memory: Open, clock: Ticking) -> None:
    memory = open_memory(policy=MemOS(uses=3, stable=10))
    say(memory, "I live in Porto.")
    for _ in range(3):
        memory.search("Where does Ana live?", user_id="ana")
    memory.tend(user_id="ana")
    assert [item.tier for item in candidates(memory.get_all(user_id="ana"))] == ["activation"]
    clock.skip(days=10)
    memory.tend(user_id="ana")
    (candidate,) = candidates(memory.get_all(user_id="ana"))
    assert candidate.tier == "parametric"
    assert memory.get_all(user_id="ana", filters={"metadata.candidate": "parametric"}).items
    clock.skip(days=100)
    memory.tend(user_id="ana")
    assert candidates(memory.get_all(user_id="ana")) == []  # archived: plain text again


def test_only_as_many_are_candidates_as_there_is_room(open_memory: Open) -> None:
    memory = open_memory(policy=MemOS(room=1, active=1))
    for text in ("I live in Porto.", "My favourite tea is sencha."):
        say(memory, text)
    for question in ("Where does Ana live?", "Ana lives in Porto", "favourite tea"):
        memory.search(question, user_id="ana")
    memory.tend(user_id="ana")
    assert set(states(memory).values()) == {"activated"}
    assert len(candidates(memory.get_all(user_id="ana"))) == 1


def test_the_topics_are_filed_once_and_found_by_their_members(scripted: Scripted) -> None:
    memory, model = scripted(together=2)
    for text in ("My favourite tea is sencha.", "I live in Porto.", "I have a cat called Plum."):
        say(memory, text)
    before = len(model.asked)
    assert memory.tend(user_id="ana").usage["model_calls"] == 2  # three memories, two in a question
    topics = {record.metadata["topic"]: record for record in held(memory, kind="summary")}
    assert set(topics) == {"Tea", "Home", "Pets"}
    assert topics["Tea"].sources == (_id(memory, "sencha"),)
    assert "The topics so far, quoted:" in model.asked[before + 1]
    assert memory.tend(user_id="ana").usage == {}
    say(memory, "My favourite tea is assam.")
    assert memory.tend(user_id="ana").usage["model_calls"] == 1
    tea = next(record for record in held(memory, kind="summary") if record.metadata["topic"] == "Tea")
    assert (tea.version, len(tea.sources)) == (2, 2)
    edges = [edge for edge in memory.graph([tea.id], user_id="ana").edges if edge.type == "parent"]
    assert {edge.target for edge in edges} <= set(tea.sources)
    assert memory.search("tea", user_id="ana", filters={"kind": "summary"})[0].id == tea.id
    assert all(hit.record.kind != "summary" for hit in memory.search("tea", user_id="ana"))


def test_what_belongs_to_no_topic_is_not_asked_about_again(scripted: Scripted) -> None:
    memory, _ = scripted(fact("likes", "tea"), {"topics": []})
    say(memory, "I like tea.")
    memory.tend(user_id="ana")
    (other,) = held(memory, kind="summary")
    assert other.metadata["topic"] == "other"
    assert memory.tend(user_id="ana").usage == {}


def test_numbers_that_were_not_shown_leave_the_batch_unfiled(scripted: Scripted) -> None:
    wrong, right = ({"topics": [{"name": "Tea", "memories": [number]}]} for number in (7, 1))
    memory, _ = scripted(fact("likes", "tea"), wrong, right)
    say(memory, "I like tea.")
    memory.tend(user_id="ana")
    assert held(memory, kind="summary") == []
    memory.tend(user_id="ana")
    assert [record.metadata["topic"] for record in held(memory, kind="summary")] == ["Tea"]


def test_a_topic_that_borrows_words_goes_with_whom_it_has_them_from(scripted: Scripted) -> None:
    filed = {"topics": [{"name": "Tea", "description": "Tea from Zanzibar", "memories": [1]}]}
    memory, _ = scripted(fact("likes", "tea"), fact("lives_in", "Zanzibar"), filed, {"topics": []})
    say(memory, "I like tea.")
    receipt = say(memory, "I live in Zanzibar.")
    memory.tend(user_id="ana")
    tea = next(record for record in held(memory, kind="summary") if record.metadata["topic"] == "Tea")
    assert tea.metadata["members"] == [_id(memory, "tea")]
    assert tea.sources == (_id(memory, "tea"), _id(memory, "Zanzibar"))
    memory.forget([receipt.ids[0]], user_id="ana")
    assert not any("Zanzibar" in record.text for record in memory.get_all(user_id="ana"))


def test_an_erased_turn_takes_its_memory_and_topic_with_it(open_memory: Open) -> None:
    memory = open_memory(policy="memos")
    receipt = say(memory, "I live in Zanzibar.")
    say(memory, "My favourite tea is sencha.")
    memory.search("Where does Ana live?", user_id="ana")
    memory.tend(user_id="ana")
    memory.forget([receipt.ids[0]], user_id="ana")
    memory.wait(10)
    memory.tend(user_id="ana")
    records = memory.get_all(user_id="ana", limit=100)
    assert not any("Zanzibar" in str(record.to_dict()) for record in records)
    assert [record.text for record in held(memory)] == ["Ana favourite tea sencha"]
    assert memory.verify().problems == ()


def test_a_topic_of_which_nothing_holds_any_more_ends(open_memory: Open) -> None:
    memory = open_memory(policy="memos")
    for text in ("My favourite tea is sencha.", "My favourite tea is assam."):
        say(memory, text)
        memory.tend(user_id="ana")
    (topic,) = held(memory, kind="summary")
    assert "assam" in topic.text
    assert memory.tend(user_id="ana").change_set is None
    assert memory.verify().problems == ()


def test_without_a_model_rules_say_so(open_memory: Open) -> None:
    memory = open_memory(policy="memos")
    assert reasons(say(memory, "I live in Porto.")) == ["by rules: no model is configured"]
    say(memory, "My favourite tea is sencha.")
    receipt = memory.tend(user_id="ana")
    assert {item.reason for item in receipt.items} == {"by rules: no model is configured"}
    assert len(held(memory, kind="summary")) >= 1
    say(memory, "I moved to Oslo.", "2026-02-01")
    found = [hit.text for hit in memory.search("Where does Ana live?", user_id="ana")]
    assert found.index("Ana lives in Oslo") < found.index("I live in Porto.")


BAD = unusable({"topics": [{"name": "Tea", "memories": [1]}]}, {"shelf": 1})


@pytest.mark.parametrize("bad", BAD.values(), ids=BAD)
def test_filing_that_cannot_be_used_is_asked_again_and_then_raised(scripted: Scripted, bad: Any) -> None:
    memory, _ = scripted(fact("likes", "tea"), *[bad] * 5)
    say(memory, "I like tea.")
    with pytest.raises(ModelError):
        memory.tend(user_id="ana")
    assert states(memory) == {"Ana likes tea": "generated"}


def test_idle_counts_from_use_or_change(clock: Ticking) -> None:
    record = replace(a_record("x"), metadata={"state": "generated", "changed": START.isoformat()})
    schedule = Schedule(active=2, idle=1)

    def due(use: Use | None, when: datetime) -> State | None:
        return schedule.due(record, use, when)

    later = clock.skip(days=2)
    assert due(None, START) is None
    assert due(None, later) == "archived"
    assert due(Use(1, later, 0.5, 1), later) is None
    assert due(Use(2, later, 0.5, 1), later) == "activated"


@pytest.mark.parametrize("wrong", [{"k": 0}, {"near": 2.0}, {"idle": -1.0}, {"room": 0}, {"lift": -0.1}])
def test_parameters_that_cannot_be(wrong: dict[str, Any]) -> None:
    with pytest.raises(ConfigError, match="memos: k, together"):
        MemOS(**wrong)
