"""A part of a memory's graph as a value: records, the edges between them, and how to hand it on."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from engram.kernel.errors import MissingExtra
from engram.kernel.record import Edge, Record
from engram.kernel.show import ROWS, Card, Shown, cut, moment

__all__ = ["Graph"]

_NOT_XML = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
_HEAD = """<?xml version="1.0" encoding="UTF-8"?>
<graphml xmlns="http://graphml.graphdrawing.org/xmlns">"""
_NODE = {"label": "string", "kind": "string", "type": "string", "aliases": "string", "time": "string"}
_EDGE = {"type": "string", "weight": "double", "id": "string", "made_by": "string"}
_TIMES = ("valid_start", "valid_end", "known_start", "known_end")


@dataclass(frozen=True, slots=True, repr=False)
class Graph(Shown):
    """Records and the edges between them, as `Memory.graph` gives them.

    `start` are the ids of the records that were asked about, empty for the whole. `more` says that the
    limit left something out. Nodes come nearest to the start first, edges the last changed first.
    """

    nodes: tuple[Record, ...] = ()
    edges: tuple[Edge, ...] = ()
    start: tuple[str, ...] = ()
    more: bool = False

    def to_dict(self) -> dict[str, Any]:
        """Nodes, edges, start and whether there is more, as JSON values."""
        return {
            "nodes": [node.to_dict() for node in self.nodes],
            "edges": [edge.to_dict() for edge in self.edges],
            "start": list(self.start),
            "more": self.more,
        }

    def graphml(self) -> str:
        """The graph as GraphML, which networkx, Gephi and yEd read; what XML cannot hold is left out."""
        return "\n".join(self._graphml()) + "\n"

    def to_networkx(self) -> Any:
        """The graph as a `networkx.MultiDiGraph`, attributes as in GraphML, edges by id.

        Raises `MissingExtra` without networkx (`pip install 'engram[graph]'`).
        """
        try:
            import networkx as nx
        except ImportError as error:
            raise MissingExtra("a graph for networkx", "graph") from error
        graph = nx.MultiDiGraph()
        for node in self.nodes:
            graph.add_node(node.id, **_about_node(node))
        for edge in self.edges:
            graph.add_edge(edge.source, edge.target, key=edge.id, **_about_edge(edge))
        return graph

    def _graphml(self) -> Iterator[str]:
        yield _HEAD
        for domain, keys in (("node", _NODE), ("edge", {**_EDGE, **dict.fromkeys(_TIMES, "string")})):
            for name, kind in keys.items():
                id = f"{domain}-{name}"
                yield f'  <key id="{id}" for="{domain}" attr.name="{name}" attr.type="{kind}"/>'
        yield '  <graph edgedefault="directed">'
        for node in self.nodes:
            yield f"    <node id={_quoted(node.id)}>{_data('node', _about_node(node))}</node>"
        for edge in self.edges:
            ends = f"id={_quoted(edge.id)} source={_quoted(edge.source)} target={_quoted(edge.target)}"
            yield f"    <edge {ends}>{_data('edge', {'id': edge.id, **_about_edge(edge)})}</edge>"
        yield "  </graph>\n</graphml>"

    def _card(self) -> Card:
        facts = [f"{len(self.nodes):,} nodes", f"{len(self.edges):,} edges"]
        facts += ["more than the limit"] if self.more else []
        text = {node.id: cut(node.indexed or node.id, 60) for node in self.nodes}
        rows = [
            (text[edge.source], edge.type, text[edge.target], moment(edge.valid.start))
            for edge in self.edges[:ROWS]
        ]
        columns = ("from", "relation", "to", "since") if rows else ()
        return Card("Graph", tuple(facts), columns=columns, rows=rows, total=len(self.edges))


def _about_node(node: Record) -> dict[str, Any]:
    aliases = node.metadata.get("aliases", ())
    found = {
        "label": node.indexed,
        "kind": node.kind,
        "type": node.metadata.get("type"),
        "aliases": "; ".join(map(str, aliases)) if isinstance(aliases, list | tuple) else str(aliases),
        "time": node.time.isoformat(),
    }
    return {name: str(value) for name, value in found.items() if value}


def _about_edge(edge: Edge) -> dict[str, Any]:
    times = (edge.valid.start, edge.valid.end, edge.known.start, edge.known.end)
    found: dict[str, Any] = {"type": edge.type, "weight": edge.weight}
    found |= {"made_by": edge.made_by} if edge.made_by else {}
    return found | {name: time.isoformat() for name, time in zip(_TIMES, times, strict=True) if time}


def _data(domain: str, about: Mapping[str, Any]) -> str:
    from xml.sax.saxutils import escape  # with it comes the web

    return "".join(
        f'<data key="{domain}-{name}">{escape(_NOT_XML.sub("", str(value)))}</data>'
        for name, value in about.items()
    )


def _quoted(id: str) -> str:
    from xml.sax.saxutils import quoteattr

    return quoteattr(_NOT_XML.sub("", id))
