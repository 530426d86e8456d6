"""Which levels a filter ranks, and what windows and sessions may show."""

from __future__ import annotations

from typing import Any

import pytest

from engine.conftest import Open
from engine.helpers import Facts
from engram import InvalidInput
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
