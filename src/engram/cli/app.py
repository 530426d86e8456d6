"""The `engram` command and its subcommands."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated

import typer

from engram.cli import about, health, moving, reading, records, upkeep, writing
from engram.cli.ask import ask
from engram.cli.audit import audit
from engram.cli.bench import bench
from engram.cli.compare import compare
from engram.cli.demo import demo
from engram.cli.graph import graph
from engram.cli.group import HELP, ErrorGroup
from engram.cli.jobs import jobs, tend
from engram.cli.keys import keys
from engram.cli.mcp import mcp
from engram.cli.options import Opening, PolicyName, Url
from engram.cli.serve import serve
from engram.cli.tenants import tenants
from engram.cli.top import top
from engram.cli.worker import worker

__all__ = ["app"]

app = typer.Typer(
    name="engram",
    cls=ErrorGroup,
    no_args_is_help=True,
    context_settings={"help_option_names": HELP},
    pretty_exceptions_enable=False,
    epilog="Exit codes: 0 done, 1 it could not be done (standard error says why), 2 the command was not "
    "understood, 130 interrupted. [bold]engram COMMAND --help[/bold] tells more, with an example.",
)


def _version(asked: bool) -> None:
    if asked:
        from engram import __version__

        typer.echo(f"engram {__version__}")
        raise typer.Exit


@app.callback()
def _root(
    context: typer.Context,
    url: Url = None,
    policy: PolicyName = None,
    embedder: Annotated[
        str | None,
        typer.Option(metavar="SPEC", help="Such as sentence-transformers:NAME. Default: built in."),
    ] = None,
    model: Annotated[
        str | None,
        typer.Option(
            metavar="SPEC", help="A chat model: ask uses it, and some policies. Default: ENGRAM_MODEL."
        ),
    ] = None,
    reranker: Annotated[
        str | None,
        typer.Option(metavar="SPEC", help="A reranker for policies that use one. Default: none."),
    ] = None,
    version: Annotated[  # noqa: ARG001 - its callback does all
        bool,
        typer.Option("--version", help="Print the version and leave.", callback=_version, is_eager=True),
    ] = False,
) -> None:
    """A memory for LLM agents: keeps what was said, finds it again, forgets it when told to."""
    context.obj = Opening(url, policy, embedder, model, reranker)


_REMEMBER, _FIND, _MOVE = "Remember and forget", "Find", "Move in and out"
_UPKEEP, _SERVE, _TRY = "Look after the store", "Serve", "See for yourself"
_ID = "06GZV2VW5G00000002AFDVGQ3G"
_COMMANDS: tuple[tuple[str, Callable[..., None], str, str], ...] = (
    (_REMEMBER, writing.add, "add", '"I moved to Lisbon in May." --user ana'),
    (_REMEMBER, writing.edit, "edit", f'{_ID} "I moved to Lisbon in June." --user ana'),
    (_REMEMBER, writing.undo, "undo", "42"),
    (_REMEMBER, writing.forget, "forget", "--user ana --dry-run"),
    (_FIND, reading.search, "search", '"Where does she live?" --user ana --explain'),
    (_FIND, ask, "ask", '"Where does she live?" --user ana'),
    (_FIND, reading.context, "context", '"her move" --user ana --budget 500 --copy'),
    (_FIND, reading.as_of, "as-of", '"Where does she live?" --known 2024-05 --user ana'),
    (_FIND, reading.listing, "list", "--user ana --filter 'time >= 2024-05' --limit 20"),
    (_FIND, graph, "graph", "--about Ana --depth 2 --user ana --svg ana.svg"),
    (_FIND, records.show, "show", _ID),
    (_FIND, records.history, "history", _ID),
    (_MOVE, moving.import_, "import", "chatgpt-export.zip --user ana --dry-run"),
    (_MOVE, moving.export, "export", "backup.jsonl --user ana"),
    (_MOVE, moving.copy, "copy", "sqlite:///memory.db postgresql://localhost/memory"),
    (_UPKEEP, upkeep.stats, "stats", "--json"),
    (_UPKEEP, about.scopes, "scopes", "--tenant default"),
    (_UPKEEP, tend, "tend", "--user ana"),
    (_UPKEEP, worker, "worker", "--tend 12h"),
    (_UPKEEP, upkeep.verify, "verify", ""),
    (_UPKEEP, upkeep.repair, "repair", ""),
    (_UPKEEP, upkeep.reembed, "reembed", "--embedder sentence-transformers:all-MiniLM-L6-v2"),
    (_UPKEEP, health.migrate, "migrate", "--dry-run"),
    (_UPKEEP, health.doctor, "doctor", "--full"),
    (_SERVE, serve, "serve", "--port 8765"),
    (_SERVE, top, "top", "--url http://127.0.0.1:8765"),
    (_SERVE, audit, "audit", "--since 2024-05-02 --user ana"),
    (_SERVE, mcp, "mcp", "--user ana"),
    (_TRY, demo, "demo", ""),
    (_TRY, compare, "compare", "conversations/ --policy fusion --policy mem0 --out outcomes.jsonl"),
    (_TRY, about.policies, "policies", "--json"),
    (_TRY, about.completion, "completion", "bash --install"),
)
for _panel, _function, _name, _example in _COMMANDS:
    _epilog = f"Example: [bold]engram {_name} {_example}[/bold]"
    app.command(_name, epilog=_epilog, rich_help_panel=_panel)(_function)
app.add_typer(jobs, name="jobs", rich_help_panel=_UPKEEP)
app.add_typer(tenants, name="tenants", rich_help_panel=_UPKEEP)
app.add_typer(keys, name="keys", rich_help_panel=_SERVE)
app.add_typer(bench, name="bench", rich_help_panel=_TRY)
