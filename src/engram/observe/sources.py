"""Where `engram top` looks: a store that it opens itself, or a service."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final, Protocol

from engram.client.call import Request
from engram.client.service import Service
from engram.engine import queue, upkeep
from engram.engine.core import Core
from engram.kernel.errors import Forbidden, NotFound
from engram.kernel.show import plain_url
from engram.observe.exposition import Sample, read_metrics
from engram.observe.standing import Standing

__all__ = ["Look", "Served", "Source", "Stored"]

_JOBS: Final = 200
_SCOPES: Final = 1000


@dataclass(frozen=True)
class Look:
    """What was found at one look: the metrics, jobs (the first 200), scopes with how many records each has.

    `missing` says what the key may not see.
    """

    sample: Sample
    jobs: list[dict[str, Any]] = field(default_factory=list)
    scopes: list[dict[str, Any]] = field(default_factory=list)
    missing: tuple[str, ...] = ()


class Source(Protocol):
    """Something to look at, again and again. Raises `StoreError` where it cannot be reached."""

    @property
    def name(self) -> str:
        """What it is, without secrets."""
        ...

    def look(self) -> Look:
        """Look at it now. Blocking."""
        ...


class Stored:
    """A store that is open here. What others ask of it cannot be seen; what they wrote and owe can."""

    def __init__(self, core: Core) -> None:
        self._core, self._standing = core, Standing(core, 0.5)

    @property
    def name(self) -> str:
        """The store's url, without a password."""
        return plain_url(self._core.url)

    def look(self) -> Look:
        """Look at the store."""
        core = self._core
        figures = self._standing.figures()
        values = {
            (name, tuple(sorted(labels.items()))): float(value)
            for name, rows in figures.items()
            for labels, value in rows
            if not name.startswith("engram_index_cache")
        }
        jobs = core.call(queue.owed, None)
        shown = [{**queue.to_dict(core, job), "owner": job.owner} for job in jobs[:_JOBS]]
        return Look(Sample(values), shown, core.call(upkeep.scopes, None))


class Served:
    """A service that `engram serve` runs: its `/metrics`, and where the key may read, jobs and scopes."""

    def __init__(self, service: Service) -> None:
        from engram.client.wire import Wire

        self._wire = Wire(service)

    @property
    def name(self) -> str:
        """The service's address."""
        return plain_url(self._wire.service.address)

    def look(self) -> Look:
        """Ask the service."""
        wire = self._wire
        with wire.stream(Request("GET", "/metrics", plain=True)) as response:
            text = b"".join(wire.parts(response)).decode("utf-8", "replace")
        missing: list[str] = []
        jobs = self._items("/jobs", _JOBS, missing)
        scopes = self._items("/scopes", _SCOPES, missing)
        return Look(read_metrics(text.splitlines()), jobs, scopes, tuple(missing))

    def close(self) -> None:
        """Close the connections."""
        self._wire.close()

    def _items(self, path: str, limit: int, missing: list[str]) -> list[dict[str, Any]]:
        try:
            told: Mapping[str, Any] = self._wire.ask(Request("GET", path, {"limit": str(limit)}))
        except (Forbidden, NotFound):
            missing.append(path[1:])
            return []
        items: list[dict[str, Any]] = told["items"]
        return items
