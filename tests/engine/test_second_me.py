"""The policy `second_me`: the raw layer, topics and a profile above it, and what would be trained."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest

from engine.conftest import Open
from engine.replies import held, say, unusable
from engine.shelving import profiling
from engram import Memory, ModelError, Record
from engram.kernel.errors import ConfigError
from engram.operators.topics.cluster import clustered, topic_name
from engram.operators.topics.rows import parametric_rows, to_be_trained
from engram.policies.second_me import SecondMe
from engram.testing.doubles import HashEmbedder, ScriptedModel

Scripted = Callable[..., tuple[Memory, ScriptedModel]]
TEA = {"name": "Tea", "description": "Ana drinks green tea.", "memories": [1]}
SKETCH = {
    "biography": "Ana lives with tea.",
    "status": "She has a cold.",
    "preferences": ["Likes green tea.", "Hates milk in it."],
    "shades": [
        {"name": "Tea drinker", "aspect": "a connoisseur", "description": "Knows teas.", "topics": [1]}
    ],
}


@pytest.fixture
def scripted(open_memory: Open) -> Scripted:
    def open_one(*script: Any, **parameters: Any) -> tuple[Memory, ScriptedModel]:
        model = ScriptedModel(script or profiling)
        return open_memory(policy=SecondMe(**parameters), model=model), model

    return open_one


def blocks(memory: Memory) -> dict[str, str]:
    return {str(record.metadata["block"]): record.text for record in held(memory, kind="core")}


def shades(memory: Memory) -> dict[str, Record]:
    found = held(memory, kind="summary")
    return {str(record.metadata["shade"]): record for record in found if "shade" in record.metadata}


def topics(memory: Memory) -> dict[str, Record]:
    found = held(memory, kind="summary")
    return {str(record.metadata["topic"]): record for record in found if "topic" in record.metadata}


def test_an_add_asks_nothing_and_a_tend_makes_the_profile_in_two_questions(scripted: Scripted) -> None:
    memory, model = scripted({"topics": [TEA]}, SKETCH)
    receipt = say(memory, "I drink green tea.")
    assert (receipt.usage, model.asked) == ({}, [])
    assert memory.tend(user_id="ana").usage["model_calls"] == 2
    assert topics(memory)["Tea"].sources == (receipt.ids[0],)
    assert topics(memory)["Tea"].text == "Tea: Ana drinks green tea."
    assert blocks(memory) == {
        "biography": "Ana lives with tea.",
        "status": "She has a cold.",
        "preferences": "Likes green tea.\nHates milk in it.",
    }
    shade = shades(memory)["Tea drinker"]
    assert (shade.text, shade.metadata["aspect"]) == ("Tea drinker: Knows teas.", "a connoisseur")
    assert shade.metadata["topics"] == ["Tea"]
    assert shade.sources == (topics(memory)["Tea"].id,)
    assert memory.tend(user_id="ana").usage == {}


def test_turns_are_filed_in_batches_that_know_the_topics_so_far(scripted: Scripted) -> None:
    memory, model = scripted(together=20)
    memory.add([f"Turn {number} is about tea." for number in range(45)], user_id="ana")
    assert memory.tend(user_id="ana").usage["model_calls"] == 3 + 1
    assert [prompt.count('{"memory"') for prompt in model.asked] == [20, 20, 5, 0]
    assert ["The topics so far" in prompt for prompt in model.asked] == [False, True, True, False]
    assert len(topics(memory)["Tea"].metadata["members"]) == 45


def test_what_is_new_brings_the_profile_up_to_date(scripted: Scripted) -> None:
    memory, model = scripted()
    say(memory, "I drink green tea.")
    memory.tend(user_id="ana")
    say(memory, "My cat is called Plum.", "2026-01-02")
    assert memory.tend(user_id="ana").usage["model_calls"] == 2
    shown = [json.loads(line) for line in model.asked[-1].splitlines() if line.startswith("{")]
    assert shown[0]["biography"] == "Ana, of whom 1 topics are known: Tea."
    assert blocks(memory)["biography"] == "Ana, of whom 2 topics are known: Pets, Tea."
    biography = next(record for record in held(memory, kind="core") if record.text.startswith("Ana, of whom"))
    versions = memory.history(biography.id, user_id="ana")
    assert [len(record.sources) for record in versions] == [1, 2]
    assert set(shades(memory)) == {"Tea friend", "Pets friend"}


def test_a_prompt_begins_with_the_profile_and_holds_the_nearest_shades(scripted: Scripted) -> None:
    memory, _ = scripted(shades=1)
    for text in ("I drink green tea.", "My cat is called Plum."):
        say(memory, text)
    memory.tend(user_id="ana")
    context = memory.context("What is the cat called?", user_id="ana")
    assert "biography (always shown): Ana, of whom" in context.text
    assert "Pets friend: My cat is called Plum." in context.text
    assert "Tea friend" not in context.text.replace("Likes to speak of Tea", "")
    kinds = {hit.record.kind for hit in memory.search("What is the cat called?", user_id="ana")}
    assert kinds == {"episode"}


def test_the_raw_layer_is_found_without_any_profile(open_memory: Open) -> None:
    memory = open_memory(policy="second_me")
    for text in ("I drink green tea.", "My cat is called Plum."):
        say(memory, text)
    assert memory.search("What is the cat called?", user_id="ana")[0].text == "My cat is called Plum."


def test_an_erased_turn_takes_the_profile_with_it_and_tend_makes_it_anew(scripted: Scripted) -> None:
    memory, _ = scripted()
    receipt = say(memory, "I drink tea from Zanzibar.")
    say(memory, "My cat is called Plum.")
    memory.tend(user_id="ana")
    assert any("Zanzibar" in record.text for record in held(memory, kind="summary"))
    memory.forget([receipt.ids[0]], user_id="ana")
    memory.wait(10)
    everything = memory.get_all(user_id="ana", limit=1000)
    assert not any("Zanzibar" in str(record.to_dict()) for record in everything)
    assert blocks(memory) == {}
    memory.tend(user_id="ana")
    assert blocks(memory)["biography"] == "Ana, of whom 1 topics are known: Pets."
    assert memory.verify().problems == ()


def test_without_a_model_rules_make_it_and_say_so(open_memory: Open) -> None:
    memory = open_memory(policy="second_me")
    for text in (
        "I live in Porto.",
        "My favourite tea is sencha.",
        "Green tea is what I drink.",
        "I drink green tea every morning.",
    ):
        say(memory, text)
    receipt = memory.tend(user_id="ana")
    assert {item.reason for item in receipt.items} == {"by rules: no model is configured"}
    assert "Ana lives in Porto" in blocks(memory)["biography"]
    assert blocks(memory)["preferences"] == "Ana favourite tea sencha"
    (shade,) = shades(memory).values()
    assert len(topics(memory)[shade.metadata["topics"][0]].metadata["members"]) == 3
    assert list(memory.tend(user_id="ana").items) == []


def test_what_would_be_trained_is_named_and_exported_as_rows(scripted: Scripted) -> None:
    memory, _ = scripted({"topics": [TEA]}, SKETCH)
    turn = say(memory, "I drink green tea.", "2026-01-02").ids[0]
    assert parametric_rows(memory.get_all(user_id="ana")) == []
    memory.tend(user_id="ana")
    records = memory.get_all(user_id="ana")
    named = {
        record.metadata.get("block") or record.metadata.get("shade") or "Tea"
        for record in to_be_trained(records)
    }
    assert named == {"biography", "status", "preferences", "Tea drinker", "Tea"}
    rows = parametric_rows(records)
    assert sorted(row["kind"] for row in rows) == [
        "memory_qa", "preference", "preference", "self_qa", "self_qa", "self_qa", "shade",
    ]  # fmt: skip
    assert json.loads(json.dumps(rows)) == rows
    assert all([part["role"] for part in row["messages"]] == ["system", "user", "assistant"] for row in rows)
    (memory_row,) = [row for row in rows if row["kind"] == "memory_qa"]
    assert memory_row["messages"][1]["content"] == "What have I told you about Tea?"
    assert memory_row["messages"][2]["content"].endswith("2026-01-02: I drink green tea.")
    assert memory_row["sources"] == [topics(memory)["Tea"].id, turn]


BAD = unusable(SKETCH, {"profile": 1})


@pytest.mark.parametrize("bad", BAD.values(), ids=BAD)
def test_a_profile_that_cannot_be_used_leaves_everything_as_it_was(scripted: Scripted, bad: Any) -> None:
    memory, _ = scripted({"topics": [TEA]}, *[bad] * 5)
    say(memory, "I drink green tea.")
    with pytest.raises(ModelError):
        memory.tend(user_id="ana")
    assert (blocks(memory), topics(memory)) == ({}, {})


def test_shades_of_topics_that_were_not_shown_are_left_out(scripted: Scripted) -> None:
    elsewhere = {**SKETCH, "shades": [{"name": "Sailor", "topics": [9]}, {"name": "", "topics": [1]}]}
    memory, _ = scripted({"topics": [TEA]}, elsewhere)
    say(memory, "I drink green tea.")
    memory.tend(user_id="ana")
    assert shades(memory) == {}


def test_groups_by_likeness_and_their_names() -> None:
    texts = ["green tea", "tea green", "my dog barks", "my dog barks loudly"]
    groups = clustered(HashEmbedder(64).embed(texts), 0.5)
    assert groups == [[0, 1], [2, 3]]
    assert clustered(HashEmbedder(64).embed(texts), 1.1) == [[0], [1], [2], [3]]
    assert topic_name(["green tea", "black tea"]) == "tea, black"
    assert topic_name(["Ana likes tea"], ["Ana"]) == "tea"
    assert topic_name(["?"]) == "other"


@pytest.mark.parametrize("wrong", [{"together": 0}, {"words": -0.1}, {"shades": -1}])
def test_parameters_that_cannot_be(wrong: dict[str, Any]) -> None:
    with pytest.raises(ConfigError, match="second_me: together"):
        SecondMe(**wrong)
