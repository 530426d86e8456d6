"""What floor 1 must provide: a store in at most twelve methods, and the models."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, NamedTuple, Protocol, runtime_checkable

from engram.kernel.effects import Program
from engram.kernel.operations import (
    Batch,
    Close,
    CloseEdge,
    EndJob,
    Expunge,
    Job,
    Lease,
    Mark,
    Op,
    Put,
    PutEdge,
    PutInfo,
    PutJob,
    PutState,
    Rebuild,
    Reindex,
    Require,
    RequireInfo,
    Reserve,
    Stage,
    StateRow,
    Supersede,
    Switch,
    Unstage,
)
from engram.kernel.record import Direction, Edge, Record
from engram.kernel.scope import Scope

__all__ = [
    "AskingReranker",
    "Batch",
    "Close",
    "CloseEdge",
    "Committed",
    "Embedder",
    "EndJob",
    "Entry",
    "Expunge",
    "Job",
    "Lease",
    "Mark",
    "Op",
    "Position",
    "Put",
    "PutEdge",
    "PutInfo",
    "PutJob",
    "PutState",
    "Rebuild",
    "Reindex",
    "Require",
    "RequireInfo",
    "Reranker",
    "Reserve",
    "Select",
    "SelectEdges",
    "Stage",
    "StateRow",
    "Store",
    "Supersede",
    "Switch",
    "Unstage",
    "Waking",
    "WordEmbedder",
]


@runtime_checkable
class Embedder(Protocol):
    """Texts to vectors.

    `name` is its identity, version included; a store remembers it. `local` says that it answers at once
    and without a network.
    """

    @property
    def name(self) -> str:
        """The identity, version included."""
        ...

    @property
    def dimensions(self) -> int:
        """The length of a vector."""
        ...

    @property
    def local(self) -> bool:
        """Whether it answers at once and without a network."""
        ...

    def embed(self, texts: Sequence[str]) -> Any:
        """A float32 array of shape [len(texts), dimensions]; each row a unit vector or all zeros."""
        ...

    def count(self, text: str) -> int:
        """How many tokens the text has."""
        ...


@runtime_checkable
class WordEmbedder(Protocol):
    """What an embedder may have besides: a text's vector is the sum of its words' vectors."""

    def words(self, text: str) -> Sequence[tuple[str, Any]]:
        """The text's words and their vectors, float32 [dimensions], not scaled."""
        ...


@runtime_checkable
class Reranker(Protocol):
    """Scores texts against a query. `depth` is how many of the best hits `search` gives it."""

    @property
    def depth(self) -> int:
        """How many of the best hits it looks at."""
        ...

    def rank(self, query: str, texts: Sequence[str]) -> Sequence[float]:
        """A finite number for each text, in their order, on any scale; higher is better."""
        ...


@runtime_checkable
class AskingReranker(Protocol):
    """A reranker that is a program of effects, such as one that asks the memory's chat model."""

    @property
    def depth(self) -> int:
        """How many of the best hits it looks at."""
        ...

    def ranking(self, query: str, texts: Sequence[str]) -> Program[Sequence[float]]:
        """The program that gives a finite number for each text, in their order; higher is better."""
        ...


class Entry(NamedTuple):
    """One record version as the index needs it. Times are microseconds since 1970; `closed` 0 or 1.

    `words` and `vector` are the bytes that were put with the version; `vector` is `None` while it is
    still to come.
    """

    sequence: int
    arrival: int
    id: str
    version: int
    kind: str
    user_id: str | None
    agent_id: str | None
    run_id: str | None
    role: str | None
    name: str | None
    time: int
    valid_start: int | None
    valid_end: int | None
    known_start: int
    known_end: int | None
    expires: int | None
    strength: float
    trust: float
    made_by: str | None
    closed: int
    words: bytes
    vector: bytes | None


class Position(NamedTuple):
    """Where a store's history stands.

    `last` grows with every change, `erasures` with every `Expunge`, `Switch` and `Rebuild`: with what an
    index cannot follow.
    """

    last: int
    erasures: int


@dataclass(frozen=True, slots=True)
class Committed:
    """What a commit did.

    `change_set` is its number: `opened` of versions that it opened and `closed` of those it closed; it is
    the first sequence that the commit took, and 0 where nothing was changed (duplicates only). `ids` and
    `duplicates` are parallel to the batch's `Put`s: the stored (or already present) id, and whether the
    same content was there under the same origin. `jobs` are the ids of jobs put, in order.
    """

    change_set: int
    ids: tuple[str, ...] = ()
    duplicates: tuple[bool, ...] = ()
    jobs: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Select:
    """Which records to read; the conditions are joined by "and".

    Without `history` the latest version of each record, closed ones only if `closed`; with it every
    version, oldest first within an id. `derived_from` selects what names any of these ids as a source.
    `origins` selects what stands under these callers' ids, each with its exact scope. `change_set`
    selects versions that this change set opened or closed (with `history`), `unstaged` those for which no
    index entry is staged. `scope` is a pattern. Order: by arrival, or by (time, arrival) if `by_time`;
    `after` is the arrival (or the (time, arrival) pair, time in microseconds) to go on behind. With `ids`
    alone the order is theirs. With `history` the `limit` counts versions.
    """

    ids: tuple[str, ...] | None = None
    scope: Scope | None = None
    kinds: tuple[str, ...] = ()
    origins: tuple[tuple[Scope, str], ...] | None = None
    derived_from: tuple[str, ...] | None = None
    change_set: int | None = None
    made_by: str | None = None
    history: bool = False
    closed: bool = False
    expired_by: datetime | None = None
    unstaged: bool = False
    by_time: bool = False
    after: int | tuple[int, int] | None = None
    limit: int | None = None


@dataclass(frozen=True, slots=True)
class SelectEdges:
    """Which edges to read; the conditions are joined by "and".

    `ids` are the edges' own; `touching` selects those with one of these records at an end, `out` where it
    is the source, `in` where it is the target; `makers` those made by any of these (`None`: said);
    `standing_on` those with any of these records among their `sources`. Without `history` and `known_at`
    the open version of each edge; with `known_at` what was believed at that moment, with `history` every
    version. `valid_at` selects what was true at that moment, `lasting` what had not ended by it.
    `change_set` selects versions that this change set opened or closed. `scope` is a pattern.

    Order: by (opened, id, version), behind `after` where it is such a triple; where `after` is a sequence,
    those behind it, by sequence; with `newest` by sequence, the last one first. `limit` counts versions.
    """

    scope: Scope | None = None
    touching: tuple[str, ...] | None = None
    direction: Direction = "both"
    types: tuple[str, ...] = ()
    makers: tuple[str | None, ...] | None = None
    standing_on: tuple[str, ...] | None = None
    ids: tuple[str, ...] | None = None
    change_set: int | None = None
    history: bool = False
    known_at: datetime | None = None
    valid_at: datetime | None = None
    lasting: datetime | None = None
    after: int | tuple[int, str, int] | None = None
    newest: bool = False
    limit: int | None = None


class Store(Protocol):
    """A transactional database of records, versions, edges, jobs, states and index entries.

    Every method is blocking, coarse and thread-safe; errors are `StoreError`s with their cause. The
    contract is `engram.testing.StoreContract`.
    """

    def commit(self, batch: Batch) -> Committed:
        """Apply the operations in one transaction. Raises `Conflict` (nothing applied)."""
        ...

    def select(self, what: Select) -> list[Record]:
        """Records or versions."""
        ...

    def entries(self, scope: Scope, after: int = 0, limit: int = 5000, history: bool = False) -> list[Entry]:
        """Index entries in `scope` (a pattern) with a sequence above `after`, by sequence.

        Latest versions, closed ones included (`closed` = 1, words and vector empty); with `history` every
        version with its words and vector.
        """
        ...

    def sequence(self, tenant: str | None = None) -> Position:
        """Where the history stands now, other processes' commits included. Costs microseconds.

        With `tenant` it is the position to follow that tenant by; without, that of all, which a store over
        several databases can only give as the highest of theirs: it grows with every commit of this handle.
        """
        ...

    def edges(self, what: SelectEdges) -> list[Edge]:
        """Edges.

        Whoever reads those behind the last sequence seen, with `history`, knows every edge: a version
        comes again when it closes, before the one that follows it. Erased ones count as `erasures`.
        """
        ...

    def states(self, scope: Scope, policy: str | None = None, name: str | None = None) -> list[StateRow]:
        """States whose scope equals `scope`, or is covered by it where `policy` is `None`."""
        ...

    def jobs(
        self, scope: Scope | None = None, kind: str | None = None, ids: Sequence[str] | None = None
    ) -> list[Job]:
        """Jobs, oldest first; `scope` is a pattern."""
        ...

    def scopes(self, pattern: Scope | None = None) -> list[tuple[Scope, int]]:
        """Every scope with records, and how many latest versions are open in it."""
        ...

    def info(self) -> Mapping[str, str]:
        """Facts about the store, such as `format`, `tag`, `created`, `bytes`, `analyser`, `embedder`.

        `versions` is the number of all versions; while index entries are staged, `staged` is theirs.
        """
        ...

    def check(self) -> list[str]:
        """What is structurally wrong, one sentence each: the database's own check, dangling rows."""
        ...

    def purge(self) -> bool:
        """Make bytes of expunged content vanish from the files.

        False where a reader or writer of another process, or a full disk, prevents it: the purge stays
        owed, and `info()["purge"]` is `pending` until any process completes it.
        """
        ...

    def close(self) -> None:
        """Release files and connections; further calls raise `StoreError`."""
        ...


@runtime_checkable
class Waking(Protocol):
    """What a store may do besides: tell of new jobs at once."""

    def watch(self, told: threading.Event) -> Callable[[], None]:
        """Have `told` set whenever anybody, in any process, has put or ended jobs, and perhaps oftener.

        Calling what is given back ends that. A notice may be lost while the store is away.
        """
        ...
