"""A memory that is a service, for the tools: the client's calls, within what the options fix."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, cast

from engram.aio import AsyncMemory
from engram.aview import AsyncView
from engram.bound import ScopeIds
from engram.engine.results import Page, Receipt
from engram.kernel.errors import EngramError, Forbidden
from engram.kernel.record import Hit, Record
from engram.operators.answering import Answer
from engram.operators.packing import Context
from engram.serve.guard import Given
from engram.serve.mcp.calls import Reach, named
from engram.serve.newest import newest
from engram.serve.reading import Options, When

__all__ = ["Far"]

_NOW: When = (None, None)


class Far:
    """`Calls` of a memory that a service keeps: its key decides what they reach, and its audit has them."""

    def __init__(self, memory: AsyncMemory, reach: Reach) -> None:
        self._memory, self._reach = memory, reach

    @property
    def reach(self) -> Reach:
        """What may be reached."""
        return self._reach

    async def add(self, messages: object, given: Given, options: Options) -> Receipt:
        """Store messages."""
        self._write()
        return await self._memory.add(messages, **options, **self._ids(given))

    async def search(self, query: str, given: Given, options: Options, when: When = _NOW) -> list[Hit]:
        """The best records for a query."""
        return await self._at(when).search(query, **options, **self._ids(given))

    async def context(self, query: str, given: Given, options: Options, when: When = _NOW) -> Context:
        """What is known about a query, packed for a prompt."""
        return await self._at(when).context(query, **options, **self._ids(given))

    async def ask(self, question: str, given: Given, options: Options, when: When = _NOW) -> Answer:
        """What the memory answers."""
        return await self._at(when).ask(question, **options, **self._ids(given))

    async def get(self, id: str, given: Given) -> Record:
        """One record."""
        return await self._memory.get(id, **self._ids(given))

    async def history(self, id: str, given: Given) -> list[Record]:
        """Every version of a record, oldest first."""
        return await self._memory.history(id, **self._ids(given))

    async def listing(self, given: Given, options: Options) -> Page:
        """A page of records in order of arrival."""
        return await self._memory.get_all(**options, **self._ids(given))

    async def newest(self, given: Given, most: int) -> list[Record]:
        """The records that arrived last, the last one first."""
        ids = self._ids(given)

        async def listing(after: str | None, limit: int) -> Page:
            return await self._memory.get_all(after=after, limit=limit, **ids)

        return await newest(listing, most)

    async def scopes(self, given: Given) -> list[dict[str, Any]]:
        """The scopes that hold records, of what is reached."""
        wanted: Mapping[str, Any] = self._ids(given)
        found = await self._memory.scopes(tenant=wanted.get("tenant"))
        return [scope for scope in found if all(scope[name] == id for name, id in wanted.items())]

    async def edit(self, id: str, given: Given, options: Options) -> Receipt:
        """Open a new version of a record."""
        self._write()
        return await self._memory.edit(id, **options, **self._ids(given))

    async def forget(self, ids: list[str] | None, given: Given, *, dry_run: bool = False) -> Receipt:
        """Erase records or a scope."""
        self._write()
        return await self._memory.forget(ids, dry_run=dry_run, **self._ids(given))

    def refused(self, call: str, error: EngramError) -> None:
        """Nothing: the service writes down what reaches it."""

    def _at(self, when: When) -> AsyncMemory | AsyncView:
        return self._memory if when == _NOW else self._memory.as_of(valid=when[0], known=when[1])

    def _ids(self, given: Given) -> ScopeIds:
        return cast("ScopeIds", named(self._reach.within(given)))

    def _write(self) -> None:
        if not self._reach.writes:
            raise Forbidden("this needs the right 'write'; engram mcp was started with --read-only")
