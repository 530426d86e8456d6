"""What `engram top` shows: figures of one look, and rates between two."""

from __future__ import annotations

import math
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final

from engram.observe.exposition import Sample
from engram.observe.sources import Look
from engram.observe.standing import STATES

__all__ = ["Board", "board"]

_LARGEST: Final = 5
_ERRORS: Final = 5
_QUANTILES: Final = {"p50": 0.5, "p95": 0.95}
Board = dict[str, Any]
"""The figures as JSON values; what cannot be known is null. Times are in seconds but where `_ms` says so."""


@dataclass(frozen=True)
class _Between:
    """What was counted between two looks, or since the process began where there is one look only."""

    now: Sample
    before: Sample | None
    seconds: float

    def count(self, name: str, **labels: str) -> float | None:
        """How much a counter has grown; `None` where there is no such counter."""
        total = self.now.total(name, **labels)
        if total is None:
            return None
        earlier = (self.before.total(name, **labels) or 0.0) if self.before is not None else 0.0
        return total - earlier if total >= earlier else total  # the process was started anew

    def rate(self, name: str, **labels: str) -> float | None:
        """That a second."""
        count = self.count(name, **labels)
        return None if count is None or self.seconds <= 0 else round(count / self.seconds, 3)

    def quantile(self, name: str, share: float, **labels: str) -> float | None:
        """The upper end of the bucket that holds the quantile, in milliseconds; `None` without a sample."""
        bounds: dict[float, float] = {}
        for row, _ in self.now.rows(f"{name}_bucket", **labels):
            bounds[float(row["le"])] = self.count(f"{name}_bucket", **labels, le=row["le"]) or 0.0
        most = bounds.get(math.inf, 0.0)
        found = next((bound for bound, count in sorted(bounds.items()) if count >= share * most), math.inf)
        return None if not most or found == math.inf else round(1000 * found, 1)


def board(source: str, look: Look, before: Look | None, seconds: float) -> Board:
    """The figures of a look; `seconds` lie between it and the one before.

    Without one before, rates are those since the process began, and null where that is not known.
    """
    sample = look.sample
    started = sample.total("process_start_time_seconds")
    if before is None:
        seconds = datetime.now(UTC).timestamp() - started if started else 0.0
    told = _Between(sample, None if before is None else before.sample, seconds)
    return {
        "source": source,
        "time": datetime.now(UTC).isoformat(timespec="seconds"),
        "version": sample.label("engram_build_info", "version"),
        "policy": sample.label("engram_build_info", "policy"),
        "store": sample.label("engram_build_info", "store"),
        **_traffic(told),
        **_memory(told),
        "jobs": {state: _whole(sample.total("engram_jobs", status=state)) for state in STATES},
        "oldest_job_seconds": sample.total("engram_oldest_job_age_seconds", status="pending"),
        "workers": _workers(look),
        **_models(told),
        "largest": sorted(look.scopes, key=lambda item: -item["records"])[:_LARGEST],
        "errors": _errors(look),
        "missing": list(look.missing),
    }


def _traffic(told: _Between) -> Board:
    calls = sorted({row["call"] for row, _ in told.now.rows("engram_calls_total")})
    latency = {
        call: {
            name: told.quantile("engram_call_seconds", share, call=call) for name, share in _QUANTILES.items()
        }
        for call in calls
    }
    statuses = {row["status"] for row, _ in told.now.rows("engram_http_requests_total")}
    failed = [
        told.count("engram_http_requests_total", status=code) or 0 for code in statuses if code >= "500"
    ]
    return {
        "requests_per_second": told.rate("engram_http_requests_total"),
        "in_progress": _whole(told.now.total("engram_http_requests_in_progress")),
        "refused": _whole(told.count("engram_http_refusals_total") or 0) if statuses else None,
        "failed": _whole(sum(failed)) if statuses else None,
        "calls_per_second": {call: told.rate("engram_calls_total", call=call) for call in calls},
        "latency_ms": latency,
    }


def _memory(told: _Between) -> Board:
    now = told.now.total("engram_records")
    before = None if told.before is None else told.before.total("engram_records")
    grown = told.rate("engram_records_written_total")
    if grown is None and now is not None and before is not None and told.seconds > 0:
        grown = round((now - before) / told.seconds, 3)
    return {
        "records": _whole(now),
        "records_per_second": grown,
        "scopes": _whole(told.now.total("engram_scopes")),
        "bytes": _whole(told.now.total("engram_store_bytes")),
        "cache_bytes": _whole(told.now.total("engram_index_cache_bytes")),
        "purge_pending": bool(told.now.total("engram_purge_pending")),
    }


def _models(told: _Between) -> Board:
    now = told.now
    return {
        "model_calls": _whole(now.total("engram_store_model_calls_total")),
        "model_calls_per_second": told.rate("engram_store_model_calls_total") if told.before else None,
        "model_tokens": {
            name: _whole(now.total("engram_store_model_tokens_total", direction=name))
            for name in ("in", "out")
        },
        "model_cost_dollars": now.total("engram_store_model_cost_dollars_total"),
    }


def _workers(look: Look) -> list[Board]:
    """Jobs that are being done, and by which process where that is known."""
    now = datetime.now(UTC)
    return [
        {
            "process": (job.get("owner") or "").rpartition("/")[0] or None,
            "job": job["id"],
            "kind": job["kind"],
            "scope": job["scope"],
            "waited_seconds": round((now - datetime.fromisoformat(job["created"])).total_seconds(), 1),
        }
        for job in look.jobs
        if job["status"] == "running"
    ]


def _errors(look: Look) -> list[Board]:
    """Why jobs are parked or put off, those that came last first."""
    failed = [job for job in look.jobs if job["error"] is not None]
    failed.sort(key=lambda job: str(job["created"]), reverse=True)
    return [{name: job[name] for name in ("id", "kind", "status", "error")} for job in failed[:_ERRORS]]


def _whole(value: float | None) -> int | None:
    return None if value is None else int(value)
