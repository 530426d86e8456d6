"""What was made within one run and learns from another belongs to neither: no run is told of the other."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import pytest

from engine.conftest import Open
from engram import NotFound
from engram.kernel.changes import Add, Changes, Connect, Merge, Revise
from engram.kernel.effects import Find, Score
from engram.kernel.policy import Policy, Query, Recall
from engram.kernel.record import Record


@dataclass(frozen=True)
class Notebook(Policy):
    """One summary that takes in every turn, tied to the first; "join" merges two of them."""

    name: ClassVar[str] = "notebook"

    async def write(self, episodes: Sequence[Record]) -> Changes:
        """Begin a page, go on with it, or join the pages."""
        ids = tuple(episode.id for episode in episodes)
        text = episodes[-1].text
        pages = sorted(
            (hit.record for hit in await Find("page", 9, ("summary",))), key=lambda page: page.time
        )
        if text == "join":
            first, other = pages
            return Changes.of(Merge(first.id, first.version, ((other.id, other.version),), text="joined"))
        if not pages or text.startswith("new"):
            return Changes.of(Add(f"page: {text}", "summary", ids), Connect("#0", ids[0], "begins with"))
        (page,) = pages
        return Changes.of(
            Revise(page.id, page.version, text=f"{page.text}, {text}", sources=ids, reason="more")
        )

    async def read(self, query: Query) -> Recall:
        """Every page."""
        await Score(query.text)
        return Recall(tuple(await Find(query.text, query.depth, ("summary",))))


def test_a_record_that_learns_from_another_run_leaves_the_first(open_memory: Open) -> None:
    memory = open_memory(policy=Notebook())
    before = memory.add("the key is under the mat", user_id="ana", run_id="one").ids[1]
    again = memory.add("the mat is red", user_id="ana", run_id="one")
    assert [item.id for item in again.items if item.event == "superseded"] == [before]
    receipt = memory.add("my sister is ill", user_id="ana", run_id="two")
    (item,) = [item for item in receipt.items if item.event == "superseded"]
    assert item.id != before
    assert f"in place of {before}" in item.reason
    page = memory.get(item.id or "", user_id="ana")
    assert (page.scope.user_id, page.scope.run_id, page.version) == ("ana", None, 1)
    assert page.text == "page: the key is under the mat, the mat is red, my sister is ill"
    assert len(page.sources) == 3
    assert memory.search("page", user_id="ana", run_id="one") == []
    assert memory.search("page", user_id="ana", run_id="two") == []
    assert [hit.id for hit in memory.search("page", user_id="ana")] == [page.id]
    with pytest.raises(NotFound):
        memory.get(page.id, user_id="ana", run_id="one")
    edges = memory.graph(page.id, user_id="ana").edges
    assert [(edge.source, edge.type) for edge in edges] == [(page.id, "begins with")]
    assert memory.verify().ok


def test_it_is_taken_back_whole(open_memory: Open) -> None:
    memory = open_memory(policy=Notebook())
    before = memory.add("the key is under the mat", user_id="ana", run_id="one").ids[1]
    was = memory.get(before)
    edges = memory.graph(before, user_id="ana").edges
    receipt = memory.add("my sister is ill", user_id="ana", run_id="two")
    memory.undo(memory.get(receipt.ids[1]).opened)
    back = memory.get(before)
    assert (back.text, back.scope, back.sources) == (was.text, was.scope, was.sources)
    assert [hit.id for hit in memory.search("page", user_id="ana", run_id="one")] == [before]
    now = memory.graph(before, user_id="ana").edges
    assert [(edge.id, edge.source, edge.target) for edge in now] == [
        (edge.id, edge.source, edge.target) for edge in edges
    ]
    assert memory.verify().ok


def test_the_past_is_as_it_was_and_erasure_reaches_both(open_memory: Open) -> None:
    memory = open_memory(policy=Notebook())
    first = memory.add("the key is under the mat", user_id="ana", run_id="one")
    known = memory.get(first.ids[1]).known.start
    second = memory.add("my sister is ill", user_id="ana", run_id="two")
    then = memory.as_of(known=known).search("page", user_id="ana", run_id="one")
    assert [hit.text for hit in then] == ["page: the key is under the mat"]
    memory.forget(second.ids[0], user_id="ana")
    assert not [hit for hit in memory.search("sister ill", user_id="ana") if "ill" in hit.text]
    assert memory.verify().ok


def test_merging_over_runs_makes_a_record_of_neither(open_memory: Open) -> None:
    memory = open_memory(policy=Notebook())
    one = memory.add("new leaf", user_id="ana", run_id="one").ids[1]
    two = memory.add("new branch", user_id="ana", run_id="two").ids[1]
    receipt = memory.add("join", user_id="ana", run_id="two")
    assert {item.event for item in receipt.items} == {"stored", "superseded", "merged"}
    (hit,) = memory.search("joined", user_id="ana")
    assert hit.id not in (one, two)
    assert hit.record.scope.run_id is None
    assert {edge.source for edge in memory.graph(hit.id, user_id="ana").edges} == {hit.id}
    assert memory.search("joined", user_id="ana", run_id="one") == []
    assert memory.verify().ok


def test_edges_that_stand_on_it_stand_on_what_took_its_place(open_memory: Open) -> None:
    memory = open_memory(policy="zep")
    for day, run, city in (("01-01", "one", "Porto"), ("01-05", "two", "Porto"), ("03-01", "three", "Oslo")):
        memory.add(
            {
                "content": f"Ana lives in {city}.",
                "time": f"2024-{day}T12:00Z",
                "triples": [["Ana", "lives_in", city]],
            },
            user_id="ana",
            run_id=run,
        )
    graph = memory.graph("Ana", types="lives_in", user_id="ana")
    names = {node.id: node.text for node in graph.nodes}
    assert [names[edge.target] for edge in graph.edges] == ["Oslo"]
    then = memory.as_of(valid="2024-02-01").graph("Ana", types="lives_in", user_id="ana")
    assert [node.text for node in then.nodes if node.text in ("Porto", "Oslo")] == ["Porto"]
    assert all(memory.get(id, user_id="ana") for edge in graph.edges for id in edge.sources)
    assert memory.verify().ok


def test_an_edge_outlives_the_first_run_that_said_it(open_memory: Open) -> None:
    memory = open_memory(policy="zep")
    triples = [["Tolka", "rises near", "Vellmoor"], ["Vellmoor", "has", "a foundry"]]
    for run in ("one", "two", "three"):
        message = {"content": "The Tolka rises near Vellmoor.", "triples": triples}
        memory.add(message, user_id="ana", run_id=run)
    memory.tend(user_id="ana")
    assert [hit.record.kind for hit in memory.search("Tolka", user_id="ana", filters={"kind": "summary"})]
    memory.forget(user_id="ana", run_id="one")
    memory.wait()
    edges = memory.graph("Tolka", types="rises near", user_id="ana").edges
    assert [edge.type for edge in edges] == ["rises near"]
    assert memory.verify().ok
