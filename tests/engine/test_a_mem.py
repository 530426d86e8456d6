"""The policy `a_mem` with a scripted model: what it asks, what its memory holds after each step."""

from __future__ import annotations

from typing import Any

import pytest

from engine.conftest import Open
from engine.helpers import Ticking
from engine.noting import BREAD, SAID, SOUP, STARTER, Scripted, edges, held, noted, scripted_by, update, woven
from engine.replies import reasons, say
from engram.kernel.chat import ChatRequest
from engram.kernel.errors import ConfigError, Conflict
from engram.kernel.schema import Schema
from engram.policies.a_mem import AMem
from engram.testing.doubles import ScriptedModel


@pytest.fixture
def scripted(open_memory: Open) -> Scripted:
    return scripted_by(open_memory)


def test_note_link_and_evolution_step_by_step(scripted: Scripted) -> None:
    memory, model = scripted(
        STARTER,
        BREAD, woven([(1, 2)], update(2, "The starter of Ana's first bread.", "baking", "hobby")),
        noted((["oven"], ["kitchen"], "Ana's sourdough oven broke.")),
        woven([(1, 2), (1, 3)], update(1, None, "kitchen", "repair")),
    )  # fmt: skip
    first = say(memory, SAID[0], "2026-01-01")
    assert first.usage["model_calls"] == 1
    (starter,) = held(memory)
    assert starter.text == f"{SAID[0]}\n(Ana begins a sourdough starter.)\n[sourdough, starter; baking]"
    assert (starter.sources, starter.name) == ((first.ids[0],), "Ana")
    assert starter.metadata == {
        "turn": first.ids[0],
        "keywords": ["sourdough", "starter"],
        "tags": ["baking"],
        "context": "Ana begins a sourdough starter.",
    }

    second = say(memory, SAID[1], "2026-01-02")
    assert second.usage["model_calls"] == 2
    starter, bread = held(memory)
    assert (starter.version, starter.metadata["tags"]) == (2, ["baking", "hobby"])
    assert starter.metadata["context"] == "The starter of Ana's first bread."
    assert starter.metadata["keywords"] == ["sourdough", "starter"]
    assert (starter.sources, bread.sources) == ((first.ids[0], second.ids[0]), (second.ids[0],))
    assert [(edge.source, edge.target) for edge in edges(memory)] == [(bread.id, starter.id)]
    assert [item.event for item in second.items] == ["stored", "stored", "superseded"]
    assert f"linked to the note of {first.ids[0]}; changed 1 of 2 notes shown" in reasons(second)[0]
    assert f"evolved by {second.ids[0]}" in reasons(second)[1]
    assert 'became "The starter of Ana\'s first bread."; tags +hobby; it fits' in reasons(second)[1]

    third = say(memory, "The sourdough oven broke.", "2026-01-03")
    oven = held(memory)[2]
    assert third.usage["model_calls"] == 2
    assert oven.metadata["tags"] == ["kitchen", "repair"]
    assert {edge.target for edge in edges(memory) if edge.source == oven.id} == {starter.id, bread.id}
    assert "hobby" in model.asked[-1], "what evolved is shown as it reads now"
    assert len(model.requests) == 5
    assert memory.verify().problems == ()


def test_where_nothing_is_near_one_question_is_asked(scripted: Scripted) -> None:
    memory, model = scripted(STARTER, noted((["tram"], ["traffic"], "Trams run late.")))
    say(memory, SAID[0])
    assert say(memory, "Trams in Porto are late again.").usage["model_calls"] == 1
    assert len(model.requests) == 2


def test_an_add_of_several_messages_asks_two_questions(scripted: Scripted) -> None:
    memory, model = scripted(
        STARTER,
        noted(*[([f"loaf {n}"], ["baking"], f"Ana's sourdough loaf number {n}.") for n in range(1, 9)]),
        woven([(2, 1), (8, 9)], update(1, "The first of eight sourdough loaves.")),
    )
    say(memory, SAID[0])
    receipt = memory.add([f"Sourdough loaf {n} is done." for n in range(1, 9)], user_id="ana")
    assert receipt.usage["model_calls"] == len(model.requests) - 1 == 2
    starter, *loaves = held(memory)
    assert [note.sources[0] for note in loaves] == receipt.ids[:8]
    assert loaves[0].metadata["context"] == "The first of eight sourdough loaves."
    pairs = {(edge.source, edge.target) for edge in edges(memory)}
    assert pairs == {(loaves[1].id, loaves[0].id), (loaves[7].id, starter.id)}


def test_one_turn_a_question_as_in_the_paper_asks_at_most_two_a_note(scripted: Scripted) -> None:
    memory, model = scripted(STARTER, BREAD, SOUP, woven([(1, 2)]), woven(), together=1)
    receipt = memory.add([*SAID, "I cook sourdough soup."], user_id="ana")
    assert receipt.usage["model_calls"] == len(model.requests) <= 6
    assert all(request.messages[-1].text.count('{"turn"') <= 1 for request in model.requests)
    assert len(held(memory)) == 3


def test_a_note_reads_and_writes_fewer_than_1500_tokens(open_memory: Open) -> None:
    """A message of 80 words, five notes near it, all of which the reply changes."""
    long = "and we talked about it for a good while over dinner with the neighbours " * 5

    def reply(request: ChatRequest) -> Any:
        words = [f"green tea {n}" for n in range(5)]
        if "What is to be noted" in request.messages[-1].text:
            return noted(
                (words, words, "Ana likes green tea of the hills, which she drinks with neighbours.")
            )
        changes = [
            update(n, f"Ana and the neighbours, {len(model.asked)}, {n}.", *words) for n in range(2, 7)
        ]
        return woven([(1, n) for n in range(2, 7)], *changes)

    model = ScriptedModel(reply)
    memory = open_memory(policy=AMem(), model=model)
    taken = [say(memory, f"I like green tea {n}, {long}").usage for n in range(12)]
    assert [usage["model_calls"] for usage in taken] == [1, *[2] * 11]
    assert max(usage["tokens_in"] + usage["tokens_out"] for usage in taken) < 1500


def test_a_search_brings_linked_notes_and_each_turn_once(open_memory: Open) -> None:
    def reply(request: ChatRequest) -> Any:
        prompt = request.messages[-1].text
        if "What is to be noted" in prompt:
            return noted((["house"], ["talk"], ""))
        return woven([(1, 2)] if "Marek" in prompt.split("Notes kept")[0] else [])

    texts = ["The boiler makes that rattling noise.", "Marek stopped the rattling noise."]
    texts += [f"Somebody came by on day {n}, to see the cellar." for n in range(8)]
    places = []
    for share in (0.9, 0.0):
        memory = open_memory(policy=AMem(share=share), model=ScriptedModel(reply))
        user = f"share {share}"
        said = [say(memory, text, user=user).ids[0] for text in texts]
        found = memory.search("Who mended the boiler in the cellar?", user_id=user, k=10)
        assert [hit.record.kind for hit in found] == ["summary"] * 10
        assert {hit.record.sources[0] for hit in found} == {*said}
        places.append([hit.record.sources[0] for hit in found].index(said[1]))
    assert places[0] == 1 < places[1]


def test_filters_find_turns_that_have_notes_and_notes_alone(scripted: Scripted) -> None:
    memory, _ = scripted(STARTER, BREAD, woven([(1, 2)]))
    ids = [say(memory, text).ids[0] for text in SAID]
    for filters in ({"kind": "episode"}, {"role": "user"}, {"level": 0}, {"kind": {"ne": "summary"}}):
        found = memory.search("starter", user_id="ana", filters=filters)
        assert [hit.id for hit in found] == ids, filters
    only = memory.search("starter", user_id="ana", filters={"kind": "summary"})
    assert [hit.record.sources[0] for hit in only] == ids
    assert [hit.record.kind for hit in memory.search("starter", user_id="ana")] == ["summary"] * 2


def test_the_past_has_notes_and_links_as_they_were(scripted: Scripted, clock: Ticking) -> None:
    memory, _ = scripted(STARTER, BREAD, woven([(1, 2)], update(2, "The starter of Ana's first bread.")))
    say(memory, SAID[0])
    then = clock.skip(minutes=1)
    clock.skip(minutes=1)
    say(memory, SAID[1])
    was, now = (view.search("starter", user_id="ana", k=5) for view in (memory.as_of(known=then), memory))
    assert [hit.record.metadata["context"] for hit in was] == ["Ana begins a sourdough starter."]
    assert now[0].record.metadata["context"] == "The starter of Ana's first bread."
    assert len(now) == 2


def test_what_is_said_without_a_note_is_found_too(scripted: Scripted) -> None:
    memory, _ = scripted(STARTER)
    say(memory, SAID[0])
    memory.add("The starter lives in a jar.", user_id="ana", infer=False)
    memory.add({"content": "Feed it with rye."}, user_id="ana", kind="resource")
    kinds = {hit.record.kind for hit in memory.search("What does the starter need?", user_id="ana")}
    assert kinds == {"summary", "episode", "resource"}
    windows = memory.search("starter", user_id="ana", filters={"level": 1})
    assert {hit.record.level for hit in windows} == {1}


def test_evolution_is_undone_with_its_change_set(scripted: Scripted) -> None:
    over_eager = [update(n, "All is one.", "all") for n in (1, 2, 3)]
    memory, _ = scripted(STARTER, BREAD, woven(), SOUP, woven([(1, 2), (1, 3)], *over_eager), near=0.1)
    for text in SAID:
        say(memory, text)
    before = held(memory)
    receipt = say(memory, "I cook sourdough soup.")
    assert [note.metadata["context"] for note in held(memory)] == ["All is one."] * 3
    assert "changed 3 of 3 notes shown" in reasons(receipt)[0]
    assert [item.event for item in receipt.items].count("superseded") == 2
    memory.undo(receipt.derived or "")
    after = held(memory)
    assert [(note.id, note.text, note.sources) for note in after] == [
        (note.id, note.text, note.sources) for note in before
    ]
    assert edges(memory) == []
    assert len(memory.history(before[0].id, user_id="ana")) == 3


def test_evolution_that_others_stand_on_is_undone_from_the_last(scripted: Scripted) -> None:
    memory, _ = scripted(STARTER, BREAD, woven([], update(2, "Once.")), SOUP, woven([], update(2, "Twice.")))
    for text in (*SAID, "I cook a soup with sourdough bread."):
        say(memory, text)
    first = next(note for note in held(memory) if note.sources[0] == held(memory)[1].sources[0])
    with pytest.raises(Conflict, match="later change sets"):
        memory.undo(str(memory.history(first.id, user_id="ana")[0].opened))


def test_a_turn_that_was_edited_is_shown_instead_of_its_note(scripted: Scripted) -> None:
    memory, _ = scripted(STARTER, BREAD, woven([], update(2, "The starter of the bread.")))
    first, _ = (say(memory, text) for text in SAID)
    memory.edit(first.ids[0], text="I threw the sourdough starter away.", user_id="ana")
    best = memory.search("starter", user_id="ana", k=1)[0]
    assert (best.record.kind, best.text) == ("episode", "I threw the sourdough starter away.")


def test_a_note_without_evolution_is_made_anew_when_its_turn_is_edited(scripted: Scripted) -> None:
    memory, _ = scripted(STARTER, SOUP)
    receipt = say(memory, SAID[0])
    memory.edit(receipt.ids[0], text="I cook a soup.", user_id="ana")
    memory.wait()
    assert [note.text for note in held(memory)] == ["I cook a soup.\n(Ana cooks a soup.)\n[soup; food]"]


def test_without_a_model_notes_are_made_by_rules_and_the_receipt_says_so(open_memory: Open) -> None:
    memory = open_memory(policy="a_mem")
    receipt = say(memory, "I live in Porto. I am allergic to nuts.")
    (note,) = held(memory)
    assert note.metadata["keywords"] == ["Porto", "nuts"]
    assert note.metadata["context"] == "Ana lives in Porto. Ana is allergic to nuts."
    assert set(reasons(receipt)) == {"by rules: no model is configured"}
    assert receipt.usage == {}
    said = say(memory, "The tram was late.")
    assert len(said.items) == 1
    assert memory.search("Where does Ana live?", user_id="ana")[0].record.kind == "summary"
    assert said.ids[0] in [hit.id for hit in memory.search("tram", user_id="ana")]


def test_instructions_of_policy_and_memory_go_with_every_turn(open_memory: Open) -> None:
    model = ScriptedModel([STARTER])
    wanted = Schema(instructions="Tags in Portuguese.")
    memory = open_memory(policy=AMem(instructions="Name the animals."), model=model, schema=wanted)
    say(memory, SAID[0])
    assert "Besides: Name the animals. Tags in Portuguese." in model.requests[0].messages[0].text


@pytest.mark.parametrize("wrong", [{"k": 0}, {"near": 2.0}, {"together": 0}, {"words": -1.0}, {"share": 1.5}])
def test_parameters_that_make_no_sense_are_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(ConfigError, match="a_mem: k and together"):
        AMem(**wrong)
