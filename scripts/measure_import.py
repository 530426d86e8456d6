"""Imports a made-up ChatGPT archive as large as you like: rate, peak memory, and what kills do to it.

    python scripts/measure_import.py --messages 100000 --kills 5
    python scripts/measure_import.py --messages 105000 --repeat 50      # a 1 GB archive

Each import runs in a process of its own, one BLAS thread. The archive is stored, not compressed, so its size
is that of the JSON. With `--kills` a second store is filled by an import that is killed so many times and
made again; its records and answers are compared with those of the first.
"""

from __future__ import annotations

import argparse
import os
import random
import signal
import subprocess
import sys
from pathlib import Path
from tempfile import TemporaryDirectory
from time import perf_counter, sleep

from engram import Memory, Record
from engram.bench import texts
from engram.bench.archives import chats, write_export

IMPORTER = """
import resource, sys
from engram import Memory
def told(done, total):
    print(done, flush=True)
with Memory(sys.argv[1]) as memory:
    found = memory.import_(sys.argv[2], progress=told)
peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)
print(f"{found.stored:,} stored, {found.duplicate:,} there already, peak {peak / 1e6:,.0f} MB of memory")
"""
ASKED = 50
CALL = 1000


def importer(url: str, path: Path) -> subprocess.Popen[str]:
    command = [sys.executable, "-c", IMPORTER, url, str(path)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True)


def imported(url: str, path: Path, count: int) -> None:
    """Import in another process to the end, and say how that went."""
    begun = perf_counter()
    with importer(url, path) as child:
        last = child.communicate()[0].strip().split("\n")[-1]
    if child.returncode:
        raise SystemExit(f"the import of {path} failed, see above: nothing is measured")
    seconds = perf_counter() - begun
    print(f"  {last}, {seconds:,.1f} s, {count / seconds:,.0f} messages/s", flush=True)


def killed(url: str, path: Path, dice: random.Random, told: int) -> None:
    """Kill an import within half a second of its `told`-th word of progress."""
    with importer(url, path) as child:
        if child.stdout is None:
            raise RuntimeError("the importing process has no output")
        for _ in range(told):
            child.stdout.readline()
        sleep(dice.uniform(0, 0.5))
        child.send_signal(signal.SIGKILL)


def added(url: str, count: int) -> None:
    """Add the same texts, 1,000 a call."""
    seconds = 0.0
    with Memory(url) as memory:
        for start in range(0, count, CALL):
            messages = list(texts.turns(min(CALL, count - start), start=start))
            begun = perf_counter()
            memory.add(messages, user_id="default")
            seconds += perf_counter() - begun
    print(f"  {count:,} added, {seconds:,.1f} s, {count / seconds:,.0f} messages/s", flush=True)


def every(memory: Memory) -> list[tuple[str | None, str]]:
    found: list[Record] = []
    after: str | None = None
    while True:
        page = memory.get_all(user_id="default", limit=CALL, after=after)
        found.extend(page)
        after = page.next
        if after is None:
            return [(record.origin, record.text) for record in found]


def alike(one: str, other: str, count: int) -> bool:
    """Whether two stores hold the same messages in the same order, once each, and answer alike."""
    with Memory(one) as first, Memory(other) as second:
        held, again = every(first), every(second)
        answers = [
            [
                [(hit.record.origin, round(hit.score, 6)) for hit in memory.search(query, user_id="default")]
                for query in texts.questions(ASKED, count)
            ]
            for memory in (first, second)
        ]
        whole = second.verify().ok
    return held == again and len(set(held)) == count and answers[0] == answers[1] and whole


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--messages", type=int, default=100_000)
    parser.add_argument("--repeat", type=int, default=1, help="how many times over a message says its text")
    parser.add_argument("--kills", type=int, default=0)
    parser.add_argument("--add", action="store_true", help="measure add beside it")
    asked = parser.parse_args()
    os.putenv("OPENBLAS_NUM_THREADS", "1")
    count: int = asked.messages
    with TemporaryDirectory() as folder:
        path = Path(folder) / "export.zip"
        write_export(path, chats(count, repeat=asked.repeat), compressed=False)
        print(f"{count:,} messages, {path.stat().st_size / 1e6:,.0f} MB", flush=True)
        whole, broken = f"sqlite:///{folder}/whole.db", f"sqlite:///{folder}/broken.db"
        imported(whole, path, count)
        if asked.add:
            added(f"sqlite:///{folder}/added.db", count)
        dice = random.Random(4)  # noqa: S311 - the same on every run
        for kill in range(asked.kills):
            killed(broken, path, dice, 1 + (kill + 1) * count // CALL // (asked.kills + 1))
        if asked.kills:
            print(f"  killed {asked.kills} times, then", flush=True)
            imported(broken, path, count)
            same = alike(whole, broken, count)
            print(f"  the same messages and answers: {'yes' if same else 'NO'}")
            sys.exit(not same)


if __name__ == "__main__":
    main()
