"""A million edges in one scope: what the neighbours of a record cost, memory, and the file.

    python scripts/measure_graph.py [--edges 1000000] [--entities 100000] [--hub 10000] [--folder FOLDER]

Builds a SQLite store of entities with edges between them, ends drawn at random (seed 7), one of them a hub,
and reads neighbours of entities drawn at random in a new process: by the effect `Neighbours`, as a policy
does, and by `Memory.graph`. Prints one JSON object.
"""

from __future__ import annotations

import argparse
import json
import random
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sized
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from engram import Memory
from engram.engine.performer import Performer
from engram.kernel.effects import Neighbours
from engram.kernel.protocols import Batch, Op, PutEdge
from engram.kernel.record import Edge, Interval
from engram.kernel.scope import Scope

_ANA = Scope(user_id="ana")
_BATCH = 20_000
_SAMPLES = 500


def _peak() -> float:
    """The most memory that this process has had, MB; what it was forked from is left aside."""
    status = Path("/proc/self/status")
    if not status.exists():
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    lines = dict(line.split(":", 1) for line in status.read_text().splitlines())
    return int(lines["VmHWM"].split()[0]) / 1024


def _build(path: Path, edges: int, entities: int, hub: int) -> dict[str, Any]:
    draw = random.Random(7)  # noqa: S311 - no secret
    start = time.perf_counter()
    told = Interval(datetime(2026, 1, 1, tzinfo=UTC))
    with Memory(f"sqlite:///{path}", policy="rrf") as memory:
        ids: list[str] = []
        for first in range(0, entities, _BATCH):
            names = [
                {"content": f"entity {number}"} for number in range(first, min(first + _BATCH, entities))
            ]
            ids += memory.add(names, kind="entity", user_id="ana").ids
        stored = time.perf_counter() - start
        store = memory._bound.core.store  # noqa: SLF001 - in bulk, under the face
        for first in range(0, edges, _BATCH):
            ops: list[Op] = []
            for number in range(first, min(first + _BATCH, edges)):
                source, target = draw.choice(ids), draw.choice(ids)
                if number < hub:
                    source = ids[0]
                edge = Edge(f"{number:026}", source, target, f"relation {number % 50}", _ANA, told, told)
                ops.append(PutEdge(edge))
            store.commit(Batch(tuple(ops)))
    size = sum(file.stat().st_size for file in path.parent.iterdir())
    return {
        "edges": edges,
        "entities": entities,
        "hub": hub,
        "entities_s": round(stored, 1),
        "edges_s": round(time.perf_counter() - start - stored, 1),
        "file_mb": round(size / 1e6),
        "build_peak_mb": round(_peak()),
    }


def _timed(call: Callable[[], Sized], rounds: int) -> dict[str, float]:
    """Medians of a call, ms: of the processor, which other processes do not lengthen, and passed."""
    busy: list[float] = []
    passed: list[float] = []
    count = 0
    for _ in range(rounds):
        start, began = time.perf_counter(), time.process_time()
        count += len(call())
        busy.append(1000 * (time.process_time() - began))
        passed.append(1000 * (time.perf_counter() - start))
    return {
        "median_ms": round(statistics.median(passed), 3),
        "median_cpu_ms": round(statistics.median(busy), 3),
        "p95_cpu_ms": round(sorted(busy)[int(0.95 * rounds)], 3),
        "edges": count / rounds,
    }


def _read(path: Path) -> dict[str, Any]:
    draw = random.Random(8)  # noqa: S311 - as above
    with Memory(f"sqlite:///{path}", policy="rrf") as memory:
        core = memory._bound.core  # noqa: SLF001 - as a policy reads
        page = memory.get_all(user_id="ana", limit=1000).items
        hub, ids = page[0].id, [record.id for record in page[1:]]
        idle = _peak()
        performer = Performer(core, core.policy, _ANA, core.present)

        def near(*ids: str, limit: int | None = None) -> Sized:
            found: list[Edge] = performer(Neighbours(ids, limit=limit), "")
            return found

        return {
            "neighbours": _timed(lambda: near(draw.choice(ids)), _SAMPLES),
            "ten_at_once": _timed(lambda: near(*draw.sample(ids, 10)), 100),
            "hub_newest_100": _timed(lambda: near(hub, limit=100), 100),
            "hub_whole": _timed(lambda: near(hub), 5),
            "graph_of_one": _timed(lambda: memory.graph(draw.choice(ids), user_id="ana").edges, 50),
            "idle_mb": round(idle),
            "read_peak_mb": round(_peak()),
        }


def main() -> None:
    """Build in this process, read in another."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--edges", type=int, default=1_000_000)
    parser.add_argument("--entities", type=int, default=100_000)
    parser.add_argument("--hub", type=int, default=10_000)
    parser.add_argument("--folder", type=Path, help="where the store is made; default: a folder that goes")
    parser.add_argument("--read", type=Path, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.read is not None:
        print(json.dumps(_read(given.read)))
        return
    with tempfile.TemporaryDirectory(dir=given.folder) as folder:
        path = Path(folder) / "graph.db"
        built = _build(path, given.edges, given.entities, given.hub)
        command = [sys.executable, __file__, "--read", str(path)]
        done = subprocess.run(command, check=True, capture_output=True, text=True)
        print(json.dumps({**built, **json.loads(done.stdout)}, indent=1))


if __name__ == "__main__":
    main()
