"""What relates what, as somebody at a terminal looks at it."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path

import networkx as nx
import pytest

from bench.test_plots import Picture
from engram import Memory
from engram.kernel.protocols import Batch, PutEdge
from engram.kernel.record import Edge, Interval
from engram.kernel.scope import Scope
from terminal.driver import Terminal, drives

NASTY = "Que[bold]en \x1b[31mof\u202e Hearts"


@pytest.fixture
def woven(terminal: Terminal, tmp_path: Path) -> Terminal:
    """A terminal on a store with said entities and edges of user ana."""
    start = datetime(2024, 5, 2, 10, tzinfo=UTC)
    with Memory(f"sqlite:///{tmp_path}/memory.db") as memory:
        names = ("Alice", "White Rabbit", NASTY, "Wonderland")
        ids = memory.add([{"content": name} for name in names], kind="entity", user_id="ana").ids
        pairs = ((0, 1, "follows"), (1, 2, "serves"), (2, 3, "rules"))
        ana, known = Scope(user_id="ana"), Interval(start)
        edges = [
            Edge(f"e{number}", ids[one], ids[other], type, ana, Interval(start), known)
            for number, (one, other, type) in enumerate(pairs)
        ]
        edges.append(Edge("e9", ids[0], ids[3], "left", ana, Interval(start, start.replace(day=9)), known))
        memory._bound.core.store.commit(Batch(tuple(map(PutEdge, edges))))
    return terminal


@drives("graph")
def test_a_tree_around_a_name_and_a_table_of_all(woven: Terminal) -> None:
    tree, table, then, nobody = woven.each(
        ("graph", "--about", "alice", "--depth", "2", "--user", "ana"),
        ("graph", "--user", "ana"),
        ("graph", "--about", "Alice", "--valid", "2024-05-03", "--user", "ana"),
        ("graph",),
    )
    lines = [line.strip(" │├└─") for line in tree.lines]
    assert lines[0] == "Alice"
    assert "follows → White Rabbit  since 2024-05-02 10:00" in lines
    assert "serves → Que[bold]en �[31mof� Hearts  since 2024-05-02 10:00" in lines
    assert "3 records, 2 edges" in tree.words
    assert tree.width <= 80
    assert tree.coloured
    assert "rules" in table.words
    assert "4 records, 3 edges" in table.words
    assert table.width <= 80
    assert "left → Wonderland 2024-05-02 10:00 to 2024-05-09 10:00" in then.words
    wrong = woven.but(200).run("graph", "--about", "Alise", "--user", "ana", code=1)
    assert "did you mean 'alice'?" in wrong.words
    assert "nothing is stored for user_id 'default'" in nobody.words


@drives("graph")
def test_graphml_json_and_pictures(woven: Terminal, tmp_path: Path) -> None:
    """Written to files that others read; the same picture every time."""
    ml, svg, png = (tmp_path / f"graph.{ending}" for ending in ("xml", "svg", "png"))
    files = ("--graphml", str(ml), "--svg", str(svg), "--png", str(png))
    seen = woven.run("graph", "--user", "ana", *files)
    assert seen.words.count("written to") == 3
    read = nx.read_graphml(ml)
    assert {data["label"] for _, data in read.nodes(data=True)} >= {"Alice", "Wonderland"}
    assert {data["type"] for *_, data in read.edges(data=True)} == {"follows", "serves", "rules"}
    assert {"Alice", "Wonderland", "follows", "entity 4"} <= set(Picture(svg).words)
    assert png.read_bytes().startswith(b"\x89PNG")
    first = svg.read_bytes()
    plain = woven.but(200).run("graph", "--user", "ana", "--about", "Alice", "--json", "--svg", str(svg))
    woven.run("graph", "--user", "ana", "--svg", str(svg))
    assert svg.read_bytes() == first
    found = json.loads(plain.joined)
    assert [edge["edge"] for edge in found["edges"]] == ["follows"]
    assert len(found["nodes"]) == 2


@drives("graph")
def test_what_cannot_be_done_is_said(woven: Terminal, tmp_path: Path) -> None:
    few = woven.run("graph", "--user", "ana", "--limit", "2")
    assert "there is more: --limit 2 leaves something out" in few.words
    for arguments, message, code in (
        (("--svg", str(tmp_path / "x.gif")), "ends in .svg", 2),
        (("--png", str(tmp_path / "no" / "x.png")), "there is no folder", 1),
        (("--kind", "person"), "kinds: 'person' is none", 1),
        (("--valid", "13.13.2024"), "--valid", 2),
    ):
        refused = woven.but(200).run("graph", "--user", "ana", *arguments, code=code)
        assert message in refused.words
    woven.run("add", "hello", "--user", "bo")
    nobody = woven.but(200).run("graph", "--user", "bo", "--svg", str(tmp_path / "x.svg"), code=1)
    assert "there is no graph to draw" in nobody.words
