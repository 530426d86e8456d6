"""What of a memory stream is activated: by recency of access and relevance, as long as it fits."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from engram.kernel.changes import Changes
from engram.kernel.effects import Columns, Now, Read
from engram.kernel.policy import Query
from engram.kernel.record import Hit
from engram.operators.forgetting import Forgetting
from engram.operators.retrieval.top import top

__all__ = ["Activation", "recency"]

_HOUR = 3600.0
_POOL = 200


def recency(hours: float, decay: float) -> float:
    """How recent an access is that lies that many hours back: `decay` to their power, in [0, 1]."""
    return float(decay ** max(0.0, hours))


@dataclass(frozen=True)
class Activation:
    """Ranks memories by recency + relevance (SCM, arXiv:2304.13343, on memory retrieval).

    Relevance is the cosine, cut at 0. Recency is `decay` for each hour since the last access: since it was
    learned, or since it was among the first `activated` hits of a search. The 200 most relevant are looked
    at.
    """

    decay: float = 0.995
    activated: int = 10

    async def ranked(self, query: Query, columns: Columns, cosine: NDArray[Any]) -> list[Hit]:
        """The `query.depth` best. The score is half of the sum; `why` has both shares, where asked for."""
        order = top(cosine, max(_POOL, 2 * query.depth), columns.rows)
        relevance = dict(zip(columns.rows(order), np.maximum(cosine[order], 0.0).tolist(), strict=True))
        records, now = await Read(tuple(relevance)), await Now()
        traces = await Forgetting("never").traces(records)
        hits: list[Hit] = []
        for record in records:
            trace = traces.get(record.id)
            since = (record.known.start or record.time) if trace is None else trace.since
            shares = {
                "recency": recency((now - since).total_seconds() / _HOUR, self.decay),
                "relevance": relevance[record.id],
            }
            score = min(1.0, sum(shares.values()) / 2)
            hits.append(Hit(record, score, shares if query.explain else {}))
        return sorted(hits, key=lambda hit: (-round(hit.score, 6), hit.id))[: query.depth]

    async def accessed(self, hits: Sequence[Hit]) -> Changes:
        """What it changes that these were found."""
        records = [hit.record for hit in hits]
        forgetting = Forgetting("never")
        return Changes(tuple(await forgetting.again(records, await forgetting.traces(records))))
