"""What a key may read: the calls of the face, each through the guard."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from engram.aio import AsyncMemory
from engram.aview import AsyncView
from engram.engine import queue
from engram.engine.results import Page
from engram.kernel.errors import NotFound
from engram.kernel.operations import Job
from engram.kernel.record import Hit, Record
from engram.kernel.scope import Scope
from engram.operators.answering import Answer
from engram.operators.graph.subgraph import Graph
from engram.operators.packing import Context
from engram.serve.guard import Given, Guard
from engram.serve.keys import EVERY
from engram.serve.newest import newest

__all__ = ["Reading", "When"]

When = tuple[object, object]
"""Valid and known time of a view of the past; both `None` for the present."""
Options = Mapping[str, Any]
_STORE_WIDE = ("bytes", "cache_bytes", "created", "purge", "reembed")


class Reading:
    """The reading calls within what a key reaches. Raises what the faces raise, and `Forbidden`."""

    def __init__(self, guard: Guard) -> None:
        self.guard = guard

    def _memory(self, when: When) -> AsyncMemory | AsyncView:
        memory = self.guard.service.memory
        return memory if when == (None, None) else memory.as_of(valid=when[0], known=when[1])

    async def search(self, query: str, given: Given, options: Options, when: When) -> list[Hit]:
        """The best records for a query."""
        with self.guard.passing("search", "read", self.guard.reach(given)) as passage:
            hits = await self._memory(when).search(query, **options, **passage.ids)
            passage.saw(hit.id for hit in hits)
        return hits

    async def context(self, query: str, given: Given, options: Options, when: When) -> Context:
        """What is known about a query, packed for a prompt."""
        with self.guard.passing("context", "read", self.guard.reach(given)) as passage:
            packed = await self._memory(when).context(query, **options, **passage.ids)
            passage.saw(item.id for item in packed.citations)
        return packed

    async def ask(self, question: str, given: Given, options: Options, when: When) -> Answer:
        """What the memory answers."""
        with self.guard.passing("ask", "read", self.guard.reach(given)) as passage:
            answer = await self._memory(when).ask(question, **options, **passage.ids)
            passage.saw(item.id for item in answer.citations)
        return answer

    async def graph(self, given: Given, options: Options, when: When) -> Graph:
        """What relates what."""
        with self.guard.passing("graph", "read", self.guard.reach(given)) as passage:
            found = await self._memory(when).graph(**options, **passage.ids)
            passage.saw(node.id for node in found.nodes)
        return found

    async def get(self, id: str, given: Given, when: When = (None, None)) -> Record:
        """One record."""
        with self.guard.passing("get", "read", await self.guard.home(id, given)) as passage:
            record = await self._memory(when).get(id, **passage.ids)
            passage.saw([record.id])
        return record

    async def history(self, id: str, given: Given, when: When = (None, None)) -> list[Record]:
        """Every version of a record, oldest first."""
        with self.guard.passing("history", "read", await self.guard.home(id, given)) as passage:
            versions = await self._memory(when).history(id, **passage.ids)
            passage.saw([id], len(versions))
        return versions

    async def listing(self, given: Given, options: Options, when: When = (None, None)) -> Page:
        """A page of records in order of arrival."""
        with self.guard.passing("get_all", "read", self.guard.reach(given)) as passage:
            page = await self._memory(when).get_all(**options, **passage.ids)
            passage.saw(record.id for record in page.items)
        return page

    async def newest(self, given: Given, most: int) -> list[Record]:
        """The records that arrived last, the last one first."""
        with self.guard.passing("newest", "read", self.guard.reach(given)) as passage:

            async def listing(after: str | None, limit: int) -> Page:
                return await self.guard.service.memory.get_all(after=after, limit=limit, **passage.ids)

            found = await newest(listing, most)
            passage.saw(record.id for record in found)
        return found

    async def scopes(self, given: Given) -> list[dict[str, Any]]:
        """The scopes that hold records, of what the key reaches; without ids, of all tenants that it does."""
        key = self.guard.key
        every = key.tenant == EVERY and not any(given.values())
        pattern = {} if every else self.guard.reach(given, looked_at=True)
        with self.guard.passing("scopes", "read", pattern) as passage:
            found = await self.guard.service.memory.scopes(tenant=pattern.get("tenant"))
            reached = [item for item in found if key.covers(item["tenant"], item["user_id"])]
            asked = [item for item in reached if all(item[name] == id for name, id in pattern.items())]
            passage.saw([], len(asked))
        return asked

    async def stats(self, given: Given) -> dict[str, Any]:
        """Counts, of a scope; of the whole store for a key of everything that names none."""
        whole = self.guard.of_everything and not any(given.values())
        with self.guard.passing("stats", "read", {} if whole else self.guard.reach(given)) as passage:
            told = await self.guard.service.memory.stats(**passage.ids)
        return told if self.guard.of_everything else {k: v for k, v in told.items() if k not in _STORE_WIDE}

    async def jobs(self, given: Given) -> list[dict[str, Any]]:
        """Owed work, oldest first."""
        whole = self.guard.of_everything and not any(given.values())
        core = self.guard.service.core
        with self.guard.passing("jobs", "read", {} if whole else self.guard.reach(given)) as passage:
            pattern = None if whole else passage.lane
            found = await asyncio.to_thread(core.call, queue.owed, pattern)
            passage.saw(job.id for job in found)
        return [queue.to_dict(core, job) for job in found]

    async def job(self, id: str, given: Given) -> dict[str, Any]:
        """One job."""
        core = self.guard.service.core
        with self.guard.passing("job", "read", self.guard.reach(given, looked_at=True)) as passage:
            job = await self.found(id, passage.lane)
            passage.saw([id])
        return queue.to_dict(core, job)

    async def export(self, path: Path, given: Given, options: Options) -> int:
        """Write a scope to a file, the whole store for a key of everything that names none; how many."""
        whole = self.guard.of_everything and not any(given.values())
        with self.guard.passing("export", "read", {} if whole else self.guard.reach(given)) as passage:
            count = await self.guard.service.memory.export(path, **options, **passage.ids)
            passage.saw([], count)
        return count

    async def found(self, id: str, scope: Scope) -> Job:
        """A job of a scope, within the key's reach. Raises `NotFound`."""
        core = self.guard.service.core
        job: Job = await asyncio.to_thread(core.call, queue.find, id, scope)
        if not self.guard.key.covers(job.scope.tenant, job.scope.user_id):
            raise NotFound(f"there is no job {id!r} in this scope")
        return job
