"""A graph drawn: records as points by kind, larger the more edges they have, and what relates them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any

from engram.bench.plots import FAINT, INK, LOOKS, PAPER, canvas, save, slug
from engram.kernel.errors import MissingExtra, NotFound
from engram.kernel.show import cut, printable

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from engram.kernel.record import Record
    from engram.operators.graph.subgraph import Graph

__all__ = ["draw_graph", "ready_graph"]

_MOST = 300  # nodes; more is a ball of wool
_NAMED = 60
_RELATED = 40
_LETTERS = 28
Places = Mapping[str, Any]


def ready_graph(path: Path | None) -> None:
    """See that a graph can be drawn, as `plots.ready` does; raises `MissingExtra` without networkx too."""
    from engram.bench.plots import ready

    ready(path)
    if path is not None:
        try:
            import_module("networkx")
        except ImportError as error:
            raise MissingExtra("drawing a graph", "graph") from error


def draw_graph(graph: Graph, path: Path, whose: str = "") -> None:
    """Draw the nodes, the first 300 at most, and the edges between them.

    The layout is the spring layout of networkx (Fruchterman and Reingold, 1991), the same for the same
    graph. Raises `NotFound` where there are no nodes, `OSError`.
    """
    if not graph.nodes:
        raise NotFound("there is no graph to draw: no record of this scope has an edge")
    nodes = graph.nodes[:_MOST]
    there = {node.id for node in nodes}
    edges = [edge for edge in graph.edges if edge.source in there and edge.target in there]
    degree = Counter(end for edge in edges for end in (edge.source, edge.target))
    places = _places([node.id for node in nodes], [(edge.source, edge.target) for edge in edges])
    with canvas(10, 8) as figure:
        axes = figure.subplots()
        axes.set_axis_off()
        _lines(axes, places, edges)
        _points(axes, places, nodes, degree)
        _words(axes, places, nodes, degree)
        axes.margins(0.08)
        left = len(graph.nodes) - len(nodes)
        title = f"Graph, {whose}" if whose else "Graph"
        title += f" ({left:,} more nodes are not drawn)" if left else ""
        save(figure, path, title, _said(nodes, edges))


def _places(ids: Sequence[str], pairs: Sequence[tuple[str, str]]) -> Places:
    import networkx as nx

    drawn: Any = nx.Graph()
    drawn.add_nodes_from(ids)
    drawn.add_edges_from(pair for pair in pairs if pair[0] != pair[1])
    distance = 1.6 / max(len(ids), 1) ** 0.5
    found: Places = nx.spring_layout(drawn, k=distance, iterations=120, seed=7, method="force")
    return found


def _lines(axes: Axes, places: Places, edges: Sequence[Any]) -> None:
    from matplotlib.patches import FancyArrowPatch

    for edge in edges:
        if edge.source == edge.target:
            continue
        arrow = FancyArrowPatch(
            tuple(places[edge.source]),
            tuple(places[edge.target]),
            arrowstyle="-|>",
            mutation_scale=7,
            shrinkA=6,
            shrinkB=7,
            color=FAINT,
            linewidth=0.7,
            alpha=0.7,
            connectionstyle="arc3,rad=0.06",
            gid=slug("edge", edge.id),
        )
        axes.add_patch(arrow)
    if len(edges) <= _RELATED:
        for edge in edges:
            x, y = (places[edge.source] + places[edge.target]) / 2
            axes.annotate(
                cut(printable(edge.type), _LETTERS), (x, y), color=FAINT, fontsize=6, ha="center", va="center"
            )


def _points(axes: Axes, places: Places, nodes: Sequence[Record], degree: Mapping[str, int]) -> None:
    kinds = [kind for kind, _ in Counter(node.kind for node in nodes).most_common()]
    for number, kind in enumerate(kinds):
        look = LOOKS[min(number, len(LOOKS) - 1)]
        of_kind = [node for node in nodes if node.kind == kind]
        axes.scatter(
            [places[node.id][0] for node in of_kind],
            [places[node.id][1] for node in of_kind],
            s=[40 + 22 * min(degree.get(node.id, 0), 30) for node in of_kind],
            c=look.colour,
            marker=look.marker,
            edgecolors=PAPER,
            linewidths=0.8,
            label=f"{printable(kind)} {len(of_kind):,}",
            zorder=3,
            gid=slug("nodes", kind),
        )
    axes.legend(loc="lower left", fontsize=8, ncols=3)


def _words(axes: Axes, places: Places, nodes: Sequence[Record], degree: Mapping[str, int]) -> None:
    """The names of the nodes with the most edges, as many as can be read."""
    order = sorted(nodes, key=lambda node: -degree.get(node.id, 0))
    for node in order[:_NAMED]:
        axes.annotate(
            cut(printable(node.indexed), _LETTERS),
            tuple(places[node.id]),
            xytext=(0, 7),
            textcoords="offset points",
            ha="center",
            fontsize=7,
            color=INK,
            zorder=4,
        )


def _said(nodes: Sequence[Record], edges: Sequence[Any]) -> str:
    """The picture in words."""
    text = {node.id: cut(node.indexed, _LETTERS) for node in nodes}
    kinds = Counter(node.kind for node in nodes)
    counts = ", ".join(f"{count:,} of kind {kind}" for kind, count in kinds.most_common())
    first = "; ".join(f"{text[edge.source]} {edge.type} {text[edge.target]}" for edge in edges[:_RELATED])
    return f"{len(nodes):,} records ({counts}) and {len(edges):,} edges: {first}"
