"""What `engram bench speed` runs in processes of their own: `python -m engram.bench.probe ROLE …`.

`store` measures a store of n records beside its floors; `writer` adds a record for every line it reads;
`open` measures the first search of a process, and its memory. Each prints one JSON object of medians:
times in ms, rates a second, memory in MB.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from statistics import median
from time import perf_counter

import numpy as np
from numpy.typing import NDArray

from engram.bench import texts
from engram.bench.floors import BareTable, Row, nearest
from engram.bench.moving import Moving
from engram.memory import Memory
from engram.models import load_embedder
from engram.operators.retrieval.codec import encode

__all__ = ["main", "resident"]

BULK = 1000
BLOCKS, EACH = 10, 20
FRESH = 50
ELSEWHERE = 1_000_000
USER = "speed"


def main(role: str, folder: str, policy: str, number: str) -> None:
    """Play one role on the store in `folder`; `number` is the size of the store."""
    roles: dict[str, Callable[[str, str, int], None]] = {"store": _store, "writer": _writer, "open": _open}
    roles[role](folder, policy, int(number))


def _memory(folder: str, policy: str) -> Memory:
    return Memory(f"sqlite:///{folder}/engram.db", policy=policy)


def _store(folder: str, policy: str, n: int) -> None:
    with Memory("ram:", policy=policy) as other:
        other.add("Loads what the first add of a process loads.", user_id=USER)
    bare = BareTable(Path(folder) / "bare.db")
    with _memory(folder, policy) as memory:
        with Moving(Path(folder), policy) as moving:
            matrix, found = _load(memory, bare, moving, n)
        memory.search("warm up", user_id=USER)
        found |= _adds(memory, bare, n)
        found |= _searches(memory, matrix, texts.questions(BLOCKS * EACH, n))
        own = iter(texts.turns(FRESH, start=n + ELSEWHERE))
        asked = texts.questions(2 * FRESH, n + 1)
        found["search_after_add"] = _fresh(
            memory, asked[:FRESH], lambda: memory.add([next(own)], user_id=USER)
        )
        with _other_process(folder, policy, n) as add:
            found["search_after_other"] = _fresh(memory, asked[FRESH:], add)
    bare.close()
    print(json.dumps(found))


def _load(
    memory: Memory, bare: BareTable, moving: Moving, n: int
) -> tuple[NDArray[np.float32], dict[str, float]]:
    """Fill all stores, 1,000 at a time in turns; gives the unit vectors, shape [n, d], and the rates."""
    blocks: list[NDArray[np.float32]] = []
    added: list[float] = []
    inserted: list[float] = []
    for start in range(0, n, BULK):
        messages = list(texts.turns(min(BULK, n - start), start=start))
        added.append(_timed(memory.add, messages, user_id=USER) / len(messages))
        vectors, rows = _rows([message["content"] for message in messages])
        inserted.append(_timed(bare.insert_many, rows) / len(rows))
        blocks.append(vectors)
        moving.take(len(messages), start)
    matrix = np.concatenate(blocks)
    matrix /= np.maximum(np.linalg.norm(matrix, axis=1, keepdims=True), 1e-9)
    return matrix, {"bulk": 1 / median(added), "bare_bulk": 1 / median(inserted), **moving.rates()}


def _rows(contents: Sequence[str]) -> tuple[NDArray[np.float32], list[Row]]:
    vectors = np.asarray(load_embedder(None).embed(contents), np.float32)
    entries = encode(contents, vectors)
    return vectors, [(text, words, vector) for text, (words, vector) in zip(contents, entries, strict=True)]


def _adds(memory: Memory, bare: BareTable, n: int) -> dict[str, float]:
    """Single adds and bare inserts of the same rows, in turns of 20, so that both meet the same weather."""
    own: list[float] = []
    floor: list[float] = []
    for block in range(BLOCKS):
        messages = list(texts.turns(EACH, start=n + block * EACH))
        _, rows = _rows([message["content"] for message in messages])
        own += [_timed(memory.add, message, user_id=USER) for message in messages]
        floor += [_timed(bare.insert, row) for row in rows]
    return {"add": 1000 * median(own), "bare_insert": 1000 * median(floor)}


def _searches(memory: Memory, matrix: NDArray[np.float32], asked: Sequence[str]) -> dict[str, float]:
    own: list[float] = []
    floor: list[float] = []
    vectors = np.asarray(load_embedder(None).embed(asked), np.float32)
    for start in range(0, len(asked), EACH):
        block = range(start, min(start + EACH, len(asked)))
        own += [_timed(memory.search, asked[place], user_id=USER) for place in block]
        floor += [_timed(nearest, matrix, vectors[place], 10) for place in block]
    return {"search": 1000 * median(own), "dot": 1000 * median(floor)}


def _fresh(memory: Memory, asked: Sequence[str], add: Callable[[], object]) -> float:
    """The median of a search, in ms, each right after an `add`."""
    seconds: list[float] = []
    for question in asked:
        add()
        seconds.append(_timed(memory.search, question, user_id=USER))
    return 1000 * median(seconds)


@contextmanager
def _other_process(folder: str, policy: str, n: int) -> Iterator[Callable[[], object]]:
    """A call that has another process add one record, and returns when it has."""
    command = [sys.executable, "-m", __spec__.name, "writer", folder, policy, str(n + 2 * ELSEWHERE)]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, bufsize=1
    ) as child:
        requests, replies = child.stdin, child.stdout
        if requests is None or replies is None:
            raise RuntimeError("the writing process has no pipes")

        def add() -> None:
            requests.write("add\n")
            requests.flush()
            if replies.readline() != "added\n":
                raise RuntimeError("the writing process ended early")

        yield add
        requests.close()


def _writer(folder: str, policy: str, start: int) -> None:
    own = iter(texts.turns(10 * FRESH, start=start))
    with _memory(folder, policy) as memory:
        for _ in sys.stdin:
            memory.add([next(own)], user_id=USER)
            print("added", flush=True)


def _open(folder: str, policy: str, n: int) -> None:
    asked = texts.questions(EACH, n + 3)
    with _memory(folder, policy) as memory:
        first = _timed(memory.search, "What did Ottilie say about the garden?", user_id=USER)
        for question in asked:
            memory.search(question, user_id=USER)
        print(json.dumps({"first_search": 1000 * first, **resident()}))


def resident() -> dict[str, float]:
    """Memory of this process in MB, now and at its peak; the peak for both where the system tells no more."""
    status = Path("/proc/self/status")
    if status.exists():
        lines = dict(line.split(":", 1) for line in status.read_text().splitlines())
        return {
            "resident": int(lines["VmRSS"].split()[0]) * 1024 / 1e6,
            "peak": int(lines["VmHWM"].split()[0]) * 1024 / 1e6,
        }
    import resource

    unit = 1 if sys.platform == "darwin" else 1024
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit / 1e6
    return {"resident": peak, "peak": peak}


def _timed(call: Callable[..., object], *arguments: object, **ids: object) -> float:
    """Seconds that a call takes."""
    start = perf_counter()
    call(*arguments, **ids)
    return perf_counter() - start


if __name__ == "__main__":
    main(*sys.argv[1:])
