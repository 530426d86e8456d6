"""Options that many commands share."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from engram.bound import ScopeIds
    from engram.memory import Memory

__all__ = [
    "Agent",
    "At",
    "Everyone",
    "Id",
    "Json",
    "Limit",
    "Opening",
    "Paths",
    "PolicyName",
    "Run",
    "Tenant",
    "Url",
    "User",
    "asked",
    "opened",
    "scope",
]

_SCOPE = "Whose memory"

Url = Annotated[
    str | None,
    typer.Option(
        metavar="URL", help="The store: sqlite:///path. Default: ENGRAM_URL, or a file in the data folder."
    ),
]
Json = Annotated[bool, typer.Option("--json", help="Print JSON, one object a line.")]
User = Annotated[
    str | None, typer.Option("--user", metavar="ID", help="A user (user_id)", rich_help_panel=_SCOPE)
]
Agent = Annotated[
    str | None, typer.Option("--agent", metavar="ID", help="An agent (agent_id)", rich_help_panel=_SCOPE)
]
Run = Annotated[
    str | None,
    typer.Option("--run", metavar="ID", help="One run or session (run_id)", rich_help_panel=_SCOPE),
]
Tenant = Annotated[
    str | None,
    typer.Option("--tenant", metavar="ID", help="A tenant; default: default", rich_help_panel=_SCOPE),
]
Everyone = Annotated[bool, typer.Option("--everyone", help="Everyone in the tenant", rich_help_panel=_SCOPE)]
PolicyName = Annotated[
    str | None, typer.Option("--policy", metavar="NAME", help="The memory method. Default: fusion.")
]
At = Annotated[
    str | None, typer.Option(metavar="TIME", help='The moment that "last May" is counted from. Default: now.')
]
Limit = Annotated[int, typer.Option("--limit", "-k", metavar="K", min=1, help="How many hits.")]
Id = Annotated[str, typer.Argument(metavar="ID", help="A record's id, as search shows it.")]
Paths = Annotated[
    list[Path], typer.Argument(metavar="PATH", help="Files (.json, .json.gz), or folders of them.")
]


@dataclass(frozen=True, slots=True)
class Opening:
    """How memories are opened: what was given before the command's name."""

    url: str | None = None
    policy: str | None = None
    embedder: str | None = None


def opened(context: typer.Context, url: str | None) -> Memory:
    """The memory that a command works on."""
    from engram.memory import Memory

    opening: Opening = context.obj
    return Memory(url or opening.url, policy=opening.policy, embedder=opening.embedder)


def scope(user: str | None, agent: str | None, run: str | None, tenant: str | None) -> ScopeIds:
    """The scope ids that were given."""
    given = {"user_id": user, "agent_id": agent, "run_id": run, "tenant": tenant}
    return {name: value for name, value in given.items() if value is not None}  # type: ignore[return-value]


def asked(
    user: str | None, agent: str | None, run: str | None, tenant: str | None, *, everyone: bool
) -> ScopeIds:
    """The scope that a question is about: user `default`, to whom `add` writes, where none is named."""
    if not everyone and all(id is None for id in (user, agent, run)):
        user = "default"
    return scope(user, agent, run, tenant)
