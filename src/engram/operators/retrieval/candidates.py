"""Who may be found: the positions that a query's answers are taken from, and the columns over them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from engram.operators.retrieval.layout import COUNT, GUARD, START, Layout
from engram.operators.retrieval.rows import EPISODE, Rows

__all__ = ["Candidates", "ScopeColumns", "choose"]

TURN, WINDOW, SESSION = 0, 1, 2
ALWAYS = (np.iinfo(np.int64).min, np.iinfo(np.int64).max)


@dataclass(frozen=True)
class Candidates:
    """Positions, ascending, with their rows, sessions and codes of their speakers' names.

    They are right while `since` <= now < `until` (microseconds). `assistant` is the share of turns that an
    assistant says. `fixed` keeps the columns that no query changes. At level 2 `first` holds, for each
    session, where its turns begin in `at`.
    """

    at: NDArray[np.int64]
    row: NDArray[np.int64]
    session: NDArray[np.int64]
    name: NDArray[np.int64]
    assistant: float
    level: int
    since: int
    until: int
    first: NDArray[np.int64] | None = None
    fixed: dict[str, NDArray[np.float32]] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.at if self.first is None else self.first)


@dataclass(frozen=True)
class ScopeColumns:
    """Columns of signals over the candidates of one query (`engram.kernel.effects.Columns`).

    `matrix` has shape [len(names), n], float32, one row a signal; `signals` are its rows by name. It stays
    right when the index changes later: ids are looked up in what the index was. Of a large scope they hold
    only some candidates: then `weights`, shape [n], says how many of the scope's each of them stands for.
    """

    names: tuple[str, ...]
    matrix: NDArray[np.float32]
    context: Mapping[str, float]
    _bounds: tuple[NDArray[np.int64], NDArray[np.int64]]
    _ids: Sequence[str]
    _level: int
    weights: NDArray[np.float32] | None = None

    @property
    def signals(self) -> Mapping[str, NDArray[np.float32]]:
        """Signal name to array, shape [n]."""
        return dict(zip(self.names, self.matrix, strict=True))

    def __len__(self) -> int:
        return len(self._bounds[0])

    def rows(self, positions: Sequence[int]) -> list[str]:
        """Ids: of records at level 0; `w~first~last` of windows and `s~first~last` of sessions."""
        chosen = np.asarray(positions, np.int64)
        firsts = [self._ids[int(row)] for row in self._bounds[0][chosen]]
        if self._level == TURN:
            return firsts
        lasts = [self._ids[int(row)] for row in self._bounds[1][chosen]]
        mark = "w" if self._level == WINDOW else "s"
        return [f"{mark}~{first}~{last}" for first, last in zip(firsts, lasts, strict=True)]

    def joined(self, other: ScopeColumns) -> ScopeColumns:
        """The same columns with the candidates of another index behind, in this one's context."""
        shift = len(self._ids)
        (first, last), (more_first, more_last) = self._bounds, other._bounds
        return ScopeColumns(
            self.names,
            np.concatenate((self.matrix, other.matrix), axis=1),
            self.context,
            (np.concatenate((first, more_first + shift)), np.concatenate((last, more_last + shift))),
            [*self._ids, *other._ids],
            self._level,
            None
            if self.weights is None and other.weights is None
            else np.concatenate((self.each, other.each)),
        )

    @property
    def each(self) -> NDArray[np.float32]:
        """How many candidates of the scope each stands for, shape [n]: 1 where they are all there."""
        return np.ones(len(self), np.float32) if self.weights is None else self.weights


def choose(
    layout: Layout,
    rows: Rows,
    *,
    level: int,
    now: int,
    made_by: str | None,
    kinds: frozenset[str],
    chosen: NDArray[np.bool_] | None = None,
) -> Candidates:
    """The candidates of a level at a time.

    Left out are rows whose valid time has ended or that have expired, rows that another policy made, and,
    if `kinds` names any, rows of other kinds. Level 1 and 2 have episodes only: each different window of
    three turns to both sides, each session. `chosen` says by row which are looked at (`None`: all).
    """
    at = np.flatnonzero(layout.row_at >= 0)
    at = at if chosen is None else at[chosen[layout.row_at[at]]]
    row = layout.row_at[at].astype(np.int64)
    since, until = ALWAYS
    if rows.hideable or kinds or level:
        ends = np.minimum(rows["valid_end"][row], rows["expires"][row])
        since = int(ends[ends <= now].max(initial=since))
        until = int(ends[ends > now].min(initial=until))
        maker = rows["made_by"][row]
        keep = (ends > now) & ((maker == 0) | (maker == (0 if made_by is None else rows.makers.get(made_by))))
        if kinds:
            keep &= np.isin(rows["kind"][row], [rows.kinds.get(kind) for kind in kinds])
        if level:
            keep &= rows["kind"][row] == EPISODE
        at, row = at[keep], row[keep]
    if level == WINDOW:
        first, last = window_bounds(layout, at)
        fresh = (np.diff(first, prepend=-1) != 0) | (np.diff(last, prepend=-1) != 0)
        at, row = at[fresh], row[fresh]
    session = layout.session_at[at].astype(np.int64)
    starts = np.flatnonzero(np.diff(session, prepend=-1)) if level == SESSION else None
    name = rows["name"][row].astype(np.int64)
    share = float((rows["role"][row] == rows.roles.get("assistant")).mean()) if len(row) else 0.0
    return Candidates(at, row, session, name, share, level, since, until, starts)


def window_bounds(layout: Layout, at: NDArray[np.int64]) -> tuple[NDArray[Any], NDArray[Any]]:
    """First and last position of the window around each position."""
    session = layout.session_at[at]
    start = layout.sessions[START][session]
    end = start + layout.sessions[COUNT][session] - 1
    return np.maximum(at - GUARD, start), np.minimum(at + GUARD, end)


def bounds(layout: Layout, candidates: Candidates) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """The first and last row of each candidate."""
    if candidates.level == TURN:
        return candidates.row, candidates.row
    if candidates.first is None:
        first, last = window_bounds(layout, candidates.at)
    else:
        session = layout.session_at[candidates.at[candidates.first]]
        first = layout.sessions[START][session]
        last = first + layout.sessions[COUNT][session] - 1
    return layout.row_at[first].astype(np.int64), layout.row_at[last].astype(np.int64)
