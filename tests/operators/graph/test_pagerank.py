"""Personalised PageRank against a dense solve and against networkx, on graphs of every shape."""

from __future__ import annotations

import networkx as nx
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from engram.kernel.errors import InvalidInput
from engram.operators.graph.pagerank import Flow, pagerank

Floats = NDArray[np.float64]
Drawn = tuple[int, list[tuple[int, int, float]]]


@st.composite
def graphs(draw: st.DrawFn) -> Drawn:
    """A number of nodes, some of them perhaps alone, and edges with weights, loops and parallel ones too."""
    nodes = draw(st.integers(1, 12))
    node = st.integers(0, nodes - 1)
    weight = st.floats(0.01, 100)
    return nodes, draw(st.lists(st.tuples(node, node, weight), max_size=30))


def flow_of(graph: Drawn, *, directed: bool, loose: int = 0) -> Flow:
    """The flow of a graph, its last edges put in later."""
    nodes, edges = graph
    source = np.array([edge[0] for edge in edges], np.int32)
    target = np.array([edge[1] for edge in edges], np.int32)
    weight = np.array([edge[2] for edge in edges])
    cut = len(edges) - min(loose, len(edges))
    first = max(1, int(max(source[:cut].max(initial=0), target[:cut].max(initial=0))) + 1)
    flow = Flow.of(first, source[:cut], target[:cut], weight[:cut], directed=directed)
    return flow.grown(max(first, nodes), source[cut:], target[cut:], weight[cut:], directed=directed)


def solved(graph: Drawn, seeds: Floats, damping: float, *, directed: bool) -> Floats:
    """The same by one dense solve: rank = damping * moved + (1 - damping) * seeds."""
    nodes, edges = graph
    weights = np.zeros((nodes, nodes))
    for source, target, weight in edges:
        weights[source, target] += weight
        if not directed and source != target:
            weights[target, source] += weight
    start = seeds / seeds.sum()
    out = weights.sum(axis=1)
    step = np.where(out[:, None] > 0, weights / np.where(out > 0, out, 1)[:, None], start)
    return np.asarray(np.linalg.solve(np.eye(nodes) - damping * step.T, (1 - damping) * start))


@settings(max_examples=150, deadline=None)
@given(graphs(), st.data(), st.sampled_from([0.0, 0.15, 0.5, 0.85, 0.95]), st.booleans())
def test_it_is_what_a_dense_solve_gives(
    graph: Drawn, data: st.DataObject, damping: float, directed: bool
) -> None:
    weights = st.lists(st.floats(0, 10), min_size=graph[0], max_size=graph[0])
    seeds = np.array(data.draw(weights.filter(lambda found: sum(found) > 1e-3)))
    flow = flow_of(graph, directed=directed, loose=data.draw(st.integers(0, 10)))

    found = pagerank(flow, seeds, damping)

    assert found.sum() == pytest.approx(1, abs=1e-12)
    assert np.abs(found - solved(graph, seeds, damping, directed=directed)).max() < 1e-8


@settings(max_examples=40, deadline=None)
@given(graphs(), st.booleans())
def test_it_is_what_networkx_gives(graph: Drawn, directed: bool) -> None:
    nodes, edges = graph
    peer: nx.Graph[int] = nx.DiGraph() if directed else nx.Graph()
    peer.add_nodes_from(range(nodes))
    for source, target, weight in edges:
        before = peer.get_edge_data(source, target, {"weight": 0.0})["weight"]
        peer.add_edge(source, target, weight=before + weight)
    seeds = {0: 3.0, nodes - 1: 1.0}
    expected = nx.pagerank(peer, 0.5, seeds, max_iter=500, tol=1e-13)
    start = np.array([seeds.get(node, 0.0) for node in range(nodes)])

    found = pagerank(flow_of(graph, directed=directed), start, 0.5)

    assert max(abs(found[node] - share) for node, share in expected.items()) < 1e-8


def test_a_node_beyond_the_graph_keeps_its_own_share() -> None:
    flow = flow_of((2, [(0, 1, 1.0)]), directed=False)
    found = pagerank(flow, np.array([1.0, 0.0, 1.0]), 0.5)
    assert found == pytest.approx([4 / 9, 2 / 9, 1 / 3])


@pytest.mark.parametrize("damping", [1.0, -0.1, 2.0])
def test_a_damping_that_never_ends_is_refused(damping: float) -> None:
    with pytest.raises(InvalidInput, match=r"damping.*0\.5"):
        pagerank(flow_of((1, []), directed=False), np.ones(1), damping)


@pytest.mark.parametrize("seeds", [[0.0, 0.0], [1.0, -1.0], [np.nan, 1.0], [np.inf, 1.0]])
def test_seeds_that_say_nothing_are_refused(seeds: list[float]) -> None:
    with pytest.raises(InvalidInput, match="seeds"):
        pagerank(flow_of((2, [(0, 1, 1.0)]), directed=False), np.array(seeds))
