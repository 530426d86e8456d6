"""What `engram bench ann` runs in processes of their own: `python -m engram.bench.annprobe ROLE FOLDER N …`.

`make` fills a store and makes the file of its index; `exact` and `approximate` open it and search, the first
without the file. With a url the store is there, and the indexes are the database's. Each prints one JSON
object; times are milliseconds of the processor, memory is in MB.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from statistics import median
from time import process_time
from typing import TYPE_CHECKING, Any

import numpy as np

from engram.bench.filling import USER, filled
from engram.bench.many import asked
from engram.bench.probe import resident
from engram.config import open_core
from engram.engine import read
from engram.engine.core import Core
from engram.kernel.clock import micros
from engram.kernel.drive import run
from engram.kernel.record import Hit
from engram.operators.retrieval.approximate import Graph
from engram.operators.retrieval.arrays import opened
from engram.operators.retrieval.fuse import shipped
from engram.operators.retrieval.growing import quantised
from engram.operators.retrieval.index import Asked
from engram.operators.retrieval.mapped import MappedIndex
from engram.operators.retrieval.query import ask

if TYPE_CHECKING:
    from engram.bench.annserver import Server

__all__ = ["POLICIES", "SHARES", "main"]

POLICIES = ("dense", "fusion")
SHARES = {"0.1 %": "thousandth", "1 %": "hundredth", "10 %": "tenth"}
QUESTIONS, FILTERED = 30, 3
K = 10


def main(role: str, folder: str, number: str, layout: str = "graph", url: str = "") -> None:
    """Play one role on the store in `folder` or at `url`, of `number` records, vectors in a `layout`."""
    place, n = Place(Path(folder), url), int(number)
    roles: dict[str, Callable[[], dict[str, Any]]] = {
        "make": lambda: _make(place, n, layout),
        "exact": lambda: _exact(place, n),
        "approximate": lambda: _approximate(place, n),
    }
    print(json.dumps(roles[role]()))


class Place:
    """Where the store is: in a folder, or at a url; what is found exactly is left in the folder."""

    def __init__(self, folder: Path, url: str) -> None:
        self.folder, self.url = folder, url
        self.server: Server | None = None
        if url:
            from engram.bench.annserver import Server

            self.server = Server(url)

    def open(self, policy: str, *, exactly: bool = False) -> Core:
        """The store, searched exactly or by candidates whatever its size."""
        core = open_core(self.url or f"sqlite:///{self.folder}/memory.db", policy=policy)
        core.maker.shelf.shut = exactly
        core.larges.above = 1 << 60 if exactly else 0
        return core

    def clock(self) -> float:
        """Seconds of the processor."""
        return process_time() if self.server is None else self.server.clock()


def _make(place: Place, n: int, layout: str) -> dict[str, Any]:
    core = place.open("dense")
    core.maker.shelf.layout = "lists" if layout == "lists" else "graph"
    filled(core, n)
    if place.server is not None:
        core.close()
        return {**place.server.built(USER.tenant), "peak": resident()["peak"]}
    before, seconds = core.maker.shelf.files, 0.0
    if not before:
        start = process_time()
        core.maker.make(USER)
        seconds = process_time() - start
    disk = sum(core.maker.shelf.files.values())
    store = float(core.store.info()["bytes"])
    core.close()
    return {"seconds": seconds, "disk": disk / 1e6, "store": store / 1e6, "peak": resident()["peak"]}


def _searched(core: Core, text: str, **more: Any) -> list[Hit]:
    request = read.SearchRequest(text, USER, k=K, **more)
    return run(read.search(core, core.present, request), core.performed)


def _measured(place: Place, n: int, *, exactly: bool) -> dict[str, Any]:
    """Searches by each policy: how long they take, and what they find; filtered ones by `dense` alone."""
    found: dict[str, Any] = {"took": {}, "found": {}}
    questions = asked(QUESTIONS, n)
    for policy in POLICIES:
        core = place.open(policy, exactly=exactly)
        start = place.clock()
        _searched(core, "warm up")
        found.setdefault("first", 1000 * (place.clock() - start))
        if place.server is not None:
            place.server.look()
        found.setdefault("resident", resident()["resident"])
        times = [_timed(place, core, text) for text in questions]
        found["took"][policy] = [took for took, _ in times]
        found["found"][policy] = [ids for _, ids in times]
        for share, field in SHARES.items() if policy == "dense" else ():
            filters = {f"metadata.{field}": 7}
            timed = [_timed(place, core, text, filters=filters) for text in questions[:FILTERED]]
            found["took"][share] = [took for took, _ in timed]
            found["found"][share] = [ids for _, ids in timed]
        if not exactly:
            server = place.server
            parts = _parts(core, questions) if server is None else server.parts(core, questions, K)
            found |= {f"{policy}: {key}": value for key, value in parts.items()}
        core.maker.shelf.shut = True
        core.close()
    return found


def _timed(place: Place, core: Core, text: str, **more: Any) -> tuple[float, list[str]]:
    start = place.clock()
    hits = _searched(core, text, **more)
    return 1000 * (place.clock() - start), [hit.id for hit in hits]


def _exact(place: Place, n: int) -> dict[str, Any]:
    found = _measured(place, n, exactly=True)
    (place.folder / "exact.json").write_text(json.dumps(found["found"]), encoding="utf-8")
    return {key: value for key, value in found.items() if key != "found"}


def _approximate(place: Place, n: int) -> dict[str, Any]:
    found = _measured(place, n, exactly=False)
    right: Mapping[str, Sequence[Sequence[str]]] = json.loads(
        (place.folder / "exact.json").read_text("utf-8")
    )
    found["recall"] = {name: _recall(found["found"][name], ids) for name, ids in right.items()}
    del found["found"]
    return found


def _recall(found: Sequence[Sequence[str]], right: Sequence[Sequence[str]]) -> float:
    shares = [len({*one} & {*other}) / len(other) for one, other in zip(found, right, strict=True) if other]
    return float(np.mean(shares)) if shares else 1.0


def _parts(core: Core, questions: Sequence[str]) -> dict[str, float]:
    """The bare library's own query, and what the signals cost on the candidates, question by question."""
    path = core.maker.shelf.path(USER)
    with core.present.index(USER) as index:
        if not isinstance(index, MappedIndex) or path is None:
            return {}
        arrays = opened(path)[1]
        graph = Graph(arrays["graph"], core.embedder.dimensions) if "graph" in arrays else None
        names = ("dense_turn",) if core.policy.name == "dense" else shipped().signals
        bare: list[float] = []
        signals: list[float] = []
        for text in questions:
            vector, parts = core.query_vector(text)
            code = quantised(vector[None])[0][0]
            now = micros(core.now())
            what = Asked(ask(text), vector, now, None, 0, names, frozenset(), parts, (), K)
            chosen = index.candidates(what)
            start = process_time()
            if graph is not None:
                graph.nearest(code, K)
            middle = process_time()
            index.columns_of(what, chosen)
            bare.append(middle - start)
            signals.append(process_time() - middle)
    found = {"signals": 1000 * median(signals)}
    return {**found, "bare": 1000 * median(bare)} if graph is not None else found


if __name__ == "__main__":
    main(*sys.argv[1:])
