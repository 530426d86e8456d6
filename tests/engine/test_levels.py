"""Which levels a filter ranks, and what windows and sessions may show."""

from __future__ import annotations

from typing import Any

import pytest

from engine.conftest import Open
from engine.helpers import Facts, Ticking
from engram import InvalidInput, Memory
from engram.operators.filters import wanted_level


@pytest.mark.parametrize(
    ("filters", "level"),
    [
        (None, 0),
        ({"level": 2}, 2),
        ({"level": {"in": [1]}}, 1),
        ({"level": {"gt": 1}}, 2),
        ({"and": [{"level": 1}, {"run_id": "r"}]}, 1),
        ({"level": {"gte": 0}}, 0),
        ({"level": {"ne": 0}}, 0),
        ({"level": None}, 0),
        ({"level": 7}, 0),
        ({"or": [{"level": 0}, {"kind": "fact"}]}, 0),
        ({"not": {"level": 1}}, 0),
    ],
)
def test_a_filter_chooses_the_level(filters: Any, level: int) -> None:
    assert wanted_level(filters) == level


@pytest.mark.parametrize("filters", [{"level": {"in": [1, 2]}}, {"or": [{"level": 1}, {"level": 2}]}])
def test_two_levels_at_once_are_refused(filters: Any) -> None:
    with pytest.raises(InvalidInput, match=r"filters: (ask for one level|give 'level' outside)"):
        wanted_level(filters)


def test_a_level_in_a_list_finds_windows_and_other_levels_find_facts(open_memory: Open) -> None:
    memory = open_memory(policy=Facts())
    memory.add(["the sky is blue", "the sea as well"], user_id="u", run_id="r")
    found = memory.search("sky", user_id="u", filters={"level": {"in": [2]}})
    assert [hit.record.level for hit in found] == [2]
    found = memory.search("sky", user_id="u", filters={"level": {"ne": 0}})
    assert [hit.record.kind for hit in found] == ["fact"]


def test_a_session_shows_neither_what_expired_nor_what_came_after_the_view(
    memory: Memory, clock: Ticking
) -> None:
    ids = memory.add(["apple pie", "banana split"], user_id="u", run_id="r").ids
    then = clock.skip(minutes=1)
    clock.skip(minutes=1)
    memory.edit(ids[1], text="durian tart")
    memory.add("apple soon gone", user_id="u", run_id="r", expires=clock.skip(seconds=30))
    clock.skip(hours=1)
    sessions: dict[str, Any] = {"filters": {"level": 2}, "user_id": "u"}
    [now] = memory.search("apple", **sessions)
    assert now.text == "user: apple pie\nuser: durian tart"
    assert now.record.sources == tuple(ids)
    [was] = memory.as_of(known=then).search("apple", **sessions)
    assert was.text == "user: apple pie\nuser: banana split"


def test_sessions_of_everyone_are_each_of_one_user(open_memory: Open) -> None:
    """Two who talk at the same time, in runs of the same name or none, share no session and no window."""
    memory = open_memory()
    for turn in range(4):
        for user, run in (("ana", None), ("bo", None), ("ana", "one"), ("bo", "one")):
            memory.add(f"a heron, says {user} {turn}", user_id=user, run_id=run)
    sessions = memory.search("heron", everyone=True, k=20, filters={"level": 2})
    assert len(sessions) == 4
    for level in (1, 2):
        for hit in memory.search("heron", everyone=True, k=20, filters={"level": level}):
            said = {memory.get(id).scope for id in hit.record.sources}
            assert said == {hit.record.scope}
    assert memory.verify().ok
