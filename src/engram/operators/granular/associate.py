"""Association: which earlier memories, of any granularity, a new one belongs with."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from engram.kernel.changes import Add, Connect
from engram.kernel.effects import Similar
from engram.operators.embedding import embedded
from engram.operators.granular.mixture import posteriors
from engram.operators.granular.sessions import Session
from engram.operators.retrieval.near import Near, best_of

__all__ = ["ASSOCIATED", "associated"]

ASSOCIATED = "associated"
"""The type of the edge from a memory to an earlier one of its accept set."""
_KINDS = ("episode", "summary")
_LONGEST = 2000


async def associated(
    sessions: Sequence[Session], units: Sequence[Sequence[Add]], candidates: int
) -> list[Connect]:
    """An edge from each turn and unit of the sessions to those of its accept set.

    The `units` of all sessions are the n-th changes in their order. Of what is there already and of the
    sessions before, the `candidates` nearest by cosine are split by a mixture of two normal distributions;
    those that more likely belong to the upper one are accepted. An edge's metadata has that probability
    (`posterior`) and the cosine.
    """
    nodes = list(_nodes(sessions, units))
    if not nodes:
        return []
    near = await _near(nodes, candidates)
    chances = posteriors([[cosine for _, cosine in pairs] for pairs in near])
    return [
        Connect(
            node.ref,
            id,
            ASSOCIATED,
            metadata={"posterior": chance, "cosine": cosine},
            valid_start=sessions[node.session][0].time,
        )
        for node, pairs, row in zip(nodes, near, chances, strict=True)
        for (id, cosine), chance in zip(pairs, row.tolist(), strict=True)
        if chance > 0.5
    ]


@dataclass(frozen=True, slots=True)
class _Node:
    """A new memory: a turn's id, or "#n" for the n-th record that is added."""

    ref: str
    text: str
    session: int


def _nodes(sessions: Sequence[Session], units: Sequence[Sequence[Add]]) -> Iterator[_Node]:
    added = 0
    for number, (session, adds) in enumerate(zip(sessions, units, strict=True)):
        for add in adds:
            yield _Node(f"#{added}", add.text[:_LONGEST], number)
            added += 1
        for turn in session:
            yield _Node(turn.id, turn.text[:_LONGEST], number)


async def _near(nodes: Sequence[_Node], candidates: int) -> list[Near]:
    """For each node the nearest of what is there, besides the nodes, and of the sessions before."""
    own = {node.ref for node in nodes}
    texts = tuple(node.text for node in nodes)
    turns = sum(not ref.startswith("#") for ref in own)
    kept = await Similar(texts, candidates + turns, _KINDS, floor=-1.0)
    several = any(node.session for node in nodes)
    rows = await embedded(texts) if several else np.zeros((len(nodes), 1), np.float32)
    number = np.array([node.session for node in nodes])
    found: list[Near] = []
    for node, row, pairs in zip(nodes, rows, kept, strict=True):
        earlier = np.flatnonzero(number < node.session)
        cosines = (rows[earlier] @ row).astype(np.float64).clip(-1, 1)
        new = [
            (nodes[place].ref, cosine)
            for place, cosine in zip(earlier.tolist(), cosines.tolist(), strict=True)
        ]
        found.append(best_of([*(pair for pair in pairs if pair[0] not in own), *new], candidates))
    return found
