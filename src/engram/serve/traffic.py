"""What a service tells of its requests: a span, a count and a line of the log for each."""

from __future__ import annotations

import logging
import time
from collections.abc import Iterator, MutableMapping
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from engram.observe.meters import Meters

if TYPE_CHECKING:
    from opentelemetry.trace import Span
    from opentelemetry.util.types import AttributeValue

    from engram.engine.watching import Watch

__all__ = ["Seen", "Traffic"]

_LOG = logging.getLogger("engram.serve")
_METHODS: Final = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})
_OTHER: Final = "_OTHER"
_TRACE: Final = b"traceparent"
Scope = MutableMapping[str, Any]


@dataclass(slots=True)
class Seen:
    """What is known of a request when it has ended."""

    request: str
    key: str = "-"
    status: int = 0
    began: float = field(default_factory=time.perf_counter)


@dataclass
class Traffic:
    """The requests of one service, for whoever watches it."""

    watch: Watch
    meters: Meters | None

    @contextmanager
    def request(self, scope: Scope, seen: Seen) -> Iterator[None]:
        """One request: the block answers it, and fills in what is seen of it."""
        counted = nullcontext() if self.meters is None else self.meters.request()
        with counted, self._span(scope) as span:
            try:
                yield
            finally:
                self._told(scope, seen, span)

    def _told(self, scope: Scope, seen: Seen, span: Span | None) -> None:
        seconds = time.perf_counter() - seen.began
        method = scope["method"] if scope["method"] in _METHODS else _OTHER
        route = _route(scope)
        if self.meters is not None:
            self.meters.answered(route, method, seen.status, seconds)
        if span is not None:
            _describe(span, scope, route, method, seen)
        if _LOG.isEnabledFor(logging.INFO):
            fields = {"request": seen.request, "key": seen.key, "method": method, "route": route}
            fields |= {"status": seen.status, "ms": round(1000 * seconds, 1)}
            line = f"{seen.request} {seen.key} {method} {route} {seen.status} {1000 * seconds:.1f}ms"
            _LOG.info("%s", line, extra={"engram": fields})

    def _span(self, scope: Scope) -> AbstractContextManager[Span | None]:
        """The span of a request, which goes on from the trace of whoever asks."""
        from engram.engine.spans import serving, tracer

        made = tracer(self.watch.provider)
        if made is None:
            return nullcontext()
        sent = [value.decode("latin-1") for name, value in scope["headers"] if name == _TRACE]
        span: AbstractContextManager[Span] = serving(made, sent[0] if len(sent) == 1 else None)
        return span


def _describe(span: Span, scope: Scope, route: str, method: str, seen: Seen) -> None:
    """What a span says of a request: no path, no query, no address, no key."""
    from engram.engine.spans import failed

    span.update_name(f"{method} {route}" if route != "-" else method)
    said: dict[str, AttributeValue] = {
        "http.request.method": method,
        "http.response.status_code": seen.status,
        "url.scheme": scope.get("scheme", "http"),
        "network.protocol.version": scope.get("http_version", "1.1"),
        "engram.request": seen.request,
    }
    if route != "-":
        said["http.route"] = route
    span.set_attributes(said)
    if seen.status >= 500:
        failed(span, str(seen.status))


def _route(scope: Scope) -> str:
    """The route with the names of its places, or where an application is mounted; `-` where there is none."""
    found = getattr(scope.get("route", scope.get("endpoint")), "path", None)
    return found if isinstance(found, str) else "-"
