"""What a store is asked to do: small frozen operations, joined in a batch that is committed as a whole."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from engram.kernel.record import Edge, Record
from engram.kernel.scope import Scope

__all__ = [
    "INTERACTIVE",
    "REPAIRING",
    "Batch",
    "Close",
    "CloseEdge",
    "EndJob",
    "Expunge",
    "Job",
    "Lease",
    "Mark",
    "Op",
    "Put",
    "PutEdge",
    "PutInfo",
    "PutJob",
    "PutState",
    "Rebuild",
    "Reindex",
    "Require",
    "RequireInfo",
    "Reserve",
    "Stage",
    "StateRow",
    "Supersede",
    "Switch",
    "Unstage",
]

INTERACTIVE = 10
"""The priority of an `add`'s jobs; an import's have 0."""
REPAIRING = 5
"""The priority of the jobs that an edit or an erasure leaves."""


@dataclass(frozen=True, slots=True)
class Put:
    """Insert a new record (version 1) with its index entry.

    An empty `record.id` asks the store for one (`new_id` of `record.known.start`, the new sequence and
    the store's tag). `arrival`, `opened` and `closed` of the record are the store's to set, but `keep`
    (imports) keeps what the record says, closed versions included, and the arrival where it is free.

    The same content under the same `origin` in the scope, or under the same id, is a duplicate and
    changes nothing; other content fails with `Conflict`. With `keep`, version n + 1 may follow the n
    versions that are there (oldest first), and a version that is there already is compared with itself.
    """

    record: Record
    words: bytes = b""
    vector: bytes | None = b""
    keep: bool = False


@dataclass(frozen=True, slots=True)
class Supersede:
    """Make `record` the latest version of its id; the version before it keeps its content and closes.

    `expected` is the version that must be the latest now (open or closed). The old version's known time
    ends, if it was open, where the new one's starts. `record.version` is set by the store. Fails with
    `Conflict` where the record is gone or moved on, or where `record` has another scope or origin.
    """

    record: Record
    expected: int
    words: bytes = b""
    vector: bytes | None = b""


@dataclass(frozen=True, slots=True)
class Close:
    """End the known time of the latest version, with no successor: the record is believed no more.

    Fails with `Conflict` where it is gone, closed already, or at another version.
    """

    id: str
    expected: int
    at: datetime


@dataclass(frozen=True, slots=True)
class Mark:
    """Set what has no versions: counters, and a vector that came later. `None` keeps a field.

    With `version` it applies only while that version is the latest; else, and on what is gone, it does
    nothing.
    """

    id: str
    version: int | None = None
    strength: float | None = None
    trust: float | None = None
    words: bytes | None = None
    vector: bytes | None = None


@dataclass(frozen=True, slots=True)
class Expunge:
    """Destroy records: versions, entries, lineage, edges that touch them, jobs and states that read them.

    A version of an edge goes with its source, its target or any of its `sources`; a job by its `reads`.
    Surviving records keep the ids of what was destroyed in their `sources`: supersede or expunge them in
    the same batch. What is gone already is passed over.
    """

    ids: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Require:
    """Fail with `Conflict` unless every id exists; with a version, unless it is the latest and open."""

    ids: tuple[tuple[str, int | None], ...]


@dataclass(frozen=True, slots=True)
class PutEdge:
    """Insert a version of an edge, or replace the one with its id and version.

    `sequence` is the store's to set, as are `opened` and `closed` where the edge does not say.
    """

    edge: Edge


@dataclass(frozen=True, slots=True)
class CloseEdge:
    """End the known time of an edge's open version; a `PutEdge` may put the next one behind it.

    Fails with `Conflict` where none is open, or another than `expected`.
    """

    id: str
    at: datetime
    expected: int | None = None


@dataclass(frozen=True, slots=True)
class StateRow:
    """A policy's state in a scope. `reads` are the record ids that its program had read."""

    policy: str
    scope: Scope
    name: str
    value: Any
    version: int
    reads: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class PutState:
    """Set a state; fails with `Conflict` unless its version is `row.version - 1` (0: absent)."""

    row: StateRow


@dataclass(frozen=True, slots=True)
class Job:
    """Work that is owed. `kind` is `write`, `embed`, `rebuild` or `purge`; `scope` is its lane.

    `status` is `pending` or `parked`; a job is running while `owner` is set and `until` is not past.
    `journal` maps a place in the program to the model's reply. `reads` are record ids that it has read.
    Of two jobs the one with the higher `priority` goes first: `INTERACTIVE`, where somebody waits for what
    was added, 0 for imports, and between them what an edit or an erasure leaves to be made anew.
    """

    id: str
    kind: str
    scope: Scope
    created: datetime
    policy: str | None = None
    records: tuple[str, ...] = ()
    status: str = "pending"
    attempts: int = 0
    owner: str | None = None
    until: datetime | None = None
    not_before: datetime | None = None
    error: str | None = None
    journal: Mapping[str, Any] = field(default_factory=dict)
    reads: tuple[str, ...] = ()
    priority: int = 0


@dataclass(frozen=True, slots=True)
class PutJob:
    """Insert a job or replace the one with its id.

    An empty `job.id` asks the store for one, as with `Put`. An empty `job.records` with `fresh` set
    means: the records that this batch put, duplicates left out; with none left the job is not stored.
    A range means those of its puts at these places among the puts, counted from 0.
    `if_exists` makes it do nothing when the job is gone meanwhile.
    """

    job: Job
    fresh: bool | range = False
    if_exists: bool = False


@dataclass(frozen=True, slots=True)
class Lease:
    """Take a pending job until `until`.

    Fails with `Conflict` when the job is gone or parked, when it is leased to another owner past `now`,
    or, for a `write` or `rebuild` job, when another such job of its lane is. Attempts are not counted.
    """

    id: str
    owner: str
    now: datetime
    until: datetime


@dataclass(frozen=True, slots=True)
class EndJob:
    """Remove a finished job. With `owner`, fails with `Conflict` unless the lease is still the owner's."""

    id: str
    owner: str | None = None


@dataclass(frozen=True, slots=True)
class PutInfo:
    """Set a fact about the store itself, such as its embedder; `None` removes it.

    Raises `InvalidInput` for what `Store.info` gives of its own: `format`, `tag`, `created`, `bytes`,
    `purge`, `staged`, `versions`.
    """

    key: str
    value: str | None


@dataclass(frozen=True, slots=True)
class Reserve:
    """Take `count` numbers, from the commit's `change_set` on, that are never given to another commit.

    For versions and edges that are put with the numbers of another store's change sets.
    """

    count: int


@dataclass(frozen=True, slots=True)
class RequireInfo:
    """Fail with `Conflict` unless every fact about the store has the value given; `None`: is not there."""

    facts: tuple[tuple[str, str | None], ...]


@dataclass(frozen=True, slots=True)
class Reindex:
    """Replace the index entry of a version, be it the latest or an older one; what is gone is passed over."""

    id: str
    version: int
    words: bytes
    vector: bytes | None


@dataclass(frozen=True, slots=True)
class Stage:
    """Keep the next index entry of a version beside the one in use, until `Switch` or `Unstage`.

    Staging a version again replaces what was staged. It goes when its record is expunged; a version that
    is not there is passed over.
    """

    id: str
    version: int
    words: bytes
    vector: bytes


@dataclass(frozen=True, slots=True)
class Unstage:
    """Forget all staged entries."""


@dataclass(frozen=True, slots=True)
class Switch:
    """Make the staged entries those in use, and set facts about the store as `PutInfo` does.

    Fails with `Conflict` while any version, closed and older ones included, has none staged. It counts
    as an erasure: whoever holds something made of the entries drops it.
    """

    facts: tuple[tuple[str, str | None], ...] = ()


@dataclass(frozen=True, slots=True)
class Rebuild:
    """Make anew what the store itself derives from its records, so that `check` finds none of it wrong.

    A version that is followed by another ends where that begins, at the latest. What cannot be derived
    (a record, version or source that is not there) stays as it is. It counts as an erasure.
    """


Op = (
    Put
    | Supersede
    | Close
    | Mark
    | Expunge
    | Require
    | PutEdge
    | CloseEdge
    | PutState
    | PutJob
    | Lease
    | EndJob
    | PutInfo
    | Reserve
    | RequireInfo
    | Reindex
    | Stage
    | Unstage
    | Switch
    | Rebuild
)
"""Anything that a store can be told to do."""


@dataclass(frozen=True, slots=True)
class Batch:
    """Operations that are committed together, in order, or not at all.

    `above` is a position (last, erasures) seen elsewhere: what the commit counts, it counts on from there
    where that is further than the store itself, so that numbers of several stores follow one another.
    """

    ops: tuple[Op, ...]
    above: tuple[int, int] = (0, 0)
