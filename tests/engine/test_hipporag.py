"""The policy `hipporag`, and the graph of the default policy: what is woven, walked, found and erased."""

from __future__ import annotations

import json
from typing import Any

import pytest

from engine.conftest import Open
from engine.woven import edges_of
from engram import Memory
from engram.kernel.errors import ConfigError
from engram.kernel.record import Edge, Record
from engram.policies.fusion import Fusion
from engram.policies.hipporag import HippoRAG
from engram.testing.doubles import ScriptedModel

PASSAGES: list[dict[str, Any]] = [
    {
        "id": "brook",
        "content": "The Tolka brook rises near Vellmoor and turns three mills.",
        "entities": ["Tolka brook", "Vellmoor"],
        "triples": [["Tolka brook", "rises near", "Vellmoor"], ["Tolka brook", "turns", "three mills"]],
    },
    {
        "id": "town",
        "content": "In that town a bell foundry was opened in 1821 by two sisters.",
        "entities": ["vellmoor", "bell foundry", "1821"],
        "triples": [["bell foundry", "opened in", "1821"], ["Bell Foundry", "stands in", "Vellmoor"]],
    },
    {
        "id": "tea",
        "content": "Green tea is dried in flat pans over a slow fire.",
        "triples": [["green tea", "dried in", "flat pans"]],
    },
    {
        "id": "kites",
        "content": "Paper kites are flown on the first windy day of spring.",
        "triples": [["paper kites", "flown on", "first windy day"]],
    },
]


def filled(memory: Memory) -> Memory:
    for number, passage in enumerate(PASSAGES):
        assert memory.add(passage, user_id="ana", run_id=str(number)).ok
    return memory


def records(memory: Memory, kind: str) -> list[Record]:
    page = memory.get_all(user_id="ana", limit=1000, filters={"kind": kind})
    return list(page.items)


def shown(memory: Memory, user: str = "ana") -> set[tuple[str, str, str]]:
    """The open edges, by the texts (or ids of the callers) at their ends."""
    every = {record.id: record for record in memory.get_all(user_id=user, limit=1000).items}
    name = {id: record.origin or record.text for id, record in every.items()}
    edges = [edge for edge in open_edges(memory) if edge.scope.user_id == user]
    return {(name[edge.source], edge.type, name[edge.target]) for edge in edges}


def open_edges(memory: Memory) -> list[Edge]:
    return [edge for edge in edges_of(memory) if edge.current]


def origins(memory: Memory, query: str, **asked: Any) -> list[str | None]:
    return [hit.record.origin for hit in memory.search(query, user_id="ana", **asked)]


def test_triples_become_entities_facts_and_edges(open_memory: Open) -> None:
    memory = filled(open_memory(policy="hipporag"))

    assert {record.text for record in records(memory, "entity")} == {
        *("Tolka brook", "Vellmoor", "three mills", "bell foundry", "1821"),
        *("green tea", "flat pans", "paper kites", "first windy day"),
    }
    assert "bell foundry stands in Vellmoor" in [
        record.text.replace("Bell F", "bell f") for record in records(memory, "fact")
    ]
    vellmoor = next(record for record in records(memory, "entity") if record.text == "Vellmoor")
    said = {record.id: record.origin for record in records(memory, "episode")}
    assert [said[id] for id in vellmoor.sources] == ["brook", "town"]
    edges = shown(memory)
    assert {("brook", "mentions", "Vellmoor"), ("town", "mentions", "Vellmoor")} < edges
    assert ("Tolka brook", "rises near", "Vellmoor") in edges
    assert ("bell foundry", "stands in", "Vellmoor") in edges


def test_a_walk_finds_what_the_words_do_not(open_memory: Open) -> None:
    question = "When was something opened near the Tolka brook?"
    memory = filled(open_memory(policy="hipporag"))
    assert origins(memory, question, k=2) == ["brook", "town"]
    hits = memory.search(question, user_id="ana", k=4)
    assert [hit.score for hit in hits] == sorted((hit.score for hit in hits), reverse=True)
    assert hits[0].score == 1.0


@pytest.mark.parametrize("form", ["both", "entities", "triples"])
@pytest.mark.parametrize("passages", ["fused", "dense"])
def test_each_form_finds_the_brook(open_memory: Open, form: Any, passages: Any) -> None:
    memory = filled(open_memory(policy=HippoRAG(form=form, passages=passages)))
    assert origins(memory, "Where does the Tolka brook rise?", k=1) == ["brook"]


def test_without_a_link_passages_are_ranked_by_their_own_score(open_memory: Open) -> None:
    memory = filled(open_memory(policy=HippoRAG(form="entities")))
    plain = open_memory(policy="fusion") if memory.stats()["policy"] else memory
    for number, passage in enumerate(PASSAGES):
        bare = {"id": passage["id"], "content": passage["content"]}
        plain.add(bare, user_id="plain", run_id=str(number))
    question = "what is dried over a fire"
    found = [hit.record.origin for hit in plain.search(question, user_id="plain")]
    assert origins(memory, question) == found


def test_adding_again_doubles_nothing(open_memory: Open) -> None:
    memory = filled(open_memory(policy="hipporag"))
    kinds = ("entity", "fact")
    before = (shown(memory), len(open_edges(memory)), [len(records(memory, kind)) for kind in kinds])
    for number, passage in enumerate(PASSAGES):
        assert memory.add(passage, user_id="ana", run_id=str(number)).items[0].event == "duplicate"
    memory.wait()
    assert (shown(memory), len(open_edges(memory)), [len(records(memory, kind)) for kind in kinds]) == before


@pytest.mark.parametrize("policy", ["hipporag", "fusion"])
def test_what_an_edited_passage_said_ends(open_memory: Open, policy: str) -> None:
    memory = filled(open_memory(policy=policy))
    before = shown(memory)
    town = next(record for record in records(memory, "episode") if record.origin == "town")
    memory.edit(town.id, text="There is nothing in that town.", user_id="ana")
    memory.wait()
    assert memory.stats()["jobs"] == {"pending": 0, "parked": 0}
    after = shown(memory)
    assert after < before
    assert {edge for edge in before - after if "synonym" not in edge} == {
        *(("town", "mentions", name) for name in ("Vellmoor", "bell foundry", "1821")),
        *(("bell foundry", "stands in", "Vellmoor"), ("bell foundry", "opened in", "1821")),
    }


def test_erasing_a_passage_takes_what_it_alone_supports(open_memory: Open) -> None:
    memory = filled(open_memory(policy="hipporag"))
    canary = {
        "content": "A secret of Vellmoor.",
        "id": "c",
        "triples": [["Vellmoor", "hides", "canary-7319"]],
    }
    memory.add(canary, user_id="ana", run_id="c")
    said = next(record for record in records(memory, "episode") if record.origin == "c")
    assert "canary-7319" in [record.text for record in records(memory, "entity")]
    before = len(open_edges(memory))

    memory.forget([said.id], user_id="ana")
    memory.wait()

    left = json.dumps([record.to_dict() for record in memory.get_all(user_id="ana", limit=1000).items])
    assert "canary-7319" not in left
    assert "hides" not in {edge.type for edge in edges_of(memory)}
    assert len(open_edges(memory)) < before
    assert ("bell foundry", "stands in", "Vellmoor") in shown(memory)
    assert origins(memory, "When was something opened near the Tolka brook?", k=2) == ["brook", "town"]


@pytest.mark.parametrize("policy", ["hipporag", "fusion"])
def test_what_a_batch_shared_is_woven_again_without_the_erased(open_memory: Open, policy: str) -> None:
    memory, single = open_memory(policy=policy), filled(open_memory(policy=policy))
    memory.add(PASSAGES, user_id="batch")
    town = next(item for item in memory.get_all(user_id="batch").items if item.origin == "town")
    assert memory.forget([town.id], user_id="batch").ok
    memory.wait()
    assert memory.stats()["jobs"] == {"pending": 0, "parked": 0}
    said = next(record for record in records(single, "episode") if record.origin == "town")
    single.forget([said.id], user_id="ana")
    single.wait()
    assert shown(memory, "batch") == shown(single)


def test_near_names_are_synonyms(open_memory: Open) -> None:
    memory = open_memory(policy="hipporag")
    for number, name in enumerate(("stone bridges", "stone bridge", "at", "at.", "harbour")):
        memory.add({"content": f"about {name}", "triples": [[name, "is", f"thing {number}"]]}, user_id="ana")
    like = {frozenset((a, b)) for a, kind, b in shown(memory) if kind == "synonym"}
    assert frozenset(("stone bridges", "stone bridge")) in like
    assert not any({"at", "at."} & pair for pair in like)
    never = open_memory(policy=HippoRAG(synonyms=1.5))
    never.add({"content": "x", "triples": [["old mills", "are", "old mill"]]}, user_id="never")
    assert not [
        edge
        for edge in edges_of(never)
        if edge.type == "synonym" and edge.made_by == HippoRAG(synonyms=1.5).made_by
    ]


def test_a_batch_weaves_what_single_adds_weave(open_memory: Open) -> None:
    one, all_at_once = filled(open_memory(policy="hipporag")), open_memory(policy="hipporag")
    all_at_once.add(PASSAGES, user_id="batch")
    names = {record.text for record in records(one, "entity")}
    page = all_at_once.get_all(user_id="batch", limit=1000, filters={"kind": "entity"})
    assert {record.text for record in page.items} == names


def test_the_model_reads_names_and_triples(open_memory: Open) -> None:
    found = {
        "passage": 1,
        "entities": ["Ilo Marsh"],
        "triples": [{"subject": "Ilo Marsh", "relation": "built", "object": "a raft"}],
    }
    model = ScriptedModel([[found]])
    memory = open_memory(policy="hipporag", model=model)
    receipt = memory.add("Ilo Marsh built a raft.", user_id="ana")
    assert receipt.usage["model_calls"] == 1
    assert "quoted" in model.requests[0].messages[-1].text
    assert [record.text for record in records(memory, "entity")] == ["Ilo Marsh", "a raft"]
    assert [record.text for record in records(memory, "fact")] == ["Ilo Marsh built a raft"]


def test_given_triples_ask_no_model(open_memory: Open) -> None:
    model = ScriptedModel([])
    assert filled(open_memory(policy="hipporag", model=model)).search("Tolka brook", user_id="ana")
    assert model.requests == []


def test_the_model_sifts_the_triples_of_a_query(open_memory: Open) -> None:
    model = ScriptedModel([{"facts": []}, {"facts": [99, 1]}])
    memory = filled(open_memory(policy=HippoRAG(sift=True, form="triples"), model=model))
    memory.search("Where does the Tolka brook rise?", user_id="ana")
    assert origins(memory, "Where does the Tolka brook rise?", k=1) == ["brook"]
    assert '"fact": 1' in model.requests[0].messages[-1].text


def test_without_a_model_what_people_state_is_read_by_rule(open_memory: Open) -> None:
    memory = open_memory(policy="hipporag")
    memory.add({"content": "I live in Vellmoor.", "name": "Ada"}, user_id="ana")
    assert {record.text for record in records(memory, "entity")} == {"Ada", "Vellmoor"}


def test_added_triples_are_walked_as_well(open_memory: Open) -> None:
    memory = filled(open_memory(policy="hipporag"))
    memory.add_triples([("Vellmoor", "is twinned with", "Karst Hollow")], user_id="ana")
    hits = memory.search("Which place is Vellmoor twinned with?", user_id="ana", k=3)
    assert "Vellmoor is twinned with Karst Hollow" in [hit.text for hit in hits]


@pytest.mark.parametrize(
    "wrong",
    [{"form": "neither"}, {"passages": "none"}, {"triples": 0}, {"damping": 1.0}, {"passage_weight": 2.0}],
)
def test_parameters_out_of_range_are_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(ConfigError, match="hipporag"):
        HippoRAG(**wrong)


def test_reading_parameters_do_not_change_whose_the_graph_is() -> None:
    assert HippoRAG(damping=0.3, triples=9, passages="dense", sift=True).made_by == HippoRAG().made_by
    assert HippoRAG(synonyms=0.9).made_by != HippoRAG().made_by


def test_the_default_policy_makes_a_graph_of_what_is_given_only(open_memory: Open) -> None:
    memory = open_memory(policy="fusion")
    assert memory.add("Plain words, nothing more.", user_id="ana").job is None
    assert len(memory.get_all(user_id="ana").items) == 1
    assert not Fusion().wants(records(memory, "episode")[0])
    filled(memory)
    assert "bell foundry" in [record.text for record in records(memory, "entity")]
    assert records(memory, "fact") == []


def test_the_default_policy_walks_where_there_is_a_graph(open_memory: Open) -> None:
    question = "When was something opened near the Tolka brook?"
    memory = filled(open_memory(policy="fusion"))
    hits = memory.search(question, user_id="ana", k=4, explain=True)
    assert [hit.record.origin for hit in hits][:2] == ["brook", "town"]
    assert hits[1].why["graph"] > 0
    assert [hit.score for hit in hits] == sorted((hit.score for hit in hits), reverse=True)
    unnamed = memory.search("what is dried over a fire", user_id="ana", explain=True)
    assert all("graph" not in hit.why for hit in unnamed)


def test_without_a_seed_the_default_policy_is_as_without_a_graph(open_memory: Open) -> None:
    memory = filled(open_memory(policy="fusion"))
    for number, passage in enumerate(PASSAGES):
        bare = {"id": passage["id"], "content": passage["content"]}
        memory.add(bare, user_id="plain", run_id=str(number))
    for question in ("what is dried over a fire", "which mills are there", "spring wind"):
        one, other = (memory.search(question, user_id=user) for user in ("ana", "plain"))
        assert [(hit.record.origin, hit.score) for hit in one] == [
            (hit.record.origin, hit.score) for hit in other
        ]


def test_entities_are_found_where_they_are_asked_for(open_memory: Open) -> None:
    memory = filled(open_memory(policy="fusion"))
    found = memory.search("bell foundry", user_id="ana")
    assert {hit.record.kind for hit in found} == {"episode"}
    asked = memory.search("bell foundry", user_id="ana", filters={"kind": "entity"})
    assert asked[0].text == "bell foundry"
    assert {hit.record.kind for hit in asked} == {"entity"}
    both = memory.search("bell foundry", user_id="ana", filters={"kind": {"in": ["entity", "episode"]}})
    assert {hit.record.kind for hit in both} == {"entity", "episode"}


def test_the_past_is_walked_on_the_graph_of_then(open_memory: Open) -> None:
    question = "When was something opened near the Tolka brook?"
    memory = open_memory(policy="fusion")
    memory.add(PASSAGES[1], user_id="ana")
    memory.add(PASSAGES[2], user_id="ana")
    then = records(memory, "episode")[-1].known.start
    memory.add(PASSAGES[0], user_id="ana")
    assert "graph" in memory.search(question, user_id="ana", explain=True)[0].why
    before = memory.as_of(known=then).search(question, user_id="ana", explain=True)
    assert all("graph" not in hit.why for hit in before)


def test_the_cache_tells_the_bytes_of_its_graphs(open_memory: Open) -> None:
    memory = filled(open_memory(policy="fusion"))
    memory.search("what is dried", user_id="ana")
    before = memory.stats()["cache_bytes"]
    memory.search("Vellmoor", user_id="ana")
    assert memory.stats()["cache_bytes"] > before
    assert memory.verify().ok


def test_another_process_sees_the_graph_grow(open_memory: Open, url: str) -> None:
    if url == "ram:":
        pytest.skip("one store must be opened twice")
    one, other = open_memory(policy="fusion"), open_memory(policy="fusion")
    one.add(PASSAGES[0], user_id="ana")
    assert "graph" in other.search("Tolka brook in Vellmoor", user_id="ana", explain=True)[0].why
    one.add(PASSAGES[1], user_id="ana")
    found = other.search("What is near Vellmoor, by the Tolka brook?", user_id="ana", explain=True)
    assert {hit.record.origin for hit in found if "graph" in hit.why} == {"brook", "town"}


@pytest.mark.parametrize("policy", ["fusion", "hipporag", "zep"])
@pytest.mark.parametrize("runs", [(None, None, None), ("one", "two", "three")])
def test_what_survivors_tell_of_an_entity_stays(open_memory: Open, policy: str, runs: Any) -> None:
    memory = open_memory(policy=policy)
    river: dict[str, Any] = {"name": "Tolka", "type": "river", "aliases": ["Tolka brook"]}
    alias: dict[str, Any] = {"name": "Tolka", "aliases": ["Zyxwater"]}
    added = [
        memory.add({"content": f"A note of {entity!r}.", "entities": [entity]}, run_id=run)
        for entity, run in zip((river, alias, {"name": "Tolka"}), runs, strict=True)
    ]
    memory.forget(added[1].ids[0], everyone=True)
    memory.wait()
    (node,) = [node for node in memory.graph(everyone=True).nodes if node.kind == "entity"]
    assert dict(node.metadata) == {"type": "river", "aliases": ["Tolka brook"]}
