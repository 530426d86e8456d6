"""The one place that decides what a key reaches: every route goes through it to the memory."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import cast

from engram.bound import ScopeIds
from engram.kernel.errors import EngramError, Forbidden, NotFound
from engram.kernel.record import Record
from engram.kernel.scope import DEFAULT_TENANT, SCOPE_FIELDS, Scope
from engram.serve.audit import Entry
from engram.serve.keys import EVERY, Key
from engram.serve.service import Service

__all__ = ["Given", "Guard", "Passage"]

Given = Mapping[str, str | None]
"""The scope ids that a request names."""


@dataclass
class Passage:
    """One call that was let through: the scope ids that it must be made with, and what it has seen."""

    ids: ScopeIds
    seen: list[str] = field(default_factory=list)
    count: int | None = None

    @property
    def scope(self) -> Scope:
        """The ids as a scope."""
        return Scope.of(**self.ids)

    @property
    def lane(self) -> Scope:
        """The scope without its run, as jobs have it."""
        return self.scope.without_run()

    def saw(self, ids: Iterable[str | None], count: int | None = None) -> None:
        """Note records that the call gave or changed, or how many where they are not counted out."""
        self.seen.extend(id for id in ids if id is not None)
        self.count = count


class Guard:
    """One request's key, and what it may reach. Whatever ids a request names, no call leaves this scope."""

    def __init__(self, service: Service, key: Key, request: str) -> None:
        self.service, self.key, self.request = service, key, request
        self.noted = False

    @property
    def of_everything(self) -> bool:
        """Whether the key reaches every tenant and user."""
        return (self.key.tenant, self.key.users) == (EVERY, EVERY)

    @property
    def by_prefix(self) -> bool:
        """Whether the key reaches several users, but not all: a call has to say which."""
        return self.key.users.endswith(EVERY) and self.key.users != EVERY

    def require(self, right: str) -> None:
        """Raise `Forbidden` where the key may not do this."""
        if not self.key.may(right):
            raise Forbidden(f"this needs a key with the right {right!r}; this one may only {self.key.rights}")

    def reach(self, given: Given, *, looked_at: bool = False) -> dict[str, str]:
        """The scope ids of a call: those that it names, and those that the key fixes.

        Raises `Forbidden` where a call names what the key does not reach, or names nobody where it must. With
        `looked_at` it need not name anybody: what the call finds is held against the key before it is given.
        """
        ids = {name: given[name] for name in SCOPE_FIELDS if given.get(name) is not None}
        key = self.key
        ids.setdefault("tenant", DEFAULT_TENANT if key.tenant == EVERY else key.tenant)
        if not key.users.endswith(EVERY):
            ids.setdefault("user_id", key.users)
        scope = Scope.of(**ids)
        left = looked_at and scope.user_id is None and key.tenant in (EVERY, scope.tenant)
        if not left and not key.covers(scope.tenant, scope.user_id):
            if scope.user_id is None and key.tenant in (EVERY, scope.tenant):
                raise Forbidden(f"name a user_id: this key reaches the users {key.users!r} and nobody else")
            raise Forbidden(f"this key reaches tenant {key.tenant!r}, users {key.users!r}, and nothing else")
        return {name: value for name, value in ids.items() if value is not None}

    async def home(self, id: str, given: Given) -> dict[str, str]:
        """The scope ids of a call about one record.

        Where the key has to know whose it is and the call does not say, the record tells. Raises `NotFound`
        where it is not the key's, as where it is not there.
        """
        ids = self.reach(given, looked_at=True)
        if "user_id" in ids or not self.by_prefix:
            return ids
        record = await self._record(id, ids["tenant"])
        if not self.key.covers(record.scope.tenant, record.scope.user_id):
            raise NotFound(f"there is no record {id!r} in this scope")
        return {**ids, "user_id": record.scope.user_id or ""}

    async def _record(self, id: str, tenant: str) -> Record:
        memory = self.service.memory
        try:
            return await memory.get(id, tenant=tenant)
        except NotFound:
            return (await memory.history(id, tenant=tenant))[-1]

    @contextmanager
    def passing(self, call: str, right: str, ids: Mapping[str, str]) -> Iterator[Passage]:
        """A call under way, written down in the audit when it has ended, before its answer goes out."""
        passage, outcome = Passage(cast("ScopeIds", dict(ids))), "cancelled"
        try:
            self.require(right)
            yield passage
            outcome = "done"
        except EngramError as error:
            outcome = type(error).__name__
            raise
        finally:
            self.note(call, passage, outcome)

    def note(self, call: str, passage: Passage, outcome: str) -> None:
        """Write a call down."""
        now, scope = self.service.core.now(), {name: str(id) for name, id in passage.ids.items()}
        entry = Entry(now, self.request, self.key.id, call, scope, passage.seen, passage.count, outcome)
        self.service.audit.note(entry)
        self.noted = True

    def refused(self, call: str, error: EngramError) -> None:
        """Write down that a call was refused before it began."""
        if not self.noted:
            self.note(call, Passage({}), type(error).__name__)
