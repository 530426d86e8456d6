"""Options that many commands share, and what was given in them: scopes, times."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from engram.kernel.errors import ConfigError, InvalidInput

if TYPE_CHECKING:
    from engram.bound import ScopeIds
    from engram.engine.core import Core
    from engram.memory import Memory

__all__ = [
    "Agent",
    "At",
    "Everyone",
    "Explain",
    "Filters",
    "Id",
    "Json",
    "Known",
    "Limit",
    "MinScore",
    "Misuse",
    "Opening",
    "Paths",
    "PolicyName",
    "PolicyNames",
    "Run",
    "Tenant",
    "Url",
    "User",
    "Valid",
    "Yes",
    "asked",
    "known_policy",
    "moment_of",
    "opened",
    "opened_core",
    "policies",
    "scope",
    "span_of",
]

_SCOPE = "Whose memory"
_SPAN = re.compile(r"\s*(\d+(?:\.\d+)?)\s*([smhd]?)\s*")
_UNITS = {"": 1.0, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}
TIMES = 'such as 2024-05-02, 2024-05, "2 May 2024", yesterday or 2024-05-02T10:00+02:00'


class Misuse(InvalidInput):
    """An option's value that cannot be understood; the command ends with exit code 2."""


def policies() -> list[str]:
    """The names that complete `--policy`."""
    from engram.config import policy_names

    return policy_names()


def known_policy(named: str | list[str] | None) -> str | list[str] | None:
    """What was given as `--policy`, once or several times; raises `BadParameter` for a name of none."""
    for name in [named] if isinstance(named, str) else named or []:
        if name not in policies():
            raise typer.BadParameter(f"{name!r} is not one of {', '.join(policies())}")
    return named


Url = Annotated[
    str | None,
    typer.Option(
        metavar="URL",
        help="The store: sqlite:///path or postgresql://host/db; or https://host, a service, whose key is "
        "in ENGRAM_KEY. Default: ENGRAM_URL, or a file of yours.",
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
    str | None,
    typer.Option(
        "--policy",
        metavar="NAME",
        help="The memory method. Default: fusion.",
        autocompletion=policies,
        callback=known_policy,
    ),
]
PolicyNames = Annotated[
    list[str] | None,
    typer.Option(
        "--policy",
        metavar="NAME",
        help="A memory method; give it again for more.",
        autocompletion=policies,
        callback=known_policy,
    ),
]
At = Annotated[
    str | None, typer.Option(metavar="TIME", help='The moment that "last May" is counted from. Default: now.')
]
Valid = Annotated[
    str | None, typer.Option("--valid", metavar="TIME", help="What was true then: a day, a month, yesterday.")
]
Known = Annotated[
    str | None, typer.Option("--known", metavar="TIME", help="What was stored and believed by then.")
]
Limit = Annotated[int, typer.Option("--limit", "-k", metavar="K", min=1, help="How many hits.")]
MinScore = Annotated[
    float, typer.Option("--min-score", metavar="SCORE", min=0, max=1, help="Leave out hits below this.")
]
Explain = Annotated[bool, typer.Option("--explain", help="Show each signal's share.")]
Filters = Annotated[
    list[str] | None,
    typer.Option(
        "--filter",
        metavar="FILTER",
        help="Such as 'role = user', 'time >= 2024-05', 'metadata.topic in work,home', or JSON. "
        "Again: both must hold.",
    ),
]
Id = Annotated[str, typer.Argument(metavar="ID", help="A record's id, as search shows it.")]
Yes = Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")]
Paths = Annotated[
    list[Path], typer.Argument(metavar="PATH", help="Files (.json, .json.gz), or folders of them.")
]


@dataclass(frozen=True, slots=True)
class Opening:
    """How memories are opened: what was given before the command's name."""

    url: str | None = None
    policy: str | None = None
    embedder: str | None = None
    model: str | None = None
    reranker: str | None = None


def opened(context: typer.Context, url: str | None, *, new: bool = False) -> Memory:
    """The memory that a command works on; `new`: the command may be what makes it."""
    from engram.memory import Memory

    opening: Opening = context.obj
    return Memory(
        _place(url or opening.url, new=new),
        policy=opening.policy,
        embedder=opening.embedder,
        model=opening.model,
        reranker=opening.reranker,
    )


def opened_core(context: typer.Context, url: str | None, *, new: bool = False) -> Core:
    """The engine's side of that memory, for commands that the faces do not have; to be closed."""
    from engram.config import open_core

    opening: Opening = context.obj
    return open_core(
        _address(url or opening.url, new=new),
        policy=opening.policy,
        embedder=opening.embedder,
        model=opening.model,
        reranker=opening.reranker,
    )


def _place(url: str | None, *, new: bool) -> str | None:
    """The url of a service itself, or as `_address`."""
    from engram.client.service import is_service

    return url if is_service(url) else _address(url, new=new)


def _address(url: str | None, *, new: bool) -> str | None:
    """The url itself; raises `ConfigError` where a store is named that is not there nor to be made."""
    if url is None or new:
        return url
    from engram.kernel.show import plain_url
    from engram.stores import keeper_of

    keeper = keeper_of(url)
    if keeper is not None and not keeper.exists:
        raise ConfigError(
            f"--url: there is no store at {plain_url(url)}; mend the path, or begin one with engram add"
        )
    return url


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


def moment_of(text: str | None, name: str) -> str | None:
    """A time as people type it, in ISO 8601; a day or a month is its beginning, in UTC.

    What is ISO 8601 already stays as it is. Raises `Misuse` naming the option where the text is no
    time, or is one that two countries read differently.
    """
    if text is None:
        return None
    try:
        datetime.fromisoformat(text)
    except ValueError:
        pass
    else:
        return text
    if re.fullmatch(r"\s*\d{1,2}[./-]\d{1,2}[./-]\d{2,4}\s*", text):
        raise Misuse(f"{name}: {text!r} may be two days; write the year first, such as 2024-05-02")
    from dateparser.date import DateDataParser  # 0.2 s, which plain times do not pay

    now = datetime.now(UTC).replace(tzinfo=None)
    settings = {"RELATIVE_BASE": now, "PREFER_DATES_FROM": "past", "RETURN_TIME_AS_PERIOD": True}
    day = "current" if "ago" in text else "first"  # three months ago is a day, last month is a month
    parser = DateDataParser(languages=["en"], settings={**settings, "PREFER_DAY_OF_MONTH": day})
    try:
        read = parser.get_date_data(text.strip())
    except (ValueError, OverflowError):
        read = None
    if read is None or read.date_obj is None:
        raise Misuse(f"{name}: {text!r} is not a time; give one {TIMES}")
    found: datetime = read.date_obj
    if read.period == "year":
        found = found.replace(month=1, day=1)
    if read.period != "time":
        found = found.replace(hour=0, minute=0, second=0, microsecond=0)
    return (found if found.tzinfo else found.replace(tzinfo=UTC)).isoformat()


def span_of(text: str, name: str) -> timedelta:
    """A stretch of time as people type it. Raises `InvalidInput` naming the option."""
    read = _SPAN.fullmatch(text.lower())
    seconds = float(read[1]) * _UNITS[read[2]] if read else 0.0
    if not 1 <= seconds <= 3650 * _UNITS["d"]:
        raise InvalidInput(f"{name}: {text!r} is no stretch of time from a second up; such as 30m, 12h or 1d")
    return timedelta(seconds=seconds)
