"""CAIM: tagged thoughts, merged and extended; a controller that looks for them by tags and days."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from engine.conftest import Open
from engine.replies import held, reasons, say
from engram import Memory
from engram.kernel.errors import ConfigError, ModelUnavailable
from engram.operators.thoughts.tags import ONTOLOGY, small_talk, tags_of
from engram.policies.caim import CAIM
from engram.testing.doubles import HashEmbedder, ScriptedModel

Scripted = Callable[..., tuple[Memory, ScriptedModel]]
Thought = tuple[str, list[str]]
BAKES: Thought = ("Ana bakes bread on Sundays.", ["cooking", "habits"])
AGAIN: Thought = ("On Sundays Ana makes rye bread.", ["cooking"])
DOG: Thought = ("Ana has a dog called Rex.", ["pets"])
NOTHING: dict[str, Any] = {"merge": []}


def found(*thoughts: Thought, new: tuple[tuple[str, str], ...] = ()) -> dict[str, Any]:
    memories = [{"turn": 1, "thought": text, "tags": tags} for text, tags in thoughts]
    return {"memories": memories, "new": [{"category": one, "tag": tag} for one, tag in new]}


def same(thoughts: list[int], text: str, *tags: str) -> dict[str, Any]:
    return {"merge": [{"thoughts": thoughts, "thought": text, "tags": list(tags)}]}


def needs(*tags: str, needed: bool = True, dates: tuple[str, ...] = ()) -> dict[str, Any]:
    return {"needed": needed, "tags": list(tags), "dates": list(dates)}


@pytest.fixture
def scripted(open_memory: Open) -> Scripted:
    def open_one(*script: Any, **parameters: Any) -> tuple[Memory, ScriptedModel]:
        model = ScriptedModel(script)
        policy = CAIM(**{"near": 0.0, **parameters})
        return open_memory(policy=policy, model=model, embedder=HashEmbedder(64)), model

    return open_one


def thoughts(memory: Memory, query: str, **more: Any) -> list[str]:
    """The texts of the thoughts that a search finds."""
    return [hit.text for hit in memory.search(query, user_id="ana", **more) if hit.record.made_by]


def test_thoughts_are_kept_with_tags_and_merged_where_they_say_the_same(scripted: Scripted) -> None:
    memory, model = scripted(
        found(BAKES),
        found(AGAIN, DOG), same([1, 2], "Ana bakes rye bread on Sundays.", "cooking", "baking"),
        found(("Ana likes jazz.", ["music"])),
    )  # fmt: skip
    first = say(memory, "I bake bread on Sundays.", "2026-01-04")
    (bakes,) = held(memory, kind="summary")
    assert first.usage["model_calls"] == 1
    assert (bakes.text, bakes.sources) == (BAKES[0], (first.ids[0],))
    assert bakes.metadata == {"tags": ["cooking", "habits"], "dates": ["2026-01-04"]}
    second = say(memory, "Today it was rye bread again. Rex ate some.", "2026-01-11")
    assert second.usage["model_calls"] == 2
    assert (
        '{"thought": 1, "since": "2026-01-04", "tags": ["cooking", "habits"], "text": "Ana bakes'
        in model.asked[2]
    )
    merged, dog = sorted(held(memory, kind="summary"), key=lambda record: record.text, reverse=False)
    assert (merged.text, merged.id, merged.version) == ("Ana bakes rye bread on Sundays.", bakes.id, 2)
    assert merged.metadata == {"tags": ["cooking", "habits"], "dates": ["2026-01-04", "2026-01-11"]}
    assert merged.sources == (first.ids[0], second.ids[0])
    assert dog.text == DOG[0]
    assert sorted(reasons(second)) == ["", "merged"]
    assert say(memory, "I like jazz.").usage["model_calls"] == 1
    memory.undo(second.derived or "", user_id="ana")
    assert BAKES[0] in {record.text for record in held(memory, kind="summary")}


def test_the_ontology_is_extended_by_single_words_and_used_from_then_on(scripted: Scripted) -> None:
    memory, model = scripted(
        found(
            ("Ana brews kombucha.", ["fermenting", "drinks", "no such", "tea-time"]),
            new=(("food", "Fermenting"), ("food", "two words"), ("leisure", "music")),
        ),
        found(),
    )
    say(memory, "I brew kombucha.")
    (kombucha,) = held(memory, kind="summary")
    assert kombucha.metadata["tags"] == ["fermenting", "drinks"]
    assert kombucha.metadata["under"] == {"fermenting": "food"}
    say(memory, "Kombucha is done.")
    assert '{"others": ["fermenting"]}' in model.asked[1]
    assert thoughts(memory, "What about fermenting in the pantry?") == ["Ana brews kombucha."]


def test_a_search_finds_thoughts_that_share_a_tag_or_a_day_and_turns(scripted: Scripted) -> None:
    jazz: Thought = ("Ana plays jazz.", ["music"])
    memory, model = scripted(*(found(one) for one in (BAKES, DOG, jazz)))
    for day, text in (("04", "I bake bread."), ("05", "Rex is my dog."), ("06", "I play jazz.")):
        say(memory, text, f"2026-01-{day}")
    assert thoughts(memory, "Which recipe does she cook?") == [BAKES[0]]
    assert thoughts(memory, "Which puppy or which song?") != []
    assert set(thoughts(memory, "Which puppy or which song?")) == {DOG[0], jazz[0]}
    assert thoughts(memory, "What happened on 2026-01-05?") == [DOG[0]]
    assert len(thoughts(memory, "Tell me something about Ana")) == 3
    hits = memory.search("Which recipe does she cook?", user_id="ana", explain=True)
    assert {hit.text for hit in hits if not hit.record.made_by} == {
        "I bake bread.",
        "Rex is my dog.",
        "I play jazz.",
    }
    assert hits[0].why["by_model"] == 0.0
    assert len(model.asked) == 3


def test_without_turns_a_search_finds_thoughts_alone(scripted: Scripted) -> None:
    memory, _ = scripted(found(BAKES), turns=False)
    say(memory, "I bake bread on Sundays.")
    hits = memory.search("Which recipe does she cook?", user_id="ana")
    assert [hit.text for hit in hits] == [BAKES[0]]
    assert memory.search("Which song?", user_id="ana") == []


@pytest.mark.parametrize("text", ["Hi!", "Thank you", "Good morning", "ok", "?"])
def test_what_is_small_talk_needs_no_memory(scripted: Scripted, text: str) -> None:
    memory, _ = scripted(found(BAKES))
    say(memory, "I bake bread on Sundays.")
    assert small_talk(text)
    assert memory.search(text, user_id="ana") == []
    assert not small_talk("Where does Ana live?")


def test_the_model_controls_a_search_in_two_questions(scripted: Scripted) -> None:
    memory, model = scripted(
        found(BAKES), found(AGAIN), NOTHING, found(DOG),
        needs("cooking"), {"relevant": [2, 9]},
        needs("pets", dates=("2026-01-04", "2026-13-45", "soon")), {"relevant": []},
        needs("music"),
        needs(needed=False),
        controller="model",
    )  # fmt: skip
    for day, text in (("04", "I bake bread."), ("11", "It was rye."), ("12", "Rex is my dog.")):
        say(memory, text, f"2026-01-{day}")
    made = len(model.asked)
    assert len(thoughts(memory, "What does she make on Sundays?")) == 1
    assert len(model.asked) == made + 2
    assert "cooking (food)" in model.asked[made]
    assert '{"thought": 2, "text"' in model.asked[made + 1]
    assert '{"thought": 3, "text"' not in model.asked[made + 1]
    assert thoughts(memory, "And what about Rex?") == []
    assert DOG[0] in model.asked[made + 3]
    assert BAKES[0] in model.asked[made + 3]
    assert thoughts(memory, "Any song?") == []
    assert len(model.asked) == made + 5
    assert memory.search("What is two and two?", user_id="ana") == []
    assert len(model.asked) == made + 6
    then = memory.as_of(valid="2026-02-01").search("Which recipe does she cook?", user_id="ana")
    assert any(hit.record.made_by for hit in then)
    assert len(model.asked) == made + 6


@pytest.mark.parametrize("bad", ["no JSON", ModelUnavailable("timed out")], ids=["bad", "down"])
def test_where_the_model_fails_a_search_goes_by_rules_and_says_so(scripted: Scripted, bad: Any) -> None:
    memory, _ = scripted(found(BAKES), bad, bad, needs("cooking"), bad, bad, controller="model")
    say(memory, "I bake bread on Sundays.")
    hits = memory.search("Which recipe does she cook?", user_id="ana", explain=True)
    assert BAKES[0] in [hit.text for hit in hits]
    assert {hit.why["by_model"] for hit in hits} == {0.0}
    if bad == "no JSON":
        assert thoughts(memory, "Which recipe does she cook?") == [BAKES[0]]
    memory, _ = scripted(found(BAKES), needs("cooking"), bad, bad, controller="model")
    say(memory, "I bake bread on Sundays.")
    unfiltered = memory.search("Which recipe does she cook?", user_id="ana", explain=True)
    assert {hit.why["by_model"] for hit in unfiltered} == {0.0}


def test_what_is_thought_again_word_for_word_is_confirmed_without_a_review(scripted: Scripted) -> None:
    memory, _ = scripted(found(BAKES), found(BAKES))
    say(memory, "I bake bread on Sundays.", "2026-01-04")
    assert say(memory, "As ever, bread.", "2026-01-11").usage["model_calls"] == 1
    (bakes,) = held(memory, kind="summary")
    assert (bakes.metadata["dates"], len(bakes.sources)) == (["2026-01-04", "2026-01-11"], 2)


@pytest.mark.parametrize(
    "reply",
    [same([1], "x"), same([1, 7], "x"), same([0, 1], "x"), same([], "x"), same([1, 2], " ")],
    ids=["one", "not shown", "zero", "none", "no text"],
)
def test_a_review_of_no_use_changes_nothing(scripted: Scripted, reply: Any) -> None:
    memory, _ = scripted(found(BAKES), found(AGAIN), reply)
    say(memory, "I bake bread on Sundays.")
    receipt = say(memory, "It was rye.")
    assert {record.text for record in held(memory, kind="summary")} == {BAKES[0], AGAIN[0]}
    assert any("refused 1 of the reply" in item.reason for item in receipt.items)


def test_what_is_refused_is_told_though_all_that_is_new_was_merged(scripted: Scripted) -> None:
    reply = {"merge": [*same([1, 2], "Ana bakes rye bread.")["merge"], *same([1, 7], "x")["merge"]]}
    memory, _ = scripted(found(BAKES), found(AGAIN), reply)
    say(memory, "I bake bread on Sundays.")
    receipt = say(memory, "It was rye.")
    assert [record.text for record in held(memory, kind="summary")] == ["Ana bakes rye bread."]
    assert [item.reason for item in receipt.items[1:]] == [
        "merged; refused 1 of the reply: not shown, or merged already"
    ]
    assert memory.verify().problems == ()


def test_erasing_a_turn_takes_what_was_merged_of_it_and_the_rest_is_thought_again(scripted: Scripted) -> None:
    memory, _ = scripted(
        found(BAKES), found(AGAIN), same([1, 2], "Ana bakes rye bread on Sundays."), found(BAKES)
    )
    say(memory, "I bake bread on Sundays.")
    rye = say(memory, "It was rye.")
    memory.forget([rye.ids[0]], user_id="ana")
    assert memory.wait()
    assert [record.text for record in held(memory, kind="summary")] == [BAKES[0]]
    assert memory.verify().problems == ()


def test_a_thought_with_words_of_another_turn_stands_on_that_as_well(scripted: Scripted) -> None:
    memory, _ = scripted(
        {"memories": [{"turn": 2, "thought": "Berta works at Acme.", "tags": ["job"]}], "new": []}
    )
    receipt = memory.add(["My sister is called Berta.", "She works at Acme."], user_id="ana")
    (berta,) = held(memory, kind="summary")
    assert berta.sources == (receipt.ids[1], receipt.ids[0])


def test_without_a_model_facts_are_tagged_by_their_words_and_the_receipt_says_so(open_memory: Open) -> None:
    memory = open_memory(policy="caim")
    receipt = say(memory, "My sister Berta works at Acme. I am allergic to nuts.")
    assert receipt.usage == {}
    assert set(reasons(receipt)) == {"by rules: no model is configured"}
    tags = {record.text: record.metadata["tags"] for record in held(memory, kind="summary")}
    assert all(tags.values())
    assert "illness" in tags["Ana is allergic to nuts"]
    assert "Ana is allergic to nuts" in thoughts(memory, "Which allergy does she have?")
    assert "Ana is allergic to nuts" not in thoughts(memory, "Which song does she sing?")


def test_tags_are_told_by_words_most_first() -> None:
    assert tags_of("My dog and my cat saw a concert")[:2] == ("pets", "music")
    assert tags_of("We ferment cabbage", ["ferment", "music"]) == ("ferment",)
    assert tags_of("") == ()
    assert all(tags_of(tag)[0] is not None for tag in ONTOLOGY)


def test_tokens_of_an_add(scripted: Scripted) -> None:
    script: list[Any] = [found(("Ana likes the tea number 0 of the shop.", ["drinks"]))]
    for n in range(1, 9):
        script += [found((f"Ana likes the tea number {n} of the shop.", ["drinks"])), NOTHING]
    memory, _ = scripted(*script)
    said = [say(memory, f"I like the tea number {n} of the shop, it is good. " * 2).usage for n in range(9)]
    assert [usage["model_calls"] for usage in said] == [1, *[2] * 8]
    assert said[0]["tokens_in"] + said[0]["tokens_out"] < 400
    assert max(usage["tokens_in"] + usage["tokens_out"] for usage in said) < 1000


@pytest.mark.parametrize("wrong", [{"controller": "me"}, {"k": 0}, {"near": 2}, {"lift": -1}])
def test_parameters_that_make_no_sense_are_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(ConfigError, match="caim: "):
        CAIM(**wrong)


def test_what_another_thought_says_already_is_no_text_for_a_merged_one(scripted: Scripted) -> None:
    three = (BAKES, AGAIN, ("Ana cooks.", ["cooking"]))
    memory, _ = scripted(found(*three), same([1, 2], "ana cooks."))
    receipt = say(memory, "I bake bread on Sundays.")
    assert sorted(record.text for record in held(memory, kind="summary")) == sorted(text for text, _ in three)
    assert any(reason.startswith("refused 1 ") for reason in reasons(receipt))
