"""Who a memory belongs to."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from functools import lru_cache

from engram.kernel.errors import InvalidInput

__all__ = ["DEFAULT_TENANT", "SCOPE_FIELDS", "Scope"]

DEFAULT_TENANT = "default"
"""The tenant of a call that names none."""
SCOPE_FIELDS = ("tenant", "user_id", "agent_id", "run_id")
"""The fields of a scope, from the widest to the narrowest."""


@dataclass(frozen=True, slots=True)
class Scope:
    """Tenant, user, agent and run: the address of a record, or the pattern of a call.

    In an address `None` means "none"; in a pattern it means "any". `tenant` never matches any.
    """

    tenant: str = DEFAULT_TENANT
    user_id: str | None = None
    agent_id: str | None = None
    run_id: str | None = None

    @classmethod
    def of(
        cls,
        tenant: str | None = None,
        user_id: str | None = None,
        agent_id: str | None = None,
        run_id: str | None = None,
    ) -> Scope:
        """A scope from a caller's arguments; raises `InvalidInput` for an id that is no plain text."""
        given = {"tenant": tenant, "user_id": user_id, "agent_id": agent_id, "run_id": run_id}
        for field, value in given.items():
            if value is not None:
                _check_id(field, value)
        return cls(tenant if tenant is not None else DEFAULT_TENANT, user_id, agent_id, run_id)

    @property
    def named(self) -> bool:
        """Whether any field besides the tenant is given."""
        return self.user_id is not None or self.agent_id is not None or self.run_id is not None

    def covers(self, address: Scope) -> bool:
        """Whether a record at `address` is inside this pattern."""
        return (
            self.tenant == address.tenant
            and self.user_id in (None, address.user_id)
            and self.agent_id in (None, address.agent_id)
            and self.run_id in (None, address.run_id)
        )

    def without_run(self) -> Scope:
        """The same scope over all runs."""
        return replace(self, run_id=None)

    @property
    def lane(self) -> Scope:
        """(tenant, user, agent): one write job at a time runs in each lane."""
        return self.without_run()

    def to_dict(self) -> dict[str, str | None]:
        """The fields by name, as JSON values."""
        return {field: getattr(self, field) for field in SCOPE_FIELDS}

    @staticmethod
    def shared(scopes: Iterable[Scope]) -> Scope:
        """The fields that all the given scopes share: the scope of what is derived from them."""
        every = list(scopes)
        if not every:
            raise InvalidInput("a derived record needs at least one source")
        common = every[0]
        for scope in every:
            if scope is not common:
                common = _common(common, scope)
        return common


@lru_cache(maxsize=1024)
def _common(one: Scope, other: Scope) -> Scope:
    """The fields that two scopes share."""
    if one.tenant != other.tenant:
        raise InvalidInput("sources of two tenants cannot be joined in one record")
    same = {
        field: getattr(one, field) for field in SCOPE_FIELDS if getattr(one, field) == getattr(other, field)
    }
    return Scope(**same)


def _check_id(field: str, value: object) -> None:
    if not isinstance(value, str):
        raise InvalidInput(f"{field}: expected text, got {type(value).__name__}")
    if not value or len(value) > 512 or "\0" in value or not value.isprintable():
        raise InvalidInput(f"{field}: an id is 1 to 512 printable characters, got {value[:40]!r}")
