"""`engram graph`: what relates what, on the terminal, as JSON, as GraphML, as a picture."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from engram.cli.group import complain
from engram.cli.options import Agent, Everyone, Json, Known, Run, Tenant, Url, User, Valid, asked, opened
from engram.cli.output import cut, emit, moment, one_line, output, status, table
from engram.cli.reading import nothing, seen

if TYPE_CHECKING:
    from rich.text import Text
    from rich.tree import Tree

    from engram.kernel.record import Edge, Record
    from engram.operators.graph.subgraph import Graph

__all__ = ["graph"]

_TEXT = 60
About = Annotated[
    list[str] | None,
    typer.Option("--about", metavar="NAME", help="An entity's name or a record's id; may be repeated."),
]
Depth = Annotated[int, typer.Option(metavar="N", min=0, max=20, help="How many edges away from them.")]
Types = Annotated[
    list[str] | None,
    typer.Option("--type", metavar="RELATION", help="Only edges of this type; may be repeated."),
]
Kinds = Annotated[
    list[str] | None,
    typer.Option("--kind", metavar="KIND", help="Only records of this kind; may be repeated."),
]
Most = Annotated[int, typer.Option(metavar="N", min=1, max=10_000, help="The most records.")]
GraphML = Annotated[Path | None, typer.Option(metavar="FILE", dir_okay=False, help="Write it as GraphML.")]
Svg = Annotated[Path | None, typer.Option(metavar="FILE", dir_okay=False, help="Draw it, to an .svg file.")]
Png = Annotated[Path | None, typer.Option(metavar="FILE", dir_okay=False, help="Draw it, to a .png file.")]


def graph(
    context: typer.Context,
    about: About = None,
    depth: Depth = 1,
    types: Types = None,
    kinds: Kinds = None,
    limit: Most = 500,
    valid: Valid = None,
    known: Known = None,
    graphml: GraphML = None,
    svg: Svg = None,
    png: Png = None,
    user: User = None,
    agent: Agent = None,
    run: Run = None,
    tenant: Tenant = None,
    everyone: Everyone = False,
    url: Url = None,
    json: Json = False,
) -> None:
    """Show what relates what: around a name, or in a whole scope.

    Edges are those that came with messages, and those that the memory's policy
    has made (engram --policy NAME graph). --valid and --known show them as of
    then. Pictures need engram[graph,plots]. Without a scope: user "default".
    """
    pictures, ids = _pictures(svg, png), asked(user, agent, run, tenant, everyone=everyone)
    bounds: dict[str, Any] = {"depth": depth, "types": types, "kinds": kinds, "limit": limit}
    with status("reading"), opened(context, url) as memory:
        found = seen(memory, valid, known).graph(about or None, everyone=everyone, **bounds, **ids)
        owed = 0 if found.nodes else memory.stats()["jobs"]["pending"]
        advice = "" if found.nodes else _advice(nothing(memory, ids), owed)
    written = _written(found, graphml, pictures, ", ".join(map(one_line, about or [])))
    if json:
        emit(found.to_dict())
    else:
        _show(found, written)
    if advice or found.more:
        complain(advice or f"there is more: --limit {limit} leaves something out")


def _pictures(svg: Path | None, png: Path | None) -> list[Path]:
    """The pictures to draw; whether they can be is found out before anything is read."""
    from engram.bench.plots_graph import ready_graph

    for path, ending in ((svg, ".svg"), (png, ".png")):
        if path is not None and path.suffix.lower() != ending:
            raise typer.BadParameter(f"{path}: the name of this picture ends in {ending}")
        ready_graph(path)
    return [path for path in (svg, png) if path is not None]


def _advice(told: str, owed: int) -> str:
    if told != "nothing found":
        return told
    if owed:
        return f"no record of this scope has an edge yet; work is owed ({owed:,}): engram jobs wait does it"
    return "no record of this scope has an edge: add triples, or name the policy that made a graph (--policy)"


def _written(found: Graph, graphml: Path | None, pictures: Sequence[Path], whose: str) -> list[Path]:
    """Write what is to be written; which files."""
    if graphml is not None:
        graphml.write_text(found.graphml(), encoding="utf-8", newline="\n")
    if pictures:
        from engram.bench.plots_graph import draw_graph

        for path in pictures:
            draw_graph(found, path, whose)
    return [path for path in (graphml, *pictures) if path is not None]


def _show(found: Graph, written: Sequence[Path]) -> None:
    """A tree from what was asked about, or a table of edges; and what was written."""
    console = output()
    by_id = {node.id: node for node in found.nodes}
    if found.start:
        for tree in _trees(found, by_id):
            console.print(tree)
    elif found.edges:
        rows = table("from", "relation", "to", "since", "until")
        for edge in found.edges:
            ends = (_name(by_id[end]) for end in (edge.source, edge.target))
            source, target = ends
            since, until = moment(edge.valid.start), moment(edge.valid.end)
            rows.add_row(*map(_plain, (source, one_line(edge.type), target, since, until)))
        console.print(rows)
    if found.nodes:
        told = f"{len(found.nodes):,} records, {len(found.edges):,} edges"
        console.print(told, style="dim", markup=False, highlight=False)
    for path in written:
        console.print(f"written to {one_line(str(path))}", markup=False, highlight=False, soft_wrap=True)


def _plain(text: str) -> str:
    from rich.markup import escape

    return escape(text)


def _name(record: Record) -> str:
    text = "(not shown)" if record.kind == "secret" else record.text
    return cut(text, _TEXT) or record.id


def _trees(found: Graph, by_id: dict[str, Record]) -> list[Tree]:
    """A tree for each record that was asked about; each record branches once, where it is nearest."""
    from rich.text import Text
    from rich.tree import Tree

    edges: dict[str, list[Edge]] = {}
    for edge in found.edges:
        edges.setdefault(edge.source, []).append(edge)
        if edge.target != edge.source:
            edges.setdefault(edge.target, []).append(edge)
    trees: list[Tree] = []
    drawn: set[str] = set()
    waiting: list[tuple[str, Tree]] = []
    for id in found.start:
        root = Tree(Text(_name(by_id[id]), style="bold"))
        root.add(Text(f"{by_id[id].kind}  {id}", style="dim"))
        trees.append(root)
        waiting.append((id, root))
    shown = {id for id, _ in waiting}
    for id, branch in waiting:
        for edge in edges.get(id, ()):
            if edge.id in drawn:
                continue
            drawn.add(edge.id)
            other = edge.target if edge.source == id else edge.source
            twig = branch.add(_twig(edge, by_id[other], leads=edge.source == id))
            if other not in shown:
                shown.add(other)
                waiting.append((other, twig))
    return trees


def _twig(edge: Edge, other: Record, *, leads: bool) -> Text:
    from rich.text import Text

    relation = one_line(edge.type)
    line = Text.assemble((f"{relation} → " if leads else f"← {relation}  ", "cyan"), _name(other))
    if edge.valid.end is not None:
        line.append(f"  {moment(edge.valid.start)} to {moment(edge.valid.end)}", style="dim")
    elif edge.valid.start is not None:
        line.append(f"  since {moment(edge.valid.start)}", style="dim")
    return line
