"""Copying one store into another while both are in use: resumable, and verified at the end."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any

from engram.engine.copied import Numbers, Sum
from engram.engine.progress import Progress
from engram.engine.results import Copied
from engram.kernel.errors import Conflict, StoreError
from engram.kernel.protocols import (
    Batch,
    EndJob,
    Entry,
    Expunge,
    Job,
    Mark,
    Op,
    Put,
    PutEdge,
    PutInfo,
    PutJob,
    PutState,
    Reindex,
    Reserve,
    Select,
    SelectEdges,
    StateRow,
    Store,
)
from engram.kernel.record import Edge, Record
from engram.kernel.scope import Scope

__all__ = ["copy_note", "copy_store"]

_PAGE = 256
_ROUNDS = 6
_IDENTITY = ("analyser", "embedder", "dimensions")
_MARK = "copy:"
Key = tuple[str, int]
Words = tuple[bytes, bytes | None]


def copy_note(source: Store, tenant: str | None = None) -> str:
    """The fact by which a goal remembers how far a copy of the source has come."""
    return f"{_MARK}{source.info()['tag']}:{tenant or ''}"


def copy_store(
    source: Store,
    goal: Store,
    tenant: str | None = None,
    progress: Progress | None = None,
    *,
    fenced: bool = False,
    still: bool = False,
) -> Copied:
    """Copy a tenant, or all, with versions, index entries, edges, states and jobs; ids are kept.

    Both stores may be used meanwhile. Where a call was broken off, or the source has changed since, the next
    one goes on: what it has done is written down in the goal. At the end everything is read again on both
    sides and compared. `fenced` says that nobody else writes the tenant's part of the goal, `still` that
    nobody writes the source's, so that nothing may differ at the end. Raises `Conflict` where the goal holds
    something else of the tenant, or was made with another embedder, and `StoreError` where the two differ at
    the end.
    """
    return _Copy(source, goal, tenant, progress, fenced=fenced, still=still).run()


class _Copy:
    """A copy under way."""

    def __init__(
        self,
        source: Store,
        goal: Store,
        tenant: str | None,
        progress: Progress | None,
        *,
        fenced: bool = False,
        still: bool = False,
    ) -> None:
        self._source, self._goal, self._tenant, self._progress = source, goal, tenant, progress
        self._fenced, self._still = fenced, still
        self._key = copy_note(source, tenant)
        self._numbers = Numbers()
        self._after: dict[str, int] = {}
        self._erasures = -1
        self._done = 0
        self._total = 2 * int(source.info().get("versions", 0))

    def run(self) -> Copied:
        """Copy until nothing has changed in the source, or it changes faster; then compare."""
        self._begin()
        for round_ in range(_ROUNDS):
            before = self._source.sequence()
            self._cover(before.last)
            for tenant in self._tenants():
                self._records(tenant)
            for tenant in self._tenants(gone=before.erasures != self._erasures):
                if before.erasures != self._erasures:
                    self._remove_erased(tenant)
                self._rest(tenant)
            if self._source.sequence().erasures == before.erasures:
                self._erasures = before.erasures
            self._note()
            if self._source.sequence() == before or round_ == _ROUNDS - 1:
                break
        return self._compared()

    def _tenants(self, *, gone: bool = False) -> list[str]:
        """The tenants to copy; with `gone` also those that the goal alone has of an earlier round."""
        if self._tenant is not None:
            return [self._tenant]
        found = {scope.tenant for scope, _ in self._source.scopes()}
        return sorted(found | set(self._after) if gone else found)

    def _begin(self) -> None:
        """Go on where an earlier copy stopped, or see that there is room for a new one."""
        facts, wanted = self._goal.info(), self._source.info()
        for key in _IDENTITY:
            if key in facts and key in wanted and facts[key] != wanted[key]:
                raise Conflict(
                    f"the goal's {key} is {facts[key]!r}, the source's {wanted[key]!r}; copy to another store"
                )
        noted = facts.get(self._key)
        if noted is not None:
            held: dict[str, Any] = json.loads(noted)
            if not self._fenced and held["finished"] not in (0, self._goal.sequence().last):
                raise Conflict(
                    "the goal has been written to since it was copied: going on would undo that; "
                    "copy to another store, or join the two with engram export and engram import"
                )
            self._after, self._erasures = dict(held["after"]), int(held["erasures"])
            self._numbers = Numbers(held["upto"], [(start, shift) for start, shift in held["shifts"]])
            return
        taken = {scope.tenant for scope, _ in self._goal.scopes()} & set(self._tenants())
        if taken:
            raise Conflict(
                f"the goal holds records of the tenant {min(taken)!r} already; copy to a store without them, "
                "or join the two with engram export and engram import"
            )
        missing = [PutInfo(key, wanted[key]) for key in _IDENTITY if key in wanted and key not in facts]
        self._cover(self._source.sequence().last, *missing)

    def _cover(self, last: int, *more: Op) -> None:
        """Have numbers of the goal for the source's up to `last`."""
        numbers = self._numbers
        if last > numbers.upto:
            taken = self._goal.commit(Batch((Reserve(last - numbers.upto),))).change_set
            numbers.shifts.append((numbers.upto + 1, taken - 1 - numbers.upto))
            numbers.upto = last
        self._goal.commit(Batch((*more, self._noted())))

    def _noted(self, finished: int = 0) -> PutInfo:
        held = {
            "finished": finished,
            "after": self._after,
            "erasures": self._erasures,
            "upto": self._numbers.upto,
            "shifts": self._numbers.shifts,
        }
        return PutInfo(self._key, json.dumps(held, separators=(",", ":")))

    def _note(self, *, finished: bool = False) -> None:
        """Write down how far it is; finished, also what number the goal's last change then has."""
        last = self._goal.sequence().last + 1 if finished else 0
        self._goal.commit(Batch((self._noted(last),)))

    def _records(self, tenant: str) -> None:
        """Every version whose entry has changed since the last round, a page a commit."""
        pattern = Scope(tenant)
        while True:
            after = self._after.get(tenant, 0)
            page = self._source.entries(pattern, after, _PAGE, history=True)
            here = [entry for entry in page if entry.sequence <= self._numbers.upto]
            if here:
                self._after[tenant] = here[-1].sequence
                ops = self._ops(here)
                self._goal.commit(Batch((*ops, self._noted())))
                self._tell(len(here))
            if len(here) < _PAGE:
                return

    def _ops(self, page: Sequence[Entry]) -> list[Op]:
        words: dict[Key, Words] = {(entry.id, entry.version): (entry.words, entry.vector) for entry in page}
        ids = tuple(dict.fromkeys(entry.id for entry in page))
        wanted = self._chains(ids)
        held = _chains(self._goal.select(Select(ids=ids, history=True)))
        moved = [id for id in ids if id in held and wanted.get(id) and _facts(held[id]) != _facts(wanted[id])]
        words = {**self._all_words([wanted[id][-1] for id in moved]), **words}
        ops: list[Op] = [Expunge(tuple(moved))] if moved else []
        for id in ids:
            chain = wanted.get(id, ())
            if id not in held or id in moved:
                ops += [
                    Put(version, *words.get((id, version.version), (b"", b"")), keep=True)
                    for version in chain
                ]
            else:
                ops += _changed(chain, held[id], words)
        return ops

    def _chains(self, ids: tuple[str, ...]) -> dict[str, list[Record]]:
        """All versions of records as they stood at the round's beginning, with the goal's numbers."""
        numbers = self._numbers
        found = self._source.select(Select(ids=ids, history=True))
        return _chains([numbers.record(version) for version in found if version.opened <= numbers.upto])

    def _all_words(self, records: Sequence[Record]) -> dict[Key, Words]:
        """The entries of all versions of some records, looked for in their scopes."""
        ids = {record.id for record in records}
        found: dict[Key, Words] = {}
        for scope in {record.scope for record in records}:
            for entry in _entries(self._source, scope):
                if entry.id in ids:
                    found[entry.id, entry.version] = entry.words, entry.vector
        return found

    def _remove_erased(self, tenant: str) -> None:
        """Erase what the source has erased."""
        for page in _pages(self._goal, tenant):
            ids = tuple(record.id for record in page)
            there = {record.id for record in self._source.select(Select(ids=ids, closed=True))}
            gone = tuple(id for id in ids if id not in there)
            if gone:
                self._goal.commit(Batch((Expunge(gone),)))

    def _rest(self, tenant: str) -> None:
        """Edges, states and jobs: those that differ."""
        pattern = Scope(tenant)
        for page in _edge_pages(self._source, pattern):
            edges = [self._numbers.edge(edge) for edge in page if edge.opened <= self._numbers.upto]
            held = self._held_edges(edges)
            new = [PutEdge(edge) for edge in edges if held.get((edge.id, edge.version)) != edge]
            self._commit(new)
        states = {_state_key(row): row for row in self._goal.states(pattern)}
        for row in self._source.states(pattern):
            present = states.get(_state_key(row))
            if present is None or _state(present) != _state(row):
                self._commit([PutState(replace(row, version=1 + (present.version if present else 0)))])
        wanted = {job.id: _free(job) for job in self._source.jobs(pattern)}
        jobs = {job.id: job for job in self._goal.jobs(pattern)}
        ops: list[Op] = [EndJob(id) for id in jobs.keys() - wanted.keys() if jobs[id].owner is None]
        ops += [PutJob(job) for id, job in wanted.items() if _differs(job, jobs.get(id))]
        self._commit(ops)

    def _held_edges(self, edges: Sequence[Edge]) -> dict[Key, Edge]:
        ids = tuple(dict.fromkeys(edge.id for edge in edges))
        found = self._goal.edges(SelectEdges(ids=ids, history=True)) if ids else []
        return {(edge.id, edge.version): replace(edge, sequence=0) for edge in found}

    def _commit(self, ops: Sequence[Op]) -> None:
        if ops:
            self._goal.commit(Batch(tuple(ops)))

    def _compared(self) -> Copied:
        """What was copied, read again on both sides. Raises `StoreError` where they differ."""
        counts, checksum, differing = (
            {"records": 0, "versions": 0, "edges": 0, "states": 0},
            Sum(),
            set[str](),
        )
        for tenant in self._tenants():
            for page in _pages(self._source, tenant):
                ids = tuple(record.id for record in page)
                wanted = self._chains(ids)
                held = _chains(self._goal.select(Select(ids=ids, history=True)))
                differing |= {id for id in wanted if held.get(id) != wanted[id]}
                counts["records"] += len(wanted)
                counts["versions"] += sum(map(len, wanted.values()))
                self._tell(sum(map(len, wanted.values())))
                for chain in wanted.values():
                    checksum.add(*(version.to_dict() for version in chain))
            differing |= self._compared_rest(tenant, counts, checksum)
        behind = self._behind()
        if differing - behind:
            some = ", ".join(sorted(differing - behind)[:5])
            raise StoreError(
                f"the copy differs from its source in {some}: one of the two was changed past engram; "
                "engram verify tells which, then copy to an empty store"
            )
        if self._progress is not None:
            self._progress(self._total, self._total)
        jobs = sum(len(self._goal.jobs(Scope(tenant))) for tenant in self._tenants())
        if "purge" in self._goal.info():
            self._goal.purge()
        self._note(finished=True)
        return Copied(**counts, jobs=jobs, checksum=checksum.hex, behind=len(behind))

    def _compared_rest(self, tenant: str, counts: dict[str, int], checksum: Sum) -> set[str]:
        """Index entries, edges and states of a tenant; the ids of those that differ."""
        pattern, differing = Scope(tenant), set[str]()
        here, there = Sum(), Sum()
        for total, store in ((here, self._source), (there, self._goal)):
            for entry in _entries(store, pattern):
                total.add(entry.id, entry.version, entry.words.hex(), (entry.vector or b"").hex())
        if here.hex != there.hex:
            differing.add(f"index entries of tenant {tenant}")
        for page in _edge_pages(self._source, pattern):
            edges = [self._numbers.edge(edge) for edge in page if edge.opened <= self._numbers.upto]
            held = self._held_edges(edges)
            differing |= {edge.id for edge in edges if held.get((edge.id, edge.version)) != edge}
            counts["edges"] += len(edges)
            checksum.add(*(edge.to_dict() for edge in edges))
        states = {_state_key(row): _state(row) for row in self._goal.states(pattern)}
        for row in self._source.states(pattern):
            counts["states"] += 1
            checksum.add(_state(row))
            if states.get(_state_key(row)) != _state(row):
                differing.add(f"state {row.name} of {row.policy}")
        checksum.add(here.hex)
        return differing

    def _behind(self) -> set[str]:
        """What has changed in the source since the last round, by id."""
        if self._still or self._source.sequence().last == self._numbers.upto:
            return set()
        changed: set[str] = set()
        for tenant in self._tenants():
            pattern = Scope(tenant)
            changed |= {entry.id for entry in _entries(self._source, pattern, self._numbers.upto)}
            changed.add(f"index entries of tenant {tenant}")
            after = SelectEdges(pattern, history=True, after=self._numbers.upto)
            changed |= {edge.id for edge in self._source.edges(after)}
            changed |= {f"state {row.name} of {row.policy}" for row in self._source.states(pattern)}
        return changed

    def _tell(self, more: int) -> None:
        self._done += more
        if self._progress is not None:
            self._progress(min(self._done, self._total), self._total)


def _changed(chain: Sequence[Record], held: Sequence[Record], words: dict[Key, Words]) -> Iterator[Op]:
    """What makes the same versions equal: entries, and the counters of the latest."""
    for version in chain:
        if (version.id, version.version) in words:
            yield Reindex(version.id, version.version, *words[version.id, version.version])
    if chain and (chain[-1].strength, chain[-1].trust) != (held[-1].strength, held[-1].trust):
        yield Mark(chain[-1].id, strength=chain[-1].strength, trust=chain[-1].trust)


def _chains(versions: Sequence[Record]) -> dict[str, list[Record]]:
    found: dict[str, list[Record]] = {}
    for version in versions:
        found.setdefault(version.id, []).append(version)
    return found


def _facts(chain: Sequence[Record]) -> list[Record]:
    """The versions without what moves without a version."""
    return [replace(version, strength=1.0, trust=1.0) for version in chain]


def _pages(store: Store, tenant: str) -> Iterator[list[Record]]:
    after = 0
    while page := store.select(Select(scope=Scope(tenant), closed=True, after=after, limit=_PAGE)):
        yield page
        after = page[-1].arrival


def _entries(store: Store, scope: Scope, after: int = 0) -> Iterator[Entry]:
    while page := store.entries(scope, after, 2000, history=True):
        yield from page
        after = page[-1].sequence


def _edge_pages(store: Store, scope: Scope) -> Iterator[list[Edge]]:
    place = 0, "", 0
    while page := store.edges(SelectEdges(scope, history=True, after=place, limit=_PAGE)):
        yield page
        place = page[-1].opened, page[-1].id, page[-1].version


def _state_key(row: StateRow) -> tuple[str, Scope, str]:
    return row.policy, row.scope, row.name


def _state(row: StateRow) -> list[Any]:
    """A state as it can be compared between stores."""
    return [row.policy, row.scope.to_dict(), row.name, row.value, list(row.reads)]


def _differs(job: Job, held: Job | None) -> bool:
    """Whether a job has to be put: it is not there, or is another and nobody runs it."""
    return held is None or (held.owner is None and held != job)


def _free(job: Job) -> Job:
    return replace(job, owner=None, until=None)
