"""Commands about a router's tenants: `tenants list, databases, add, place, move`."""

from __future__ import annotations

from contextlib import closing
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated

import typer
from rich.text import Text

from engram.cli.group import ListGroup, complain
from engram.cli.options import Json, Url
from engram.cli.output import counting, emit, one_line, output, table

if TYPE_CHECKING:
    from engram.cli.options import Opening
    from engram.stores.router import RouterStore

__all__ = ["tenants"]

TenantName = Annotated[str, typer.Argument(metavar="TENANT", help="The tenant's id.")]
DatabaseName = Annotated[str, typer.Argument(metavar="DATABASE", help="A database's name in the router.")]

tenants = typer.Typer(
    cls=ListGroup,
    help="Many databases behind one url: which tenant lives in which.",
    epilog="Example: [bold]engram tenants --url router:postgresql://localhost/directory[/bold]",
)


def _router(context: typer.Context, url: str | None) -> RouterStore:
    from engram.config import default_url
    from engram.engine.tenants import router_at

    opening: Opening = context.obj
    return router_at(url or opening.url or default_url())


@tenants.command("list", epilog="Example: [bold]engram tenants list --database db2[/bold]")
def list_(
    context: typer.Context,
    database: Annotated[str | None, typer.Option(metavar="NAME", help="Of this database alone.")] = None,
    url: Url = None,
    json: Json = False,
) -> None:
    """Where each tenant lives, and which moves were broken off."""
    from engram.engine.tenants import tenants as routes

    with closing(_router(context, url)) as router:
        found = routes(router, database)
    if json:
        for route in found:
            emit(asdict(route))
        return
    shown = table("tenant", "database", "moves", "unfinished", numbers=("moves",))
    for route in found:
        owed = f"to {route.goal}" if route.goal else f"to be erased in {route.left}" if route.left else ""
        cells = (one_line(route.tenant), route.database, f"{route.moves:,}", owed)
        shown.add_row(*map(Text, cells))
    if found:
        output().print(shown)
    else:
        complain("no tenant has come yet")


@tenants.command(epilog="Example: [bold]engram tenants databases --json[/bold]")
def databases(context: typer.Context, url: Url = None, json: Json = False) -> None:
    """The databases, and how much is in each."""
    from engram.engine.tenants import databases as found

    with closing(_router(context, url)) as router:
        rows = found(router)
    if json:
        for row in rows:
            emit(asdict(row))
        return
    shown = table("database", "url", "tenants", "versions", numbers=("tenants", "versions"))
    for row in rows:
        shown.add_row(Text(row.name), Text(row.url), f"{row.tenants:,}", f"{row.versions:,}")
    if rows:
        output().print(shown)
    else:
        complain("there is no database yet; engram tenants add NAME URL adds one")


@tenants.command(epilog="Example: [bold]engram tenants add db1 postgresql://one.example/memory[/bold]")
def add(
    context: typer.Context,
    name: DatabaseName,
    place: Annotated[str, typer.Argument(metavar="URL", help="The url of the store; made if need be.")],
    url: Url = None,
    json: Json = False,
) -> None:
    """Add a database to a router, with the tenants that it holds already."""
    from engram.engine.tenants import add_database

    with closing(_router(context, url)) as router:
        count = add_database(router, name, place)
    if json:
        emit({"database": name, "tenants": count})
    else:
        print(f"{one_line(name)} is added, with {count:,} tenants")


@tenants.command(epilog="Example: [bold]engram tenants place acme db2[/bold]")
def place(
    context: typer.Context, tenant: TenantName, database: DatabaseName, url: Url = None, json: Json = False
) -> None:
    """Say where a tenant will live who has not come yet. Others go to the emptiest database."""
    from engram.engine.tenants import place_tenant

    with closing(_router(context, url)) as router:
        route = place_tenant(router, tenant, database)
    if json:
        emit(asdict(route))
    else:
        print(f"{one_line(tenant)} lives in {one_line(route.database)}")


@tenants.command(epilog="Example: [bold]engram tenants move acme db2[/bold]")
def move(
    context: typer.Context, tenant: TenantName, database: DatabaseName, url: Url = None, json: Json = False
) -> None:
    """Move a tenant to another database while it is used.

    It is copied, caught up while writes wait, compared, and erased where it
    was. A move that was broken off goes on when it is made again; naming the
    database that the tenant still lives in takes it back.
    """
    from engram.engine.moving import move_tenant

    with closing(_router(context, url)) as router, counting(f"moving to {database}") as bar:
        done = move_tenant(router.members, tenant, database, bar)
    if json:
        emit({"tenant": tenant, "database": database, "copied": None if done is None else done.to_dict()})
        return
    if done is not None:
        print(f"{done.records:,} records, {done.versions:,} versions, {done.edges:,} edges: the same there")
    print(f"{one_line(tenant)} lives in {one_line(database)}")
