"""Traces of a service or a worker, sent to a collector by OpenTelemetry's own SDK and exporter."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from importlib.util import find_spec
from typing import TYPE_CHECKING, Final

from engram.kernel.errors import ConfigError, MissingExtra

if TYPE_CHECKING:
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.sdk.trace.export import SpanExporter

__all__ = ["asked_for", "traced"]

_ENDPOINTS: Final = ("OTEL_EXPORTER_OTLP_ENDPOINT", "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT")
_PROTOCOLS: Final = ("OTEL_EXPORTER_OTLP_TRACES_PROTOCOL", "OTEL_EXPORTER_OTLP_PROTOCOL")
_HTTP: Final = "http/protobuf"


def asked_for(environment: Mapping[str, str]) -> bool:
    """Whether OpenTelemetry's own variables ask for traces."""
    if environment.get("OTEL_SDK_DISABLED", "").lower() == "true":
        return False
    exporter = environment.get("OTEL_TRACES_EXPORTER", "")
    return exporter != "none" and bool(exporter or any(environment.get(name) for name in _ENDPOINTS))


@contextmanager
def traced(environment: Mapping[str, str], *, wanted: bool, role: str) -> Iterator[bool]:
    """Send spans meanwhile, where they are `wanted` or asked for; the value says whether.

    A provider that the program has set up already stays. What is not sent yet is sent at the end. Raises
    `MissingExtra` where they are wanted without the packages of `engram[telemetry]`, and `ConfigError` for
    an exporter or a protocol that is not there.
    """
    on = wanted or asked_for(environment)
    if on and find_spec("opentelemetry.sdk") is None:
        if wanted:
            raise MissingExtra("traces", "telemetry")
        on = False
    if not on:
        yield False
        return
    from opentelemetry import trace

    from engram.engine.spans import tracer

    if tracer() is not None:
        yield True
        return
    provider = _provider(environment, role)
    trace.set_tracer_provider(provider)
    try:
        yield True
    finally:
        provider.shutdown()


def _provider(environment: Mapping[str, str], role: str) -> TracerProvider:
    from opentelemetry.sdk.resources import Resource
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.sdk.trace.export import BatchSpanProcessor

    from engram import __version__

    resource = Resource.create({"service.version": __version__})
    if str(resource.attributes.get("service.name", "")).startswith("unknown_service"):
        resource = resource.merge(Resource({"service.name": f"engram-{role}"}))
    provider = TracerProvider(resource=resource)
    provider.add_span_processor(BatchSpanProcessor(_exporter(environment)))
    return provider


def _exporter(environment: Mapping[str, str]) -> SpanExporter:
    chosen = environment.get("OTEL_TRACES_EXPORTER", "otlp")
    if chosen == "console":
        from opentelemetry.sdk.trace.export import ConsoleSpanExporter

        return ConsoleSpanExporter(out=sys.stderr, formatter=lambda span: span.to_json(indent=None) + "\n")
    if chosen != "otlp":
        raise ConfigError(f"OTEL_TRACES_EXPORTER: {chosen!r:.40} is not one of otlp, console, none")
    protocol = next((environment[name] for name in _PROTOCOLS if environment.get(name)), _HTTP)
    if protocol != _HTTP:
        raise ConfigError(f"the exporter speaks {_HTTP}, not {protocol!r:.40}: set {_PROTOCOLS[1]}={_HTTP}")
    if find_spec("opentelemetry.exporter.otlp.proto.http") is None:
        raise MissingExtra("traces", "telemetry")
    from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter

    return OTLPSpanExporter()
