"""Conditions of a question, joined by "and", with the values that they name."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from engram.kernel.scope import Scope
from engram.stores.postgres.rows import digest

__all__ = ["Conditions"]


class Conditions:
    """Conditions by the names of their statements."""

    def __init__(self, statements: Mapping[str, Any]) -> None:
        self._statements = statements
        self._parts: list[str] = []
        self.values: dict[str, Any] = {}

    def __call__(self, name: str, /, **values: Any) -> None:
        """One more condition."""
        self._parts.append(self._statements[name])
        self.values.update(values)

    @property
    def where(self) -> str:
        """All of them as SQL."""
        return " AND ".join(self._parts) or "true"

    def records_of(self, scope: Scope) -> None:
        """Rows of `records` or `versions` in a scope, a pattern."""
        self("where_tenant", tenant=scope.tenant)
        if scope.user_id is not None:
            self("where_user", user_key=digest(scope.user_id))
        if scope.agent_id is not None:
            self("where_agent", agent_id=scope.agent_id)
        if scope.run_id is not None:
            self("where_run", run_key=digest(scope.run_id))

    def edges_of(self, scope: Scope) -> None:
        """Rows of other tables in a scope, a pattern."""
        self("where_tenant", tenant=scope.tenant)
        if scope.user_id is not None:
            self("where_user_id", user_id=scope.user_id)
        if scope.agent_id is not None:
            self("where_agent", agent_id=scope.agent_id)
        if scope.run_id is not None:
            self("where_run_id", run_id=scope.run_id)
