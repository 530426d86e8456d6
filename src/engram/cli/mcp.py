"""`engram mcp`: the memory for the clients of models, by the Model Context Protocol."""

from __future__ import annotations

import sys
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from engram.cli import serve as serving
from engram.cli.group import complain
from engram.cli.options import Agent, Json, Run, Tenant, Url, User
from engram.cli.output import emit
from engram.kernel.errors import InvalidInput, MissingExtra

if TYPE_CHECKING:
    from collections.abc import Mapping

    from engram.cli.options import Opening
    from engram.serve.doorway import Doorway
    from engram.serve.server import Settings

__all__ = ["mcp"]

_OVER_HTTP = "Over HTTP"

Store = Annotated[
    str | None,
    typer.Argument(metavar="[STORE]", help="The store's url, instead of --url.", show_default=False),
]
ReadOnly = Annotated[
    bool, typer.Option("--read-only", help="Change nothing: only the reading tools are there.")
]
OverHttp = Annotated[
    bool,
    typer.Option("--http", help="Serve /mcp over HTTP, to whoever has a key.", rich_help_panel=_OVER_HTTP),
]
Host = Annotated[str, typer.Option(metavar="ADDRESS", help="Where it listens.", rich_help_panel=_OVER_HTTP)]
Port = Annotated[
    int,
    typer.Option(
        metavar="PORT", min=0, max=65535, help="The port; 0 takes a free one.", rich_help_panel=_OVER_HTTP
    ),
]
AuditFile = Annotated[
    Path | None,
    typer.Option(
        "--audit",
        metavar="FILE",
        dir_okay=False,
        help="Who read and changed what, ids only. Default: with --http beside the store's file, else none.",
    ),
]


def mcp(
    context: typer.Context,
    store: Store = None,
    user: User = None,
    agent: Agent = None,
    run: Run = None,
    tenant: Tenant = None,
    read_only: ReadOnly = False,
    http: OverHttp = False,
    host: Host = "127.0.0.1",
    port: Port = 8765,
    allow_host: serving.AllowHost = None,
    audit: AuditFile = None,
    log: serving.Requests = False,
    url: Url = None,
    json: Json = False,
) -> None:
    """Serve the memory to a model's client, by the Model Context Protocol (MCP).

    The client starts it, and speaks on its standard input and output. The
    model reaches the memory of the given user, agent or run alone; without
    any, that of user default. The store may be a service, with its key in
    ENGRAM_KEY. With --http it is an endpoint for whoever has a key.
    --json prints what a client's configuration needs, and ends.
    """
    if find_spec("mcp") is None:
        raise MissingExtra("MCP", "mcp")
    given = {"tenant": tenant, "user_id": user, "agent_id": agent, "run_id": run}
    place = store or url or context.obj.url
    serving.logged(log)
    if http:
        doorway = _doorway(host, allow_host, given, read_only=read_only)
        file = audit or serving.beside(place)
        _over_http(context, place, serving.listening(host, port, file, doorway), json=json)
    elif json:
        emit(_configuration(context.obj, place, given, audit, read_only=read_only))
    else:
        _on_stdio(context, place, given, audit, read_only=read_only)


def _doorway(
    host: str, others: list[str] | None, given: Mapping[str, str | None], *, read_only: bool
) -> Doorway:
    """The endpoint of a service that has no other."""
    from engram.serve.doorway import Doorway

    return Doorway(serving.names(host, others), given, read_only, alone=True)


def _over_http(context: typer.Context, place: str | None, settings: Settings, *, json: bool) -> None:
    """Serve until a signal."""
    from engram.serve.server import serve as run

    def told(where: str, key: str | None) -> None:
        serving.told(f"{where}/mcp", key, settings.audit, json=json)

    run(serving.opener(context, place), settings, told)
    if not json:
        print("stopped", flush=True)


def _on_stdio(
    context: typer.Context,
    place: str | None,
    given: Mapping[str, str | None],
    audit: Path | None,
    *,
    read_only: bool,
) -> None:
    """Serve until the input ends, or a signal."""
    from engram.client.service import is_service
    from engram.config import default_url
    from engram.serve.mcp.stdio import Settings, serve

    url = place or default_url()
    if audit is not None and (str(audit) == "-" or is_service(url)):
        raise InvalidInput(
            "--audit: name a file; standard output is the protocol's, and a service has its own"
        )
    nobody = not (given["user_id"] or given["agent_id"] or given["run_id"])
    fixed = {**given, "user_id": "default"} if nobody and not is_service(url) else given
    serve(serving.opener(context, url), Settings(url, fixed, read_only, audit), _explained)


def _explained() -> None:
    """Tell a person at a terminal whom it waits for."""
    if sys.stdin.isatty():
        complain("a model's client starts this, and speaks MCP to it on standard input; Ctrl-C ends it")


def _configuration(
    opening: Opening,
    place: str | None,
    fixed: Mapping[str, str | None],
    audit: Path | None,
    *,
    read_only: bool,
) -> dict[str, Any]:
    """The command and the arguments that a client starts it by, from whichever folder."""
    first = {
        "--url": _absolute(place),
        "--policy": opening.policy,
        "--embedder": opening.embedder,
        "--model": opening.model,
        "--reranker": opening.reranker,
    }
    own = {
        "--tenant": fixed["tenant"],
        "--user": fixed["user_id"],
        "--agent": fixed["agent_id"],
        "--run": fixed["run_id"],
        "--audit": None if audit is None else str(audit.resolve()),
    }
    flags = ["--read-only"] if read_only else []
    beside = Path(sys.executable).with_name("engram")
    command = str(beside) if beside.exists() else "engram"
    return {"command": command, "args": [*_given(first), "mcp", *_given(own), *flags]}


def _given(options: Mapping[str, str | None]) -> list[str]:
    return [part for name, value in options.items() if value is not None for part in (name, value)]


def _absolute(place: str | None) -> str:
    """The store's url, a file by its whole path."""
    from engram.config import default_url

    url = place or default_url()
    if url.partition(":")[0].lower() != "sqlite":
        return url
    from engram.stores.sqlite.store import path_of

    return f"sqlite:///{Path(path_of(url)).resolve()}"
