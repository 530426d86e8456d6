"""How `zep` finds: by words, meaning and steps in the graph, in the order that is asked for; communities."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from engine.conftest import Open
from engine.replies import held
from engram import Memory
from engram.policies.zep import Zep

WEB = [
    ["Ana", "works_at", "Kestrel"],
    ["Kestrel", "owned by", "Solaris"],
    ["Solaris", "based in", "Narvik"],
    ["Narvik", "known for", "ore"],
    ["Ben", "plays", "chess"],
]


def told(memory: Memory, triples: Sequence[Sequence[str]], text: str = "(a table)") -> None:
    memory.add({"content": text, "triples": [list(triple) for triple in triples]}, user_id="u")


def texts(memory: Memory, query: str, k: int = 10) -> list[str]:
    return [hit.text for hit in memory.search(query, user_id="u", k=k, filters={"kind": "fact"})]


@pytest.fixture
def memory(open_memory: Open) -> Memory:
    memory = open_memory(policy=Zep())
    told(memory, WEB)
    return memory


def test_what_shares_no_word_is_found_by_its_steps_in_the_graph(open_memory: Open) -> None:
    memory = open_memory(policy=Zep())
    told(memory, [["Ana", "works_at", "Kestrel"], ["Kestrel", "fabricates", "gyroscopes"]])
    for number in range(30):
        told(memory, [[f"Person {number}", "likes", f"colour {number}"]])
    hits = memory.search("Ana", user_id="u", k=5, filters={"kind": "fact"}, explain=True)
    found = {hit.text: hit.why for hit in hits}
    assert found["Kestrel fabricates gyroscopes"]["graph"] > 0
    without = open_memory(policy=Zep(steps=0))
    assert all("graph" not in hit.why for hit in without.search("Ana", user_id="u", explain=True))


def test_steps_are_as_many_as_are_asked_for(open_memory: Open) -> None:
    for steps, farthest in ((1, "Ana works at Kestrel"), (3, "Solaris based in Narvik")):
        memory = open_memory(policy=Zep(steps=steps))
        told(memory, WEB)
        hits = memory.search("Ana", user_id="u", k=20, filters={"kind": "fact"}, explain=True)
        near = [hit.text for hit in hits if hit.why.get("graph")]
        assert farthest in near
        assert ("Solaris based in Narvik" in near) == (steps == 3)
        assert "Ben plays chess" not in near


def test_distance_puts_what_is_near_first(open_memory: Open) -> None:
    memory = open_memory(policy=Zep(rerank="distance"))
    told(memory, WEB)
    assert texts(memory, "Ana")[:2] == ["Ana works at Kestrel", "Kestrel owned by Solaris"]


def test_mentions_puts_what_was_told_most_often_first(open_memory: Open) -> None:
    memory = open_memory(policy=Zep(rerank="mentions"))
    told(memory, [["Ana", "likes", "green tea"], ["Ana", "likes", "black tea"]])
    for text in ("again", "and again"):
        told(memory, [["Ana", "likes", "black tea"]], text)
    assert texts(memory, "Which green tea does Ana like?")[0] == "Ana likes black tea"


def test_mmr_puts_unlike_things_before_like_ones(open_memory: Open) -> None:
    same = [["Ana", "likes", f"green tea number {number}"] for number in range(4)]
    other = [["Ana", "teaches", "harbour pilots in Narvik"]]
    plain, mixed = open_memory(policy=Zep()), open_memory(policy=Zep(rerank="mmr"))
    places = []
    for memory in (plain, mixed):
        if not held(memory, "u"):
            told(memory, [*same, *other])
        places.append(texts(memory, "Does Ana like green tea?").index("Ana teaches harbour pilots in Narvik"))
    assert places == [4, 1]


def test_facts_alone_where_turns_are_not_wanted(open_memory: Open) -> None:
    memory = open_memory(policy=Zep(turns=False))
    memory.add({"content": "I live in Porto.", "name": "Ana"}, user_id="u")
    assert {hit.record.kind for hit in memory.search("Porto", user_id="u")} == {"fact"}


def test_scores_fall_and_lie_between_0_and_1(memory: Memory) -> None:
    scores = [hit.score for hit in memory.search("Where does Ana work?", user_id="u", k=20)]
    assert scores == sorted(scores, reverse=True)
    assert all(0 < score <= 1 for score in scores)


def test_nothing_is_found_where_nothing_is(open_memory: Open) -> None:
    assert open_memory(policy=Zep()).search("anything", user_id="u") == []


def test_communities_are_made_when_it_is_tended(memory: Memory) -> None:
    memory.tend(user_id="u")
    made = held(memory, "u", "summary")
    assert any("Solaris based in Narvik" in summary.text for summary in made)
    found = {hit.id for hit in memory.search("Kestrel Solaris Narvik", user_id="u")}
    assert found & {summary.id for summary in made}
    memory.tend(user_id="u")
    assert held(memory, "u", "summary") == made


def test_without_communities_tending_makes_none(open_memory: Open) -> None:
    memory = open_memory(policy=Zep(communities=False))
    told(memory, WEB)
    memory.tend(user_id="u")
    assert held(memory, "u", "summary") == []


def test_what_has_to_do_with_itself_stays_one(open_memory: Open) -> None:
    memory = open_memory(policy="zep")
    for _ in range(3):
        memory.add({"content": "Narcissus again.", "triples": [["Narcissus", "loves", "narcissus"]]})
        memory.add_triples([["Narcissus", "loves", "Narcissus"]])
    graph = memory.graph(user_id="default")
    assert [node.text for node in graph.nodes if node.kind == "entity"] == ["Narcissus"]


def test_a_relation_that_is_called_as_an_edge_of_the_policys_finds_no_entity(open_memory: Open) -> None:
    memory = open_memory(policy="zep")
    relations = ("mentions", "subject", "has_member")
    memory.add({"content": "A page.", "triples": [["Ada", relation, "Bob"] for relation in relations]})
    kinds = {hit.record.kind for hit in memory.search("Who has Bob?", user_id="default")}
    assert kinds == {"fact", "episode"}
    named = memory.search("Bob", user_id="default", filters={"kind": "entity"})
    assert "Bob" in [hit.text for hit in named]


def test_aliases_that_are_given_name_the_entity(open_memory: Open) -> None:
    memory = open_memory(policy="zep")
    told = memory.add(
        {"content": "The board met.", "entities": [{"name": "Acme Holdings", "aliases": ["Roadrunner"]}]}
    )
    memory.add({"content": "Plans.", "triples": [["roadrunner", "owns", "a mine"]]})
    memory.add({"content": "More.", "entities": [{"name": "Acme Holdings", "aliases": ["Coyote Works"]}]})
    memory.add_triples([["Coyote Works", "sells", "rockets"]])
    graph = memory.graph("Coyote Works", user_id="default")
    names = {node.text: node for node in graph.nodes if node.kind == "entity"}
    assert set(names) == {"Acme Holdings", "a mine", "rockets"}
    assert names["Acme Holdings"].metadata["aliases"] == ["Roadrunner", "Coyote Works"]
    memory.forget(told.ids[0], user_id="default")
    memory.wait()
    assert "Roadrunner" not in str([record.to_dict() for record in memory.get_all(user_id="default")])
    assert memory.verify().ok
