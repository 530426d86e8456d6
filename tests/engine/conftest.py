"""Memories on every embedded store."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from engine.helpers import Ticking
from engram import Memory

Open = Callable[..., Memory]


@pytest.fixture(params=["ram", "sqlite"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
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
