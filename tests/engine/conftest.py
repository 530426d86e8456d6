"""Memories on every embedded store."""

from __future__ import annotations

import inspect
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from client.loopback import Loopback, loopback
from engine.helpers import Ticking
from engram import Memory
from postgres import in_schema, schemas
from routed import routed

Open = Callable[..., Memory]


ON_POSTGRES = frozenset({"test_add", "test_forget", "test_undo", "test_edges", "test_updates", "test_worker"})
"""The modules whose tests run on PostgreSQL as well; with `ENGRAM_FULL` set all do."""
OVER_HTTP = frozenset({"test_forget", "test_undo"})
"""The modules whose tests run over HTTP as well, on a server on loopback; with `ENGRAM_FULL` set all do."""
NOT_OVER_HTTP = frozenset(
    {
        "test_the_budget_bounds_what_is_shown",  # a function that counts
        "test_context_fits_its_budget_and_quotes",
        "test_a_reply_of_another_shape_is_never_an_answer",  # what a model said stays with the service
        "test_figures_of_no_use_are_an_error",
        "test_a_garbled_rank_is_noticed",
        "test_a_model_that_gives_no_order_is_an_error",
        "test_a_bug_in_a_policy_surfaces_and_loses_nothing",
        "test_the_cache_is_bounded",  # a view is made anew for each request
        "test_the_ids_of_what_is_derived_are_the_same_in_a_rerun",  # a policy that calls its own memory
        "test_communities_are_made_when_it_is_tended",  # ties by ids, of a store that holds a key
        "test_rank_is_recency_plus_relevance_and_access_makes_recent",  # a clock that ticks at every look
    }
)
"""Tests of what cannot be had over HTTP."""
HTTP = "http"
HERE = Path(__file__).parent
FULL = bool(os.environ.get("ENGRAM_FULL"))


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    left = [item for item in items if _left_out(item)]
    if left:
        config.hook.pytest_deselected(items=left)
        items[:] = [item for item in items if item not in set(left)]


def _left_out(item: pytest.Item) -> bool:
    """Whether a test of this folder would run where its module does not, or where it cannot."""
    call = getattr(item, "callspec", None)
    where = None if item.path.parent != HERE or call is None else call.params.get("url")
    if where == HTTP and isinstance(item, pytest.Function):
        opens = "url" in inspect.signature(item.function).parameters
        return opens or item.originalname in NOT_OVER_HTTP or not (FULL or item.path.stem in OVER_HTTP)
    return where == "postgres" and not (FULL or item.path.stem in ON_POSTGRES)


@pytest.fixture(params=["ram", "sqlite", "postgres", HTTP, *(["router"] if FULL else [])])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    if request.param == "router":
        server = request.getfixturevalue("postgres_server")
        return routed(*(in_schema(server, next(schemas())) for _ in range(3)))
    if request.param == "postgres":
        return str(request.getfixturevalue("postgres_url"))
    if request.param == HTTP:
        return HTTP
    return "ram:" if request.param == "ram" else f"sqlite:///{tmp_path / 'memory.db'}"


@pytest.fixture(scope="session")
def server() -> Iterator[Loopback]:
    """A server for memories over HTTP."""
    with loopback() as made:
        yield made


@pytest.fixture
def clock() -> Ticking:
    return Ticking()


@pytest.fixture
def open_memory(url: str, clock: Ticking, request: pytest.FixtureRequest) -> Iterator[Open]:
    """Opens memories on the same store (`ram:` ones, and over HTTP, are each their own) and closes them."""
    opened: list[Memory] = []
    server: Loopback | None = request.getfixturevalue("server") if url == HTTP else None

    def open_one(**settings: Any) -> Memory:
        chosen = {"policy": "rrf", "clock": clock, **settings}
        memory = Memory(url, **chosen) if server is None else server.opened(**chosen)
        opened.append(memory)
        return memory

    yield open_one
    for memory in opened:
        memory.close()


@pytest.fixture
def memory(open_memory: Open) -> Memory:
    return open_memory()
