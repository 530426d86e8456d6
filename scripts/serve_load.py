"""What a service adds to a search, and how many it answers: REST against the call in a program.

    python scripts/serve_load.py --n 10000

Fills a store with made-up turns of one user, serves it as a process of its own, and asks the same questions
in turn over HTTP and in this process, one at a time; then over HTTP by `--clients` at once, each with a
connection of its own. The server's own processor time, read from the system, gives the throughput of a core,
and what a busy machine does not change. At last it is started a few times, until `/ready` answers, in turn
with a Python that only imports FastAPI and uvicorn, which is the least that any such service takes.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx

from engram import AsyncMemory
from engram.bench.texts import questions, turns

ENGRAM = str(Path(sys.executable).with_name("engram"))
WHO = {"user_id": "u"}
PATH = "/engram/v1/search"
PATIENCE = 120.0


@contextmanager
def serving(url: str, token: str = "") -> Iterator[tuple[httpx.Client, int]]:
    """A service and a client of it, with the process's number."""
    command = [ENGRAM, "serve", "--port", "0", "--json", "--rate", "1000000", "--url", url]
    child = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    stdout = child.stdout or sys.stdin
    try:
        told = json.loads(stdout.readline())
        headers = {"Authorization": f"Bearer {token or told['key']}"}
        with httpx.Client(base_url=told["url"], headers=headers, timeout=PATIENCE) as client:
            yield client, child.pid
    finally:
        child.terminate()
        child.wait(PATIENCE)
        stdout.close()


def searched(client: httpx.Client, question: str) -> float:
    """The milliseconds of one search over HTTP."""
    began = time.perf_counter()
    answer = client.post(PATH, json={"query": question, **WHO})
    took = time.perf_counter() - began
    if answer.status_code != 200 or not answer.json()["items"]:
        raise SystemExit(f"search answered {answer.status_code}: {answer.text[:200]}")
    return 1000 * took


def alternately(client: httpx.Client, url: str, asked: list[str]) -> tuple[list[float], list[float], float]:
    """The milliseconds of each question over HTTP and in this process; a processor's, here, on average."""
    over: list[float] = []
    inside: list[float] = []
    busy: list[float] = []

    async def main() -> None:
        async with AsyncMemory(url) as memory:
            for number, question in enumerate(asked):
                over_ms = searched(client, question)
                began, spent = time.perf_counter(), time.process_time()
                found = await memory.search(question, user_id="u")
                [hit.to_dict() for hit in found]
                inside_ms = 1000 * (time.perf_counter() - began)
                busy.append(1000 * (time.process_time() - spent))
                if number >= len(asked) // 10:  # the first ones warm both sides
                    over.append(over_ms)
                    inside.append(inside_ms)

    asyncio.run(main())
    return over, inside, statistics.mean(busy[len(busy) // 10 :])


def at_once(client: httpx.Client, asked: list[str], clients: int) -> tuple[list[float], float]:
    """The milliseconds of each search by so many clients at once, and the seconds that all took."""
    took: list[float] = []

    def one(share: list[str]) -> None:
        with httpx.Client(base_url=client.base_url, headers=client.headers, timeout=PATIENCE) as mine:
            took.extend([searched(mine, question) for question in share])

    threads = [threading.Thread(target=one, args=(asked[place::clients],)) for place in range(clients)]
    began = time.perf_counter()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if len(took) != len(asked):
        raise SystemExit(f"{len(asked) - len(took)} searches failed")
    return took, time.perf_counter() - began


def processor_seconds(number: int) -> float:
    """The processor time that a process has taken; 0 where the system does not tell."""
    stat = Path(f"/proc/{number}/stat")
    if not stat.exists():
        return 0.0
    fields = stat.read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def started(url: str, token: str) -> tuple[float, float]:
    """The seconds from the command to the first answer of `/ready`, and a processor's among them."""
    began = time.perf_counter()
    with serving(url, token) as (client, number):
        client.get("/ready").raise_for_status()
        return time.perf_counter() - began, processor_seconds(number)


def bare() -> tuple[float, float]:
    """The seconds that a Python takes to import the server's packages, and a processor's among them."""
    before, began = os.times(), time.perf_counter()
    subprocess.run([sys.executable, "-c", "import fastapi, uvicorn"], check=True)
    took, after = time.perf_counter() - began, os.times()
    own = after.children_user + after.children_system - before.children_user - before.children_system
    return took, own


def starts(url: str, token: str, count: int) -> None:
    """Measure cold starts, and print."""
    pairs = [(started(url, token), bare()) for _ in range(count)]
    whole, busy = (statistics.median(item[place] for item, _ in pairs) for place in (0, 1))
    least, own = (statistics.median(item[place] for _, item in pairs) for place in (0, 1))
    print(f"from the command to ready: {whole:.2f} s (median of {count}), {busy:.2f} s of a processor")
    print(f"importing FastAPI and uvicorn alone: {least:.2f} s, {own:.2f} s of a processor")
    print(f"a start is {whole / least:.2f} times that, {busy / own:.2f} times of a processor")


def main() -> None:
    """Measure, and print."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--n", type=int, default=10_000, help="records")
    parser.add_argument("--questions", type=int, default=300)
    parser.add_argument("--clients", type=int, default=32)
    parser.add_argument("--starts", type=int, default=5)
    given = parser.parse_args()
    asked = questions(given.questions, given.n)
    with tempfile.TemporaryDirectory() as folder:
        url = f"sqlite:///{folder}/m.db"
        asyncio.run(fill(url, given.n))
        with serving(url) as (client, number):
            token = client.headers["Authorization"].removeprefix("Bearer ")
            one_by_one(client, number, url, asked)
            before = processor_seconds(number)
            took, seconds = at_once(client, asked * 4, given.clients)
            spent = processor_seconds(number) - before
        starts(url, token, given.starts)
    rate = len(took) / seconds
    core = f", {len(took) / spent:.0f} a second of one core" if spent else ""
    print(f"{given.clients} clients, {len(took):,} searches without an error: {rate:.0f} a second{core}")
    print(f"p50 {statistics.median(took):.1f} ms, p99 {statistics.quantiles(took, n=100)[98]:.1f} ms")


def one_by_one(client: httpx.Client, number: int, url: str, asked: list[str]) -> None:
    """Measure one search after the other, and print."""
    before = processor_seconds(number)
    over, inside, own = alternately(client, url, asked)
    served = 1000 * (processor_seconds(number) - before) / len(asked)
    fast, slow = statistics.median(inside), statistics.median(over)
    print(f"{len(over)} searches in turn, medians: in the program {fast:.2f} ms, over HTTP {slow:.2f} ms")
    print(f"the service adds {slow - fast:.2f} ms, {slow / fast:.2f} times the call")
    print(f"a processor's: the call {own:.2f} ms, the service {served:.2f} ms for each search")


async def fill(url: str, count: int) -> None:
    """A store of so many turns of one user."""
    async with AsyncMemory(url) as memory:
        said = list(turns(count))
        for first in range(0, count, 1000):
            await memory.add(said[first : first + 1000], user_id="u")


if __name__ == "__main__":
    main()
