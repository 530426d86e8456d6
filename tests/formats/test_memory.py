"""Reading takes memory for one conversation, whatever the size of the file."""

import json
import random
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from formats.exports import claude_message, gpt_message, gpt_talk

MEGABYTES = 30
READ = """
import resource, sys
from engram.formats import Source, detect

def peak():
    unit = 1024 if sys.platform == "linux" else 1 << 20
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // unit

with Source(sys.argv[1]) as source:
    reader = detect(source)
    start, count = peak(), 0
    for item in reader.read(source):
        count += 1
    assert source.bytes_read == source.total_bytes
print(reader.name, count, start, peak())
"""
"""What a process of its own does: its peak of memory is that of reading."""


def talks(format: str, rng: random.Random) -> tuple[str, int]:
    """About a megabyte of conversations as JSON without the brackets, and how many messages they hold."""
    letters = "abcdefghijklmnopqrstuvwxyz      "
    said = ["".join(rng.choices(letters, k=4000)) for _ in range(256)]
    if format == "claude":
        values = [
            {
                "uuid": f"talk-{talk}",
                "chat_messages": [
                    claude_message(f"{talk}-{n}", "human", said[32 * talk + n]) for n in range(16)
                ],
            }
            for talk in range(8)
        ]
        return json.dumps(values)[1:-1], 128
    if format == "openai":
        return json.dumps([{"role": "user", "content": text} for text in said])[1:-1], 256
    nodes = [
        {
            f"{talk}-{n}": (f"{talk}-{n - 1}" if n else None, gpt_message("", "user", said[32 * talk + n]))
            for n in range(32)
        }
        for talk in range(8)
    ]
    return json.dumps([gpt_talk(tree) for tree in nodes])[1:-1], 256


@pytest.mark.parametrize("format", ["chatgpt", "claude", "openai"])
def test_a_large_archive_is_read_in_little_memory(tmp_path: Path, format: str) -> None:
    block, messages = talks(format, random.Random(7))
    path = tmp_path / "export.zip"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as packed:
        with packed.open("conversations.json", "w") as member:
            member.write(f"[{block}".encode())
            for _ in range(MEGABYTES - 1):
                member.write(f",{block}".encode())
            member.write(b"]")
        assert packed.getinfo("conversations.json").file_size > MEGABYTES * 1_000_000
    done = subprocess.run([sys.executable, "-c", READ, path], capture_output=True, text=True, check=True)
    name, count, start, peak = done.stdout.split()
    assert (name, int(count)) == (format, messages * MEGABYTES)
    assert int(peak) - int(start) < 12, "megabytes of memory"
