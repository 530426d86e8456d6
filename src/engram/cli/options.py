"""Options that many commands share."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, TypedDict

import typer

__all__ = [
    "Agent",
    "At",
    "Everyone",
    "Json",
    "Limit",
    "Paths",
    "PolicyName",
    "Run",
    "ScopeNames",
    "Tenant",
    "Url",
    "User",
]

_SCOPE = "Whose memory"

Url = Annotated[
    str | None,
    typer.Option(
        "--url",
        metavar="URL",
        help="The store: sqlite:///path or ram:. Default: ENGRAM_URL, or one file in the data folder.",
    ),
]
Json = Annotated[bool, typer.Option("--json", help="Print JSON, one object a line.")]
User = Annotated[str | None, typer.Option("--user", metavar="ID", help="user_id.", rich_help_panel=_SCOPE)]
Agent = Annotated[str | None, typer.Option("--agent", metavar="ID", help="agent_id.", rich_help_panel=_SCOPE)]
Run = Annotated[
    str | None, typer.Option("--run", metavar="ID", help="run_id: one session.", rich_help_panel=_SCOPE)
]
Tenant = Annotated[str | None, typer.Option("--tenant", metavar="ID", help="tenant.", rich_help_panel=_SCOPE)]
Everyone = Annotated[bool, typer.Option("--everyone", help="Everyone in the tenant.", rich_help_panel=_SCOPE)]
PolicyName = Annotated[
    str | None, typer.Option("--policy", metavar="NAME", help="The memory method. Default: fusion.")
]
At = Annotated[
    str | None,
    typer.Option("--at", metavar="TIME", help='The moment that "last May" is counted from. Default: now.'),
]
Limit = Annotated[int, typer.Option("-k", "--limit", metavar="K", help="How many hits.")]
Paths = Annotated[
    list[Path], typer.Argument(metavar="PATH…", help="Files (.json, .json.gz) or folders of them.")
]


class ScopeNames(TypedDict):
    """Scope ids as the faces take them."""

    tenant: str | None
    user_id: str | None
    agent_id: str | None
    run_id: str | None
