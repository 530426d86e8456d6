"""Several processes on one file: they see each other's writes, and a kill at any moment loses nothing."""

from __future__ import annotations

import random
import signal
import subprocess
import sys
import time
from pathlib import Path

from engram import Memory, Record

WRITER = """
import sys
from engram import Memory, Record
url, user = sys.argv[1:]
with Memory(url, policy="rrf") as memory:
    number = 0
    while True:
        if number % 5 == 4:
            numbers = range(number, number + 3)
        else:
            numbers = range(number, number + 1)
        said = [{"content": f"{user} said line {each}", "id": f"{user}-{each}"} for each in numbers]
        receipt = memory.add(said, user_id=user)
        number += len(said)
        print("\\n".join(item.origin for item in receipt.items), flush=True)
"""


def start_writer(url: str, user: str) -> subprocess.Popen[str]:
    command = [sys.executable, "-c", WRITER, url, user]
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True)


def read_lines(writer: subprocess.Popen[str], count: int) -> str:
    """What a writer acknowledges first: it goes on writing, however fast the machine is."""
    assert writer.stdout is not None
    return "".join(writer.stdout.readline() for _ in range(count))


def read_rest(writer: subprocess.Popen[str]) -> str:
    """What it acknowledged after that; `communicate` would lose what the stream has read ahead."""
    with writer:
        assert writer.stdout is not None
        return writer.stdout.read()


def test_killed_writers_lose_nothing_that_was_acknowledged(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'm.db'}"
    chance = random.Random(5)
    acknowledged: dict[str, list[str]] = {}
    for round_number in range(4):
        users = [f"a{round_number}", f"b{round_number}"]
        writers = [start_writer(url, user) for user in users]
        heads = [read_lines(writer, chance.randrange(130, 600)) for writer in writers]
        time.sleep(chance.uniform(0, 0.01))
        for writer in writers:
            writer.send_signal(signal.SIGKILL)
        for user, writer, head in zip(users, writers, heads, strict=True):
            *whole, _partial = (head + read_rest(writer)).split("\n")
            acknowledged[user] = whole
    total = sum(len(origins) for origins in acknowledged.values())
    assert total > 1000
    with Memory(url, policy="rrf") as memory:
        assert memory.verify().problems == ()
        for user, origins in acknowledged.items():
            stored = [record.origin for record in every(memory, user)]
            assert len(stored) == len(set(stored))
            assert set(origins) <= set(stored)
            assert memory.search(f"{user} said line 1", user_id=user, k=5)


def every(memory: Memory, user: str) -> list[Record]:
    records: list[Record] = []
    after = None
    while True:
        page = memory.get_all(user_id=user, limit=1000, after=after)
        records.extend(page)
        after = page.next
        if after is None:
            return records


def test_processes_see_each_others_writes_edits_and_erasures(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'm.db'}"
    with Memory(url, policy="rrf") as one, Memory(url, policy="rrf") as two:
        first = one.add("the cat sleeps", user_id="u").ids[0]
        assert [hit.text for hit in two.search("cat", user_id="u")] == ["the cat sleeps"]
        two.edit(first, text="the cat hunts")
        assert [hit.text for hit in one.search("cat", user_id="u")] == ["the cat hunts"]
        second = two.add("the cat eats", user_id="u").ids[0]
        assert len(one.search("cat", user_id="u")) == 2
        one.forget(second)
        assert [hit.text for hit in two.search("cat", user_id="u")] == ["the cat hunts"]
        assert two.verify().ok
