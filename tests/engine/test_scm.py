"""The policy `scm` with a scripted model: what its controller asks and when, and what a prompt holds then."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import pytest

from engine.conftest import Open
from engine.helpers import Ticking
from engine.replies import held, reasons, say
from engine.summing import controlling, part
from engram import Memory
from engram.kernel.chat import ChatRequest
from engram.kernel.errors import ConfigError, ModelUnavailable
from engram.kernel.protocols import SelectEdges
from engram.operators.summaries.activation import recency
from engram.operators.summaries.sizes import tokens
from engram.policies.scm import SCM
from engram.testing.doubles import ScriptedModel

Scripted = Callable[..., tuple[Memory, ScriptedModel]]
YES, NO = {"activate": True}, {"activate": False}


@pytest.fixture
def scripted(open_memory: Open) -> Scripted:
    def open_one(*script: Any, **parameters: Any) -> tuple[Memory, ScriptedModel]:
        model = ScriptedModel(script[0] if callable(script[0]) else script)
        return open_memory(policy=SCM(**parameters), model=model), model

    return open_one


def long(topic: str, size: int = 900) -> str:
    """A message of that many tokens about a topic."""
    sentence = f"We spoke about the {topic} and the old {topic} by the harbour. "
    return (sentence * (4 * size // len(sentence) + 1)).strip()


def summaries(memory: Memory) -> list[str]:
    return [record.text for record in held(memory, kind="summary")]


def test_a_long_turn_is_summed_up_and_a_short_one_costs_nothing(scripted: Scripted) -> None:
    memory, model = scripted({"summaries": [{"turn": 1, "summary": "Ana tells of the boat."}]})
    assert say(memory, "The boat is blue.").usage == {}
    receipt = say(memory, long("boat", 301))
    assert receipt.usage["model_calls"] == len(model.asked) == 1
    (summary,) = held(memory, kind="summary")
    assert (summary.text, summary.sources) == ("Ana tells of the boat.", (receipt.ids[0],))
    assert say(memory, "word " * 230).usage == {}


def test_the_long_turns_of_one_add_share_a_question(scripted: Scripted) -> None:
    given = [{"turn": 2, "summary": "Of the cat."}, {"turn": 9, "summary": "Of nothing shown."}]
    memory, model = scripted({"summaries": given})
    texts = [long("boat", 400), "Short.", long("cat", 400)]
    receipt = memory.add([{"content": text, "name": "Ana"} for text in texts], user_id="ana")
    assert len(model.asked) == 1
    assert [item["turn"] for item in part(model.asked[0], "The messages")] == [1, 2]
    assert summaries(memory)[1] == "Of the cat."
    assert "boat" in summaries(memory)[0]
    assert "by rules: the model's reply has no summary of it" in reasons(receipt)[2:]


def test_a_query_that_needs_no_memory_gets_the_flash_memory_alone(scripted: Scripted) -> None:
    memory, model = scripted(NO, NO, YES)
    for count, text in enumerate(("I live in Porto.", "My cat is called Plum.", "What a day!"), 1):
        say(memory, text, f"2026-01-0{count}")
    usage: list[str] = [hit.text for hit in memory.search("Nice to meet you!", user_id="ana")]
    assert usage == ["My cat is called Plum.", "What a day!"]
    text = memory.context("Nice to meet you!", user_id="ana").text
    assert "Porto" not in text
    assert "What a day!" in text
    assert [item["text"] for item in part(model.asked[0], "The last messages")] == usage
    assert part(model.asked[0], "What is asked now") == [{"text": "Nice to meet you!"}]
    assert "Porto" in memory.search("Where do I live?", user_id="ana")[0].text
    assert len(model.asked) == 3


def test_where_it_is_too_much_the_controller_asks_whether_a_summary_is_enough(scripted: Scripted) -> None:
    def reply(request: ChatRequest) -> Any:
        prompt = request.messages[-1].text
        if "(`enough`)" in prompt:
            return {"enough": "harbour boat" in prompt}
        return controlling(request)

    memory, model = scripted(reply, flash=0)
    for topic in ("harbour boat", "harbour cat", "harbour house"):
        say(memory, long(topic))
    say(memory, "A short word of the harbour.")
    model.asked.clear()
    hits = memory.search("What of the harbour?", user_id="ana", k=4)
    assert len(model.asked) == 1 + 3
    kinds = {hit.text[:28]: hit.record.kind for hit in hits}
    assert sorted(kinds.values()) == ["episode", "episode", "episode", "summary"]
    assert next(hit for hit in hits if hit.record.kind == "summary").text.startswith(
        "In short: We spoke about the"
    )
    model.asked.clear()
    assert [hit.record.kind for hit in memory.search("harbour", user_id="ana", k=2)] == ["episode"] * 2
    assert len(model.asked) == 1, "two of them fit"


def test_rank_is_recency_plus_relevance_and_access_makes_recent(open_memory: Open, clock: Ticking) -> None:
    memory = open_memory(policy="scm")
    say(memory, "The boat is blue.")
    clock.skip(hours=200)
    say(memory, "The boat is green.")
    question = "Which colour has the boat?"
    hits = memory.as_of(known=clock.now).search(question, user_id="ana", explain=True)
    assert [hit.text for hit in hits] == ["The boat is green.", "The boat is blue."]
    embedder = memory._bound.core.embedder
    asked, *said = embedder.embed([question, *(hit.text for hit in hits)])
    now = clock.now
    for hit, vector in zip(hits, said, strict=True):
        assert hit.record.known.start is not None
        hours = (now - hit.record.known.start).total_seconds() / 3600
        cosine = float(asked @ vector)
        assert hit.why["recency"] == pytest.approx(0.995**hours, abs=1e-5)
        assert hit.why["relevance"] == pytest.approx(cosine, abs=1e-3)
        assert hit.score == pytest.approx((hit.why["recency"] + hit.why["relevance"]) / 2, abs=1e-9)
    memory.search("The boat is blue.", user_id="ana", k=1)
    core = memory._bound.core
    asked_edges = SelectEdges(scope=memory._bound.scope({"user_id": "ana"}), types=("recalled",))
    (accessed,) = core.store.edges(asked_edges)
    clock.skip(hours=300)
    again = memory.search(accessed_text(memory, accessed.source), user_id="ana", k=1, explain=True)[0]
    hours = (clock.now - (accessed.valid.start or clock.now)).total_seconds() / 3600
    assert again.why["recency"] == pytest.approx(0.995**hours, abs=1e-5)


def accessed_text(memory: Memory, id: str) -> str:
    return memory.get(id, user_id="ana").text


@pytest.mark.parametrize("hours", [-5, 0, 0.25, 1, 24, 138.2825, 1000, 1e6])
def test_recency_falls_exponentially_with_the_hours(hours: float) -> None:
    assert recency(hours, 0.995) == pytest.approx(min(1.0, math.exp(hours * math.log(0.995))), abs=1e-9)
    assert recency(138.282574, 0.995) == pytest.approx(0.5, abs=1e-6)


def test_a_context_holds_the_flash_memory_short_and_what_is_activated(scripted: Scripted) -> None:
    memory, _ = scripted(controlling)
    say(memory, "I live in Porto.", "2026-01-01")
    say(memory, long("boat"), "2026-01-02")
    say(memory, "What a day!", "2026-01-03")
    text = memory.context("Where do I live?", user_id="ana", budget=400).text
    lines = [line.split("] ", 1)[1] for line in text.splitlines()[1:-1]]
    assert "2026-01-01 12:00 Ana: I live in Porto." in lines
    assert "2026-01-02 12:00 Ana: In short: We spoke about the boat" in text
    assert "2026-01-03 12:00 Ana: What a day!" in lines
    assert tokens(text) < 400


@pytest.mark.parametrize("bad", ["no JSON", ModelUnavailable("timed out")], ids=["bad reply", "away"])
def test_a_controller_that_fails_activates(scripted: Scripted, bad: Any) -> None:
    def reply(request: ChatRequest) -> Any:
        if "(`activate`)" not in request.messages[-1].text:
            return controlling(request)
        if isinstance(bad, Exception):
            raise bad
        return bad

    memory, _ = scripted(reply)
    say(memory, "I live in Porto.")
    hit = memory.search("Where do I live?", user_id="ana", explain=True)[0]
    assert (hit.text, hit.why["by_model"]) == ("I live in Porto.", 0.0)


def test_a_controller_that_fails_at_its_second_question_says_so(scripted: Scripted) -> None:
    def reply(request: ChatRequest) -> Any:
        return "no JSON" if "(`enough`)" in request.messages[-1].text else controlling(request)

    memory, _ = scripted(reply)
    for topic in ("boat", "house", "garden"):
        say(memory, long(topic))
    hits = memory.search("What about the boat?", user_id="ana", explain=True)
    assert {hit.why["by_model"] for hit in hits} == {0.0}
    few = memory.search("What about the boat?", user_id="ana", k=1, explain=True)
    assert few[0].why["by_model"] == 1.0


def test_without_a_model_summaries_are_by_rule_and_stand_in_until_it_fits(open_memory: Open) -> None:
    memory = open_memory(policy=SCM(flash=0))
    assert reasons(say(memory, long("boat"))) == ["by rules: no model is configured"]
    for topic in ("cat", "house"):
        say(memory, long(topic))
    hits = memory.search("What of the harbour?", user_id="ana", k=3)
    assert [hit.record.kind for hit in hits] == ["episode", "episode", "summary"]
    assert sum(tokens(hit.text) for hit in hits) <= 2000
    asked = memory.search("harbour", user_id="ana", filters={"kind": "summary"})
    assert len(asked) == 3
    uncontrolled = open_memory(policy=SCM(controlled=False), model=ScriptedModel([]))
    say(uncontrolled, "I live in Porto.", user="ben")
    assert uncontrolled.search("Porto", user_id="ben")[0].text == "I live in Porto."


def test_erasing_or_editing_a_turn_takes_its_summary_along(scripted: Scripted) -> None:
    memory, _ = scripted(controlling)
    first = say(memory, long("boat"))
    second = say(memory, long("cat"))
    memory.forget([first.ids[0]], user_id="ana")
    memory.edit(second.ids[0], text=long("dog"), user_id="ana")
    assert memory.wait()
    assert [text[:40] for text in summaries(memory)] == ["In short: We spoke about the dog and the"]
    assert memory.verify().problems == ()


@pytest.mark.parametrize("wrong", [{"long": 0}, {"flash": -1}, {"decay": 0.0}, {"decay": 1.1}, {"total": 0}])
def test_parameters_that_make_no_sense_are_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(ConfigError, match="scm: long"):
        SCM(**wrong)
