"""How a memory stands, asked when Prometheus comes: owed work, sizes, what models took."""

from __future__ import annotations

import platform
import threading
import time
from collections import Counter
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Any, Final

from engram.engine import queue, upkeep
from engram.engine.core import Core

if TYPE_CHECKING:
    from prometheus_client import Metric

__all__ = ["GAUGES", "STATES", "Standing"]

STATES: Final = ("pending", "running", "parked")
"""What a job may be."""
GAUGES: Final = {
    "engram_jobs": "Jobs that are owed, by status.",
    "engram_oldest_job_age_seconds": "How long the oldest of them has waited, by status; 0 without any.",
    "engram_workers": "Processes that hold a job at the moment.",
    "engram_records": "Records in the store.",
    "engram_scopes": "Scopes that hold records.",
    "engram_store_bytes": "Bytes of the store, where it can tell.",
    "engram_purge_pending": "1 while bytes of what was erased are still in the files.",
    "engram_index_cache_bytes": "Bytes of indexes and graphs that this process holds.",
    "engram_index_cache_limit_bytes": "What they may take.",
    "engram_index_cache_scopes": "Scopes whose index this process holds.",
    "engram_store_model_calls_total": "Requests to chat models by all processes, as the store counts them.",
    "engram_store_model_tokens_total": "Their tokens, by direction.",
    "engram_store_model_cost_dollars_total": "What they cost, where the price is known.",
    "engram_build_info": "1, with the version, policy, store and embedder of this process.",
}
"""What is told of the state of the store and the process."""
_FRESH: Final = 5.0  # seconds that figures of the store are kept, at the least
_SHARE: Final = 20  # and that many times as long as it takes to find them
Figures = dict[str, list[tuple[dict[str, str], float]]]


class Standing:
    """A collector of the state of one memory; the store is asked every `fresh` seconds at the most."""

    def __init__(self, core: Core, fresh: float = _FRESH) -> None:
        self._core, self._fresh = core, fresh
        self._lock = threading.Lock()
        self._kept: Figures = {}
        self._until = 0.0

    def describe(self) -> Iterable[Metric]:
        """Nothing: the store is not asked before anybody wants to know."""
        return ()

    def collect(self) -> Iterator[Metric]:
        """The figures as metrics; none once the memory is closed."""
        from prometheus_client.metrics_core import CounterMetricFamily, GaugeMetricFamily

        figures = self.figures()
        for name, what in GAUGES.items():
            made: Any = CounterMetricFamily if name.endswith("_total") else GaugeMetricFamily
            rows = figures.get(name, [])
            if rows:
                family = made(name, what, labels=list(rows[0][0]))
                for labels, value in rows:
                    family.add_metric(list(labels.values()), value)
                yield family

    def figures(self) -> Figures:
        """The figures by name: labels and value. Blocking."""
        with self._lock:
            if self._core.closed:
                return {}
            began = time.monotonic()
            if began >= self._until:
                self._kept = self._looked_up()
                took = time.monotonic() - began
                self._until = began + max(self._fresh, _SHARE * took)
            return {**self._kept, **self._own()}

    def _looked_up(self) -> Figures:
        core = self._core
        told = upkeep.stats(core, None)
        usage = told["usage"]
        plain = {
            "engram_records": told["records"],
            "engram_scopes": told["scopes"],
            "engram_store_bytes": told["bytes"],
            "engram_purge_pending": told["purge"] != "done",
            "engram_store_model_calls_total": usage["model_calls"],
            "engram_store_model_cost_dollars_total": usage["cost"],
        }
        tokens = [({"direction": name}, usage[f"tokens_{name}"]) for name in ("in", "out", "cached")]
        return {
            **{name: [({}, float(value))] for name, value in plain.items()},
            **self._owed(),
            "engram_store_model_tokens_total": tokens,
        }

    def _owed(self) -> Figures:
        core, now = self._core, self._core.now()
        jobs = [(queue.state(core, job), job) for job in queue.owed(core, None)]
        counts = Counter(state for state, _ in jobs)
        ages: dict[str, float] = dict.fromkeys(STATES, 0.0)
        for state, job in jobs:
            ages[state] = max(ages[state], (now - job.created).total_seconds())
        owners = {(job.owner or "").rpartition("/")[0] for state, job in jobs if state == "running"}
        return {
            "engram_jobs": [({"status": name}, counts[name]) for name in STATES],
            "engram_oldest_job_age_seconds": [({"status": name}, ages[name]) for name in STATES],
            "engram_workers": [({}, len(owners))],
        }

    def _own(self) -> Figures:
        """What this process holds, and is."""
        from engram import __version__

        core = self._core
        about = {
            "version": __version__,
            "python": platform.python_version(),
            "policy": core.policy.name,
            "store": core.watch.store,
            "embedder": core.embedder.name.partition("@")[0],
        }
        return {
            "engram_index_cache_bytes": [({}, core.cache.nbytes)],
            "engram_index_cache_limit_bytes": [({}, core.cache_bytes)],
            "engram_index_cache_scopes": [({}, len(core.cache.scopes()))],
            "engram_build_info": [(about, 1)],
        }
