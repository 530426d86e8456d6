"""The default policy with facts as a further signal: off unless asked for."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import pytest

from engine.conftest import Open
from engram import Memory, Record
from engram.kernel.changes import Add, Changes
from engram.policies.fusion import Fusion

TURNS = [
    ("Ana", "I live in Porto."),
    ("Ben", "It rains here in Porto all the time, and where does one live then?"),
    ("Ana", "Where does it not rain, and who lives there?"),
    ("Ben", "My sister Ines works at Galp."),
]


@dataclass(frozen=True)
class Shouting(Fusion):
    """Says everything again, louder."""

    name: ClassVar[str] = "shouting"

    async def write(self, episodes: Sequence[Record]) -> Changes:
        return Changes.of(*(Add(episode.text.upper(), "fact", (episode.id,)) for episode in episodes))


def told(memory: Memory) -> dict[str, str]:
    """The ids of the turns by their text."""
    messages = [{"name": name, "content": text} for name, text in TURNS]
    receipt = memory.add(messages, user_id="u", run_id="r")
    return dict(zip((text for _, text in TURNS), receipt.ids, strict=False))


def test_without_it_nothing_is_derived(open_memory: Open) -> None:
    memory = open_memory(policy=Fusion())
    told(memory)
    assert {record.kind for record in memory.get_all(user_id="u")} == {"episode"}
    hits = memory.search("Where does Ana live?", user_id="u", explain=True)
    assert not any("facts" in hit.why for hit in hits)


def test_a_fact_about_whom_the_query_names_lifts_its_turn(open_memory: Open) -> None:
    memory = open_memory(policy=Fusion(facts=True))
    ids = told(memory)
    kept = [record for record in memory.get_all(user_id="u") if record.kind == "fact"]
    assert [record.text for record in kept] == ["Ana lives in Porto", "Ben sister Ines", "Ines works at Galp"]
    assert kept[0].sources == (ids["I live in Porto."],)
    hits = memory.search("Where does Ana live?", user_id="u", explain=True, k=4)
    assert {hit.record.kind for hit in hits} == {"episode"}
    shares = {hit.text: hit.why.get("facts", 0.0) for hit in hits}
    assert hits[0].text == "I live in Porto."
    assert 0 < shares.pop("I live in Porto.") <= 0.75
    assert set(shares.values()) == {0.0}
    assert not any("facts" in hit.why for hit in memory.search("Who lives there?", user_id="u", explain=True))


def test_facts_are_found_where_they_are_asked_for_and_go_with_their_turn(open_memory: Open) -> None:
    memory = open_memory(policy=Fusion(facts=True))
    ids = told(memory)
    (hit, *_) = memory.search("Ana's home", user_id="u", filters={"kind": "fact"})
    assert hit.text == "Ana lives in Porto"
    memory.forget(ids["I live in Porto."], user_id="u")
    assert [hit.text for hit in memory.search("Ana's home", user_id="u", filters={"kind": "fact"})] != [
        hit.text
    ]
    assert memory.verify().ok


@pytest.mark.parametrize("text", ["", "???", "Ana"])
def test_odd_queries_are_answered(open_memory: Open, text: str) -> None:
    memory = open_memory(policy=Fusion(facts=True))
    told(memory)
    assert len(memory.search(text, user_id="u")) <= 4


def test_a_policy_that_stands_on_fusion_and_derives_gets_every_turn_and_finds_what_it_made(
    open_memory: Open,
) -> None:
    memory = open_memory(policy=Shouting())
    told(memory)
    assert "I LIVE IN PORTO." in [hit.text for hit in memory.search("porto", user_id="u")]
