"""Memories on every embedded store."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from engine.helpers import Ticking
from engram import Memory
from postgres import in_schema, schemas
from routed import routed

Open = Callable[..., Memory]


ON_POSTGRES = frozenset({"test_add", "test_forget", "test_undo", "test_edges", "test_updates", "test_worker"})
"""The modules whose tests run on PostgreSQL as well; with `ENGRAM_FULL` set all do."""
HERE = Path(__file__).parent
FULL = bool(os.environ.get("ENGRAM_FULL"))


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    left = [] if FULL else [item for item in items if _left_out(item) and item.path.stem not in ON_POSTGRES]
    if left:
        config.hook.pytest_deselected(items=left)
        items[:] = [item for item in items if item not in set(left)]


def _left_out(item: pytest.Item) -> bool:
    """Whether a test of this folder would run on PostgreSQL, and its module is not among those that do."""
    call = getattr(item, "callspec", None)
    if item.path.parent != HERE or item.path.stem in ON_POSTGRES or call is None:
        return False
    return bool(call.params.get("url") == "postgres")


@pytest.fixture(params=["ram", "sqlite", "postgres", *(["router"] if FULL else [])])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    if request.param == "router":
        server = request.getfixturevalue("postgres_server")
        return routed(*(in_schema(server, next(schemas())) for _ in range(3)))
    if request.param == "postgres":
        return str(request.getfixturevalue("postgres_url"))
    return "ram:" if request.param == "ram" else f"sqlite:///{tmp_path / 'memory.db'}"


@pytest.fixture
def clock() -> Ticking:
    return Ticking()


@pytest.fixture
def open_memory(url: str, clock: Ticking) -> Iterator[Open]:
    """Opens memories on the same store (`ram:` ones are each their own) and closes them."""
    opened: list[Memory] = []

    def open_one(**settings: Any) -> Memory:
        memory = Memory(url, **{"policy": "rrf", "clock": clock, **settings})
        opened.append(memory)
        return memory

    yield open_one
    for memory in opened:
        memory.close()


@pytest.fixture
def memory(open_memory: Open) -> Memory:
    return open_memory()
