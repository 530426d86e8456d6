"""The policy `memory_r1` with a scripted model: what the manager does, what is distilled, what is logged."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest

from engine.conftest import Open
from engine.replies import held, reasons, say
from engram import Hit, Memory
from engram.bench.training import training_rows
from engram.kernel.errors import BudgetExceeded, ConfigError, ModelUnavailable
from engram.operators.managing.distil import shared_out
from engram.policies.memory_r1 import MemoryR1
from engram.testing.builders import a_record
from engram.testing.doubles import ScriptedModel

Scripted = Callable[..., tuple[Memory, ScriptedModel]]


@pytest.fixture
def scripted(open_memory: Open) -> Scripted:
    def open_one(*script: Any, **parameters: Any) -> tuple[Memory, ScriptedModel]:
        model = ScriptedModel(script)
        return open_memory(policy=MemoryR1(**parameters), model=model), model

    return open_one


def found(*facts: tuple[str, str, str]) -> dict[str, Any]:
    names = ("subject", "relation", "object")
    return {"facts": [{"turn": 1, **dict(zip(names, fact, strict=True))} for fact in facts]}


def decided(*decisions: tuple[str, int | None, str]) -> dict[str, Any]:
    return {
        "decisions": [
            {"fact": number, "action": action, "memory": memory, "reason": reason}
            for number, (action, memory, reason) in enumerate(decisions, 1)
        ]
    }


BUDDY = found(("Andrew", "adopted", "a dog called Buddy"))
SCOUT = found(("Andrew", "adopted", "dogs called Buddy and Scout"))
TWO = decided(("UPDATE", 1, "a second dog, not another first one"))


def cases(memory: Memory) -> list[dict[str, Any]]:
    return [dict(record.metadata) for record in held(memory, kind="case")]


def facts(memory: Memory) -> list[str]:
    return [record.text for record in held(memory)]


def test_the_papers_two_dogs_step_by_step(scripted: Scripted) -> None:
    memory, model = scripted(BUDDY, SCOUT, TWO, {"memories": [2]})
    first = say(memory, "I adopted a dog, he is called Buddy.")
    assert (first.usage["model_calls"], facts(memory)) == (1, ["Andrew adopted a dog called Buddy"])
    assert cases(memory) == []
    second = say(memory, "I adopted another dog, Scout!", "2026-01-02")
    assert second.usage["model_calls"] == 2
    assert facts(memory) == ["Andrew adopted dogs called Buddy and Scout"]
    (dog,) = held(memory)
    assert set(dog.sources) == {first.ids[0], second.ids[0]}
    assert [item.text for item in memory.history(dog.id, user_id="ana")] == [
        "Andrew adopted a dog called Buddy",
        "Andrew adopted dogs called Buddy and Scout",
    ]
    (case,) = cases(memory)
    assert case == {
        "agent": "memory manager",
        "part": 0,
        "turns": [second.ids[0]],
        "shown": [[dog.id, 1]],
        "calls": [{"tool": "UPDATE", "memory": "fact", "done": True, "record": dog.id, "version": 1}],
        "rewards": {"calls": 1.0},
    }
    hits = memory.search("How many dogs has Andrew?", user_id="ana")
    assert len(hits) == 1
    assert hits[0].why["distilled"] == 1.0
    assert len(model.asked) == 4


def test_every_operation_and_what_is_refused(scripted: Scripted) -> None:
    old = found(("Ana", "likes", "tea"), ("Ana", "owns", "a boat"), ("Ana", "knows", "Berta"))
    new = found(
        ("Ana", "drinks", "green tea"),
        ("Ana", "sold", "the boat"),
        ("Ana", "met", "Berta"),
        ("Ana", "plays", "chess"),
        ("Ana", "sings", "songs"),
    )
    reply = decided(
        ("UPDATE", 1, "which tea"),
        ("DELETE", 2, "it was sold"),
        ("NOOP", 3, "known"),
        ("ADD", None, ""),
        ("DELETE", 9, "of what was not shown"),
    )
    memory, _ = scripted(old, new, reply, near=0.0)
    say(memory, "I like tea. I own a boat. I know Berta.")
    before = {record.text: record for record in held(memory)}
    receipt = say(memory, "Green tea; the boat is sold. I met Berta. I play chess and sing.", "2026-01-02")
    (case,) = cases(memory)
    shown = [id for id, _ in case["shown"]]
    assert set(shown) == {record.id for record in before.values()}
    assert [call["tool"] for call in case["calls"]] == ["UPDATE", "DELETE", "NOOP", "ADD", "DELETE"]
    assert [call["done"] for call in case["calls"]] == [True, True, True, True, False]
    assert case["rewards"]["calls"] == pytest.approx(4 / 5, abs=1e-6)
    assert [call.get("record") for call in case["calls"]] == [*shown, None, None]
    assert "Ana plays chess" in facts(memory)
    assert "Ana sings songs" in facts(memory)
    assert any("names no memory shown" in reason for reason in reasons(receipt))


def test_nothing_is_asked_of_the_manager_where_nothing_is_near_or_all_is_known(scripted: Scripted) -> None:
    memory, model = scripted(BUDDY, BUDDY)
    say(memory, "I adopted a dog called Buddy.")
    assert say(memory, "I adopted Buddy, as I said.", "2026-01-02").usage["model_calls"] == 1
    assert (len(model.asked), cases(memory)) == (2, [])


def test_the_answer_agent_is_shown_sixty_and_gives_what_helps(scripted: Scripted) -> None:
    nothing: list[Any] = [{"facts": []}]
    memory, model = scripted(*nothing, *nothing, {"memories": [3, 1, 3, 0, -2, 61, 10**30]})
    for who in ("Ana", "Ben"):
        turns = [{"content": f"Boat trip {n} on the lake.", "name": who} for n in range(50)]
        memory.add(turns, user_id="ana")
    hits = memory.search("the boat trip", user_id="ana")
    prompt = model.asked[-1]
    shown = [json.loads(line) for line in prompt.splitlines() if line.startswith('{"memory"')]
    assert [line["memory"] for line in shown] == list(range(1, 61))
    assert sum(line["who"] == "Ana" for line in shown) == 30
    assert [hit.text for hit in hits] == [shown[2]["text"], shown[0]["text"]]
    assert all(hit.why == {"distilled": 1.0} for hit in hits)


def test_sharing_out_bounds_each_participant_and_all() -> None:
    hits = [Hit(a_record(f"{n}", name="Ana" if n % 5 else "Ben"), 0.5) for n in range(20)]
    chosen = shared_out(hits, 3, 5)
    assert [hit.text for hit in chosen] == ["0", "1", "2", "3", "5"]
    assert [hit.text for hit in shared_out(hits, 100, 2)] == ["0", "1"]


@pytest.mark.parametrize(
    "reply", [{"memories": []}, {"memories": [99]}, ModelUnavailable("timed out"), "no JSON"], ids=str
)
def test_a_search_gives_what_was_retrieved_where_the_agent_is_of_no_use(
    scripted: Scripted, reply: Any
) -> None:
    memory, _ = scripted({"facts": []}, *[reply] * 4)
    say(memory, "The boat is red.")
    hits = memory.search("the boat", user_id="ana")
    assert [hit.text for hit in hits] == ["The boat is red."]
    assert "distilled" not in hits[0].why
    (hit,) = memory.search("the boat", user_id="ana", explain=True)
    assert hit.why == {"by_model": float(isinstance(reply, dict))}


def test_a_budget_that_is_spent_is_said(open_memory: Open) -> None:
    model = ScriptedModel([{"facts": []}, BudgetExceeded("spent", spent=1.0, limit=1.0)])
    memory = open_memory(policy="memory_r1", model=model)
    say(memory, "The boat is red.")
    with pytest.raises(BudgetExceeded):
        memory.search("the boat", user_id="ana")


def test_with_filters_what_was_not_chosen_stays_behind(scripted: Scripted) -> None:
    memory, _ = scripted({"facts": []}, {"memories": [2]})
    memory.add([{"content": f"The boat {n}.", "metadata": {"n": n}} for n in range(4)], user_id="ana")
    hits = memory.search("the boat", user_id="ana", filters={"metadata.n": {"gte": 0}})
    assert len(hits) == 4
    assert [hit.why for hit in hits] == [{"distilled": 1.0}, {}, {}, {}]


def test_windows_and_sessions_are_found_without_a_question(scripted: Scripted) -> None:
    memory, model = scripted({"facts": []})
    say(memory, "The boat is red.")
    assert memory.search("the boat", user_id="ana", filters={"level": 2})[0].text.endswith("boat is red.")
    assert len(model.asked) == 1


def test_asking_takes_two_questions(scripted: Scripted) -> None:
    answer = {"cited": [1], "answer": "Two", "answered": True}
    memory, model = scripted(SCOUT, {"memories": [1]}, answer)
    say(memory, "Scout and Buddy are my dogs.")
    reply = memory.ask("How many dogs has Andrew?", user_id="ana")
    assert (reply.text, reply.usage["model_calls"]) == ("Two", 2)
    assert model.asked[-1].count("[1]") == 1
    assert "[2]" not in model.asked[-1]


def test_rows_to_train_on(scripted: Scripted) -> None:
    right = {"cited": [1], "answer": "Two dogs.", "answered": True}
    wrong = {"cited": [1], "answer": "A boat", "answered": True}
    memory, _ = scripted(
        *(BUDDY, SCOUT, TWO), *([{"memories": [1, 2]}] * 2), right, *([{"memories": [1]}] * 2), wrong
    )
    say(memory, "I adopted a dog, he is called Buddy.")
    say(memory, "I adopted another dog, Scout!", "2026-01-02")
    questions = [("How many dogs has Andrew?", "two dogs"), ("What else has he?", "a cat")]
    manager, first, second = training_rows(memory, questions, user_id="ana")
    assert manager["agent"] == "memory manager"
    assert '{"memory": 1, "kind": "fact", "text": "Andrew adopted a dog called Buddy"}' in manager["prompt"]
    assert "I adopted another dog, Scout!" in manager["prompt"]
    assert json.loads(manager["completion"]) == {
        "calls": [
            {
                "tool": "UPDATE",
                "memory": "fact",
                "number": 1,
                "content": "Andrew adopted dogs called Buddy and Scout",
            }
        ]
    }
    assert manager["reward"] == pytest.approx(0.5, abs=1e-6)
    assert (first["agent"], first["reward"], second["reward"]) == ("answer agent", 1.0, 0.0)
    assert first["completion"] == "Two dogs."
    assert json.loads(json.dumps([manager, first, second])) == [manager, first, second]


def test_an_added_fact_is_the_content_of_its_call(scripted: Scripted) -> None:
    memory, _ = scripted(BUDDY, found(("Andrew", "adopted", "a cat")), decided(("ADD", None, "a cat")))
    say(memory, "I adopted a dog called Buddy.")
    say(memory, "And I adopted a cat.", "2026-01-02")
    (row,) = training_rows(memory, user_id="ana")
    assert json.loads(row["completion"])["calls"] == [
        {"tool": "ADD", "memory": "fact", "content": "Andrew adopted a cat"}
    ]
    assert row["reward"] is None


def test_erasing_leaves_no_trace_in_the_log(scripted: Scripted) -> None:
    memory, _ = scripted(BUDDY, SCOUT, TWO, {"facts": []}, {"facts": []})
    first = say(memory, "I adopted a dog, he is called Buddy.")
    second = say(memory, "I adopted another dog, Scout!", "2026-01-02")
    memory.forget([second.ids[0]], user_id="ana")
    memory.wait()
    assert (facts(memory), cases(memory)) == ([], [])
    memory.forget([first.ids[0]], user_id="ana")
    assert memory.get_all(user_id="ana").items == ()
    assert memory.verify().problems == ()


def test_what_was_shown_and_is_erased_leaves_the_rows(scripted: Scripted) -> None:
    memory, _ = scripted(BUDDY, found(("Andrew", "likes", "dogs")), decided(("ADD", None, "new")))
    first = say(memory, "I adopted a dog called Buddy.")
    say(memory, "I like dogs.", "2026-01-02")
    memory.forget([first.ids[0]], user_id="ana")
    (row,) = training_rows(memory, user_id="ana")
    assert "Buddy" not in json.dumps(row)
    assert "Andrew likes dogs" in row["completion"]


def test_cases_are_no_hits_and_can_be_left_out(scripted: Scripted) -> None:
    memory, _ = scripted(BUDDY, SCOUT, TWO, log=False, distil=False)
    say(memory, "I adopted a dog called Buddy.")
    say(memory, "I adopted another dog, Scout!", "2026-01-02")
    assert cases(memory) == []
    logged, _ = scripted(BUDDY, SCOUT, TWO, distil=False)
    say(logged, "I adopted a dog called Buddy.")
    say(logged, "I adopted another dog, Scout!", "2026-01-02")
    hits = logged.search("memory manager question calls done", user_id="ana", k=20)
    assert "case" not in {hit.record.kind for hit in hits}


def test_without_a_model_facts_are_taken_by_rule_and_the_receipt_says_so(open_memory: Open) -> None:
    memory = open_memory(policy="memory_r1")
    receipt = say(memory, "I live in Porto.")
    assert reasons(receipt) == ["by rules: no model is configured"]
    say(memory, "I moved to Oslo.", "2026-02-01")
    assert facts(memory)[-1] == "Ana lives in Oslo"
    hits = memory.search("Where does Ana live?", user_id="ana")
    assert hits[0].text == "Ana lives in Oslo"
    assert cases(memory) == []


@pytest.mark.parametrize("wrong", [{"k": 0}, {"near": 2.0}, {"retrieved": 0}, {"each": 0}, {"earlier": -1}])
def test_parameters_that_make_no_sense_are_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(ConfigError, match="memory_r1: k, retrieved"):
        MemoryR1(**wrong)
