"""Merges of entities, right ones and wrong ones: all of them can be undone by one call, without loss."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest
from measure_entities import Pair, pairs

from engine.conftest import Open
from engine.woven import Told, edges_of, tell
from engram import Memory
from engram.kernel.changes import Add, Changes, Connect, Merge
from engram.kernel.record import Record

MOVING = ("known", "opened", "closed", "version", "sequence", "arrival")
EVERY = [pair for split in ("development", "test") for pair in pairs(split)]


def state(memory: Memory) -> tuple[dict[str, Any], dict[str, Any]]:
    """All records and edges that are believed, by id; without what counts commits."""
    records = {record.id: record.to_dict() for record in memory.get_all(user_id="ana", limit=1000)}
    edges = {edge.id: edge.to_dict() for edge in edges_of(memory) if edge.current}
    return _still(records), _still(edges)


def _still(found: dict[str, dict[str, Any]]) -> dict[str, Any]:
    return {
        id: {key: value for key, value in item.items() if key not in MOVING} for id, item in found.items()
    }


def met(memory: Memory, pair: Pair, number: int) -> tuple[Record, Record]:
    """Two entities with aliases, that know each other and a third each."""

    async def step(episodes: Sequence[Record]) -> Changes:
        source = (episodes[0].id,)
        mentions = (pair.one, pair.other)
        return Changes(
            (
                *(
                    Add(
                        item.name,
                        "entity",
                        source,
                        metadata={"aliases": [f"{item.name} {n}"], "type": item.type},
                    )
                    for n, item in enumerate(mentions)
                ),
                Add(f"third {number}", "entity", source),
                Connect("#0", "#1", "knows", 0.5, source),
                Connect("#0", "#2", "likes", 1.0, source, {"n": number}),
                Connect("#2", "#1", "employs", 1.0, source),
                Connect("#1", "#2", "likes", 1.0, source),
            )
        )

    receipt = tell(memory, step, f"meeting {number}")
    first, second = (str(item.id) for item in receipt.items[1:3])
    return memory.get(first, user_id="ana"), memory.get(second, user_id="ana")


def merged(memory: Memory, into: Record, other: Record) -> str:
    """Merge the entities, aliases and all; the change set."""
    aliases = [*into.metadata["aliases"], other.text, *other.metadata["aliases"]]
    change = Merge(
        into.id,
        into.version,
        ((other.id, other.version),),
        metadata={**into.metadata, "aliases": aliases},
        reason="perhaps the same",
    )
    tell(memory, Changes.of(change))
    return str(memory.get(into.id, user_id="ana").opened)


@pytest.mark.parametrize("first", range(0, len(EVERY), 5))
def test_every_merge_is_undone_by_one_call_without_loss(first: int) -> None:
    with Memory("ram:", policy=Told()) as memory:
        for number, pair in enumerate(EVERY[first : first + 5]):
            into, other = met(memory, pair, number)
            messages = {record.id for record in memory.get_all(user_id="ana", limit=1000)}
            before = state(memory)
            change_set = merged(memory, into, other)
            now = state(memory)
            assert other.id not in now[0]
            assert other.text in now[0][into.id]["metadata"]["aliases"]
            assert not any(other.id in (edge["source"], edge["target"]) for edge in now[1].values())
            memory.undo(change_set)
            after = state(memory)
            kept = {id: item for id, item in after[0].items() if id in messages}
            assert (kept, after[1]) == before
        assert memory.verify().ok


def test_merges_are_undone_in_a_file_too(open_memory: Open) -> None:
    memory = open_memory(policy=Told())
    into, other = met(memory, EVERY[0], 1)
    before = state(memory)[1]
    memory.undo(merged(memory, into, other))
    assert state(memory)[1] == before
    assert memory.get(other.id, user_id="ana").metadata == other.metadata
    assert memory.verify().ok
