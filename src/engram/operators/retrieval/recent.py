"""The last turns of a scope, or of a run before one of its turns."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from engram.kernel.clock import micros
from engram.kernel.record import Record
from engram.operators.retrieval.rows import Rows

__all__ = ["last_turns", "told_within"]


def last_turns(rows: Rows, turns: NDArray[np.int64], count: int, before: Record | None) -> list[str]:
    """The ids of the last `count` of the rows `turns` by (time, arrival), oldest first.

    With a turn as `before` only those count that come before it in its agent's run. Its user is not looked
    at: rows hold none.
    """
    time, arrival = rows["time"][turns], rows["arrival"][turns]
    if before is not None:
        moment = micros(before.time)
        keep = (time < moment) | ((time == moment) & (arrival < before.arrival))
        keep &= rows["stream"][turns] == rows.stream_of(
            before.scope.user_id, before.scope.agent_id, before.scope.run_id
        )
        turns, time, arrival = turns[keep], time[keep], arrival[keep]
    if len(turns) > count:
        late = time >= np.partition(time, len(time) - count)[len(time) - count]
        turns, time, arrival = turns[late], time[late], arrival[late]
    order = np.lexsort((arrival, time))[-count:]
    return [rows.ids[row] for row in turns[order].tolist()]


def told_within(
    rows: Rows,
    chosen: NDArray[np.int64],
    span: tuple[int | None, int | None],
    last: int | None,
    strength: float,
) -> list[tuple[int, str]]:
    """Time and id of the `chosen` rows whose time lies in `span`, half-open, by (time, arrival).

    Those of that `strength` at least; with `last` as many of them, the last ones.
    """
    if last is not None and last < 1:
        return []
    start, end = span
    time = rows["time"][chosen]
    keep = rows["strength"][chosen] >= strength
    keep &= (time >= start) if start is not None else True
    keep &= (time < end) if end is not None else True
    chosen, time = chosen[keep], time[keep]
    if last is not None and len(chosen) > last:
        late = time >= np.partition(time, len(time) - last)[len(time) - last]
        chosen, time = chosen[late], time[late]
    order = np.lexsort((rows["arrival"][chosen], time))
    order = order if last is None else order[max(0, len(order) - last) :]
    found = zip(time[order].tolist(), chosen[order].tolist(), strict=True)
    return [(moment, rows.ids[row]) for moment, row in found]
