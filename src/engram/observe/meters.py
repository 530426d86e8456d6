"""Metrics for Prometheus: what one process does, counted, and how its memory stands."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from importlib.util import find_spec
from types import TracebackType
from typing import TYPE_CHECKING, Any, Final

from engram.engine.core import Core
from engram.engine.events import Event
from engram.kernel.errors import MissingExtra
from engram.observe.standing import Standing

if TYPE_CHECKING:
    from prometheus_client import CollectorRegistry

__all__ = ["METERS", "Meter", "Meters"]

_QUICK: Final = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0)
_SLOW: Final = (0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 300.0)


@dataclass(frozen=True)
class Meter:
    """One metric: what it counts, by which labels; with `buckets` (seconds) a histogram."""

    name: str
    what: str
    labels: tuple[str, ...] = ()
    buckets: tuple[float, ...] = ()
    kind: str = "counter"


METERS: Final = (
    Meter("engram_http_requests", "Requests that were answered.", ("route", "method", "status")),
    Meter("engram_http_request_seconds", "How long requests took.", ("route", "method"), _QUICK, "histogram"),
    Meter("engram_http_requests_in_progress", "Requests under way.", kind="gauge"),
    Meter("engram_http_refusals", "Requests that were refused: 401, 403, 429 or 503.", ("status",)),
    Meter("engram_calls", "Calls of the memory.", ("call", "policy", "outcome")),
    Meter("engram_call_seconds", "How long they took.", ("call", "policy"), _QUICK, "histogram"),
    Meter("engram_effects", "Effects that policies awaited.", ("effect", "policy", "outcome")),
    Meter("engram_effect_seconds", "How long they took, all in all.", ("effect", "policy"), kind="summary"),
    Meter("engram_commits", "Commits to the store.", ("outcome",)),
    Meter("engram_commit_seconds", "How long they took.", (), _QUICK, "histogram"),
    Meter("engram_records_written", "Records that were written, later versions aside.", ("kind",)),
    Meter("engram_jobs_run", "Jobs that were run here.", ("kind", "status")),
    Meter("engram_job_seconds", "How long they took.", ("kind",), _SLOW, "histogram"),
    Meter("engram_job_wait_seconds", "How long they had waited.", ("kind",), _SLOW, "histogram"),
    Meter("engram_model_calls", "Requests to chat models.", ("model", "outcome")),
    Meter("engram_model_seconds", "How long they took.", ("model",), _SLOW, "histogram"),
    Meter("engram_model_tokens", "Tokens: in, out, and of those in, cached.", ("model", "direction")),
    Meter("engram_model_cost_dollars", "What they cost, where the price is known.", ("model",)),
    Meter("engram_embedding_calls", "Requests to remote embedders.", ("embedder", "outcome")),
    Meter("engram_embedding_texts", "Texts that those embedded.", ("embedder",)),
)
"""What a process counts. Counters end in `_total` where they are read, as Prometheus has it."""
_TOKENS: Final = {"tokens_in": "in", "tokens_out": "out", "tokens_cached": "cached"}


class Meters:
    """The metrics of one process that has a memory open. Thread-safe.

    Raises `MissingExtra` without prometheus-client.
    """

    def __init__(self, core: Core) -> None:
        if not self.possible():
            raise MissingExtra("metrics", "serve")
        from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, Summary
        from prometheus_client import disable_created_metrics as without_created
        from prometheus_client.gc_collector import GCCollector
        from prometheus_client.process_collector import ProcessCollector

        without_created()  # type: ignore[no-untyped-call]  # when each series began, as a series of its own
        self.registry: CollectorRegistry = CollectorRegistry()
        made: dict[str, type[Any]] = {"counter": Counter, "gauge": Gauge, "summary": Summary}
        self._meters: dict[str, Any] = {
            meter.name: Histogram(
                meter.name, meter.what, meter.labels, buckets=meter.buckets, registry=self.registry
            )
            if meter.buckets
            else made[meter.kind](meter.name, meter.what, meter.labels, registry=self.registry)
            for meter in METERS
        }
        self._children: dict[tuple[str, tuple[str, ...]], Any] = {}
        ProcessCollector(registry=self.registry)
        GCCollector(registry=self.registry)
        self._standing = Standing(core)
        self.registry.register(self._standing)
        core.watch.watchers = (*core.watch.watchers, self.watch)

    @staticmethod
    def possible() -> bool:
        """Whether prometheus-client is installed."""
        return find_spec("prometheus_client") is not None

    def exposition(self) -> tuple[bytes, str]:
        """The metrics as Prometheus reads them, and their media type. Blocking: the store is asked."""
        from prometheus_client import CONTENT_TYPE_LATEST, generate_latest

        return generate_latest(self.registry), CONTENT_TYPE_LATEST

    def watch(self, event: Event) -> AbstractContextManager[object]:
        """The watcher of the memory."""
        return _Timed(lambda outcome, seconds: self._count(event, outcome, seconds))

    @contextmanager
    def request(self) -> Iterator[None]:
        """A request under way."""
        gauge = self._meters["engram_http_requests_in_progress"]
        gauge.inc()
        try:
            yield
        finally:
            gauge.dec()

    def answered(self, route: str, method: str, status: int, seconds: float) -> None:
        """A request was answered."""
        self._add("engram_http_requests", 1, route, method, str(status))
        self._took("engram_http_request_seconds", seconds, route, method)
        if status in (401, 403, 429, 503):
            self._add("engram_http_refusals", 1, str(status))

    def _count(self, event: Event, outcome: str, seconds: float) -> None:
        policy = str(event.facts.get("policy", ""))
        match event.what:
            case "call":
                self._add("engram_calls", 1, event.name, policy, outcome)
                self._took("engram_call_seconds", seconds, event.name, policy)
            case "effect":
                self._add("engram_effects", 1, event.name, policy, outcome)
                self._took("engram_effect_seconds", seconds, event.name, policy)
            case "commit":
                self._committed(event, outcome, seconds)
            case "job":
                self._job(event, outcome, seconds)
            case "chat":
                self._asked(event, outcome, seconds)
            case "embeddings":
                self._add("engram_embedding_calls", 1, _bare(event.name), outcome)
                self._add("engram_embedding_texts", _number(event, "texts"), _bare(event.name))

    def _committed(self, event: Event, outcome: str, seconds: float) -> None:
        self._add("engram_commits", 1, outcome)
        self._took("engram_commit_seconds", seconds)
        for name in event.facts if outcome == "ok" else ():
            if name.startswith("records."):
                self._add("engram_records_written", _number(event, name), name.removeprefix("records."))

    def _job(self, event: Event, outcome: str, seconds: float) -> None:
        status = str(event.facts.get("status", "parked" if outcome != "ok" else "done"))
        self._add("engram_jobs_run", 1, event.name, status)
        self._took("engram_job_seconds", seconds, event.name)
        self._took("engram_job_wait_seconds", _number(event, "waited"), event.name)

    def _asked(self, event: Event, outcome: str, seconds: float) -> None:
        model = _bare(event.name)
        self._add("engram_model_calls", 1, model, outcome)
        self._took("engram_model_seconds", seconds, model)
        for name, direction in _TOKENS.items():
            self._add("engram_model_tokens", _number(event, name), model, direction)
        self._add("engram_model_cost_dollars", _number(event, "cost"), model)

    def _add(self, name: str, amount: float, *labels: str) -> None:
        self._child(name, labels).inc(amount)

    def _took(self, name: str, seconds: float, *labels: str) -> None:
        self._child(name, labels).observe(seconds)

    def _child(self, name: str, labels: tuple[str, ...]) -> Any:
        """A metric's part for some labels; looked up by them once."""
        found = self._children.get((name, labels))
        if found is None:
            meter = self._meters[name]
            found = self._children[name, labels] = meter.labels(*labels) if labels else meter
        return found


class _Timed:
    """What tells how a block ended, `ok` or the class of its error, and how many seconds it took."""

    def __init__(self, told: Callable[[str, float], None]) -> None:
        self._told, self._began = told, time.perf_counter()

    def __enter__(self) -> None:
        return None

    def __exit__(
        self, kind: type[BaseException] | None, raised: BaseException | None, where: TracebackType | None
    ) -> None:
        self._told("ok" if kind is None else kind.__name__, time.perf_counter() - self._began)


def _number(event: Event, name: str) -> float:
    found = event.facts.get(name, 0)
    return float(found) if isinstance(found, int | float) else 0.0


def _bare(name: str) -> str:
    """A model's name without the address behind it."""
    return name.partition("@")[0]
