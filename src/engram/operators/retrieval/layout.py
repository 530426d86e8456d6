"""Where rows stand: sessions as blocks of positions, with blanks between them.

A window's sum is then a sum of shifted slices that never crosses a session. Records that are no episodes
are blocks of their own: their windows and their session are themselves.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from engram.operators.retrieval.growing import Table
from engram.operators.retrieval.rows import Rows

__all__ = ["GAP", "GUARD", "Layout"]

GUARD = 3
GAP = 30 * 60 * 1_000_000
START, COUNT, STREAM, FIRST, LAST, SERIAL = range(6)
TOKENS, INVERSE = range(2)


class Layout:
    """Positions and sessions of the rows that are alive.

    Positions run over sessions in order of stream, then time; inside a session over its turns in (time,
    arrival) order; `GUARD` blanks stand before the first session and after each. `row_at` has -1 at blanks,
    `session_at` means nothing there. `position` is by row, -1 for dead rows. `figures` are float32 by
    position (see `Figures`), moved along; `sessions` are by session (rows `START` … `SERIAL`), and so are
    `weights` (`TOKENS`, `INVERSE`).
    """

    def __init__(self, figures: int) -> None:
        self._places = Table(2, np.int32)
        self._places.open(0, GUARD)
        self._places[0][:] = -1
        self.figures = Table(figures, np.float32, GUARD)
        self.sessions = Table(6, np.int64)
        self.weights = Table(2, np.float32)
        self._position = Table(1, np.int32)
        self._serial = 0

    @property
    def size(self) -> int:
        """Positions, blanks included."""
        return self._places.size

    @property
    def row_at(self) -> NDArray[np.int32]:
        """The row at each position, or -1."""
        return self._places[0]

    @property
    def session_at(self) -> NDArray[np.int32]:
        """The session number at each position."""
        return self._places[1]

    @property
    def position(self) -> NDArray[np.int32]:
        """The position of each row, or -1."""
        return self._position[0]

    @property
    def nbytes(self) -> int:
        """Bytes held."""
        tables = (self._places, self.figures, self.sessions, self.weights, self._position)
        return sum(table.nbytes for table in tables)

    def extend(self, rows: int) -> None:
        """Make room for `rows` more rows, nowhere yet."""
        first = self._position.size
        self._position.open(first, rows)
        self.position[first:] = -1

    def insert(self, row: int, rows: Rows) -> tuple[int, int]:
        """Place one row; returns its position and session. Sessions it bridges become one."""
        stream, time = int(rows["stream"][row]), int(rows["time"][row])
        low, high = np.searchsorted(self.sessions[STREAM], [stream, stream + 1]).tolist()
        gapped = low < high and rows.pauses(stream)
        session = low + int(np.searchsorted(self.sessions[FIRST][low:high], time, side="right")) - 1
        if low < high and not gapped:
            session = low
        elif session >= low and time - int(self.sessions[LAST][session]) > GAP:
            session += 1
            if session == high or int(self.sessions[FIRST][session]) - time > GAP:
                return self._found(session, row, stream, time)
        elif session < low:
            session = low
            if low == high or int(self.sessions[FIRST][low]) - time > GAP:
                return self._found(low, row, stream, time)
        position = self._join(session, row, rows, time)
        if gapped and session + 1 < high and self._pause(session) <= GAP:
            self._bridge(session)
        return position, session

    def arrange(
        self, rows: Rows, follows: NDArray[np.bool_] | None = None
    ) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Place every row that is alive anew, at once.

        `follows` says by row whether it comes right after the one before it, where some are missing between
        (`None`: all do); where one does not, something like a session ends.

        Returns the positions and the sessions whose neighbourhood is not what it was; figures of the rest
        are carried over.
        """
        order = _in_order(rows)
        stream, time = rows["stream"][order], rows["time"][order]
        first = np.zeros(len(order), bool) if follows is None else ~follows[order]
        first[:1] = True
        first[1:] |= (stream[1:] != stream[:-1]) | (rows.gapped(stream[1:]) & (np.diff(time) > GAP))
        session = np.cumsum(first) - 1
        at = np.arange(len(order)) + GUARD * (session + 1)
        before = (
            self.row_at,
            self.session_at,
            self.figures,
            self.sessions,
            self.weights,
            self.position[order],
        )
        size = len(order) + GUARD * (int(first.sum()) + 1)
        self._places = Table(2, np.int32, size)
        self.row_at[:] = -1
        self.row_at[at] = order
        self.session_at[at] = session
        self.position[:] = -1
        self.position[order] = at
        starts = np.flatnonzero(first)
        ends = np.append(starts[1:], len(order))
        self.sessions = Table(6, np.int64, len(starts))
        for row, value in ((START, at[starts]), (COUNT, ends - starts), (STREAM, stream[starts])):
            self.sessions[row][:] = value
        self.sessions[FIRST][:], self.sessions[LAST][:] = time[starts], time[ends - 1]
        return self._carry(at, starts, *before)

    def _carry(
        self,
        at: NDArray[np.int64],
        starts: NDArray[np.int64],
        row_at: NDArray[np.int32],
        session_at: NDArray[np.int32],
        figures: Table,
        sessions: Table,
        weights: Table,
        previous: NDArray[np.int32],
    ) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Take over the figures of positions with the same neighbours, and sessions made of such."""
        same = previous >= 0
        for step in range(-GUARD, GUARD + 1) if same.any() else ():
            same &= row_at.take(previous + step, mode="clip") == self.row_at[at + step]
        self.figures = Table(figures.rows, np.float32, self.size)
        for row in range(figures.rows):
            self.figures[row][at[same]] = figures[row][previous[same]]
        whole = np.logical_and.reduceat(same, starts) if len(starts) else np.zeros(0, bool)
        old = session_at[previous[starts[whole]]]
        self.weights = Table(2, np.float32, len(starts))
        for row in (TOKENS, INVERSE):
            self.weights[row][whole] = weights[row][old]
        self.sessions[SERIAL][:] = np.arange(self._serial + 1, self._serial + 1 + len(starts))
        self._serial += len(starts)
        self.sessions[SERIAL][whole] = sessions[SERIAL][old]
        return at[~same], np.flatnonzero(~whole)

    def excerpt(self, at: NDArray[np.int64]) -> Layout:
        """A layout of the rows at the given positions, which ascend, numbered as they come.

        Positions that follow each other stay neighbours and make something like a session, with the figures
        and weights that they have here.
        """
        part = Layout(self.figures.rows)
        first = np.diff(at, prepend=-2) > 1
        session = np.cumsum(first) - 1
        starts = np.flatnonzero(first)
        place = np.arange(len(at)) + GUARD * (session + 1)
        part._places = Table(2, np.int32, len(at) + GUARD * (len(starts) + 1))
        part.row_at[:] = -1
        part.row_at[place], part.session_at[place] = np.arange(len(at)), session
        part.figures = Table.over(np.zeros((self.figures.rows, part.size), np.float32), part.size)
        part.figures.data[:, place] = self.figures.data[:, at]
        part.sessions = Table.over(np.zeros((6, len(starts)), np.int64), len(starts))
        part.sessions[START][:] = place[starts]
        part.sessions[COUNT][:] = np.diff(starts, append=len(at))
        weights = self.weights.data[:, self.session_at[at[starts]]]
        part.weights = Table.over(weights, len(starts))
        part._position = Table.over(place.astype(np.int32)[None], len(at))
        return part

    def remove(self, row: int, rows: Rows) -> tuple[int, list[int]]:
        """Take one row out; returns its position and the sessions that are left of its session."""
        position = int(self.position[row])
        session = int(self.session_at[position])
        start, count = int(self.sessions[START][session]), int(self.sessions[COUNT][session])
        self.position[row] = -1
        if count == 1:
            self._move(position, -1 - GUARD)
            self.sessions.close(session, 1)
            self.weights.close(session, 1)
            self.sessions[START][session:] -= 1 + GUARD
            self.session_at[position:] -= 1
            return position, []
        self._move(position, -1)
        self.sessions[COUNT][session] -= 1
        self.sessions[START][session + 1 :] -= 1
        times = rows["time"]
        at = self.row_at
        self.sessions[FIRST][session] = times[at[start]]
        self.sessions[LAST][session] = times[at[start + count - 2]]
        inside = start < position < start + count - 1
        if not inside or not rows.pauses(int(rows["stream"][row])):
            return position, [session]
        if int(times[at[position]]) - int(times[at[position - 1]]) <= GAP:
            return position, [session]
        self._split(session, position, times)
        return position, [session, session + 1]

    def tables(self) -> dict[str, Table]:
        """What it consists of, by name."""
        return {
            "places": self._places,
            "figures": self.figures,
            "sessions": self.sessions,
            "weights": self.weights,
            "position": self._position,
        }

    @classmethod
    def over(cls, tables: Mapping[str, Table]) -> Layout:
        """A layout of tables that another gave."""
        layout = cls(tables["figures"].rows)
        layout._places, layout.figures = tables["places"], tables["figures"]
        layout.sessions, layout.weights = tables["sessions"], tables["weights"]
        layout._position = tables["position"]
        layout._serial = int(layout.sessions[SERIAL].max(initial=0))
        return layout

    def forget(self, row: int) -> None:
        """Make `arrange` take the row for new."""
        if (position := int(self.position[row])) >= 0:
            self.row_at[position] = -2
            self.position[row] = -1

    def renumber(self, kept: NDArray[np.int64], new: NDArray[np.int64]) -> None:
        """Row r becomes `new[r]`; rows that are not in `kept` are gone already."""
        self._position.keep(kept)
        blank = self.row_at < 0
        self.row_at[:] = np.where(blank, -1, new[self.row_at])

    def _found(self, session: int, row: int, stream: int, time: int) -> tuple[int, int]:
        fresh = session == self.sessions.size
        position = self.size if fresh else int(self.sessions[START][session])
        self._move(position, 1 + GUARD)
        self.sessions.open(session, 1)
        self.weights.open(session, 1)
        self.sessions[START][session + 1 :] += 1 + GUARD
        self.session_at[position + 1 :] += 1
        self.session_at[position] = session
        self._describe(session, position, 1, stream, time, time)
        self.row_at[position] = row
        self.position[row] = position
        return position, session

    def _join(self, session: int, row: int, rows: Rows, time: int) -> int:
        start, count = int(self.sessions[START][session]), int(self.sessions[COUNT][session])
        position = start + count
        last = int(self.row_at[position - 1])
        arrival = int(rows["arrival"][row])
        if (time, arrival) < (int(rows["time"][last]), int(rows["arrival"][last])):
            inside = self.row_at[start:position]
            times = rows["time"][inside]
            low, high = np.searchsorted(times, [time, time + 1]).tolist()
            arrivals = rows["arrival"][inside[low:high]]
            position = start + low + int(np.searchsorted(arrivals, arrival))
        self._move(position, 1)
        self.session_at[position] = session
        self.row_at[position] = row
        self.position[row] = position
        self.sessions[COUNT][session] += 1
        self.sessions[START][session + 1 :] += 1
        self.sessions[FIRST][session] = min(time, int(self.sessions[FIRST][session]))
        self.sessions[LAST][session] = max(time, int(self.sessions[LAST][session]))
        return position

    def _pause(self, session: int) -> int:
        return int(self.sessions[FIRST][session + 1]) - int(self.sessions[LAST][session])

    def _bridge(self, session: int) -> None:
        """Join a session and the next."""
        end = int(self.sessions[START][session] + self.sessions[COUNT][session])
        self._move(end, -GUARD)
        self.sessions[COUNT][session] += self.sessions[COUNT][session + 1]
        self.sessions[LAST][session] = self.sessions[LAST][session + 1]
        self.sessions[START][session + 1 :] -= GUARD
        self.sessions.close(session + 1, 1)
        self.weights.close(session + 1, 1)
        self.session_at[end:] -= 1
        self._renew(session)

    def _split(self, session: int, position: int, times: NDArray[Any]) -> None:
        """Cut a session before `position`."""
        start, count = int(self.sessions[START][session]), int(self.sessions[COUNT][session])
        stream, last = int(self.sessions[STREAM][session]), int(self.sessions[LAST][session])
        self._move(position, GUARD)
        self.sessions.open(session + 1, 1)
        self.weights.open(session + 1, 1)
        self.sessions[START][session + 2 :] += GUARD
        self.session_at[position:] += 1
        self.sessions[COUNT][session] = position - start
        self.sessions[LAST][session] = times[self.row_at[position - 1]]
        first = int(times[self.row_at[position + GUARD]])
        self._describe(session + 1, position + GUARD, start + count - position, stream, first, last)
        self._renew(session)

    def _describe(self, session: int, start: int, count: int, stream: int, first: int, last: int) -> None:
        for row, value in ((START, start), (COUNT, count), (STREAM, stream), (FIRST, first), (LAST, last)):
            self.sessions[row][session] = value
        self._renew(session)

    def _renew(self, session: int) -> None:
        """A new serial: what was kept about the session by its serial is void."""
        self._serial += 1
        self.sessions[SERIAL][session] = self._serial

    def _move(self, at: int, width: int) -> None:
        """Open (`width` > 0) or close positions from `at` on; what was there or later moves."""
        if width > 0:
            self._places.open(at, width)
            self.row_at[at : at + width] = -1
            self.figures.open(at, width)
        else:
            self._places.close(at, -width)
            self.figures.close(at, -width)
        if at + max(0, width) < self.size:
            position = self.position
            position += (position >= at) * np.int32(width)


def _in_order(rows: Rows) -> NDArray[np.int64]:
    """The rows that are alive, by (stream, time, arrival)."""
    alive = np.flatnonzero(rows["alive"])
    stream, time, arrival = rows["stream"][alive], rows["time"][alive], rows["arrival"][alive]
    later = arrival[1:] > arrival[:-1]
    for key in (time, stream):
        later = (key[1:] > key[:-1]) | ((key[1:] == key[:-1]) & later)
    return alive if later.all() else alive[np.lexsort((arrival, time, stream))]
