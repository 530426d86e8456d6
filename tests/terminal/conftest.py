"""Stores to look at, and terminals to look from. What only reads shares one store."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

import pytest

from engram import Memory
from terminal.driver import Terminal
from terminal.warm import Server

SAID = (
    ("Ana", "2024-05-02T10:00:00", "move", "I moved to Lisbon in May, to a flat by the river."),
    ("Bo", "2024-05-02T10:01:00", "move", "Did the piano survive the stairs?"),
    ("Ana", "2024-05-02T10:02:00", "move", "Barely. The tuner, Mr. [bold]Quill[/bold], comes on Friday."),
    (
        "Ana",
        "2024-06-11T18:30:00",
        "heron",
        "A heron stood on the weir this morning — grey, 鷺, très calme 🪶.",
    ),
    ("Bo", "2024-06-11T18:31:00", "heron", "Herons like that weir. My boat rental costs 40 euros a day now."),
)


@dataclass(frozen=True)
class Kept:
    """A store with five turns of user ana, and their ids; the last one was edited."""

    url: str
    ids: tuple[str, ...]
    edit: str


@pytest.fixture(scope="session")
def kept(tmp_path_factory: pytest.TempPathFactory) -> Kept:
    url = f"sqlite:///{tmp_path_factory.mktemp('kept')}/memory.db"
    with Memory(url) as memory:
        ids: list[str] = []
        for name, time, run, text in SAID:
            message = {
                "role": "user",
                "name": name,
                "content": text,
                "time": time,
                "metadata": {"topic": run},
            }
            ids += memory.add([message], user_id="ana", run_id=run).ids
        done = memory.edit(ids[-1], text="Herons like that weir. My boat rental costs 45 euros a day now.")
        memory.add("Bo is somebody else.", user_id="bo")
    assert done.change_set is not None
    return Kept(url, tuple(ids), done.change_set)


@pytest.fixture(scope="session")
def server() -> Iterator[Server]:
    """A process that has loaded engram, and forks for each command."""
    with closing(Server()) as started:
        yield started


@pytest.fixture
def reader(kept: Kept, server: Server) -> Terminal:
    """A terminal of 80 columns on the store that is only read."""
    return Terminal(server, kept.url)


@pytest.fixture
def terminal(tmp_path: Path, server: Server) -> Terminal:
    """A terminal of 80 columns with an empty store of its own."""
    return Terminal(server, f"sqlite:///{tmp_path}/memory.db")
