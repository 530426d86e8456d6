"""What the tools call: a memory within what one connection reaches."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Protocol

from engram.engine.results import Page, Receipt
from engram.kernel.errors import EngramError, Forbidden
from engram.kernel.record import Hit, Record
from engram.kernel.scope import SCOPE_FIELDS
from engram.operators.answering import Answer
from engram.operators.packing import Context
from engram.serve.guard import Given, Guard
from engram.serve.keys import EVERY, Key
from engram.serve.reading import Options, Reading, When
from engram.serve.writing import Writing

__all__ = ["Calls", "Guarded", "Reach", "named", "reach_of"]

_NOW: When = (None, None)


@dataclass(frozen=True, slots=True)
class Reach:
    """What a connection reaches: the scope ids that it fixes, whether it may write, which users there are.

    `users` is as a key has it: one id, a prefix that ends in `*`, or `*`.
    """

    fixed: Mapping[str, str]
    writes: bool = True
    users: str = EVERY

    @property
    def open(self) -> tuple[str, ...]:
        """The scope ids that a call may name."""
        return tuple(name for name in SCOPE_FIELDS if name not in self.fixed)

    @property
    def settled(self) -> bool:
        """Whether it is known whose memory is meant when a call names nobody."""
        return any(name in self.fixed for name in SCOPE_FIELDS[1:])

    def within(self, given: Given) -> dict[str, str | None]:
        """The ids of a call: those that it names, and those that are fixed. Raises `Forbidden`."""
        merged: dict[str, str | None] = dict(self.fixed)
        for name, value in given.items():
            if value is not None and merged.setdefault(name, value) != value:
                raise Forbidden(f"{name}: this connection reaches {merged[name]!r} alone; leave {name} out")
        return merged

    def named(self, given: Given) -> dict[str, str | None]:
        """The ids of a call that is about a scope. Raises `Forbidden` where it says nothing of whose."""
        merged = self.within(given)
        if not any(merged.get(name) for name in SCOPE_FIELDS[1:]):
            raise Forbidden("say whose memory is meant: name user_id, agent_id or run_id")
        return merged


def named(ids: Given) -> dict[str, str]:
    """The ids that are given at all."""
    return {name: value for name, value in ids.items() if value is not None}


def reach_of(key: Key, fixed: Given, *, read_only: bool = False) -> Reach:
    """What a connection with a key reaches, where its address or the options fix ids besides.

    Raises `Forbidden` where these are not the key's.
    """
    own = {} if key.tenant == EVERY else {"tenant": key.tenant}
    own |= {} if key.users.endswith(EVERY) else {"user_id": key.users}
    writes = key.may("write") and not read_only
    return Reach(named(Reach(own).within(fixed)), writes, key.users)


class Calls(Protocol):
    """The calls of a memory that tools, resources and prompts make, within a reach.

    Each takes the scope ids that the model names. Raises what the faces raise, and `Forbidden` for ids
    beyond the reach. A memory that lies elsewhere is served by another implementation of it.
    """

    @property
    def reach(self) -> Reach:
        """What may be reached."""
        ...

    async def add(self, messages: object, given: Given, options: Options) -> Receipt:
        """Store messages."""
        ...

    async def search(self, query: str, given: Given, options: Options, when: When = _NOW) -> list[Hit]:
        """The best records for a query."""
        ...

    async def context(self, query: str, given: Given, options: Options, when: When = _NOW) -> Context:
        """What is known about a query, packed for a prompt."""
        ...

    async def ask(self, question: str, given: Given, options: Options, when: When = _NOW) -> Answer:
        """What the memory answers."""
        ...

    async def get(self, id: str, given: Given) -> Record:
        """One record."""
        ...

    async def history(self, id: str, given: Given) -> list[Record]:
        """Every version of a record, oldest first."""
        ...

    async def listing(self, given: Given, options: Options) -> Page:
        """A page of records in order of arrival."""
        ...

    async def newest(self, given: Given, most: int) -> list[Record]:
        """The records that arrived last, the last one first."""
        ...

    async def scopes(self, given: Given) -> list[dict[str, Any]]:
        """The scopes that hold records, of what is reached."""
        ...

    async def edit(self, id: str, given: Given, options: Options) -> Receipt:
        """Open a new version of a record."""
        ...

    async def forget(self, ids: list[str] | None, given: Given, *, dry_run: bool = False) -> Receipt:
        """Erase records or a scope."""
        ...

    def refused(self, call: str, error: EngramError) -> None:
        """Write down a call that was refused before it began."""
        ...


class Guarded:
    """`Calls` through a guard: of a key over HTTP, of the options on standard input and output."""

    def __init__(self, guard: Guard, reach: Reach) -> None:
        if guard.key.may("write") and not reach.writes:
            guard.key = replace(guard.key, rights="read")
        self._reach = reach
        self._reading, self._writing = Reading(guard), Writing(guard)

    @property
    def reach(self) -> Reach:
        """What may be reached."""
        return self._reach

    async def add(self, messages: object, given: Given, options: Options) -> Receipt:
        """Store messages."""
        return await self._writing.add(messages, self._reach.named(given), options)

    async def search(self, query: str, given: Given, options: Options, when: When = _NOW) -> list[Hit]:
        """The best records for a query."""
        return await self._reading.search(query, self._reach.named(given), options, when)

    async def context(self, query: str, given: Given, options: Options, when: When = _NOW) -> Context:
        """What is known about a query, packed for a prompt."""
        return await self._reading.context(query, self._reach.named(given), options, when)

    async def ask(self, question: str, given: Given, options: Options, when: When = _NOW) -> Answer:
        """What the memory answers."""
        return await self._reading.ask(question, self._reach.named(given), options, when)

    async def get(self, id: str, given: Given) -> Record:
        """One record."""
        return await self._reading.get(id, self._reach.within(given))

    async def history(self, id: str, given: Given) -> list[Record]:
        """Every version of a record, oldest first."""
        return await self._reading.history(id, self._reach.within(given))

    async def listing(self, given: Given, options: Options) -> Page:
        """A page of records in order of arrival."""
        return await self._reading.listing(self._reach.named(given), options)

    async def newest(self, given: Given, most: int) -> list[Record]:
        """The records that arrived last, the last one first."""
        return await self._reading.newest(self._reach.named(given), most)

    async def scopes(self, given: Given) -> list[dict[str, Any]]:
        """The scopes that hold records, of what is reached."""
        return await self._reading.scopes(self._reach.within(given))

    async def edit(self, id: str, given: Given, options: Options) -> Receipt:
        """Open a new version of a record."""
        return await self._writing.edit(id, self._reach.within(given), options)

    async def forget(self, ids: list[str] | None, given: Given, *, dry_run: bool = False) -> Receipt:
        """Erase records or a scope."""
        reached = self._reach.within(given) if ids is not None else self._reach.named(given)
        return await self._writing.forget(ids, reached, dry_run=dry_run)

    def refused(self, call: str, error: EngramError) -> None:
        """Write down a call that was refused before it began."""
        self._reading.guard.refused(call, error)
