"""Spans of OpenTelemetry: the watcher of a program that has set up a tracer provider.

Only the API (`opentelemetry-api`) is needed, and this module is imported where it is loaded already. Names
of model calls follow OpenTelemetry's semantic conventions for generative AI (1.37); the rest is `engram.…`.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from functools import lru_cache, partial
from types import TracebackType
from typing import Final

from opentelemetry import trace
from opentelemetry.trace import Link, Span, SpanKind, Status, StatusCode, Tracer, TracerProvider
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

from engram.engine.events import TRACE, Event, Fact, Watcher

__all__ = ["attributes", "failed", "serving", "traceparent", "tracer", "watchers"]

_NAMES: Final = {"call": "engram {}", "effect": "{}", "job": "job {}", "commit": "commit"}
_KINDS: Final = {
    "chat": SpanKind.CLIENT,
    "embeddings": SpanKind.CLIENT,
    "job": SpanKind.CONSUMER,
}
_PROVIDERS: Final = {"google": "gcp.gemini", "azure": "azure.ai.openai"}
_MODEL_FACTS: Final = {
    "tokens_in": "gen_ai.usage.input_tokens",
    "tokens_out": "gen_ai.usage.output_tokens",
    "tokens_cached": "gen_ai.usage.cache_read.input_tokens",
    "max_tokens": "gen_ai.request.max_tokens",
    "temperature": "gen_ai.request.temperature",
    "seed": "gen_ai.request.seed",
    "model": "gen_ai.response.model",
    "dimensions": "gen_ai.embeddings.dimension.count",
}
_TRACE_CONTEXT: Final = TraceContextTextMapPropagator()


def tracer(given: TracerProvider | None = None) -> Tracer | None:
    """A tracer of the given provider, or of the one that the program has set up; `None` where it has not."""
    provider = given or trace.get_tracer_provider()
    if isinstance(provider, trace.ProxyTracerProvider | trace.NoOpTracerProvider):
        return None
    return _tracer(provider)


@lru_cache(maxsize=2)
def _tracer(provider: TracerProvider) -> Tracer:
    from engram import __version__

    return provider.get_tracer("engram", __version__)


def watchers(given: TracerProvider | None = None) -> tuple[Watcher, ...]:
    """The watcher that makes spans; none where no tracer provider is set up."""
    made = tracer(given)
    return () if made is None else (partial(_Spanned, made),)


class _Spanned:
    """An event as a span, which is the current one as long as the event goes on."""

    def __init__(self, made: Tracer, event: Event) -> None:
        self._tracer, self._event = made, event

    def __enter__(self) -> None:
        event = self._event
        links = _links(event.facts.pop(TRACE, None))
        self._span = self._tracer.start_span(_name(event), kind=_kind(event), links=links)
        self._current = trace.use_span(self._span, record_exception=False, set_status_on_exception=False)
        self._current.__enter__()

    def __exit__(
        self, kind: type[BaseException] | None, raised: BaseException | None, where: TracebackType | None
    ) -> None:
        self._current.__exit__(None, None, None)
        if self._span.is_recording():
            error = self._event.facts.pop("error", None)
            self._span.set_attributes(attributes(self._event))
            if kind is not None or error is not None:
                failed(self._span, str(error) if kind is None else kind.__name__)
        self._span.end()


@contextmanager
def serving(made: Tracer, sent: str | None) -> Iterator[Span]:
    """The span of a request that is answered, current meanwhile; `sent` is its `traceparent`."""
    there = None if sent is None else _TRACE_CONTEXT.extract({TRACE: sent})
    span = made.start_span("request", context=there, kind=SpanKind.SERVER)
    with trace.use_span(span, end_on_exit=True, record_exception=False, set_status_on_exception=False):
        yield span


def failed(span: Span, error: str) -> None:
    """Mark a span as failed, by the error's class: its words may quote a memory."""
    span.set_status(Status(StatusCode.ERROR))
    span.set_attribute("error.type", error)


def traceparent() -> str | None:
    """The trace and span that are current, as W3C Trace Context has them; `None` outside of one."""
    carrier: dict[str, str] = {}
    _TRACE_CONTEXT.inject(carrier)
    return carrier.get(TRACE)


def attributes(event: Event) -> dict[str, Fact]:
    """What a span says of an event."""
    named = _MODEL_FACTS if event.what in ("chat", "embeddings") else {}
    said = {named.get(name, f"engram.{name}"): value for name, value in event.facts.items()}
    if event.what in ("chat", "embeddings"):
        provider, model = _model(event.name)
        said["gen_ai.operation.name"] = event.what
        said["gen_ai.provider.name"] = provider
        said["gen_ai.request.model"] = model
        finish = said.pop("engram.finish", None)
        if finish is not None:
            said["gen_ai.response.finish_reasons"] = (str(finish),)
    return said


def _model(name: str) -> tuple[str, str]:
    """Provider and model of a name such as `openai:gpt-5-mini@http://…`; the address is left out."""
    provider, _, model = name.partition("@")[0].partition(":")
    return (_PROVIDERS.get(provider, provider), model) if model else ("engram", provider)


def _name(event: Event) -> str:
    if event.what in ("chat", "embeddings"):
        return f"{event.what} {_model(event.name)[1]}"
    return _NAMES[event.what].format(event.name)


def _kind(event: Event) -> SpanKind:
    return _KINDS.get(event.what, SpanKind.INTERNAL)


def _links(owed: Fact | None) -> list[Link]:
    """A link to the trace that owed a job, unless that is this one."""
    if not isinstance(owed, str):
        return []
    there = trace.get_current_span(_TRACE_CONTEXT.extract({TRACE: owed})).get_span_context()
    here = trace.get_current_span().get_span_context()
    return [Link(there)] if there.is_valid and there.trace_id != here.trace_id else []
