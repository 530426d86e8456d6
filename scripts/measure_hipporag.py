"""What a graph of given triples costs: building it, and walking it.

    python scripts/measure_hipporag.py ../shared/data/musique/musique.json [--policy hipporag]

Imports a corpus whose documents bring entities and triples into a new SQLite file, lets the policy weave the
graph, and asks every question: in a new memory, so that nothing is in its caches. Prints one JSON object;
`cpu` is the processor's time, which other work on the machine changes least.
"""

from __future__ import annotations

import argparse
import json
import resource
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from engram import Memory
from engram.engine.core import Core
from engram.kernel.drive import Perform
from engram.kernel.effects import Effect, PageRank
from engram.kernel.protocols import SelectEdges
from engram.kernel.scope import Scope


class _Watch:
    """Takes the time, in ms of the processor, of each walk that passes."""

    def __init__(self) -> None:
        self.walks: list[float] = []

    def around(self, perform: Perform) -> Perform:
        """The perform function with a watch around each `PageRank`."""

        def watched(effect: Effect[Any], path: str) -> Any:
            start = time.process_time()
            reply = perform(effect, path)
            if isinstance(effect, PageRank):
                self.walks.append(1000 * (time.process_time() - start))
            return reply

        return watched


def _timed(call: Callable[[], object]) -> dict[str, float]:
    wall, cpu = time.perf_counter(), time.process_time()
    call()
    return {"s": round(time.perf_counter() - wall, 2), "cpu_s": round(time.process_time() - cpu, 2)}


def _core(memory: Memory) -> Core:
    return memory._bound.core  # noqa: SLF001 - to watch effects, and to count edges


def measured(corpus: Path, url: str, policy: str) -> dict[str, Any]:
    """The figures of one corpus."""
    found: dict[str, Any] = {"policy": policy}
    with Memory(url, policy=policy) as memory:
        found["import"] = _timed(lambda: memory.import_(corpus, user_id="u"))
        found["graph"] = _timed(lambda: memory.wait(None))
        edges = _core(memory).store.edges(SelectEdges(Scope()))
        ends = {edge.target for edge in edges if edge.type == "mentions"}
        found |= {"entities": len(ends), "edges": len(edges)}
        found["synonyms"] = sum(edge.type == "synonym" for edge in edges)
        found["peak_mb"] = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024
    asked = [item["question"] for item in json.loads(corpus.read_text(encoding="utf-8"))["questions"]]
    watch, queries = _Watch(), []
    with Memory(url, policy=policy) as memory:
        _core(memory).around = watch.around
        found["first_query"] = _timed(lambda: memory.search(asked[0], user_id="u"))
        for question in asked[1:]:
            start = time.process_time()
            memory.search(question, user_id="u")
            queries.append(1000 * (time.process_time() - start))
        found["cache_mb"] = round(memory.stats()["cache_bytes"] / 2**20, 1)
    found["walk_ms"] = round(statistics.median(watch.walks[1:]), 1)
    found["query_ms"] = round(statistics.median(queries), 1)
    return found


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("corpus", type=Path)
    parser.add_argument("--policy", default="hipporag")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        print(json.dumps(measured(given.corpus, f"sqlite:///{folder}/graph.db", given.policy)))


if __name__ == "__main__":
    main()
