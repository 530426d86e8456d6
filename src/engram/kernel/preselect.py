"""What a store may do besides for large scopes: give the few entries that an answer can be among."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple, Protocol, runtime_checkable

from engram.kernel.protocols import Entry
from engram.kernel.scope import Scope

__all__ = ["Among", "Beside", "Census", "Indexing", "Matching", "Preselecting", "Told"]


@dataclass(frozen=True, slots=True)
class Among:
    """Which entries are candidates; all conditions are joined by "and".

    Latest versions that are not closed and have words; whose valid time has not ended and that have not
    expired by `now` (microseconds: an end above it, or none); said, or made by `made_by`; of one of `kinds`
    (empty: of any). Derived ones (`made_by` is not null) whose kind is in `aside` are left out, or with
    `standing` they alone are meant.
    """

    now: int
    made_by: str | None = None
    kinds: tuple[str, ...] = ()
    aside: tuple[str, ...] = ()
    standing: bool = False


class Census(NamedTuple):
    """Figures of a scope's candidates, whatever their kind and maker; estimates will do.

    `turns` are the entries, `sessions` the streams (a run, or somebody's turns without one; of what is no
    episode each by itself), `tokens` the mean number of terms of an entry's text, `assistant` the share that
    the role `assistant` says, `names` the different names of speakers, at most a few thousand.
    """

    turns: int
    sessions: int
    tokens: float
    assistant: float
    names: tuple[str, ...] = ()


class Matching(NamedTuple):
    """Entries that hold any of `terms`: the best of them, some of all drawn evenly, and how many all are."""

    best: list[str]
    drawn: list[str]
    held: int
    terms: list[int]


class Told(NamedTuple):
    """When a record was told, in microseconds, its arrival and its id."""

    time: int
    arrival: int
    id: str


@runtime_checkable
class Preselecting(Protocol):
    """A store with indexes of its own over its entries' words and vectors.

    Engram asks it where a scope is large, and computes the signals of what it gives, and of a few neighbours,
    by itself. So what it gives has to hold the best, not to be in order, and its own scores do not matter.
    `scope` is a pattern, as for `Store.entries`; what a call sees is at least as new as what the store's
    `sequence` said before it.
    """

    def census(self, scope: Scope, among: Among) -> Census | None:
        """Figures of a scope; `None` where the store cannot, or should not, be asked about it this way.

        Asked anew after every change: it has to be cheap, such as an estimate that is kept for a while.
        """
        ...

    def often(self, scope: Scope, terms: Sequence[int], among: Among) -> Sequence[int]:
        """In how many entries each term (its hash, as in an entry's words) stands; estimates will do."""
        ...

    def nearest(
        self, scope: Scope, vectors: Sequence[Any], k: int, among: Among
    ) -> list[list[tuple[str, float]]]:
        """For each unit vector, float32 [dimensions], about `k` entries near to it: (id, cosine), best first.

        Approximate: most of the nearest `k`. Fewer where there are fewer, and only such as are `among`.
        """
        ...

    def matching(self, scope: Scope, terms: Sequence[int], k: int, among: Among, drawn: int = 0) -> Matching:
        """About `k` entries that hold terms (different hashes, rarest first), by how much these tell.

        Besides `drawn` of all that hold any of them, and how many those are. The last terms, the most common
        ones, may be left aside where the others stand in many entries already: then nothing counts them.
        """
        ...

    def sample(self, scope: Scope, k: int, among: Among) -> list[str]:
        """About `k` entries drawn evenly, the same ones as long as nothing changes."""
        ...

    def around(self, scope: Scope, ids: Sequence[str], reach: Sequence[int]) -> list[list[Entry]]:
        """Each entry among those next to it in its stream, by (time, arrival), up to `reach` on either side.

        Only entries that are in `scope`, latest, not closed and have words, whether they are candidates or
        not. An entry that is no episode stands alone. An id that is gone gives an empty list.
        """
        ...

    def told(
        self,
        scope: Scope,
        span: tuple[int | None, int | None],
        among: Among,
        last: int | None = None,
        strength: float = 0.0,
        run: tuple[str | None, str | None, str | None] | None = None,
    ) -> list[Told]:
        """When candidates were told, by (time, arrival): those in `span` (half-open, microseconds).

        Those of that `strength` at least, with `last` the last ones, with `run` those of exactly this
        user, agent and run.
        """
        ...


@runtime_checkable
class Indexing(Protocol):
    """A store that preselects from indexes which somebody has to make."""

    def index(self, tenant: str, above: int) -> bool:
        """Make the indexes that a tenant with more than `above` records lacks; it may take long.

        False where it lacks none, where somebody else is at it, or where this login or this server cannot.
        """
        ...


@runtime_checkable
class Beside(Protocol):
    """A store with a folder of its own for what can be made again, such as indexes of large scopes.

    The folder need not be there. `Store.purge` removes it with all that is in it, or reports that it cannot.
    """

    @property
    def beside(self) -> Path:
        """The folder."""
        ...
