"""Commands that change what is remembered: `add`, `import`, `forget`; and `export`, which copies it."""

from __future__ import annotations

import json as json_module
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from engram.cli.options import Agent, Everyone, Json, Run, Tenant, Url, User, opened, scope
from engram.cli.output import cut, emit, moment, output, progress, status, who
from engram.kernel.errors import InvalidInput, NotFound

if TYPE_CHECKING:
    from engram.bench.load import Conversation
    from engram.bound import ScopeIds
    from engram.engine.results import Receipt
    from engram.memory import Memory

__all__ = ["add", "export", "forget", "import_"]

_SHOWN = 5


def add(
    context: typer.Context,
    text: Annotated[list[str], typer.Argument(metavar="TEXT", help="What was said; - reads standard input.")],
    role: Annotated[str, typer.Option(help="user, assistant, system, developer or tool.")] = "user",
    name: Annotated[str | None, typer.Option(help="Who said it.")] = None,
    time: Annotated[str | None, typer.Option(help="When, in ISO 8601. Default: now.")] = None,
    id: Annotated[str | None, typer.Option(help="Your own id: adding it twice stores it once.")] = None,
    metadata: Annotated[str | None, typer.Option(metavar="JSON", help='Such as {"source": "mail"}.')] = None,
    user: User = None,
    agent: Agent = None,
    run: Run = None,
    tenant: Tenant = None,
    url: Url = None,
    json: Json = False,
) -> None:
    """Remember something.

    It is stored before this returns, and found by the next search. Without a
    scope it belongs to user "default".
    """
    if id is not None and len(text) > 1:
        raise typer.BadParameter("--id names one message; add the texts one by one")
    given = {"role": role, "name": name, "time": time, "id": id, "metadata": _metadata(metadata)}
    shared = {key: value for key, value in given.items() if value is not None}
    contents = [_standard_input() if item == "-" else item for item in text]
    if not all(content.strip() for content in contents):
        raise InvalidInput("add: the text is empty; there is nothing to remember")
    messages = [{**shared, "content": content} for content in contents]
    with opened(context, url) as memory:
        _receipt(memory.add(messages, **scope(user, agent, run, tenant)), as_json=json)


def _standard_input() -> str:
    """All of standard input, which is read no further than a message may be long."""
    from engram.engine.ingest import MAX_TEXT

    content = sys.stdin.buffer.read(MAX_TEXT + 1)
    if len(content) > MAX_TEXT:
        raise InvalidInput("standard input is over 10 MB; split it into several messages")
    try:
        return content.decode()
    except UnicodeDecodeError as error:
        raise InvalidInput(
            f"standard input is not UTF-8 (byte {error.start}); convert it, for instance with iconv"
        ) from error


def _metadata(text: str | None) -> Any:
    try:
        return None if text is None else json_module.loads(text)
    except ValueError as error:
        raise typer.BadParameter(f"--metadata is no JSON ({error})") from error


def _receipt(receipt: Receipt, *, as_json: bool) -> None:
    """Every item of a receipt; exit code 1 where one failed."""
    if as_json:
        emit(receipt.to_dict())
    else:
        for item in receipt.items:
            note = f"  ({item.reason})" if item.reason else ""
            print(f"{item.event}  {item.id or ''}{note}")
    if not receipt.ok:
        raise typer.Exit(1)


def import_(
    context: typer.Context,
    path: Annotated[
        Path, typer.Argument(metavar="PATH", help="An engram export, a conversation, or a folder of them.")
    ],
    user: User = None,
    agent: Agent = None,
    tenant: Tenant = None,
    url: Url = None,
    json: Json = False,
) -> None:
    """Take over an export of engram, or conversations.

    An export (JSON Lines) keeps its ids and scopes. A conversation in the plain
    format (.json, .json.gz) goes to the user of its name unless --user is
    given, each session to a run. Importing twice adds nothing.
    """
    with opened(context, url) as memory:
        if _is_export(path):
            narrow = memory.scoped(**scope(user, agent, None, tenant))
            with status() as say:
                say(f"importing {path}")
                counts = _counts(narrow.import_(path))
        else:
            counts = _conversations(memory, path, scope(user, agent, None, tenant))
    if json:
        emit({"path": str(path), **counts})
    else:
        found = ", ".join(f"{count:,} {event}" for event, count in counts.items())
        print(f"{path}: {found or 'it holds no record'}")
    if counts.get("failed"):
        raise typer.Exit(1)


def _is_export(path: Path) -> bool:
    """Whether the first line is an export's header; the rest is for `import_` to judge."""
    if not path.is_file() or path.name.endswith(".gz"):
        return False
    with path.open("rb") as file:
        first = file.readline(1 << 16)
    return path.suffix == ".jsonl" or b'"engram-export/' in first


def _conversations(memory: Memory, path: Path, ids: ScopeIds) -> dict[str, int]:
    from engram.bench.load import data_sets

    conversations = [item for data in data_sets([path]) for item in data.conversations]
    counts: dict[str, int] = {}
    with progress(sum(item.turns for item in conversations), "importing") as step:
        for conversation in conversations:
            for event, count in _conversation(memory, conversation, ids, step).items():
                counts[event] = counts.get(event, 0) + count
    return counts


def _conversation(memory: Memory, conversation: Conversation, ids: ScopeIds, step: Any) -> dict[str, int]:
    counts: dict[str, int] = {}
    for session in conversation.sessions:
        where: ScopeIds = {"user_id": conversation.name, **ids, "run_id": session.run_id}
        receipt = memory.add(list(session.messages), **where)
        for event, count in _counts(receipt).items():
            counts[event] = counts.get(event, 0) + count
        step(len(session.messages))
    return counts


def _counts(receipt: Receipt) -> dict[str, int]:
    counts: dict[str, int] = {}
    for item in receipt.items:
        counts[item.event] = counts.get(item.event, 0) + 1
    return counts


def export(
    context: typer.Context,
    path: Annotated[Path, typer.Argument(metavar="PATH", dir_okay=False, help="The file to write.")],
    user: User = None,
    agent: Agent = None,
    run: Run = None,
    tenant: Tenant = None,
    url: Url = None,
    json: Json = False,
) -> None:
    """Write everything, or one scope, as JSON Lines for import."""
    with opened(context, url) as memory:
        count = memory.export(path, **scope(user, agent, run, tenant))
    if json:
        emit({"path": str(path), "records": count})
    else:
        print(f"{path}: {count:,} records")


def forget(
    context: typer.Context,
    ids: Annotated[list[str] | None, typer.Argument(metavar="ID", help="Records; without, a scope.")] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only tell what would go.")] = False,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False,
    user: User = None,
    agent: Agent = None,
    run: Run = None,
    tenant: Tenant = None,
    everyone: Everyone = False,
    url: Url = None,
    json: Json = False,
) -> None:
    """Erase records, or all of a scope. It cannot be undone.

    What was derived from them alone goes too, and their bytes leave the files.
    """
    named = scope(user, agent, run, tenant)
    if not (ids or everyone or named.keys() - {"tenant"}):
        raise typer.BadParameter(
            "name ids, or a scope by --user, --agent or --run; --everyone is the whole tenant"
        )
    with opened(context, url) as memory:
        plan = memory.forget(ids or None, everyone=everyone, dry_run=True, **named)
        if plan.items and not (dry_run or yes):
            _preview(memory, plan)
            typer.confirm(f"Erase {len(plan.items):,} for good?", abort=True, err=True)
        done = plan if dry_run else memory.forget(ids or None, everyone=everyone, **named)
    if json:
        emit(done.to_dict())
        return
    verb = "would be erased" if dry_run else "erased"
    print(f"{len(done.items):,} {verb}" + (f", bytes on disk: {done.purge}" if done.purge else ""))
    for copy in done.outside if done.items else ():
        print(f"out of reach: {copy}")


def _preview(memory: Memory, plan: Receipt) -> None:
    """The first records that would go."""
    console = output()
    for id in plan.ids[:_SHOWN]:
        try:
            record = memory.get(id)
        except NotFound:
            continue
        console.print(f"{moment(record.time)}  {who(record)}: {cut(record.text, 60)}", markup=False)
    if len(plan.ids) > _SHOWN:
        console.print(f"… and {len(plan.ids) - _SHOWN:,} more")
