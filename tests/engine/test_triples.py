"""Triples: with messages, by `add_triples`, from files; kept, checked, and handed to the policy."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, ClassVar

import pytest

from engine.conftest import Open
from engine.helpers import Facts, Ticking
from engram import AsyncMemory, InvalidInput, Memory
from engram.kernel.changes import Add, Changes
from engram.kernel.record import Record
from engram.kernel.triple import Entity, Triple, bears_graph, given, given_entities
from engram.operators.graph.triple import ruled
from engram.policies.rrf import RRF


@dataclass(frozen=True)
class Weaver(RRF):
    """Makes an entity of the subject of every triple that comes with what it is given."""

    name: ClassVar[str] = "weaver"

    def wants(self, record: Record) -> bool:
        """What has triples or entities."""
        return bears_graph(record)

    async def write(self, episodes: Sequence[Record]) -> Changes:
        """One entity a triple."""
        return Changes(
            tuple(
                Add(triple.subject, "entity", (item.id,))
                for item in episodes
                for triple in given(item).triples
            )
        )


def day(number: int) -> datetime:
    return datetime(2026, 1, number, tzinfo=UTC)


def test_triples_are_stored_as_facts_and_woven(open_memory: Open) -> None:
    memory = open_memory(policy=Weaver())
    receipt = memory.add_triples(
        [
            ["Ada", "LIVES_IN", "Porto"],
            {
                "subject": "Ada ",
                "relation": "works at",
                "object": "Galp",
                "valid_start": "2025-01-02",
                "valid_end": day(3),
                "weight": 2,
                "id": "t-2",
                "metadata": {"from": "crm"},
            },
        ],
        user_id="ana",
        metadata={"batch": 1},
    )
    assert [item.event for item in receipt.items] == ["stored"] * 4
    first, second = (memory.get(id) for id in receipt.ids[:2])
    assert (first.kind, first.text, first.made_by) == ("fact", "Ada lives in Porto", None)
    assert first.metadata == {"batch": 1, "subject": "Ada", "relation": "LIVES_IN", "object": "Porto"}
    assert (second.origin, second.metadata["from"], second.text) == ("t-2", "crm", "Ada works at Galp")
    assert (second.valid.start, second.valid.end) == (datetime(2025, 1, 2, tzinfo=UTC), day(3))
    triple = Triple("Ada", "works at", "Galp", second.valid.start, second.valid.end, 2.0)
    assert given(second).triples == (triple,)
    assert given(first).triples[0].valid_start == first.valid.start
    derived = [memory.get(id) for id in receipt.ids[2:]]
    assert [(record.text, record.sources) for record in derived] == [("Ada", (id,)) for id in receipt.ids[:2]]
    assert memory.search("who works at Galp", user_id="ana", filters={"kind": "fact"})
    assert memory.verify().ok


def test_facts_without_triples_are_left_alone(open_memory: Open) -> None:
    """And messages that bring none make no job; those that bring some are woven, alone or in a batch."""
    memory = open_memory(policy=Weaver())
    memory.add("Ada lives in Porto", kind="fact", user_id="ana")
    memory.add("Ada lives in Porto", user_id="ana")
    assert [record.kind for record in memory.get_all(user_id="ana")] == ["fact", "episode"]
    memory.add(["no", {"content": "yes", "triples": [["Ada", "is", "here"]]}], user_id="ana")
    found = memory.get_all(user_id="ana").items
    assert [record.text for record in found if record.made_by] == ["Ada"]


def test_a_policy_that_wants_episodes_gets_no_triples(open_memory: Open) -> None:
    memory = open_memory(policy=Facts())
    receipt = memory.add_triples([["Ada", "likes", "tea"]], user_id="ana", wait=False)
    assert [item.event for item in receipt.items] == ["stored"]


def test_triples_are_erased_with_their_facts(open_memory: Open) -> None:
    memory = open_memory(policy=Weaver())
    ids = memory.add_triples([["Ada", "likes", "tea"]], user_id="ana").ids
    memory.forget(ids[0], user_id="ana")
    assert memory.get_all(user_id="ana").items == ()


def test_an_edited_message_loses_what_came_with_its_old_words(memory: Memory) -> None:
    id = memory.add({"content": "Ada is in Porto", "triples": [["Ada", "in", "Porto"]], "title": "T"}).ids[0]
    memory.edit(id, metadata={"x": 1})
    assert given(memory.get(id)).triples
    memory.edit(id, text="Ada is in Lisbon")
    assert not bears_graph(memory.get(id))
    assert memory.get(id).original["title"] == "T"


@pytest.mark.parametrize(
    ("triples", "message"),
    [
        ("a b c", "triples: expected a list of triples, got str"),
        ([], "the list is empty"),
        ([["a", "b", "c"], ["a", "b"]], r"triples\[1\]: has 2 parts; give \[subject, relation, object\]"),
        (["a b c"], r"triples\[0\]: expected \[subject"),
        ([{"subject": "a", "relation": "b"}], r"triples\[0\].object is missing"),
        ([{"subject": "a", "predicate": "b", "object": "c"}], r"triples\[0\]: unknown key 'predicate'"),
        ([{"subject": "a", "relaton": "b", "object": "c"}], r"did you mean 'relation'"),
        ([["a", "b", 1]], r"triples\[0\].object: expected text, got int"),
        ([["a", " ", "c"]], r"triples\[0\].relation: expected 1 to 1,000 characters, got 0"),
        ([["a", "b", "c" * 1001]], "got 1,001"),
        ([["a", "b", "c\0"]], "NUL character at position 1"),
        ([["a", "b", "\ud800"]], "lone surrogate"),
        ([{"subject": "a", "relation": "b", "object": "c", "valid_start": "soon"}], "valid_start: 'soon'"),
        (
            [{"subject": "a", "relation": "b", "object": "c", "valid_start": day(2), "valid_end": day(1)}],
            r"valid_end: .* does not lie after",
        ),
        ([{"subject": "a", "relation": "b", "object": "c", "weight": float("inf")}], "weight: expected"),
        ([{"subject": "a", "relation": "b", "object": "c", "weight": True}], "weight: expected"),
        ([{"subject": "a", "relation": "b", "object": "c", "metadata": 3}], "metadata: expected a mapping"),
        ([["a"] * 100_000], "has 100000 parts"),
        ([[["a"], "b", "c"]], r"triples\[0\].subject: expected text, got list"),
    ],
)
def test_hostile_triples(memory: Memory, triples: Any, message: str) -> None:
    """Are refused by their place, before anything is stored."""
    with pytest.raises(InvalidInput, match=message):
        memory.add_triples(triples, user_id="ana")
    assert memory.get_all(user_id="ana").items == ()


@pytest.mark.parametrize(
    ("more", "message"),
    [
        ({"triples": "x"}, r"messages\[1\].triples: expected a list, got str"),
        ({"triples": [["a", "b", "c"], ["a"]]}, r"messages\[1\].triples\[1\]: has 1 parts"),
        ({"triples": [["a", "b", "c"]] * 10_001}, "over 10,000"),
        ({"entities": {"a": 1}}, r"messages\[1\].entities: expected a list, got dict"),
        ({"entities": ["a", 3]}, r"messages\[1\].entities\[1\]: expected a name or a mapping"),
        ({"entities": [{"name": "a", "kind": "x"}]}, r"unknown key 'kind'; it may have name, type, aliases"),
        ({"entities": [{"name": "a", "aliases": "b"}]}, "aliases: expected a list"),
        ({"entities": [{"type": "a"}]}, r"entities\[0\].name: expected text"),
    ],
)
def test_hostile_messages(memory: Memory, more: Any, message: str) -> None:
    with pytest.raises(InvalidInput, match=message):
        memory.add(["one", {"content": "two", **more}], user_id="ana")
    assert memory.get_all(user_id="ana").items == ()


def test_what_came_with_a_message(memory: Memory) -> None:
    """Names with their aliases, types apart, triples once; and the message as it came."""
    message = {
        "content": "text",
        "entities": ["Ada", {"name": "Galp", "type": "company", "aliases": ["Galp Energia"]}, "Ada"],
        "triples": [
            ["Ada", "works at", "Galp"],
            {"subject": "Ada", "relation": "works at", "object": "Galp"},
        ],
    }
    record = memory.get(memory.add(message, user_id="ana").ids[0])
    assert given(record).entities == ("Ada", "Galp", "Galp Energia")
    assert given(record).triples == (Triple("Ada", "works at", "Galp"),)
    assert given_entities(record) == (Entity("Ada"), Entity("Galp", "company", ("Galp Energia",)))
    assert record.original["triples"] == message["triples"]
    assert not bears_graph(memory.get(memory.add("nothing", user_id="ana").ids[0]))


def test_triples_by_rule(memory: Memory, clock: Ticking) -> None:
    ids = memory.add(["I live in Porto.", "What a day!", "I used to work at Galp."], user_id="ana").ids
    turns = [memory.get(id) for id in ids]
    found = {turn.id: triples for turn, triples in ruled(turns)}
    assert [(triple.relation, triple.object) for triple in found[ids[0]]] == [("lives_in", "Porto")]
    assert found[ids[0]][0].valid_start == turns[0].time <= clock.now
    assert found[ids[1]] == ()
    assert [triple.valid_end for triple in found[ids[2]]] == [turns[2].time]


def test_both_faces(open_memory: Open, tmp_path: Path) -> None:
    async def added() -> None:
        async with AsyncMemory("ram:", policy=Weaver()) as memory:
            receipt = await memory.add_triples([["Ada", "likes", "tea"]], user_id="ana")
            assert [item.event for item in receipt.items] == ["stored", "stored"]
            with pytest.raises(InvalidInput):
                await memory.add_triples([["Ada", "likes"]], user_id="ana")
            await memory.export(tmp_path / "x.jsonl")

    asyncio.run(added())
    copy = open_memory(policy=Weaver())
    copy.import_(tmp_path / "x.jsonl")
    assert [given(record).triples[0].object for record in copy.get_all(user_id="ana") if record.payload] == [
        "tea"
    ]
