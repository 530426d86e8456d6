"""`engram serve`: the memory over HTTP."""

from __future__ import annotations

import logging
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from engram.cli.group import complain
from engram.cli.options import Json, Url
from engram.cli.output import emit, one_line

if TYPE_CHECKING:
    from engram.aio import AsyncMemory
    from engram.cli.options import Opening
    from engram.serve.server import Settings

__all__ = ["serve"]

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
        help="Who read and changed what, ids only. Default: beside the store's file.",
    ),
]
NoAudit = Annotated[bool, typer.Option("--no-audit", help="Write no audit.")]
Requests = Annotated[bool, typer.Option("--log", help="A line on standard error for each request.")]
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
    from engram.serve.server import serve as run

    place = None if no_audit else audit or _beside(url or context.obj.url)
    settings = _settings(host, port, place, body, upload, rate, concurrent)
    _logged(log)
    run(_opener(context, url), settings, lambda where, key: _told(where, key, place, json=json))
    if not json:
        print("stopped", flush=True)


def _settings(
    host: str, port: int, audit: Path | None, body: int, upload: int, rate: int, concurrent: int
) -> Settings:
    from engram.serve.limits import Limits
    from engram.serve.server import Settings

    if not host.startswith(_LOOPBACK):
        complain("it listens beyond this machine, and speaks plain HTTP: put a proxy with TLS before it")
    limits = Limits(body * _MEGABYTE, upload * _MEGABYTE, rate=rate, burst=2 * rate, concurrent=concurrent)
    return Settings(host, port, audit, limits)


def _opener(context: typer.Context, url: str | None) -> Callable[[], AsyncMemory]:
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


def _told(where: str, key: str | None, audit: Path | None, *, json: bool) -> None:
    """Say that it listens, and the first key."""
    if json:
        emit({"url": where, "key": key, "audit": None if audit is None else str(audit)})
        return
    print(f"engram serves at {where}; Ctrl-C ends it", flush=True)
    if key is not None:
        print(f"first key, for everything: {key}", flush=True)
        complain("it is not shown again: keep it, and make smaller ones with engram keys create")
    if audit is not None:
        print(f"audit: {one_line(str(audit))}", flush=True)


def _beside(url: str | None) -> Path | None:
    """The audit of a store that is a file; of another one, a file in the data folder."""
    from engram.config import default_url, home_folder

    address = url or default_url()
    scheme = address.partition(":")[0].lower()
    if scheme == "sqlite":
        from engram.stores.sqlite.store import path_of

        return Path(f"{path_of(address)}.audit.jsonl")
    return None if scheme == "ram" else home_folder() / "audit.jsonl"


def _logged(requests: bool) -> None:
    """What goes wrong goes to standard error; with `requests`, a line for each of them too."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(message)s"))
    logger = logging.getLogger("engram.serve")
    logger.handlers = [handler]
    logger.setLevel(logging.INFO if requests else logging.WARNING)
    logger.propagate = False
