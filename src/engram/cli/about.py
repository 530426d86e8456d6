"""Commands about what there is: `scopes`, `policies`, `completion`."""

from __future__ import annotations

import dataclasses
from typing import Annotated, Any

import typer
from rich.text import Text

from engram.cli.options import Agent, Json, Run, Tenant, Url, User, opened, scope
from engram.cli.output import emit, one_line, output, padded, status, table
from engram.kernel.errors import InvalidInput

__all__ = ["completion", "policies", "scopes"]

SHELLS = ("bash", "zsh", "fish", "powershell")
_FIELDS = {"tenant": "tenant", "user": "user_id", "agent": "agent_id", "run": "run_id"}


def scopes(
    context: typer.Context,
    user: User = None,
    agent: Agent = None,
    run: Run = None,
    tenant: Tenant = None,
    url: Url = None,
    json: Json = False,
) -> None:
    """Whose records there are: every scope, and how many it holds."""
    with status("counting"), opened(context, url) as memory:
        rows = memory.scoped(**scope(user, agent, run, tenant)).scopes()
    if json:
        for row in rows:
            emit(row)
        return
    shown = table(*_FIELDS, "records", numbers=("records",))
    for row in rows:
        ids = [one_line(row[field] or "") for field in _FIELDS.values()]
        shown.add_row(*map(Text, ids), f"{row['records']:,}")
    if rows:
        output().print(shown)
    total = sum(row["records"] for row in rows)
    print(f"{len(rows):,} scopes, {total:,} records")


def policies(json: Json = False) -> None:
    """The memory methods that are installed, and their parameters."""
    from engram.config import DEFAULT_POLICY, policy_names

    console = output()
    for name in policy_names():
        found: dict[str, Any] = {"name": name, "default": name == DEFAULT_POLICY, **_described(name)}
        if json:
            emit(found)
            continue
        mark = "  (default)" if found["default"] else ""
        console.print(Text.assemble((name, "bold"), mark))
        console.print(padded(found["description"], (0, 0, 0, 2)))
        for parameter, value in found["parameters"].items():
            console.print(Text(f"  {parameter} = {value!r}", style="dim"))


def _described(name: str) -> dict[str, Any]:
    """What a policy is and takes; that it cannot be loaded, where it cannot."""
    from engram.config import load_policy

    try:
        policy = load_policy(name)
    except (ImportError, AttributeError, TypeError) as error:
        return {"description": f"cannot be loaded: {error}", "parameters": {}, "ok": False}
    lines = (type(policy).__doc__ or "").strip().splitlines()
    given: Any = policy
    fields = dataclasses.fields(given) if dataclasses.is_dataclass(given) else ()
    parameters = {field.name: _plain(getattr(policy, field.name)) for field in fields}
    return {"description": lines[0] if lines else "", "parameters": parameters, "ok": True}


def _plain(value: Any) -> Any:
    """A parameter's value as JSON has it, or in words."""
    return value if value is None or isinstance(value, bool | int | float | str) else repr(value)


def completion(
    shell: Annotated[
        str,
        typer.Argument(
            metavar="SHELL", help="bash, zsh, fish or powershell.", autocompletion=lambda: list(SHELLS)
        ),
    ],
    install: Annotated[bool, typer.Option("--install", help="Write it where the shell finds it.")] = False,
) -> None:
    """Completion of commands and options with the Tab key.

    Prints the shell's script; with --install it is written to the shell's own
    place (and named in .bashrc or .zshrc), and works in the next shell.
    """
    from typer import completion as scripts

    if shell not in SHELLS:
        raise typer.BadParameter(f"{shell!r} is not one of {', '.join(SHELLS)}")
    names: dict[str, Any] = {"shell": shell, "prog_name": "engram", "complete_var": "_ENGRAM_COMPLETE"}
    made: Any = scripts
    if not install:
        print(made.get_completion_script(**names))
        return
    if shell == "powershell":
        raise InvalidInput(
            "powershell keeps its profile where it likes: engram completion powershell >> $PROFILE"
        )
    print(f"{made.install(**names)[1]}: completion works in the next {shell}")
