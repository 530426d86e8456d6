"""To which tenants ids belong, asked of every database where this process does not know."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import chain

from engram.kernel.protocols import Committed, Op, Put, Select, SelectEdges, Supersede
from engram.stores.router.members import Members, Owners
from engram.stores.router.naming import Named, edge_key, job_key

__all__ = ["Finder"]


class Finder:
    """Finds the tenants of records, edges and jobs."""

    def __init__(self, members: Members, owners: Owners) -> None:
        self._members = members
        self._owners = owners

    def tenants(self, what: Named, *, fresh: bool = False) -> dict[str, str]:
        """The tenant of each that is there; with `fresh` whatever this process may know."""
        if fresh:
            self._owners.forget(what.keys)
        found = self._owners.of(what.keys)
        records = tuple(id for id in what.records if id not in found)
        edges = tuple(id for id in what.edges if edge_key(id) not in found)
        jobs = tuple(id for id in what.jobs if job_key(id) not in found)
        if records or edges or jobs:
            asked = dict(chain.from_iterable(self._asked(records, edges, jobs)))
            self._owners.learn(asked.items())
            found |= asked
        return found

    def learn(self, ops: Iterable[Op], done: Committed) -> None:
        """What a commit has put."""
        put = [op.record.scope.tenant for op in ops if isinstance(op, Put)]
        self._owners.learn(zip(done.ids, put, strict=True))
        changed = (op.record for op in ops if isinstance(op, Supersede))
        self._owners.learn((record.id, record.scope.tenant) for record in changed)

    def _asked(
        self, records: tuple[str, ...], edges: tuple[str, ...], jobs: tuple[str, ...]
    ) -> Iterable[list[tuple[str, str]]]:
        for _, store in self._members.stores():
            if records:
                chosen = store.select(Select(ids=records, closed=True))
                yield [(record.id, record.scope.tenant) for record in chosen]
            if edges:
                named = store.edges(SelectEdges(ids=edges, history=True))
                yield [(edge_key(edge.id), edge.scope.tenant) for edge in named]
            if jobs:
                yield [(job_key(job.id), job.scope.tenant) for job in store.jobs(ids=jobs)]
