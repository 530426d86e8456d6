"""Edges in commits: valid times, ends, merges that move them, undo, and what programs see of them."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest

from engine.conftest import Open
from engine.woven import Told, edges_of, entity, seen, tell
from engram import Conflict, Memory
from engram.kernel.changes import Changes, Connect, Disconnect, Merge, Retire
from engram.kernel.effects import Entities, Neighbours
from engram.kernel.record import Edge, Record
from engram.view import View


@pytest.fixture
def memory(open_memory: Open) -> Memory:
    return open_memory(policy=Told())


def day(number: int) -> datetime:
    return datetime(2026, 1, number, tzinfo=UTC)


def join(memory: Memory, *pairs: tuple[str, str], time: datetime | None = None) -> list[Edge]:
    """Connect pairs by a message of that time, which the edges stand on; the edges."""

    async def step(episodes: Sequence[Record]) -> Changes:
        return Changes(
            tuple(Connect(source, target, "knows", sources=(episodes[0].id,)) for source, target in pairs)
        )

    more: dict[str, object] = {} if time is None else {"time": time}
    tell(memory, step, "they are joined", **more)
    last = max(edge.opened for edge in edges_of(memory))
    return [edge for edge in edges_of(memory) if edge.opened == last]


def now(memory: Memory | View, *ids: str) -> list[tuple[str, str, str]]:
    """The edges around some records, as the policy sees them."""
    return sorted((edge.source, edge.target, edge.type) for edge in seen(memory, Neighbours(ids)))


def change_set(memory: Memory, id: str) -> int:
    """The change set that changed a record last."""
    last = memory.history(id)[-1]
    return last.closed or last.opened


def test_valid_times_of_an_edge(memory: Memory) -> None:
    """From what it says, or from the earliest of its sources, or from now; an early end leaves it open."""
    ada, ben = entity(memory, "Ada", "Ben")
    assert join(memory, (ada, ben), time=day(3))[0].valid.start == day(3)
    told = Connect(ada, ben, "met", valid_start=day(1), valid_end=day(5))
    tell(memory, Changes.of(told, replace(told, type="a", valid_start=None), Connect(ada, ben, "b")))
    made = {edge.type: edge for edge in edges_of(memory)}
    assert (made["met"].valid.start, made["met"].valid.end) == (day(1), day(5))
    assert (made["a"].valid.start, made["a"].valid.end) == (None, day(5))
    assert made["b"].valid.start == made["b"].known.start


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (Connect("#A", "#B", "x", valid_start=day(5), valid_end=day(1)), "ends .* before it starts"),
        (Connect("#A", "#B", "x", weight=float("nan")), "no finite number"),
        (Connect("#A", "#B", ""), "type is empty"),
        (Connect("#A", "nowhere", "x"), "not in this scope"),
        (Disconnect("nowhere"), "edge nowhere is not in this scope"),
        (Merge("#A", 1, (("#A", 1),)), "part of itself"),
    ],
)
def test_changes_that_make_no_sense(memory: Memory, change: Connect, message: str) -> None:
    ids: dict[str, str] = dict(zip(("#A", "#B"), entity(memory, "Ada", "Ben"), strict=True))

    async def step(_: Sequence[Record]) -> Changes:
        if isinstance(change, Merge):
            return Changes.of(Merge(ids["#A"], 1, ((ids["#A"], 1),)))
        if isinstance(change, Connect):
            source, target = (ids.get(end, end) for end in (change.source, change.target))
            return Changes.of(replace(change, source=source, target=target))
        return Changes.of(change)

    Told.steps[:] = [step] * 20
    reasons = [item.reason for item in memory.add("something", user_id="ana").items[1:]]
    Told.steps.clear()
    assert len(reasons) == 1
    assert re.search(message, reasons[0])
    assert edges_of(memory) == []


def test_an_edge_that_ends_in_the_world(memory: Memory) -> None:
    """It is not there now; it was, on both axes."""
    ada, ben = entity(memory, "Ada", "Ben")
    (edge,) = join(memory, (ada, ben), time=day(1))
    before = edge.known.start
    tell(memory, Changes.of(Disconnect(edge.id, end=day(10))))
    assert now(memory, ada) == []
    old, new = edges_of(memory)
    assert (new.id, new.version, new.valid.end) == (old.id, 2, day(10))
    assert old.known.end == new.known.start
    there = [(ada, ben, "knows")]
    assert now(memory.as_of(valid=day(9)), ada) == there
    assert now(memory.as_of(valid=day(10)), ada) == []
    assert now(memory.as_of(known=before), ada) == there
    assert now(memory.as_of(valid=day(11), known=before), ada) == there
    assert memory.verify().ok


def test_an_edge_that_is_believed_no_more(memory: Memory) -> None:
    ada, ben = entity(memory, "Ada", "Ben")
    (edge,) = join(memory, (ada, ben), time=day(1))
    tell(memory, Changes.of(Disconnect(edge.id)))
    assert now(memory, ada) == now(memory.as_of(valid=day(5)), ada) == []
    assert now(memory.as_of(known=edge.known.start), ben) == [(ada, ben, "knows")]
    assert [item.version for item in edges_of(memory)] == [1]


def test_neighbours_by_direction_type_and_number(memory: Memory) -> None:
    ada, ben, cem = entity(memory, "Ada", "Ben", "Cem")
    edges = [join(memory, pair)[0] for pair in ((ada, ben), (cem, ada), (ben, cem))]
    tell(memory, Changes.of(Connect(ada, cem, "likes")))
    assert [edge.id for edge in seen(memory, Neighbours((ada,), direction="in"))] == [edges[1].id]
    out = seen(memory, Neighbours((ada,), direction="out"))
    assert [edge.type for edge in out] == ["knows", "likes"]
    assert [edge.type for edge in seen(memory, Neighbours((ada,), ("likes",)))] == ["likes"]
    assert [edge.id for edge in seen(memory, Neighbours((ada, ben), limit=2))][1:] == [edges[2].id]
    assert seen(memory, Neighbours((), limit=2)) == seen(memory, Neighbours(("nowhere",))) == []


def test_entities_are_found_by_name_and_alias(memory: Memory) -> None:
    """Whatever their case and spacing; not what has ended, nor what the user cannot see."""
    ada, other = entity(memory, "Ada Lovelace/Countess  of LOVELACE/ada", "Ada")
    said = memory.add({"content": "Straße"}, kind="entity", user_id="ana").ids[0]
    memory.add("Ada", kind="entity", user_id="ben")
    found = seen(memory, Entities(("countess of lovelace", " ADA ", "strasse", "nobody", "")))
    assert [[record.id for record in named] for named in found] == [[ada], [ada, other], [said], [], []]
    tell(memory, Changes.of(Retire(ada, 1), Merge(other, 1, ())))
    assert [[record.id for record in named] for named in seen(memory, Entities(("ada",)))] == [[other]]


def test_a_merge_moves_the_edges_and_is_taken_back_exactly(memory: Memory) -> None:
    ada, countess, ben, cem = entity(memory, "Ada", "Countess", "Ben", "Cem")
    join(memory, (countess, ben), (cem, countess), (ada, countess), (ada, ben))
    before, around = edges_of(memory), now(memory, ada, countess, ben, cem)
    names = {"aliases": ["Countess"]}
    tell(memory, Changes.of(Merge(ada, 1, ((countess, 1),), metadata=names)))
    merged = change_set(memory, ada)
    assert now(memory, ada) == sorted([(ada, ben, "knows"), (ada, ben, "knows"), (cem, ada, "knows")])
    assert now(memory, countess) == []
    assert [record.id for record in seen(memory, Entities(("countess",)))[0]] == [ada]
    moment = before[0].known.start
    assert now(memory.as_of(known=moment), countess) == [e for e in around if countess in e]
    memory.undo(merged)
    assert now(memory, ada, countess, ben, cem) == around
    assert sorted(edge.id for edge in seen(memory, Neighbours((ada, countess, ben, cem)))) == sorted(
        edge.id for edge in before
    )
    assert dict(memory.get(ada).metadata) == {"aliases": []}
    assert [record.id for record in seen(memory, Entities(("countess",)))[0]] == [countess]
    assert memory.verify().ok


def test_changes_of_one_edge_in_one_commit(memory: Memory) -> None:
    """Two merges, an edge made and moved at once, and one that names what was merged away."""
    ada, countess, ben, cem = entity(memory, "Ada", "Countess", "Ben", "Cem")
    (edge,) = join(memory, (countess, cem))
    tell(
        memory,
        Changes.of(
            Connect(countess, ben, "met"),
            Merge(ada, 1, ((countess, 1),)),
            Merge(ben, 1, ((cem, 1),)),
            Connect(cem, countess, "likes"),
        ),
    )
    assert now(memory, ada) == sorted([(ada, ben, "knows"), (ada, ben, "met"), (ben, ada, "likes")])
    versions = [item.version for item in edges_of(memory) if item.id == edge.id]
    assert versions == [1, 2]
    memory.undo(change_set(memory, ada))
    assert now(memory, ada, countess, ben, cem) == [(countess, cem, "knows")]
    assert memory.verify().ok


def test_an_undo_of_edges_alone_can_be_taken_back(memory: Memory) -> None:
    ada, ben = entity(memory, "Ada", "Ben")
    (edge,) = join(memory, (ada, ben))
    undone = memory.undo(edge.opened).change_set
    assert now(memory, ada) == []
    with pytest.raises(Conflict, match=rf"stand on it.*{undone}"):
        memory.undo(edge.opened)
    assert undone is not None
    memory.undo(undone)
    assert now(memory, ada) == [(ada, ben, "knows")]
    memory.undo(edge.opened)
    assert now(memory, ada) == []
    assert now(memory.as_of(known=edge.known.start), ada) == [(ada, ben, "knows")]


def test_an_end_that_others_build_on_is_not_taken_back_alone(memory: Memory) -> None:
    ada, ben = entity(memory, "Ada", "Ben")
    made = change_set(memory, ada)
    (edge,) = join(memory, (ada, ben), time=day(1))
    with pytest.raises(Conflict, match=rf"stand on it.*{edge.opened}"):
        memory.undo(made)
    tell(memory, Changes.of(Disconnect(edge.id, end=day(10))))
    first = edges_of(memory)[-1].opened
    tell(memory, Changes.of(Disconnect(edge.id, end=day(5))))
    second = edges_of(memory)[-1].opened
    with pytest.raises(Conflict, match=rf"stand on it.*{second}"):
        memory.undo(first)
    for number in (second, first):
        memory.undo(number)
    assert [item.valid.end for item in seen(memory, Neighbours((ada,)))] == [None]
    memory.undo(edge.opened)
    memory.undo(made)
    assert now(memory, ada) == []


def test_an_edge_goes_stale_with_the_words_that_it_stood_on_alone(memory: Memory) -> None:
    """The policy is asked again; what has other grounds stays; and it can be taken back."""
    ada, ben = entity(memory, "Ada", "Ben")
    first, second = join(memory, (ada, ben), (ben, ada))
    tell(memory, Changes.of(Connect(ada, ben, "likes")))
    Told.steps[:] = []
    edited = memory.edit(first.sources[0], text="other words")
    assert edited.job is not None
    assert now(memory, ada) == [(ada, ben, "likes")]
    assert memory.wait()
    assert edited.change_set is not None
    memory.undo(edited.change_set)
    assert {edge.id for edge in seen(memory, Neighbours((ada,)))} >= {first.id, second.id}
    assert memory.verify().ok


def test_edges_travel_with_their_versions(memory: Memory, tmp_path: Path) -> None:
    """Times on both axes, ends and weights; and again is nothing new."""
    ada, ben, cem = entity(memory, "Ada", "Ben", "Cem")
    (edge,) = join(memory, (ada, ben), time=day(1))
    tell(memory, Changes.of(Disconnect(edge.id, end=day(10)), Connect(ada, cem, "x", 0.5, (), {"a": [1]})))
    tell(memory, Changes.of(Merge(ben, 1, ((cem, 1),))))
    memory.export(tmp_path / "first.jsonl")
    with Memory("ram:", policy=Told()) as copy:
        for _ in range(2):
            copy.import_(tmp_path / "first.jsonl")
        copy.export(tmp_path / "second.jsonl")
        assert (tmp_path / "first.jsonl").read_bytes() == (tmp_path / "second.jsonl").read_bytes()
        bare = [replace(item, opened=0, closed=None, sequence=0) for item in edges_of(memory)]
        assert [replace(item, opened=0, closed=None, sequence=0) for item in edges_of(copy)] == bare
        assert now(copy, ada) == now(memory, ada) == [(ada, ben, "x")]
        copy.undo(change_set(copy, ben))
        assert now(copy, ada) == [(ada, cem, "x")]
        assert copy.verify().ok


def test_an_edge_goes_with_what_it_stands_on(memory: Memory) -> None:
    """In every version; what else the records have stays."""
    ada, ben = entity(memory, "Ada", "Ben")
    first, second = join(memory, (ada, ben))[0], join(memory, (ben, ada))[0]
    tell(memory, Changes.of(Disconnect(first.id, end=first.valid.start)))
    memory.forget(list(first.sources), user_id="ana")
    assert [item.id for item in edges_of(memory)] == [second.id]
    assert memory.verify().ok
