"""The part of `engram bench ann --url` that asks the database: its own question, its sizes, its time."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from statistics import median
from time import perf_counter, process_time
from typing import Any, cast

from engram.bench.filling import USER
from engram.engine.core import Core
from engram.engine.identity import Guarded
from engram.engine.large import LargeIndex
from engram.engine.lookups import Lookups
from engram.kernel.clock import micros
from engram.kernel.preselect import Among, Census, Preselecting
from engram.operators.retrieval.fuse import shipped
from engram.operators.retrieval.query import ask
from engram.stores.postgres import ann_build
from engram.stores.postgres.ann import breadth
from engram.stores.postgres.connection import Link, connect
from engram.stores.postgres.queries import queries
from engram.stores.postgres.target import target_of

__all__ = ["Server", "Watched"]

_SQL = queries("bench")
_NONE = Census(0, 0, 0.0, 0.0)


class Server:
    """The database of a store at a url, looked at by a connection of its own.

    `clock` gives seconds of the processor, of this process and of the server's for the database together;
    where the server's cannot be seen (another machine, no Linux) those of the clock on the wall.
    """

    def __init__(self, url: str) -> None:
        self._link: Link = connect(target_of(url))
        self._seen: list[Path] = []

    def look(self) -> bool:
        """See who works for the database now; False where that cannot be timed."""
        rows = self._link.execute(_SQL["backends"]).fetchall()
        self._seen = [Path(f"/proc/{row[0]}/schedstat") for row in rows]
        self._seen = self._seen if all(path.exists() for path in self._seen) else []
        return bool(self._seen)

    def clock(self) -> float:
        """Seconds, to be subtracted from later ones."""
        if not self._seen:
            return perf_counter()
        spent = sum(int(path.read_text().split()[0]) for path in self._seen if path.exists())
        return process_time() + spent / 1e9

    def built(self, tenant: str) -> dict[str, float]:
        """Make the tenant's indexes: seconds (on the wall), MB of what candidates need, of all else."""
        start = perf_counter()
        ann_build.build(self._link, tenant)
        seconds = perf_counter() - start
        disk, store = self._link.execute(_SQL["sizes"]).fetchone() or (0, 0)
        return {"seconds": seconds, "disk": disk / 1e6, "store": store / 1e6}

    def parts(self, core: Core, questions: Sequence[str], k: int) -> dict[str, float]:
        """What pgvector's own question takes, and the signals once the candidates are read; ms, medians."""
        store = core.store.bare if isinstance(core.store, Guarded) else core.store
        if not isinstance(store, Preselecting):
            return {}
        names = ("dense_turn",) if core.policy.name == "dense" else shipped().signals
        watched = Watched(store, self.clock)
        aside = tuple(sorted(core.policy.aside))
        census = store.census(USER, Among(micros(core.now()), aside=aside)) or _NONE
        index = LargeIndex(watched.store, Lookups(store, USER), USER, core.embedder.dimensions, aside, census)
        signals, vectors = [], []
        for text in ("warm up", *questions):
            vector, parts = core.query_vector(text)
            start, watched.spent = self.clock(), 0.0
            index.score(ask(text), vector, now=micros(core.now()), signals=names, parts=parts, depth=k)
            signals.append(self.clock() - start - watched.spent)
            vectors.append(vector)
        bare = self.nearest(USER.tenant, vectors, k)[1:]
        return {"signals": 1000 * median(signals[1:]), "bare": 1000 * median(bare)}

    def nearest(self, tenant: str, vectors: Sequence[Any], k: int) -> list[float]:
        """What pgvector's own question for the `k` nearest takes, as wide as engram asks, for each vector."""
        times = []
        with self._link.transaction():
            self._link.execute(_SQL["by_index"])
            self._link.execute(queries("ann")["breadth"], breadth(k))
            for vector in vectors:
                text = "[" + ",".join(f"{float(value):.7g}" for value in vector) + "]"
                statement = _SQL["nearest"].format(dimensions=len(vector))
                start = self.clock()
                self._link.execute(statement.encode(), (tenant, text, k)).fetchall()
                times.append(self.clock() - start)
        return times

    def close(self) -> None:
        """Close the connection."""
        self._link.close()


class Watched:
    """A store that preselects, with the seconds that are spent in it."""

    def __init__(self, store: Preselecting, clock: Callable[[], float]) -> None:
        self._store, self._clock = store, clock
        self.spent = 0.0

    @property
    def store(self) -> Preselecting:
        """Itself, as what it stands for."""
        return cast("Preselecting", self)

    def __getattr__(self, name: str) -> Any:
        method = getattr(self._store, name)

        def timed(*values: Any, **named: Any) -> Any:
            start = self._clock()
            found = method(*values, **named)
            self.spent += self._clock() - start
            return found

        return timed
