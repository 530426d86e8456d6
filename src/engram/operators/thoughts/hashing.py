"""Locality-sensitive hashing: texts whose vectors point alike fall into one group with high probability.

Method: the cross-polytope-like hash F(x) = argmax([xR; -xR]) of TiM (arXiv:2311.08719, equation 1), after
Andoni and others (arXiv:1509.02897).
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from engram.kernel.changes import Connect
from engram.kernel.effects import Neighbours, Space
from engram.kernel.record import Record
from engram.operators.embedding import embedded

__all__ = ["GROUP", "Groups", "group_of", "projection"]

GROUP = "group"
"""The type of the edge from a thought to itself whose weight is the number of its group."""


@lru_cache(maxsize=16)
def projection(seed: int, dimensions: int, groups: int) -> NDArray[np.float64]:
    """R: standard normal numbers of shape [dimensions, groups / 2]; the same arguments give the same ones."""
    draw = np.random.RandomState(seed)  # its stream is frozen; that of default_rng may change
    return draw.standard_normal((dimensions, groups // 2))


def group_of(vectors: NDArray[Any], seed: int, groups: int) -> list[int]:
    """F(x) = argmax([xR; -xR]) of each row x of `vectors`, shape [n, dimensions]: from 0 to `groups` - 1.

    In double precision; of equal values the first counts, so a vector of zeros is in group 0.
    """
    rows = np.asarray(vectors, np.float64)
    projected = rows @ projection(seed, rows.shape[1], groups)
    return [int(place) for place in np.argmax(np.concatenate([projected, -projected], axis=1), axis=1)]


@dataclass(frozen=True)
class Groups:
    """A hash table of texts: `count` groups, an even number, by the random projection of `seed`.

    The group of a record is kept as an edge, together with the seed, the number of groups, the embedder, and
    a digest of the text that was hashed. One that does not fit any more (another embedder, other words) does
    not count: the record is hashed again where it is looked at.
    """

    count: int = 8
    seed: int = 0

    async def of(self, texts: Sequence[str]) -> list[int]:
        """The group of each text. Raises `ModelUnavailable` where the embedder fails."""
        return group_of(await embedded(texts), self.seed, self.count) if texts else []

    async def held(self, records: Sequence[Record]) -> dict[str, int]:
        """The group of each record by its id: as it is kept, or reckoned where that does not fit."""
        found = await self._kept(records)
        missing = [record for record in records if record.id not in found]
        return found | dict(zip((record.id for record in missing), await self._of(missing), strict=True))

    async def marks(self, texts: Mapping[str, str]) -> list[Connect]:
        """The edges that keep the groups of texts, by the id (or "#n") of the record that says each."""
        if not texts:
            return []
        space = await Space()
        groups = await self.of(list(texts.values()))
        return [
            Connect(id, id, GROUP, float(group), metadata=self._made(space, text), single=True)
            for (id, text), group in zip(texts.items(), groups, strict=True)
        ]

    async def renewed(self, records: Sequence[Record]) -> list[Connect]:
        """The edges of those records whose group as it is kept does not fit."""
        found = await self._kept(records)
        return await self.marks({record.id: record.text for record in records if record.id not in found})

    async def _of(self, records: Sequence[Record]) -> list[int]:
        return await self.of([record.text for record in records])

    async def _kept(self, records: Sequence[Record]) -> dict[str, int]:
        if not records:
            return {}
        space = await Space()
        edges = await Neighbours(tuple(record.id for record in records), (GROUP,), "out")
        made = {record.id: self._made(space, record.text) for record in records}
        return {
            edge.source: int(edge.weight)
            for edge in edges
            if edge.source == edge.target and dict(edge.metadata) == made.get(edge.source)
        }

    def _made(self, space: str, text: str) -> dict[str, Any]:
        digest = hashlib.blake2b(text.encode(), digest_size=8).hexdigest()
        return {"seed": self.seed, "groups": self.count, "embedder": space, "of": digest}
