"""From a file into a memory: what formats give is stored, found, and not doubled."""

from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from engram import Memory
from formats.exports import archive, write
from formats.samples import (
    ANDROID,
    APOC,
    GRAPH,
    IOS,
    LETTA,
    LETTA_FLAT,
    MEM0,
    MEM0_MARKDOWN,
    NOTES,
    SLACK,
    TALK,
    THREADS,
)

FILES: dict[str, tuple[object, int, int]] = {
    "talk.txt": (TALK, 3, 0),
    "_chat.txt": (IOS, 3, 0),
    "WhatsApp Chat with Ben.txt": (ANDROID, 4, 0),
    "slack.zip": (SLACK, 3, 0),
    "kiln.md": (NOTES, 5, 0),
    "memories.json": (MEM0, 3, 0),
    "mem0-export-kiln.md": (MEM0_MARKDOWN, 2, 0),
    "graph.json": (GRAPH, 4, 1),  # a fact that ends before it starts
    "threads.json": (THREADS, 2, 0),
    "graph.jsonl": (APOC, 3, 0),
    "helper.af": (LETTA, 8, 0),
    "flat.af": (LETTA_FLAT, 4, 0),
}


@pytest.fixture
def memory() -> Iterator[Memory]:
    with Memory("ram:") as opened:
        yield opened


@pytest.mark.parametrize("name", FILES)
def test_everything_is_stored_once(tmp_path: Path, memory: Memory, name: str) -> None:
    content, stored, failed = FILES[name]
    path = tmp_path / name
    if isinstance(content, dict) and name.endswith(".zip"):
        archive(path, content)
    else:
        write(path, content)
    first, again = memory.import_(path), memory.import_(path)
    assert (first.stored, first.failed, again.stored, again.duplicate) == (stored, failed, 0, stored)


def test_a_fact_that_ended_is_found_as_of_then(tmp_path: Path, memory: Memory) -> None:
    memory.import_(write(tmp_path / "graph.json", GRAPH))
    kind = {"kind": "fact"}
    assert memory.search("Where does Ana live?", user_id="ana", filters=kind) == []
    then = memory.as_of(valid=datetime(2025, 9, 1, tzinfo=UTC), known=datetime(2026, 2, 1, tzinfo=UTC))
    assert [hit.text for hit in then.search("Where does Ana live?", user_id="ana", filters=kind)] == [
        "Ana lives in Porto"
    ]


def test_a_grown_chat_adds_what_is_new(tmp_path: Path, memory: Memory) -> None:
    memory.import_(write(tmp_path / "WhatsApp Chat with Ben.txt", ANDROID), user_id="ana")
    more = ANDROID + "1/14/26, 8:00 AM - Ana: The kiln is cold.\n"
    done = memory.import_(write(tmp_path / "WhatsApp Chat with Ben.txt", more), user_id="ana")
    assert (done.stored, done.duplicate, done.format) == (1, 4, "whatsapp")
    hits = memory.search("Is the kiln cold?", user_id="ana", k=1)
    assert (hits[0].text, hits[0].record.name) == ("The kiln is cold.", "Ana")
    assert hits[0].record.scope.run_id == "Ben/2026-01-14"


def test_a_section_is_found_by_its_headings(tmp_path: Path, memory: Memory) -> None:
    memory.import_(write(tmp_path / "kiln.md", NOTES), user_id="ana")
    found = memory.search("bisque firing", user_id="ana", k=1)[0].record
    assert (found.kind, found.text) == ("resource", "Firing > Bisque\nUp to 1,000 degrees.")
