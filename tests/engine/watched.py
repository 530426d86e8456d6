"""Spans in memory: a tracer provider of the test's own, and what is asked of the spans that it has seen."""

from __future__ import annotations

from collections.abc import Iterable

from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from engram import AsyncMemory, Memory


class Spans:
    """The finished spans of the memories that it watches."""

    def __init__(self) -> None:
        self._exporter = InMemorySpanExporter()
        self.provider = TracerProvider()
        self.provider.add_span_processor(SimpleSpanProcessor(self._exporter))

    def watch(self, *memories: Memory | AsyncMemory) -> None:
        """Have spans made of what these do."""
        for memory in memories:
            memory._bound.core.watch.provider = self.provider

    @property
    def all(self) -> list[ReadableSpan]:
        """Every span that has ended."""
        return list(self._exporter.get_finished_spans())

    def clear(self) -> None:
        """Forget them."""
        self._exporter.clear()

    def named(self, name: str) -> list[ReadableSpan]:
        """Those of a name."""
        return [span for span in self.all if span.name == name]

    def one(self, name: str) -> ReadableSpan:
        """The only one of a name."""
        (span,) = self.named(name)
        return span

    def path(self, span: ReadableSpan) -> list[str]:
        """The names of the spans above one, from the root down to itself."""
        by_id = {item.context.span_id: item for item in self.all if item.context is not None}
        path = [span.name]
        while span.parent is not None and span.parent.span_id in by_id:
            span = by_id[span.parent.span_id]
            path.append(span.name)
        return path[::-1]

    def said(self) -> str:
        """Everything that the spans hold, as one text to search."""
        return "\n".join(span.to_json() for span in self.all)


def facts(span: ReadableSpan) -> dict[str, object]:
    """A span's attributes."""
    return dict(span.attributes or {})


def trace_ids(spans: Iterable[ReadableSpan]) -> set[int]:
    """The traces that spans belong to."""
    return {span.context.trace_id for span in spans if span.context is not None}
