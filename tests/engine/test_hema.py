"""The policy `hema` with a scripted model: two levels of summary, a prompt, and what salience prunes."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from engine.conftest import Open
from engine.helpers import Ticking
from engine.replies import held, reasons, say
from engine.summing import part, running
from engram import Memory, Record
from engram.kernel.chat import ChatRequest
from engram.kernel.errors import ConfigError, ModelUnavailable
from engram.operators.summaries.salience import Salience
from engram.operators.summaries.sizes import tokens
from engram.policies.hema import HEMA
from engram.testing.doubles import ScriptedModel

Scripted = Callable[..., tuple[Memory, ScriptedModel]]


def counted(request: ChatRequest) -> dict[str, str]:
    """A sentence that says what it was made of."""
    prompt = request.messages[-1].text
    before = part(prompt, "The summary so far")
    new = part(prompt, "What is new")
    known = f"{before[0]['summary']}; " if before else ""
    return {"summary": f"{known}{new[0]['text'][:8]} to {new[-1]['text'][:8]}"[-200:]}


@pytest.fixture
def scripted(open_memory: Open) -> Scripted:
    def open_one(*script: Any, **parameters: Any) -> tuple[Memory, ScriptedModel]:
        model = ScriptedModel(script[0] if callable(script[0]) else script)
        return open_memory(policy=HEMA(**parameters), model=model), model

    return open_one


def turns(first: int, last: int, words: int = 3) -> list[dict[str, Any]]:
    """Turns with numbers, a minute apart."""
    return [
        {
            "content": f"Turn {count:03} {'word ' * words}".strip(),
            "name": "Ana",
            "time": f"2026-01-{1 + count // 1000:02}T{count // 60 % 24:02}:{count % 60:02}:00Z",
        }
        for count in range(first, last + 1)
    ]


def blocks(memory: Memory) -> dict[str, Record]:
    return {str(record.metadata["block"]): record for record in held(memory, kind="core")}


def episodes(memory: Memory) -> list[Record]:
    return held(memory, kind="episode")


def test_each_add_brings_the_sentence_up_to_date_by_one_question(scripted: Scripted) -> None:
    memory, model = scripted({"summary": "Ana moves."}, {"summary": "Ana moves to Oslo with a cat."})
    first = say(memory, "I am moving.", "2026-01-01")
    assert first.usage["model_calls"] == 1
    assert part(model.asked[0], "The summary so far") == []
    second = say(memory, "To Oslo, with my cat.", "2026-01-02")
    assert second.usage["model_calls"] == 1
    assert part(model.asked[1], "The summary so far") == [{"summary": "Ana moves."}]
    assert [item["text"] for item in part(model.asked[1], "What is new")] == ["To Oslo, with my cat."]
    assert "one sentence" in model.asked[1]
    compact = blocks(memory)["compact"]
    assert (compact.text, compact.sources) == ("Ana moves to Oslo with a cat.", (first.ids[0], second.ids[0]))
    versions = [record.text for record in memory.history(compact.id, user_id="ana")]
    assert versions == ["Ana moves.", "Ana moves to Oslo with a cat."]


def test_a_full_stretch_is_closed_and_all_of_them_are_summed_up(scripted: Scripted) -> None:
    memory, model = scripted(counted, every=10)
    assert memory.add(turns(1, 8), user_id="ana").usage["model_calls"] == 1
    assert memory.add(turns(9, 12), user_id="ana").usage["model_calls"] == 2
    (stretch,) = held(memory, kind="summary")
    assert stretch.text == "Turn 001 to Turn 008; Turn 009 to Turn 010"
    assert (len(stretch.sources), stretch.metadata) == (10, {"stretch": 10})
    assert blocks(memory)["earlier"].text == stretch.text
    assert blocks(memory)["compact"].text == "Turn 011 to Turn 012"
    receipt = memory.add(turns(13, 30), user_id="ana")
    assert receipt.usage["model_calls"] == 2 + 1
    assert [item["text"] for item in part(model.asked[-1], "What is new")] == [
        "Turn 001 to Turn 008; Turn 009 to Turn 010",
        "Turn 011 to Turn 012; Turn 013 to Turn 020",
        "Turn 021 to Turn 030",
    ]
    assert part(model.asked[-1], "The summary so far") == []
    assert len(blocks(memory)["earlier"].sources) == 3
    assert set(blocks(memory)) == {"earlier"}
    assert set(blocks(memory)["earlier"].sources) == {record.id for record in held(memory, kind="summary")}
    assert memory.verify().problems == ()


def test_a_sentence_has_60_tokens_at_most(scripted: Scripted) -> None:
    memory, model = scripted({"summary": "very " * 300}, {"summary": ""})
    say(memory, "I am moving.")
    assert tokens(blocks(memory)["compact"].text) <= 60
    say(memory, "To Oslo.")
    assert blocks(memory)["compact"].text.startswith("very very")
    assert len(model.asked) == 2


def test_a_prompt_of_a_long_talk_has_3500_tokens_at_most() -> None:
    model = ScriptedModel(counted)
    memory = Memory("ram:", policy=HEMA(), model=model)
    for first in range(1, 601, 60):
        memory.add(turns(first, first + 59, words=40), user_id="ana")
    count = memory._bound.core.embedder.count
    for budget in (3500, None):
        context = memory.context("What of Turn 0042?", user_id="ana", budget=budget)
        assert count(context.text) == context.tokens <= 3500
        lines = context.text.splitlines()
        assert lines[1].startswith("[1] earlier (always shown): Turn 001 to")
        assert lines[-2].split("Ana: ")[1].startswith("Turn 600")
        assert lines[-3].split("Ana: ")[1].startswith("Turn 599")
        assert len(context.citations) > 10
    memory.add({"content": "long " * 5_000, "name": "Ana", "time": "2026-02-01"}, user_id="ana")
    context = memory.context("What of Turn 0042?", user_id="ana", budget=3500)
    assert count(context.text) <= 3500
    assert max(tokens(prompt) for prompt in model.asked) < 3500
    assert memory.search("Turn 0042", user_id="ana")[0].record.kind == "episode"


def weight(age: float, recalled: bool, form: str = "recalled") -> float:
    """The paper's formula with its values: as it says, or as it prints it."""
    indicator = recalled if form == "recalled" else not recalled
    return 1.0 * math.exp(-0.002 * age) + 0.5 * indicator


@pytest.mark.parametrize("form", ["recalled", "printed"])
def test_salience_is_the_papers_formula(form: Any) -> None:
    ages = np.array([0, 1, 99, 100, 1000, 20_000], np.float64)
    for recalled in (False, True):
        found = Salience(form=form).weights(ages, np.full(6, recalled))
        assert found == pytest.approx([weight(age, recalled, form) for age in ages], abs=1e-9)


@pytest.mark.parametrize("form", ["recalled", "printed"])
def test_strength_in_the_store_is_salience_as_the_formula_has_it(open_memory: Open, form: Any) -> None:
    memory = open_memory(policy=HEMA(salience=form))
    memory.add(turns(1, 150), user_id="ana")
    memory.search("Turn 007", user_id="ana", k=1)
    memory.add(turns(151, 160), user_id="ana")
    memory.tend(user_id="ana")
    said = episodes(memory)
    recalled = [record.text[:8] == "Turn 007" for record in said]
    assert [record.strength * 1.5 for record in said] == pytest.approx(
        [weight(160 - place, again, form) for place, again in enumerate(recalled, 1)], abs=1e-6
    )
    assert sum(recalled) == 1
    memory.add(turns(161, 255), user_id="ana")
    memory.tend(user_id="ana")
    seventh = next(record for record in episodes(memory) if record.text[:8] == "Turn 007")
    expected = (
        weight(255 - 7, False) if form == "recalled" else 0.0
    )  # as printed, recalling it gets it pruned
    assert seventh.strength * 1.5 == pytest.approx(expected, abs=1e-6)


@pytest.mark.parametrize("size", [25, 400])
def test_every_hundred_turns_the_least_salient_are_hidden_and_none_is_lost(
    open_memory: Open, size: int
) -> None:
    memory = open_memory(policy=HEMA(prune=0.02))
    for first in range(1, 401, size):
        memory.add(turns(first, first + size - 1), user_id="ana")
    gone = sorted(record.text[:8] for record in episodes(memory) if record.strength == 0)
    expected = 0
    for count in (100, 200, 300, 400):
        expected += int(0.02 * (count - expected))
    assert gone == [f"Turn {count:03}" for count in range(1, expected + 1)]
    assert not any(hit.text[:8] in gone for hit in memory.search("Turn 001", user_id="ana", k=400))
    assert len(episodes(memory)) == 400
    assert len(memory.search("Turn 001", user_id="ana", k=1000)) == 400 - expected


def test_what_is_recalled_is_not_pruned(open_memory: Open, clock: Ticking) -> None:
    memory = open_memory(policy=HEMA(prune=0.02))
    memory.add(turns(1, 95), user_id="ana")
    first = memory.search("Turn 001", user_id="ana", k=1)[0]
    memory.as_of(known=clock()).search("Turn 003", user_id="ana", k=1)
    memory.add(turns(96, 110), user_id="ana")
    gone = [record.text[:8] for record in episodes(memory) if record.strength == 0]
    assert first.text[:8] == "Turn 001"
    assert gone == ["Turn 002", "Turn 003"]
    kept = open_memory(policy=HEMA(prune=0.0))
    kept.add(turns(1, 110), user_id="ben")
    assert len(kept.search("Turn", user_id="ben", k=200)) == 110


def test_without_a_model_sentences_are_chosen_by_rule_and_the_receipt_says_so(open_memory: Open) -> None:
    memory = open_memory(policy=HEMA(every=3))
    receipt = say(memory, "The river was high. No boat could sail on the river.", "2026-01-01")
    assert reasons(receipt) == ["by rules: no model is configured"]
    for day in (2, 3, 4):
        receipt = say(
            memory, f"On day {day} the river was high again, and no boat could sail.", f"2026-01-0{day}"
        )
    assert "river" in blocks(memory)["earlier"].text
    assert "On day 4" in blocks(memory)["compact"].text
    assert receipt.usage == {}


def test_erasing_a_turn_writes_its_stretch_and_the_whole_anew(open_memory: Open) -> None:
    model = ScriptedModel(running)
    memory = open_memory(policy=HEMA(every=4), model=model)
    receipts = [memory.add(turn, user_id="ana") for turn in turns(1, 10, words=0)]
    assert len(held(memory, kind="summary")) == 2
    memory.forget([receipts[1].ids[0]], user_id="ana")
    assert memory.wait()
    texts = [record.text for record in held(memory, kind="summary")]
    assert sorted(texts) == ["Turn 001 / Turn 003 / Turn 004", "Turn 005 / Turn 006 / Turn 007 / Turn 008"]
    assert "Turn 003" in blocks(memory)["earlier"].text
    assert blocks(memory)["compact"].text == "Turn 009 / Turn 010"
    memory.forget([receipts[8].ids[0]], user_id="ana")
    assert memory.wait()
    assert blocks(memory)["compact"].text == "Turn 010"
    ids = [receipts[count].ids[0] for count in (0, 2, 3)]
    memory.forget(ids, user_id="ana")
    assert memory.wait()
    memory.tend(user_id="ana")
    assert "Turn 005" in blocks(memory)["earlier"].text
    assert not any("Turn 003" in record.text for record in memory.get_all(user_id="ana", limit=100))
    assert memory.verify().problems == ()


def test_a_model_that_never_answers_leaves_the_job_pending(open_memory: Open, clock: Ticking) -> None:
    model = ScriptedModel([ModelUnavailable("timed out"), {"summary": "Ana moves."}])
    memory = open_memory(policy="hema", model=model)
    receipt = say(memory, "I am moving.")
    assert (receipt.items[-1].event, blocks(memory)) == ("pending", {})
    clock.skip(hours=1)
    memory.wait()
    assert blocks(memory)["compact"].text == "Ana moves."


def test_a_turn_of_the_future_does_no_harm(scripted: Scripted) -> None:
    memory, _ = scripted(counted, every=4)
    for day in ("2999-12-31", *(f"2026-01-0{day}" for day in range(1, 8))):
        assert say(memory, f"Said of {day}.", day).ok
    assert memory.verify().problems == ()
    assert len(held(memory, kind="summary")) == 2


@pytest.mark.parametrize(
    "wrong", [{"every": 0}, {"prune": 1.0}, {"salience": "no"}, {"rate": -1.0}, {"tail": -1}]
)
def test_parameters_that_make_no_sense_are_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(ConfigError, match="hema: every"):
        HEMA(**wrong)
