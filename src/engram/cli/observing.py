"""Options about what a service or a worker tells of itself: its log, traces and metrics."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Annotated

import typer

from engram.cli.group import complain
from engram.kernel.errors import InvalidInput

__all__ = ["LogForm", "MetricsAt", "Traces", "metrics_at", "observed"]

_TOLD = "What it tells"
_LOOPBACK = ("127.", "localhost", "::1")

LogForm = Annotated[
    str,
    typer.Option(
        "--log-format",
        metavar="FORM",
        help="The log as text, or as json: an object a line.",
        rich_help_panel=_TOLD,
    ),
]
Traces = Annotated[
    bool,
    typer.Option(
        "--traces",
        help="Send traces by OpenTelemetry, over HTTP; OTEL_EXPORTER_OTLP_ENDPOINT says where.",
        rich_help_panel=_TOLD,
    ),
]
MetricsAt = Annotated[
    str | None,
    typer.Option(
        "--metrics",
        metavar="PORT",
        help="Metrics for Prometheus at a port of this machine, or at HOST:PORT, without a key.",
        rich_help_panel=_TOLD,
    ),
]


@contextmanager
def observed(role: str, form: str, *, log: bool, traces: bool) -> Iterator[None]:
    """The log and the traces of a process, meanwhile. Raises `InvalidInput` for another form."""
    from engram.config import telemetry
    from engram.observe.logs import FORMS, logged
    from engram.observe.traces import traced

    if form not in FORMS:
        raise InvalidInput(f"--log-format: {form!r:.40} is not one of {', '.join(FORMS)}")
    logged(form, requests=log)
    with traced(telemetry(), wanted=traces, role=role):
        yield


def metrics_at(text: str | None) -> tuple[str, int] | None:
    """Where metrics are to be read; who lets other machines read them is warned."""
    if text is None:
        return None
    from engram.observe.port import address

    host, port = address(text)
    if not host.startswith(_LOOPBACK):
        complain("its metrics are for whoever reaches that port: there is no key")
    return host, port
