"""Commands about the service's keys: `keys create, list, rotate, revoke`."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing, contextmanager
from typing import TYPE_CHECKING, Annotated

import typer
from rich.text import Text

from engram.cli.asking import confirmed
from engram.cli.group import ListGroup, complain
from engram.cli.options import Json, Url, Yes, span_of
from engram.cli.output import emit, moment, one_line, output, table
from engram.kernel.clock import utc_now

if TYPE_CHECKING:
    from engram.cli.options import Opening
    from engram.serve.keys import Key, KeyStore

__all__ = ["keys"]

KeyId = Annotated[str, typer.Argument(metavar="KEY", help="A key's id, as engram keys shows it.")]
Whose = Annotated[str, typer.Option("--tenant", metavar="ID", help="The tenant that it reaches; * for all.")]
Users = Annotated[
    str,
    typer.Option(metavar="USERS", help="The users that it reaches: one id, a prefix such as team-*, or *."),
]
Rights = Annotated[
    str,
    typer.Option(
        metavar="RIGHTS", help="read, write (reads too), admin (all, and keys) or metrics (counts alone)."
    ),
]
Lasts = Annotated[
    str | None, typer.Option("--expires", metavar="IN", help="How long it lasts, such as 12h or 90d.")
]
Named = Annotated[str, typer.Option("--name", metavar="TEXT", help="What it is for.")]
Grace = Annotated[
    str | None, typer.Option(metavar="IN", help="How long the old secret stays good. Default: not at all.")
]

keys = typer.Typer(
    cls=ListGroup,
    help="Keys of engram serve: who may call it, and whose memory they reach.",
    epilog="Example: [bold]engram keys[/bold]",
)


@contextmanager
def _store(context: typer.Context, url: str | None) -> Iterator[KeyStore]:
    from engram.config import default_url
    from engram.serve.keys import KeyStore
    from engram.stores import open_store

    opening: Opening = context.obj
    with closing(open_store(url or opening.url or default_url())) as store:
        yield KeyStore(store)


@keys.command("list", epilog="Example: [bold]engram keys list --json[/bold]")
def list_(context: typer.Context, url: Url = None, json: Json = False) -> None:
    """Every key, expired and revoked ones too; no secret is kept that could be shown."""
    with _store(context, url) as store:
        found = store.all()
    if json:
        for key in found:
            emit(key.to_dict(utc_now()))
        return
    shown = table("id", "name", "rights", "tenant", "users", "state", "expires")
    for key in found:
        cells = (key.id, key.name, key.rights, key.tenant, key.users, key.state(utc_now()))
        shown.add_row(*(Text(one_line(cell)) for cell in (*cells, moment(key.expires))))
    if found:
        output().print(shown)
    else:
        complain("there is no key yet; engram keys create makes one, and so does the first engram serve")


@keys.command(
    epilog="Example: [bold]engram keys create --name app --rights write --tenant acme --expires 90d[/bold]"
)
def create(
    context: typer.Context,
    name: Named = "",
    rights: Rights = "read",
    tenant: Whose = "default",
    users: Users = "*",
    expires: Lasts = None,
    url: Url = None,
    json: Json = False,
) -> None:
    """Make a key; it is printed this once."""
    lasts = None if expires is None else span_of(expires, "--expires")
    with _store(context, url) as store:
        key, token = store.create(name=name, rights=rights, tenant=tenant, users=users, lasts=lasts)
    _tell(key, token, json=json)


@keys.command(epilog="Example: [bold]engram keys rotate 5f0c2d9be1a4 --grace 1h[/bold]")
def rotate(
    context: typer.Context, id: KeyId, grace: Grace = None, url: Url = None, json: Json = False
) -> None:
    """Give a key a new secret, printed this once; id, rights and scope stay."""
    with _store(context, url) as store:
        key, token = store.rotate(id, *(() if grace is None else (span_of(grace, "--grace"),)))
    _tell(key, token, json=json)


@keys.command(epilog="Example: [bold]engram keys revoke 5f0c2d9be1a4[/bold]")
def revoke(context: typer.Context, id: KeyId, yes: Yes = False, url: Url = None, json: Json = False) -> None:
    """End a key for good. A service that runs refuses it within seconds."""
    with _store(context, url) as store:
        key = store.get(id)
        confirmed(f"Revoke the key {one_line(key.name)} ({key.id})?", yes=yes)
        key = store.revoke(id)
    if json:
        emit(key.to_dict(utc_now()))
    else:
        print(f"{key.id} is revoked")


def _tell(key: Key, token: str, *, json: bool) -> None:
    """The key with its token."""
    if json:
        emit({**key.to_dict(utc_now()), "key": token})
        return
    reach = f"{key.rights}, tenant {key.tenant}, users {key.users}"
    until = f", until {moment(key.expires)}" if key.expires else ""
    print(f"key {key.id} ({one_line(reach)}{until})", token, sep="\n", flush=True)
    complain("it is not shown again: only its hash is kept")
