"""The policy `mem_alpha` with a scripted model: calls step by step, what is refused, what is rewarded."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest

from engine.conftest import Open
from engine.replies import held, reasons, say
from engram import Memory
from engram.bench.training import training_rows
from engram.kernel.errors import ConfigError
from engram.policies.mem_alpha import MemAlpha
from engram.testing.doubles import ScriptedModel

Scripted = Callable[..., tuple[Memory, ScriptedModel]]
KINDS = {"core": "core", "semantic": "fact", "episodic": "summary"}


@pytest.fixture
def scripted(open_memory: Open) -> Scripted:
    def open_one(*script: Any, **parameters: Any) -> tuple[Memory, ScriptedModel]:
        model = ScriptedModel(script)
        return open_memory(policy=MemAlpha(**parameters), model=model), model

    return open_one


def call(action: str, content: str = "", number: int | None = None, *turns: int) -> dict[str, Any]:
    return {"action": action, "content": content, "number": number, "turns": list(turns)}


def calls(*given: dict[str, Any]) -> dict[str, Any]:
    return {"calls": list(given)}


def texts(memory: Memory, name: str) -> list[str]:
    return [record.text for record in held(memory, kind=KINDS[name]) if record.metadata["memory"] == name]


def cases(memory: Memory) -> list[dict[str, Any]]:
    return [dict(record.metadata) for record in held(memory, kind="case")]


MOVED = calls(
    call("core_update", "Ana lives in Porto."),
    call("semantic_insert", "Porto lies by the sea."),
    call("episodic_insert", "On 1 January 2026 Ana moved to Porto."),
)


def test_the_three_memories_step_by_step(scripted: Scripted) -> None:
    memory, model = scripted(
        MOVED,
        calls(
            call("core_update", "Ana lives in Oslo."),
            call("semantic_update", "Porto lies by the Atlantic.", 2),
            call("episodic_insert", "On 5 May 2026 Ana moved to Oslo."),
        ),
        calls(call("semantic_delete", "", 2), call("core_delete")),
    )
    first = say(memory, "I moved to Porto, which is by the sea.")
    assert first.usage["model_calls"] == 1
    assert texts(memory, "core") == ["Ana lives in Porto."]
    assert texts(memory, "semantic") == ["Porto lies by the sea."]
    assert texts(memory, "episodic") == ["On 1 January 2026 Ana moved to Porto."]
    second = say(memory, "Now I moved to Oslo. Porto is by the Atlantic.", "2026-02-02")
    shown = [json.loads(line) for line in model.asked[1].splitlines() if line.startswith('{"number"')]
    assert [(line["number"], line["memory"]) for line in shown] == [
        (1, "core"),
        (2, "semantic"),
        (3, "episodic"),
    ]
    assert texts(memory, "core") == ["Ana lives in Oslo."]
    assert texts(memory, "semantic") == ["Porto lies by the Atlantic."]
    assert len(texts(memory, "episodic")) == 2
    (core,) = held(memory, kind="core")
    assert [version.text for version in memory.history(core.id, user_id="ana")] == [
        "Ana lives in Porto.",
        "Ana lives in Oslo.",
    ]
    assert set(core.sources) == {first.ids[0], second.ids[0]}
    say(memory, "Forget Porto.", "2026-02-03")
    assert (texts(memory, "core"), texts(memory, "semantic")) == ([], [])
    assert len(texts(memory, "episodic")) == 2
    before = memory.as_of(valid="2026-02-02T13:00Z").get_all(user_id="ana", filters={"kind": "fact"})
    assert [record.text for record in before] == ["Porto lies by the Atlantic."]


def test_core_memory_is_in_every_context_and_no_hit(scripted: Scripted) -> None:
    memory, _ = scripted(MOVED)
    say(memory, "I moved to Porto, which is by the sea.")
    lines = memory.context("the sea", user_id="ana").text.splitlines()
    assert "core (always shown): Ana lives in Porto." in lines[1]
    kinds = {hit.record.kind for hit in memory.search("Ana Porto core memory agent", user_id="ana", k=20)}
    assert kinds == {"episode", "fact", "summary"}


def test_what_cannot_be_done_is_refused_and_counts_against_the_calls(scripted: Scripted) -> None:
    memory, _ = scripted(
        MOVED,
        calls(
            call("semantic_insert", "Porto lies by the sea."),
            call("semantic_insert", "  "),
            call("semantic_update", "Oslo is cold.", 3),
            call("episodic_delete", "", 99),
            call("semantic_update", "", 2),
            call("semantic_delete", "", 2),
            call("semantic_update", "It rains in Porto.", 2),
            call("episodic_insert", "On 2 February 2026 it rained."),
        ),
    )
    say(memory, "I moved to Porto, which is by the sea.")
    say(memory, "It rains.", "2026-02-02")
    _, case = cases(memory)
    assert [item.get("note", "") for item in case["calls"]] == [
        "known already",
        "no content",
        "names no memory shown",
        "names no memory shown",
        "no content",
        "",
        "names no memory shown",
        "",
    ]
    assert case["rewards"]["calls"] == pytest.approx(2 / 8, abs=1e-6)
    assert texts(memory, "semantic") == []
    assert "On 2 February 2026 it rained." in texts(memory, "episodic")


def test_the_core_is_cut_at_512_tokens_worth(scripted: Scripted) -> None:
    memory, _ = scripted(calls(call("core_update", "word " * 1000)))
    say(memory, "Much.")
    (core,) = texts(memory, "core")
    assert len(core) <= 2048
    assert core.endswith("word […]")


def test_calls_stand_on_the_turns_that_they_name(scripted: Scripted) -> None:
    memory, _ = scripted(
        calls(
            call("semantic_insert", "Ana owns a cat.", None, 2),
            call("semantic_insert", "Ana sails and rows.", None, 1, 3, 77),
            call("semantic_insert", "Ana is busy.", None, 88),
        )
    )
    receipt = memory.add(
        [{"content": text, "name": "Ana"} for text in ("I sail.", "I have a cat.", "I row.")], user_id="ana"
    )
    one, two, three = receipt.ids[:3]
    sources = {record.text: record.sources for record in held(memory)}
    assert sources == {
        "Ana owns a cat.": (two,),
        "Ana sails and rows.": (one, three),
        "Ana is busy.": (one, two, three),
    }


def test_chunks_are_asked_about_in_turn_and_see_what_came_before(scripted: Scripted) -> None:
    memory, model = scripted(
        calls(call("semantic_insert", "Ana sails.")),
        calls(call("semantic_update", "Ana sails and rows.", 1)),
        chunk=200,
    )
    turns = [{"content": f"{n} " + "word " * 35, "name": "Ana"} for n in range(2)]
    receipt = memory.add(turns, user_id="ana")
    assert receipt.usage["model_calls"] == 2
    assert '"text": "Ana sails."' in model.asked[1]
    assert texts(memory, "semantic") == ["Ana sails and rows."]
    (record,) = held(memory)
    assert (record.version, set(record.sources)) == (1, set(receipt.ids[:2]))
    first, second = training_rows(memory, user_id="ana")
    assert "0 word" in first["prompt"]
    assert json.loads(second["completion"])["calls"][0]["content"] == "Ana sails and rows."


def test_the_last_entries_and_the_nearest_are_shown(scripted: Scripted) -> None:
    inserts = [calls(call("semantic_insert", f"Fact {n} about boats.")) for n in range(5)]
    memory, model = scripted(*inserts, calls(), recent=2, near=0)
    for n in range(5):
        say(memory, f"Say {n}.", f"2026-01-0{n + 1}")
    say(memory, "And?", "2026-01-09")
    assert [n for n in range(5) if f"Fact {n} " in model.asked[-1]] == [3, 4]
    near, asked = scripted(*inserts, calls(), recent=0, near=1)
    for n in range(5):
        say(near, f"Say {n}.", f"2026-01-0{n + 1}")
    say(near, "Fact 2 about boats.", "2026-01-09")
    assert [n for n in range(5) if f"Fact {n} about boats" in asked.asked[-1].split("The turns")[0]] == [2]


@pytest.mark.parametrize(
    "action, content, fit",
    [
        ("core_update", "Ana lives in Porto.", True),
        ("core_update", "This is core memory of Ana.", False),
        ("semantic_insert", "Porto lies by the sea.", True),
        ("semantic_insert", "The semantic memory was updated.", False),
        ("episodic_insert", "On 1 January 2026 Ana moved.", True),
        ("episodic_insert", "Ana moved.", False),
        ("semantic_delete", "", False),
        ("semantic_insert", "", False),
    ],
)
def test_contents_are_judged_by_rules(scripted: Scripted, action: str, content: str, fit: bool) -> None:
    memory, _ = scripted(calls(call(action, content)))
    say(memory, "Well.")
    (case,) = cases(memory)
    assert case["calls"][0]["valid"] is fit
    assert case["rewards"]["content"] == pytest.approx(float(fit), abs=1e-6)


def test_contents_are_judged_by_the_model_in_one_question(scripted: Scripted) -> None:
    memory, model = scripted(MOVED, {"fit": [3, 1, 9]}, calls(), judge=True)
    assert say(memory, "I moved to Porto, which is by the sea.").usage["model_calls"] == 2
    (case,) = cases(memory)
    assert [item["valid"] for item in case["calls"]] == [True, False, True]
    assert case["rewards"]["content"] == pytest.approx(2 / 3, abs=1e-6)
    assert "Porto lies by the sea." in model.asked[1]
    assert say(memory, "Nothing.", "2026-01-02").usage["model_calls"] == 1


def test_rows_have_the_four_rewards_with_the_papers_weights(scripted: Scripted) -> None:
    right = {"cited": [1], "answer": "In Porto.", "answered": True}
    wrong = {"cited": [1], "answer": "In Rome", "answered": True}
    bad = calls(call("semantic_insert", "Porto lies by the sea."), call("episodic_insert", "It rained."))
    memory, _ = scripted(MOVED, bad, right, wrong)
    said = ("I moved to Porto, which is by the sea.", "It rained on the way there.")
    say(memory, said[0])
    say(memory, said[1], "2026-01-02")
    questions = [("Where does Ana live?", "in porto"), ("Where was she?", "in Lisbon")]
    first, second, *answers = training_rows(memory, questions, user_id="ana")
    kept = sum(len(text) for name in KINDS for text in texts(memory, name))
    r3 = 1 - kept / sum(map(len, said))
    assert first["rewards"] == pytest.approx(
        {"correctness": 0.5, "calls": 1.0, "compression": r3, "content": 1.0}, abs=1e-6
    )
    assert first["reward"] == pytest.approx(0.5 + 1.0 + 0.05 * r3 + 0.1 * 1.0, abs=1e-6)
    assert second["rewards"]["calls"] == pytest.approx(0.5, abs=1e-6)
    assert second["reward"] == pytest.approx(0.5 + 0.5 + 0.05 * r3 + 0.1 * 0.5, abs=1e-6)
    assert [row["reward"] for row in answers] == [1.0, 0.0]
    completion = json.loads(first["completion"])["calls"]
    assert [(item["tool"], item["memory"], item["content"]) for item in completion] == [
        ("update", "core", "Ana lives in Porto."),
        ("insert", "semantic", "Porto lies by the sea."),
        ("insert", "episodic", "On 1 January 2026 Ana moved to Porto."),
    ]
    assert '{"memory": 2, "kind": "semantic", "text": "Porto lies by the sea."}' in second["prompt"]
    assert "content" not in json.loads(second["completion"])["calls"][0]
    plain = training_rows(memory, user_id="ana", weights=(1.0, 0.0), count=lambda text: len(text.split()))
    words = 1 - sum(len(text.split()) for name in KINDS for text in texts(memory, name)) / 15
    assert plain[0]["reward"] == pytest.approx(1.0 + words, abs=1e-6)


def test_an_update_of_the_core_names_what_it_changed(scripted: Scripted) -> None:
    memory, _ = scripted(MOVED, calls(call("core_update", "Ana lives in Oslo.", 3)))
    say(memory, "I moved to Porto, which is by the sea.")
    say(memory, "I moved to Oslo.", "2026-02-02")
    row = training_rows(memory, user_id="ana")[1]
    assert json.loads(row["completion"])["calls"] == [
        {"tool": "update", "memory": "core", "number": 1, "content": "Ana lives in Oslo."}
    ]


def test_nothing_to_keep_is_a_step_without_calls(scripted: Scripted) -> None:
    memory, _ = scripted(calls())
    say(memory, "Hello.")
    (case,) = cases(memory)
    assert case["rewards"] == {"calls": 0.0}
    assert cases(memory)[0]["calls"] == []


def test_erasing_a_turn_takes_all_that_it_alone_gave(scripted: Scripted) -> None:
    memory, _ = scripted(
        MOVED,
        calls(call("semantic_insert", "The code is xyzzy."), call("core_update", "Ana knows xyzzy.")),
        MOVED,
    )
    say(memory, "I moved to Porto, which is by the sea.")
    secret = say(memory, "The code is xyzzy.", "2026-02-02")
    memory.forget([secret.ids[0]], user_id="ana")
    assert memory.wait()
    everything = json.dumps([record.to_dict() for record in memory.get_all(user_id="ana", limit=100)])
    assert "xyzzy" not in everything
    assert texts(memory, "core") == ["Ana lives in Porto."]
    assert "xyzzy" not in json.dumps(training_rows(memory, user_id="ana"))
    assert memory.verify().problems == ()


def test_an_entry_stands_on_the_entry_that_lent_it_words(scripted: Scripted) -> None:
    memory, _ = scripted(
        calls(call("semantic_insert", "The code is xyzzy.")),
        calls(call("semantic_insert", "Xyzzy opens the gate.", None, 1)),
        calls(call("semantic_insert", "Ana sails.", None, 1)),
        calls(),
    )
    first = say(memory, "The code is xyzzy.")
    second = say(memory, "It opens the gate.", "2026-01-02")
    third = say(memory, "I sail.", "2026-01-03")
    sources = {record.text: set(record.sources) for record in held(memory)}
    assert sources["Xyzzy opens the gate."] == {first.ids[0], second.ids[0]}
    assert sources["Ana sails."] == {third.ids[0]}
    memory.forget([first.ids[0]], user_id="ana")
    assert memory.wait()
    assert texts(memory, "semantic") == ["Ana sails."]


def test_undo_takes_a_step_back(scripted: Scripted) -> None:
    memory, _ = scripted(
        MOVED, calls(call("core_update", "Ana lives in Oslo."), call("semantic_delete", "", 2))
    )
    say(memory, "I moved to Porto, which is by the sea.")
    receipt = say(memory, "I moved to Oslo.", "2026-02-02")
    memory.undo(receipt.derived or "", user_id="ana")
    assert texts(memory, "core") == ["Ana lives in Porto."]
    assert texts(memory, "semantic") == ["Porto lies by the sea."]


def test_others_entries_are_neither_shown_nor_changed(scripted: Scripted) -> None:
    memory, model = scripted(MOVED, calls(call("core_delete"), call("semantic_delete", "", 1)))
    say(memory, "I moved to Porto, which is by the sea.")
    say(memory, "Who am I?", "2026-02-02", user="ben")
    assert "Porto" not in model.asked[1]
    assert texts(memory, "core") == ["Ana lives in Porto."]


def test_without_a_model_facts_are_semantic_memory_and_the_receipt_says_so(open_memory: Open) -> None:
    memory = open_memory(policy="mem_alpha")
    receipt = say(memory, "I live in Porto.")
    assert reasons(receipt) == ["by rules: no model is configured"]
    say(memory, "I moved to Oslo.", "2026-02-01")
    assert memory.search("Where does Ana live?", user_id="ana")[0].text == "Ana lives in Oslo"
    assert training_rows(memory, user_id="ana") == []


def test_entries_made_by_rule_are_kept_by_calls_later(open_memory: Open, scripted: Scripted) -> None:
    memory = open_memory(policy="mem_alpha")
    say(memory, "I live in Porto.")
    core = memory._bound.core
    core.model = ScriptedModel([calls(call("semantic_update", "Ana lives in Oslo, no more in Porto.", 1))])
    say(memory, "I moved to Oslo.", "2026-02-01")
    assert texts(memory, "semantic") == ["Ana lives in Oslo, no more in Porto."]


@pytest.mark.parametrize("wrong", [{"recent": -1}, {"near": -1}, {"chunk": 10}])
def test_parameters_that_make_no_sense_are_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(ConfigError, match="mem_alpha: recent and near"):
        MemAlpha(**wrong)
