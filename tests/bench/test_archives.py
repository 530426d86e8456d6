"""Made-up archives: what they hold, and that importing one takes no more memory than it should."""

from __future__ import annotations

import json
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from engram import Memory
from engram.bench import texts
from engram.bench.archives import chats, write_export

IMPORT = """
import resource, sys
from engram import Memory
url, *paths = sys.argv[1:]
with Memory(url, policy="rrf") as memory:
    for path in paths:
        imported = memory.import_(path)
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        print(imported.stored, peak // (1024 * 1024 if sys.platform == "darwin" else 1024))
"""


@pytest.mark.parametrize("name", ["export.zip", "conversations.json"])
@pytest.mark.parametrize("turns", [20, 0])
def test_an_archive_holds_the_turns_in_their_order(tmp_path: Path, name: str, turns: int) -> None:
    path = tmp_path / name
    write_export(path, chats(50, start=100, turns=turns))
    with Memory("ram:") as memory:
        imported = memory.import_(path)
        assert (imported.format, imported.stored, imported.failed) == ("chatgpt", 50, 0)
        found = memory.get_all(user_id="default").items
        assert [record.text for record in found] == [turn["content"] for turn in texts.turns(50, start=100)]
        assert len(memory.scopes()) == (3 if turns else 1)
        assert memory.import_(path).duplicate == 50


def test_an_empty_archive_is_an_export_of_nothing(tmp_path: Path) -> None:
    write_export(tmp_path / "x.zip", chats(0))
    with zipfile.ZipFile(tmp_path / "x.zip") as archive:
        assert json.loads(archive.read("conversations.json")) == []
    with Memory("ram:") as memory:
        assert memory.import_(tmp_path / "x.zip", format="chatgpt").stored == 0


def test_ten_times_the_archive_takes_little_more_memory(tmp_path: Path) -> None:
    """The peak after a 1 MB archive, and after one of 11 MB in the same process: most of it is bounded."""
    small, large = tmp_path / "small.zip", tmp_path / "large.zip"
    write_export(small, chats(100, repeat=50))
    write_export(large, chats(1000, start=100, repeat=50))
    command = [sys.executable, "-c", IMPORT, f"sqlite:///{tmp_path}/m.db", str(small), str(large)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    (first, before), (second, after) = (map(int, line.split()) for line in done.stdout.splitlines())
    assert (first, second) == (100, 1000)
    assert after - before < 80, done.stdout
