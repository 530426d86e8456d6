"""Structured: aspects of long texts and sessions, and the hierarchy of topics that they are filed under."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from engine.conftest import Open
from engine.replies import held, outlining, say
from engram import Memory
from engram.kernel.drive import run
from engram.kernel.errors import ConfigError
from engram.kernel.protocols import SelectEdges
from engram.operators.thoughts.outline import GivenDescription, GivenOutline, Structurise
from engram.policies.structured import Structured
from engram.testing.builders import a_record
from engram.testing.doubles import HashEmbedder, ScriptedModel

Scripted = Callable[..., tuple[Memory, ScriptedModel]]
Told = tuple[str, int, str]
LONG = "We planned the trip to Lisbon. The hotel is by the river. Tickets cost ninety euros. " * 8


def outline(scope: str, *told: Told) -> dict[str, Any]:
    descriptions = [{"aspect": aspect, "piece": piece, "text": text} for aspect, piece, text in told]
    return {"scope": scope, "descriptions": descriptions}


def filed(*paths: tuple[int, str]) -> dict[str, Any]:
    return {"filed": [{"claim": claim, "path": path.split(" > ")} for claim, path in paths]}


TRIP = outline(
    "A trip to Lisbon is planned.",
    ("Hotel", 1, "The hotel is by the river."),
    ("Cost", 1, "Tickets cost ninety euros."),
    ("hotel", 1, "It has a garden."),
)


@pytest.fixture
def scripted(open_memory: Open) -> Scripted:
    def open_one(*script: Any, **parameters: Any) -> tuple[Memory, ScriptedModel]:
        model = ScriptedModel(script or outlining)
        return open_memory(policy=Structured(**parameters), model=model, embedder=HashEmbedder(64)), model

    return open_one


def edges(memory: Memory, type: str) -> set[tuple[str, str]]:
    """The ends of the edges of a type, as the first lines of what they connect."""
    core = memory._bound.core
    found = core.store.edges(SelectEdges(scope=memory._bound.scope({"user_id": "ana"}), types=(type,)))
    texts = {record.id: record.text.splitlines()[0] for record in memory.get_all(user_id="ana", limit=1000)}
    return {(texts[edge.source], texts[edge.target]) for edge in found if edge.current}


def topics(memory: Memory) -> list[str]:
    return sorted(record.text for record in held(memory, kind="entity"))


NAME = "Hotel (A trip to Lisbon is planned.)"
DINNER = outline("A dinner in Lisbon.", ("Food", 1, "They ate fish."))
PATHS = filed((1, "Travel > Lisbon > Stay"), (1, "Money"), (2, "Money > Travel costs"))


def test_a_long_text_becomes_aspects_with_scope_and_descriptions(scripted: Scripted) -> None:
    memory, model = scripted(TRIP, PATHS)
    receipt = say(memory, LONG, "2026-01-02")
    assert receipt.usage["model_calls"] == 2
    hotel, cost = held(memory, kind="summary")
    assert hotel.text == f"{NAME}\n- The hotel is by the river.\n- It has a garden."
    assert hotel.metadata == {
        "aspect": "Hotel",
        "scope": "A trip to Lisbon is planned.",
        "descriptions": ["The hotel is by the river.", "It has a garden."],
    }
    assert hotel.sources == cost.sources == (receipt.ids[0],)
    assert "none yet" in model.asked[1]
    assert '{"claim": 1, "text": "Hotel (A trip' in model.asked[1]


def test_aspects_are_filed_under_topics_that_are_there_and_new_ones(scripted: Scripted) -> None:
    memory, model = scripted(TRIP, PATHS, DINNER, filed((1, "travel > LISBON")))
    first = say(memory, LONG, "2026-01-02")
    five = ["Money", "Money > Travel costs", "Travel", "Travel > Lisbon", "Travel > Lisbon > Stay"]
    assert topics(memory) == five
    assert edges(memory, "subtopic_of") == {
        ("Money > Travel costs", "Money"),
        ("Travel > Lisbon", "Travel"),
        ("Travel > Lisbon > Stay", "Travel > Lisbon"),
    }
    above = {target for source, target in edges(memory, "about") if source == NAME}
    assert above == {"Travel > Lisbon > Stay", "Money"}
    second = say(memory, "At night we ate fish by the sea. " * 20, "2026-01-05")
    assert second.usage["model_calls"] == 2
    assert "Travel > Lisbon > Stay" in model.asked[3]
    assert topics(memory) == five
    assert ("Food (A dinner in Lisbon.)", "Travel > Lisbon") in edges(memory, "about")
    lisbon = next(record for record in held(memory, kind="entity") if record.text == "Travel > Lisbon")
    assert lisbon.sources == (first.ids[0], second.ids[0])
    memory.undo(second.derived or "", user_id="ana")
    assert len(held(memory, kind="summary")) == 2
    assert memory.verify().problems == ()


def test_a_topic_stays_as_long_as_something_that_was_filed_under_it(scripted: Scripted) -> None:
    memory, _ = scripted(TRIP, PATHS, DINNER, filed((1, "Travel > Lisbon")))
    first = say(memory, LONG, "2026-01-02")
    say(memory, "At night we ate fish by the sea. " * 20, "2026-01-05")
    memory.forget([first.ids[0]], user_id="ana")
    assert memory.wait()
    assert topics(memory) == ["Travel", "Travel > Lisbon"]
    assert [record.metadata["aspect"] for record in held(memory, kind="summary")] == ["Food"]
    assert memory.verify().problems == ()


def test_a_session_that_came_piece_by_piece_is_structured_by_tend_once(scripted: Scripted) -> None:
    memory, model = scripted()
    for number in range(4):
        receipt = say(memory, f"Short turn {number}.", f"2026-01-0{1 + number // 2}", run=f"r{number // 2}")
        assert receipt.usage == {}
    assert memory.tend(user_id="ana").usage["model_calls"] == 3
    aspects = held(memory, kind="summary")
    assert [record.metadata["descriptions"] for record in aspects] == [[f"Short turn {n}."] for n in range(4)]
    assert {record.scope.run_id for record in aspects} == {"r0", "r1"}
    assert memory.tend(user_id="ana").usage == {}
    say(memory, "One more.", "2026-01-03", run="r2")
    assert memory.tend(user_id="ana").usage["model_calls"] == 2
    assert len(held(memory, kind="summary")) == 5
    assert len(model.asked) == 5


@pytest.mark.parametrize(
    ("first", "second"),
    [("2026-01-04", "2026-01-04"), ("2026-01-04", "2026-01-03"), ("2027-01-01", "2026-01-04")],
)
def test_tend_structures_what_is_told_later_whatever_its_time(
    scripted: Scripted, first: str, second: str
) -> None:
    memory, _ = scripted()
    say(memory, "The boat sails well.", first, run="r0")
    memory.tend(user_id="ana")
    say(memory, "The hotel is cheap.", second, run="r1")
    memory.tend(user_id="ana")
    told = [record.metadata["descriptions"] for record in held(memory, kind="summary")]
    assert sorted(told) == [["The boat sails well."], ["The hotel is cheap."]]
    assert memory.tend(user_id="ana").usage == {}


def test_a_turn_that_was_edited_is_structured_anew_by_tend(scripted: Scripted) -> None:
    memory, _ = scripted()
    receipt = say(memory, "The boat sails well.")
    memory.tend(user_id="ana")
    memory.edit(receipt.ids[0], text="The yacht sails well.", user_id="ana")
    assert memory.wait()
    memory.tend(user_id="ana")
    (aspect,) = held(memory, kind="summary")
    assert aspect.metadata["descriptions"] == ["The yacht sails well."]


def test_an_aspect_stands_on_the_turns_that_its_descriptions_name(scripted: Scripted) -> None:
    reply = outline(
        "Plans.",
        ("Trip", 1, "To Lisbon."),
        ("Trip", 3, "By train."),
        ("Pet", 2, "Rex."),
        ("No", 9, "x"),
        ("", 1, "x"),
    )
    memory, _ = scripted(reply, filed(), least=10)
    said = ["We go to Lisbon.", "The dog is called Rex.", "We go by train."]
    ids = memory.add([{"content": text, "name": "Ana"} for text in said], user_id="ana").ids
    trip, pet = held(memory, kind="summary")
    assert (trip.sources, pet.sources) == ((ids[0], ids[2]), (ids[1],))
    memory.forget([ids[1]], user_id="ana")
    assert memory.wait()
    assert not any("Rex" in record.text for record in memory.get_all(user_id="ana"))


def test_an_aspect_with_words_of_another_piece_stands_on_that_as_well(scripted: Scripted) -> None:
    memory, _ = scripted(outline("", ("Code", 1, "The code is xyzzy.")), filed(), least=10)
    receipt = memory.add(["The code is secret.", "xyzzy it is."], user_id="ana")
    (code,) = held(memory, kind="summary")
    assert code.sources == tuple(receipt.ids[:2])


def test_what_a_reply_leaves_out_is_filed_by_rule(scripted: Scripted) -> None:
    memory, _ = scripted(TRIP, filed((7, "Nowhere"), (1, " > ")))
    say(memory, LONG)
    assert all("Nowhere" not in topic for topic in topics(memory))
    assert len(edges(memory, "about")) == 2


def test_a_very_long_text_is_read_in_pieces_that_end_with_sentences(scripted: Scripted) -> None:
    memory, model = scripted()
    text = "".join(f"Sentence number {n} is about thing {n % 7} in the garden. " for n in range(200))
    receipt = say(memory, text)
    pieces = [prompt for prompt in model.asked if "What is their structure?" in prompt]
    assert len(pieces) == -(-len(text) // 6000) == 2
    assert all('garden."}' in prompt for prompt in pieces)
    assert max(map(len, model.asked)) < 8000
    assert receipt.usage["model_calls"] == len(pieces) + 1


def test_what_is_longer_still_is_told() -> None:
    turn = a_record("".join(f"Sentence number {n} is here. " for n in range(100)))
    model = ScriptedModel([GivenOutline("", [GivenDescription("Count", 1, f"part {n}")]) for n in range(4)])
    aspects = run(Structurise(longest=300, parts=4).aspects([turn]), model)
    assert [add.reason for add in aspects] == [f"1,200 characters of {len(turn.text):,} were read"] * 4
    assert len(model.asked) == 4


def test_the_same_aspect_told_again_is_confirmed(scripted: Scripted) -> None:
    memory, model = scripted(TRIP, filed((1, "Travel"), (2, "Money")), TRIP)
    first = say(memory, LONG)
    second = say(memory, LONG)
    assert len(model.asked) == 3
    assert {record.sources for record in held(memory, kind="summary")} == {(first.ids[0], second.ids[0])}


def test_a_topic_near_to_the_query_lifts_what_is_filed_under_it(open_memory: Open) -> None:
    script = [
        outline("Notes.", ("First", 1, "Blue one."), ("Second", 1, "Blue two.")),
        filed((1, "Hobbies > Sailing"), (2, "Work")),
    ]
    memory = open_memory(
        policy=Structured(least=10, lift=1.0), model=ScriptedModel(script), embedder=HashEmbedder(64)
    )
    say(memory, "Blue one. Blue two.")
    found = memory.search("sailing blue", user_id="ana", filters={"kind": "summary"})
    assert [hit.record.metadata["aspect"] for hit in found] == ["First", "Second"]
    assert found[0].score > found[1].score
    top = memory.search("hobbies blue", user_id="ana", filters={"kind": "summary"})
    assert top[0].record.metadata["aspect"] == "First"


def test_an_aspect_lifts_the_turns_that_it_stands_on(open_memory: Open) -> None:
    reply = outline("Sailing.", ("Sailing boats", 1, "Sailing boats on the lake."))
    memory = open_memory(
        policy=Structured(least=10, share=0.9),
        model=ScriptedModel([reply, filed()]),
        embedder=HashEmbedder(64),
    )
    turns = ["They went out at dawn.", "Nothing else happened.", "It was calm."]
    ids = memory.add(turns, user_id="ana").ids
    hits = memory.search("sailing boats", user_id="ana")
    assert [hit.record.kind for hit in hits[:2]] == ["summary", "episode"]
    assert hits[1].id == ids[0]


def test_without_a_model_aspects_are_shared_words_and_topics_tags(open_memory: Open) -> None:
    memory = open_memory(policy=Structured(least=100))
    turns = [
        "My sister Berta plays the guitar in a band.",
        "The band gives a concert with guitar and violin in June.",
        "Our dog Rex had a sick paw last week, poor thing.",
        "The doctor for the dog said that the paw is fine now.",
    ] * 2
    receipt = memory.add([{"content": text, "name": "Ana"} for text in turns], user_id="ana")
    assert receipt.usage == {}
    assert {item.reason for item in receipt.items[8:] if item.reason} == {"by rules: no model is configured"}
    aspects = {record.metadata["aspect"].casefold() for record in held(memory, kind="summary")}
    assert aspects & {"band", "guitar", "concert"}
    assert aspects & {"dog", "paw"}
    assert {"leisure", "leisure > music"} <= set(topics(memory))
    assert memory.add("Short.", user_id="ana").items[1:] == ()
    assert memory.search("guitar", user_id="ana")[0].score > 0


@pytest.mark.parametrize("wrong", [{"least": -1}, {"depth": 0}, {"words": -1}, {"lift": 2}, {"share": -1}])
def test_parameters_that_make_no_sense_are_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(ConfigError, match="structured: "):
        Structured(**wrong)
