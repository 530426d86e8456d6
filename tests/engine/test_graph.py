"""`graph`: what lies around records, as of any time, within a scope and a bound; and how it is handed on."""

from __future__ import annotations

import asyncio
import io
from collections.abc import Sequence
from datetime import UTC, datetime
from itertools import pairwise
from pathlib import Path
from typing import Any

import networkx as nx
import pytest

from engine.conftest import Open
from engine.helpers import Facts
from engine.woven import Told, entity, tell
from engram import AsyncMemory, Forbidden, Graph, InvalidInput, Memory, NotFound
from engram.kernel.changes import Changes, Connect, Disconnect, Merge, Retire
from engram.kernel.record import Record
from engram.view import View


@pytest.fixture
def memory(open_memory: Open) -> Memory:
    return open_memory(policy=Told())


def day(number: int) -> datetime:
    return datetime(2026, 1, number, tzinfo=UTC)


def chain(memory: Memory, *names: str, **more: Any) -> list[str]:
    """Entities, each knowing the next; their ids."""
    ids = entity(memory, *names)
    tell(memory, Changes(tuple(Connect(one, other, "knows", **more) for one, other in pairwise(ids))))
    return ids


def texts(graph: Graph) -> list[str]:
    return [node.text for node in graph.nodes]


def lines(graph: Graph) -> list[str]:
    text = {node.id: node.text for node in graph.nodes}
    return sorted(f"{text[edge.source]} {edge.type} {text[edge.target]}" for edge in graph.edges)


def around(memory: Memory | View, *about: str, **more: Any) -> Graph:
    return memory.graph(list(about) or None, user_id="ana", **more)


def test_what_lies_around(memory: Memory) -> None:
    """Nearest first, by depth; names and ids; with the edges between what was found."""
    ids = chain(memory, "Ada", "Ben", "Cem", "Dia")
    assert texts(around(memory, "ada", depth=0)) == ["Ada"]
    assert texts(around(memory, "ADA")) == ["Ada", "Ben"]
    found = around(memory, ids[1])
    assert sorted(texts(found)) == ["Ada", "Ben", "Cem"]
    assert (texts(found)[0], found.start, found.more) == ("Ben", (ids[1],), False)
    assert lines(around(memory, "Ada", depth=2)) == ["Ada knows Ben", "Ben knows Cem"]
    tell(memory, Changes.of(Connect(ids[2], ids[0], "likes")))
    assert lines(around(memory, "Ben")) == ["Ada knows Ben", "Ben knows Cem", "Cem likes Ada"]
    assert lines(around(memory)) == lines(around(memory, "Ada", "Dia", depth=9))


def test_filters_bound_the_way(memory: Memory) -> None:
    ada, ben, cem, dia = chain(memory, "Ada", "Ben", "Cem", "Dia")
    tell(memory, Changes.of(Connect(ada, cem, "likes")))
    assert lines(around(memory, "Ada", depth=5, types="likes")) == ["Ada likes Cem"]
    assert lines(around(memory, "Ada", types=["likes", "knows"])) == [
        *("Ada knows Ben", "Ada likes Cem", "Ben knows Cem"),
    ]

    async def mention(episodes: Sequence[Record]) -> Changes:
        return Changes(tuple(Connect(episodes[0].id, id, "mentions") for id in (ben, dia)))

    tell(memory, mention, "Ben and Dia")
    assert "Ben and Dia" in texts(around(memory, "Ben"))
    only = around(memory, "Ben", depth=9, kinds="entity")
    assert sorted(texts(only)) == ["Ada", "Ben", "Cem", "Dia"]
    assert {node.kind for node in around(memory, kinds=("entity",)).nodes} == {"entity"}


def test_as_of_any_time(memory: Memory) -> None:
    """On both axes; what was merged or retired since is there again."""
    ada, ben, cem = chain(memory, "Ada", "Ben", "Cem", valid_start=day(1))
    edge = next(edge for edge in around(memory).edges if edge.source == ada)
    before = edge.known.start
    tell(memory, Changes.of(Disconnect(edge.id, end=day(10)), Merge(ben, 1, ((cem, 1),))))
    assert texts(around(memory)) == []
    assert lines(around(memory.as_of(valid=day(5)))) == ["Ada knows Ben"]
    assert lines(around(memory.as_of(valid=day(15), known=before))) == ["Ada knows Ben", "Ben knows Cem"]
    assert texts(around(memory.as_of(known=before), "cem")) == ["Cem", "Ben"]
    tell(memory, Changes.of(Retire(ada, 1, sources=(ben,))))
    with pytest.raises(NotFound, match="'Ada'"):
        around(memory, "Ada")
    assert "retired_by" not in {edge.type for edge in around(memory.as_of(known=before)).edges}


def test_no_edge_leads_out_of_the_scope(memory: Memory) -> None:
    """Nor to what another policy made, has expired or is a secret."""
    (ada,) = entity(memory, "Ada")
    memory.add("a secret", kind="secret", user_id="ana")
    memory.add("Ada", kind="entity", user_id="ben")
    assert [node.id for node in around(memory, "Ada").nodes] == [ada]
    with pytest.raises(Forbidden, match="name user_id"):
        memory.graph("Ada")
    assert len(memory.graph("Ada", everyone=True).nodes) == 2
    with pytest.raises(NotFound):
        memory.graph(ada, user_id="ben")
    secret = next(record.id for record in memory.get_all(user_id="ana") if record.kind == "secret")
    with pytest.raises(NotFound):
        around(memory, secret)


def test_another_policy_sees_nothing_of_it(open_memory: Open, url: str) -> None:
    if url == "ram:":
        pytest.skip("one store must be opened twice")
    chain(open_memory(policy=Told()), "Ada", "Ben")
    assert around(open_memory(policy=Facts())).nodes == ()


def test_the_limit(memory: Memory) -> None:
    """Nodes at most, edges at most twenty for each; and it says so."""
    hub, *others = entity(memory, "hub", *(f"leaf {number}" for number in range(30)))
    tell(memory, Changes(tuple(Connect(hub, other, "has") for other in others)))
    found = around(memory, "hub", limit=10)
    assert (len(found.nodes), len(found.edges), found.more) == (10, 9, True)
    assert len(around(memory, "hub").nodes) == 31
    assert not around(memory, "hub").more
    assert around(memory, limit=5).more
    tell(memory, Changes(tuple(Connect(hub, others[0], f"has {number}") for number in range(60))))
    assert len(around(memory, "hub", limit=2).edges) == 40


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ({"about": "Adda"}, NotFound, "did you mean 'ada'"),
        ({"about": ["Ada", "\1"]}, NotFound, "no entity the name"),
        ({"about": ["Ada", "\0"]}, InvalidInput, "about: a NUL character"),
        ({"about": 3}, InvalidInput, "about: expected text"),
        ({"about": ["Ada", 3]}, InvalidInput, "about: expected text"),
        ({"depth": -1}, InvalidInput, "depth: expected a whole number from 0 to 20"),
        ({"limit": 0}, InvalidInput, "limit"),
        ({"kinds": "entities"}, InvalidInput, "did you mean 'entity'"),
        ({"types": b"x"}, InvalidInput, "types: expected text"),
    ],
)
def test_hostile_questions(
    memory: Memory, arguments: dict[str, Any], error: type[Exception], message: str
) -> None:
    entity(memory, "Ada")
    with pytest.raises(error, match=message):
        memory.graph(**arguments, user_id="ana")


NASTY = 'A & <b>"\x00\x1b[31m\u202e\ud7ff ]]> é 茶'


def test_graphml_is_read_back(memory: Memory) -> None:
    """By networkx: nodes, edges in parallel, weights and times; whatever the text."""
    nasty = NASTY.replace("\0", "")
    ids = entity(memory, nasty, "Ben/Benjamin")
    tell(
        memory,
        Changes.of(*(Connect(ids[0], ids[1], type, 0.5, valid_start=day(1)) for type in ("knows", nasty))),
    )
    found = around(memory)
    read = nx.read_graphml(io.BytesIO(found.graphml().encode()), force_multigraph=True)
    made = found.to_networkx()
    assert set(read) == set(made) == set(ids)
    assert read.nodes[ids[1]]["label"] == made.nodes[ids[1]]["label"] == "Ben"
    assert read.nodes[ids[1]]["aliases"] == "Benjamin"
    assert read.nodes[ids[0]]["label"] == nasty.replace("\x1b", "")
    edges = {key: data for _, _, key, data in read.edges(keys=True, data=True)}
    assert {data["weight"] for data in edges.values()} == {0.5}
    assert sorted(data["type"] for data in edges.values()) == sorted(["knows", nasty.replace("\x1b", "")])
    assert {data["valid_start"] for data in edges.values()} == {"2026-01-01T00:00:00+00:00"}


def test_it_shows_itself(memory: Memory) -> None:
    chain(memory, "Ada", NASTY.replace("\0", ""))
    found = around(memory)
    assert repr(found) == "<Graph 2 nodes, 1 edges>"
    assert "\x1b" not in str(found)
    assert "A &amp; &lt;b&gt;" in found._repr_html_()
    assert "knows" in str(found)
    plain = found.to_dict()
    assert [edge["edge"] for edge in plain["edges"]] == ["knows"]
    assert plain["nodes"][0]["kind"] == "entity"


def test_every_face_has_it(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'x.db'}"
    with Memory(url, policy=Told()) as memory:
        chain(memory, "Ada", "Ben")
        now = memory.graph("Ada", user_id="ana").to_dict()
        then = around(memory.as_of(valid=datetime(2030, 1, 1, tzinfo=UTC)), "Ada").to_dict()

    async def asked() -> tuple[Graph, Graph]:
        async with AsyncMemory(url, policy=Told()) as memory:
            view = memory.as_of(valid=datetime(2030, 1, 1, tzinfo=UTC))
            return await memory.graph("Ada", user_id="ana"), await view.graph("Ada", user_id="ana")

    assert [graph.to_dict() for graph in asyncio.run(asked())] == [now, then]
