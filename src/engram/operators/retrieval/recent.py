"""The last turns of a scope, or of a run before one of its turns."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from engram.kernel.clock import micros
from engram.kernel.record import Record
from engram.operators.retrieval.rows import Rows

__all__ = ["last_turns"]


def last_turns(rows: Rows, turns: NDArray[np.int64], count: int, before: Record | None) -> list[str]:
    """The ids of the last `count` of the rows `turns` by (time, arrival), oldest first.

    With a turn as `before` only those count that come before it in its agent's run. Its user is not looked
    at: rows hold none.
    """
    time, arrival = rows["time"][turns], rows["arrival"][turns]
    if before is not None:
        moment = micros(before.time)
        keep = (time < moment) | ((time == moment) & (arrival < before.arrival))
        keep &= rows["stream"][turns] == rows.stream_of(before.scope.agent_id, before.scope.run_id)
        turns, time, arrival = turns[keep], time[keep], arrival[keep]
    if len(turns) > count:
        late = time >= np.partition(time, len(time) - count)[len(time) - count]
        turns, time, arrival = turns[late], time[late], arrival[late]
    order = np.lexsort((arrival, time))[-count:]
    return [rows.ids[row] for row in turns[order].tolist()]
