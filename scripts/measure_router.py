"""What a router costs: the same calls with a database's own url and through a router, one after the other.

    python scripts/measure_router.py postgresql://localhost/scratch [--turns 2000] [--calls 300]

Makes three schemas at the url (dropped at the end): one used directly, two behind a router whose directory is
a file. Each call is made both ways in turn, so that whatever else the machine does falls on both alike.
Prints one JSON object a call: the medians' ratio.
"""

from __future__ import annotations

import argparse
import json
import statistics
import tempfile
import time
from collections.abc import Callable
from contextlib import closing
from itertools import islice
from pathlib import Path
from typing import Any

import psycopg
from psycopg import sql

from engram import Memory
from engram.bench.texts import questions, turns
from engram.stores import open_store
from engram.stores.router import Directory, Place

_SCHEMAS = ("measure_direct", "measure_one", "measure_two")
_TENANT = "acme"


def _drop(url: str) -> None:
    with psycopg.connect(url, autocommit=True) as link:
        for schema in _SCHEMAS:
            link.execute(sql.SQL("DROP SCHEMA IF EXISTS {} CASCADE").format(sql.Identifier(schema)))


def _routed(folder: Path, *members: str) -> str:
    """The url of a router over these databases."""
    directory = f"sqlite:///{folder}/directory.db"
    with closing(open_store(directory)) as store:
        for number, member in enumerate(members):
            Directory(store).add(Place(f"db{number}", member))
    return f"router:{directory}"


def _compare(name: str, calls: int, work: Callable[[Memory, int], object], *memories: Memory) -> None:
    """The medians of both ways, as a ratio."""
    times: list[list[float]] = [[] for _ in memories]
    for number in range(calls):
        for memory, taken in zip(memories, times, strict=True):
            start = time.perf_counter()
            work(memory, number)
            taken.append(time.perf_counter() - start)
    direct, routed = (statistics.median(taken) for taken in times)
    print(
        json.dumps({"call": name, "calls": calls, "router_to_direct": round(routed / direct, 2)}), flush=True
    )


def _calls(
    calls: int,
    more: list[dict[str, Any]],
    asked: list[str],
    ids: dict[Memory, list[str]],
    direct: Memory,
    routed: Memory,
) -> None:
    """Compare the calls of every day."""
    whose: Any = {"tenant": _TENANT, "user_id": "ana"}

    def again(memory: Memory, number: int) -> None:
        memory.add(f"One more, {number}.", **whose)
        memory.search(asked[number], **whose)

    _compare("search", calls, lambda m, n: m.search(asked[n], **whose), direct, routed)
    _compare("get", calls, lambda m, n: m.get(ids[m][n % len(ids[m])], **whose), direct, routed)
    _compare("add", calls, lambda m, n: m.add(more[n], **whose), direct, routed)
    _compare("add, then search", calls // 3, again, direct, routed)


def main() -> None:
    """Fill both, then compare."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("url")
    parser.add_argument("--turns", type=int, default=2000)
    parser.add_argument("--calls", type=int, default=300)
    given = parser.parse_args()
    _drop(given.url)
    urls = [f"{given.url}{'&' if '?' in given.url else '?'}schema={schema}" for schema in _SCHEMAS]
    said = list(turns(given.turns + given.calls))
    asked = questions(given.calls, given.turns)
    with tempfile.TemporaryDirectory() as folder:
        routed = _routed(Path(folder), *urls[1:])
        with closing(Memory(urls[0])) as direct, closing(Memory(routed)) as router:
            ids: dict[Memory, list[str]] = {}
            for memory in (direct, router):
                receipt = memory.add(said[: given.turns], tenant=_TENANT, user_id="ana")
                ids[memory] = list(islice(receipt.ids, given.calls))
            _calls(given.calls, said[given.turns :], asked, ids, direct, router)
    _drop(given.url)


if __name__ == "__main__":
    main()
