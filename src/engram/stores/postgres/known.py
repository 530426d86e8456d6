"""What a commit must know of the rows that its operations name: read at once, kept as it goes on."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from engram.kernel.protocols import (
    Close,
    CloseEdge,
    EndJob,
    Lease,
    Mark,
    Op,
    Put,
    PutEdge,
    PutInfo,
    PutJob,
    PutState,
    Reindex,
    Require,
    RequireInfo,
    Stage,
    Supersede,
    Switch,
)
from engram.kernel.record import Record
from engram.kernel.scope import Scope
from engram.stores.postgres.connection import Question, Session
from engram.stores.postgres.queries import queries
from engram.stores.postgres.rows import READ, Row, origin_key, record_of, state_key

__all__ = ["Known", "KnownJob", "Latest"]

_SQL = queries("write")
_CONTENTS = _SQL["contents"].format(columns=", ".join(f"r.{name}" for name in READ))


@dataclass(slots=True)
class Latest:
    """A record's latest version, as far as a commit must know it."""

    id: str
    scope: Scope
    version: int
    closed: int | None
    known_end: int | None
    arrival: int
    origin: str | None

    @property
    def current(self) -> bool:
        """Whether the version is open."""
        return self.closed is None and self.known_end is None


@dataclass(slots=True)
class KnownJob:
    """A job, as far as a commit must know it."""

    tenant: str
    kind: str
    status: str
    owner: str | None
    until: int | None
    user_id: str | None
    agent_id: str | None


@dataclass(slots=True)
class Known:
    """The counter that the commit holds, and the rows that it names.

    `origins` maps (tenant, digest) to a record's id; `edges` an edge's id to its versions, each with its
    tenant and whether it is open; `states` a state's id to its version.
    """

    last: int = 0
    erasures: int = 0
    heads: dict[str, Latest] = field(default_factory=dict)
    origins: dict[tuple[str, bytes], str] = field(default_factory=dict)
    arrivals: set[int] = field(default_factory=set)
    contents: dict[tuple[str, int], Record] = field(default_factory=dict)
    facts: dict[str, str] = field(default_factory=dict)
    edges: dict[str, dict[int, tuple[str, bool]]] = field(default_factory=dict)
    states: dict[str, int] = field(default_factory=dict)
    jobs: dict[str, KnownJob] = field(default_factory=dict)

    @classmethod
    def of(cls, session: Session, ops: Sequence[Op]) -> Known:
        """Take hold of the counter until the transaction ends, and read what the operations name."""
        known = cls()
        named = dict(_named(ops))
        asked: list[Question] = [
            (_SQL["lock"], ()),
            *((_SQL[name], values) for name, values in named.items()),
        ]
        counter, *found = session.ask(*asked)
        known.last, known.erasures = counter[0]
        for name, rows in zip(named, found, strict=True):
            for row in rows:
                known._learn(name, row)
        known._foresee(session, ops)
        return known

    def forget(self, ids: Sequence[str]) -> None:
        """Those records are gone."""
        gone = frozenset(ids)
        for id in ids:
            head = self.heads.pop(id, None)
            if head is not None:
                self.arrivals.discard(head.arrival)
        self.origins = {place: id for place, id in self.origins.items() if id not in gone}
        self.contents = {key: record for key, record in self.contents.items() if key[0] not in gone}

    def content(self, session: Session, id: str, version: int) -> Record:
        """A version's record."""
        found = self.contents.get((id, version))
        if found is None:
            head = self.heads[id]
            self._read(session, [(head.scope.tenant, id, version)])
            found = self.contents[id, version]
        return found

    def _learn(self, name: str, row: Row) -> None:
        match name:
            case "heads":
                self._head(row)
            case "owners":
                self.origins[row[2], row[0]] = row[1]
                self._head(row[1:])
            case "arrivals_taken":
                self.arrivals.add(row[0])
            case "facts":
                self.facts[row[0]] = row[1]
            case "edges":
                self.edges.setdefault(row[0], {})[row[1]] = row[2], row[3]
            case "states":
                self.states[row[0]] = row[2]
            case _:
                self.jobs[row[0]] = KnownJob(*row[1:])

    def _head(self, row: Row) -> None:
        self.heads[row[0]] = Latest(row[0], Scope(*row[1:5]), *row[5:10])

    def _foresee(self, session: Session, ops: Sequence[Op]) -> None:
        """Read the contents that puts of what is there already are compared with."""
        wanted: set[tuple[str, str, int]] = set()
        for op in ops:
            if not isinstance(op, Put):
                continue
            head, version = self.heads.get(op.record.id), op.record.version if op.keep else 1
            if head is None:
                key = origin_key(op.record.scope, op.record.origin)
                owner = None if key is None else self.origins.get((op.record.scope.tenant, key))
                head, version = None if owner is None else self.heads[owner], 1
            if head is not None and version <= head.version:
                wanted.add((head.scope.tenant, head.id, version))
        if wanted:
            self._read(session, list(wanted))

    def _read(self, session: Session, keys: Sequence[tuple[str, str, int]]) -> None:
        tenants, ids, versions = (list(column) for column in zip(*keys, strict=True))
        bound = {"tenants": tenants, "ids": ids, "versions": versions}
        for row in session.ask((_CONTENTS, bound))[0]:
            record = record_of(row)
            self.contents[record.id, record.version] = record


def _named(ops: Sequence[Op]) -> Iterator[tuple[str, tuple[object, ...]]]:
    """The questions about what the operations name, by the name of their statement."""
    ids, places, arrivals, facts, edges, states, jobs = _collected(ops)
    if ids:
        yield "heads", (list(ids),)
    if places:
        yield "owners", (list({tenant for tenant, _ in places}), list({key for _, key in places}))
    if arrivals:
        yield "arrivals_taken", (list(arrivals),)
    for name, keys in (("facts", facts), ("edges", edges), ("states", states), ("jobs", jobs)):
        if keys:
            yield name, (list(keys),)


def _collected(
    ops: Sequence[Op],
) -> tuple[set[str], set[tuple[str, bytes]], set[int], set[str], set[str], set[str], set[str]]:
    ids, facts, edges, states, jobs = set[str](), set[str](), set[str](), set[str](), set[str]()
    places, arrivals = set[tuple[str, bytes]](), set[int]()
    for op in ops:
        match op:
            case Put(record=record, keep=keep):
                key = origin_key(record.scope, record.origin)
                places |= set() if key is None else {(record.scope.tenant, key)}
                ids |= {record.id} if record.id else set()
                arrivals |= {record.arrival} if keep else set()
            case Supersede(record=record):
                ids.add(record.id)
            case Close(id=id) | Mark(id=id) | Reindex(id=id) | Stage(id=id):
                ids.add(id)
            case Require(ids=pairs):
                ids |= {id for id, _ in pairs}
            case RequireInfo(facts=pairs) | Switch(facts=pairs):
                facts |= {key for key, _ in pairs}
            case PutInfo(key=fact):
                facts.add(fact)
            case PutEdge(edge=edge):
                edges.add(edge.id)
            case CloseEdge(id=id):
                edges.add(id)
            case PutState(row=row):
                states.add(state_key(row.policy, row.scope, row.name))
            case PutJob(job=job):
                jobs |= {job.id} if job.id else set()
            case Lease(id=id) | EndJob(id=id):
                jobs.add(id)
            case _:
                pass
    return ids, places, arrivals, facts, edges, states, jobs
