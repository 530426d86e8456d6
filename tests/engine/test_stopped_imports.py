"""Imports whose process is killed: made again, they lose nothing, double nothing, and answer alike."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from engram import Memory, Record

IMPORTER = """
import os, signal, sys
from engram import Memory
url, path, after = sys.argv[1:]
told = 0
def tell(done, total):
    global told
    told += 1
    print(done, flush=True)
    if told == int(after):
        os.kill(os.getpid(), signal.SIGKILL)
with Memory(url, policy="rrf") as memory:
    memory.import_(path, progress=tell)
"""
ASKED = ("What did Ada say about the heron?", "river 17", "said 1900")


def importer(url: str, path: Path, after: int = 0) -> subprocess.Popen[str]:
    """A process that imports; it kills itself when it is told of progress for the `after`-th time."""
    command = [sys.executable, "-c", IMPORTER, url, str(path), str(after)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True)


def killed_at(url: str, path: Path, after: int) -> None:
    """Killed between a commit and what is read next."""
    with importer(url, path, after) as child:
        assert child.wait() == -signal.SIGKILL


def killed_within(url: str, path: Path, seconds: float) -> None:
    """Killed so long after the first progress, wherever it stands then."""
    with importer(url, path) as child:
        assert child.stdout is not None
        child.stdout.readline()
        time.sleep(seconds)
        child.send_signal(signal.SIGKILL)
        assert child.wait() in (0, -signal.SIGKILL)


def every(memory: Memory) -> list[Record]:
    records: list[Record] = []
    after = None
    while True:
        page = memory.get_all(limit=1000, after=after, everyone=True)
        records.extend(page)
        after = page.next
        if after is None:
            return records


def answers(memory: Memory) -> list[list[tuple[str | None, float]]]:
    return [
        [(hit.record.origin, round(hit.score, 6)) for hit in memory.search(query, user_id="ada")]
        for query in ASKED
    ]


@pytest.fixture(scope="module")
def path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    turns = [
        {
            "id": f"t{number}",
            "session": number // 20,
            "speaker": ("Ada", "assistant")[number % 2],
            "text": f"said {number} about the {('heron', 'river', 'piano')[number % 3]} {number % 89}",
            "time": f"2026-01-{1 + number // 200:02}T10:{number % 60:02}:00Z",
        }
        for number in range(2400)
    ]
    path = tmp_path_factory.mktemp("talk") / "talk.json"
    path.write_text(json.dumps({"name": "ada", "turns": turns}), encoding="utf-8")
    return path


def test_killed_imports_lose_nothing_and_double_nothing(tmp_path: Path, path: Path) -> None:
    url = f"sqlite:///{tmp_path}/m.db"
    killed_at(url, path, 1)
    killed_within(url, path, 0.05)
    killed_at(url, path, 2)
    with Memory(url, policy="rrf") as memory, Memory("ram:", policy="rrf") as whole:
        done = memory.import_(path)
        assert done.stored + done.duplicate == 2400
        assert done.duplicate >= 2000
        assert whole.import_(path).stored == 2400
        assert [(record.origin, record.text, record.scope) for record in every(memory)] == [
            (record.origin, record.text, record.scope) for record in every(whole)
        ]
        assert answers(memory) == answers(whole)
        assert memory.verify().ok


def test_a_killed_import_of_an_export_goes_on_to_the_same_bytes(tmp_path: Path, path: Path) -> None:
    url, first, second = f"sqlite:///{tmp_path}/m.db", tmp_path / "first.jsonl", tmp_path / "second.jsonl"
    with Memory("ram:", policy="rrf") as memory:
        memory.import_(path)
        memory.edit(every(memory)[7].id, text="changed")
        memory.export(first)
    killed_at(url, first, 7)
    killed_within(url, first, 0.3)
    with Memory(url, policy="rrf") as memory:
        memory.add("another", user_id="w")
        memory.import_(first)
        memory.export(second, user_id="ada")
        assert memory.verify().ok
    assert second.read_bytes() == first.read_bytes()
