"""`engram serve`: the memory over HTTP."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from engram.cli.group import complain
from engram.cli.observing import LogForm, MetricsAt, Traces, metrics_at, observed
from engram.cli.options import Json, Url
from engram.cli.output import emit, one_line

if TYPE_CHECKING:
    from engram.aio import AsyncMemory
    from engram.cli.options import Opening
    from engram.serve.doorway import Doorway, Names
    from engram.serve.limits import Limits
    from engram.serve.server import Settings

__all__ = ["AllowHost", "Requests", "beside", "listening", "logged", "names", "opener", "serve", "told"]

_MEGABYTE = 1 << 20
_LIMITS = "What it takes"
_LOOPBACK = ("127.", "localhost", "::1")

Host = Annotated[
    str, typer.Option(metavar="ADDRESS", help="Where it listens. Other machines reach it at 0.0.0.0.")
]
Port = Annotated[int, typer.Option(metavar="PORT", min=0, max=65535, help="The port; 0 takes a free one.")]
AuditFile = Annotated[
    Path | None,
    typer.Option(
        "--audit",
        metavar="FILE",
        dir_okay=False,
        allow_dash=True,
        help="Who read and changed what, ids only; - prints it. Default: beside the store's file.",
    ),
]
NoAudit = Annotated[bool, typer.Option("--no-audit", help="Write no audit.")]
Requests = Annotated[bool, typer.Option("--log", help="A line on standard error for each request.")]
AllowHost = Annotated[
    list[str] | None,
    typer.Option(
        "--allow-host",
        metavar="NAME",
        help="Another name that /mcp is called by, such as a proxy's; give it again for more.",
    ),
]
Body = Annotated[
    int, typer.Option(metavar="MB", min=1, max=1024, help="The longest body.", rich_help_panel=_LIMITS)
]
Upload = Annotated[
    int, typer.Option(metavar="MB", min=1, help="The largest import.", rich_help_panel=_LIMITS)
]
Rate = Annotated[
    int, typer.Option(metavar="N", min=1, help="Requests a second for each key.", rich_help_panel=_LIMITS)
]
Concurrent = Annotated[
    int, typer.Option(metavar="N", min=1, help="Requests under way at once.", rich_help_panel=_LIMITS)
]


def serve(
    context: typer.Context,
    host: Host = "127.0.0.1",
    port: Port = 8765,
    audit: AuditFile = None,
    no_audit: NoAudit = False,
    log: Requests = False,
    log_format: LogForm = "text",
    traces: Traces = False,
    metrics: MetricsAt = None,
    allow_host: AllowHost = None,
    body: Body = 16,
    upload: Upload = 1024,
    rate: Rate = 500,
    concurrent: Concurrent = 256,
    url: Url = None,
    json: Json = False,
) -> None:
    """Serve the memory over HTTP, to whoever has a key.

    The first start makes an admin key and prints it, this once; engram keys
    makes others. Routes are engram's own and mem0's; /openapi.json tells them.
    Ctrl-C or TERM lets requests under way come to their end.
    """
    from engram.serve.doorway import Doorway
    from engram.serve.server import serve as run

    place = None if no_audit else audit or beside(url or context.obj.url)
    limits = _limits(body, upload, rate, concurrent)
    settings = listening(host, port, place, Doorway(names(host, allow_host)), limits)
    ports: list[str] = []
    settings = replace(settings, metrics=metrics_at(metrics), measured=ports.append)
    with observed("serve", log_format, log=log, traces=traces):
        run(opener(context, url), settings, lambda where, key: told(where, key, place, ports, json=json))
    if not json:
        print("stopped", flush=True)


def _limits(body: int, upload: int, rate: int, concurrent: int) -> Limits:
    from engram.serve.limits import Limits

    return Limits(body * _MEGABYTE, upload * _MEGABYTE, rate=rate, burst=2 * rate, concurrent=concurrent)


def listening(
    host: str, port: int, audit: Path | None, doorway: Doorway, limits: Limits | None = None
) -> Settings:
    """Where a service listens; who listens beyond this machine is warned."""
    from engram.config import admin_key
    from engram.serve.limits import Limits
    from engram.serve.server import Settings

    if not host.startswith(_LOOPBACK):
        complain("it listens beyond this machine, and speaks plain HTTP: put a proxy with TLS before it")
    return Settings(host, port, audit, limits or Limits(), doorway, admin=admin_key())


def names(host: str, others: list[str] | None) -> Names:
    """The names that a service which listens there is called by."""
    from engram.serve.doorway import Names

    return Names(frozenset({host, *(others or ())}), not host.startswith(_LOOPBACK) and not others)


def opener(context: typer.Context, url: str | None) -> Callable[[], AsyncMemory]:
    """What opens the memory, once it is known that it can be served."""
    opening: Opening = context.obj

    def opened() -> AsyncMemory:
        from engram.aio import AsyncMemory

        return AsyncMemory(
            url or opening.url,
            policy=opening.policy,
            embedder=opening.embedder,
            model=opening.model,
            reranker=opening.reranker,
        )

    return opened


def told(where: str, key: str | None, audit: Path | None, metrics: Sequence[str] = (), *, json: bool) -> None:
    """Say that it listens, the first key, and where its metrics are besides."""
    if json:
        file, port = None if audit is None else str(audit), next(iter(metrics), None)
        emit({"url": where, "key": key, "audit": file, "metrics": port})
        return
    print(f"engram serves at {where}; Ctrl-C ends it", flush=True)
    if key is not None:
        print(f"first key, for everything: {key}", flush=True)
        complain("it is not shown again: keep it, and make smaller ones with engram keys create")
    if audit is not None:
        print(f"audit: {one_line(str(audit))}", flush=True)
    for port in metrics:
        print(f"metrics: {port}", flush=True)


def beside(url: str | None) -> Path | None:
    """The audit of a store that is a file; of another one, a file in the data folder."""
    from engram.config import default_url, home_folder

    address = url or default_url()
    scheme = address.partition(":")[0].lower()
    if scheme == "sqlite":
        from engram.stores.sqlite.store import path_of

        return Path(f"{path_of(address)}.audit.jsonl")
    return None if scheme == "ram" else home_folder() / "audit.jsonl"


def logged(requests: bool) -> None:
    """What goes wrong goes to standard error; with `requests`, a line for each of them too."""
    from engram.observe.logs import logged as to_stderr

    to_stderr(requests=requests)
