"""The fence in each database: which tenants it serves, so that no stale route is ever written along."""

from __future__ import annotations

import hashlib

from engram.kernel.errors import Conflict
from engram.kernel.protocols import Batch, PutInfo, PutState, RequireInfo, StateRow, Store
from engram.kernel.scope import Scope
from engram.stores.router.directory import OWNER, Route

__all__ = ["arriving", "fact", "frozen", "has_left", "held", "left", "served", "serves", "set_fence"]

_NAME = "fence"
_PREFIX = "route:"
_DIGEST = 16


def fact(tenant: str) -> str:
    """The fact about a database that says how it stands to a tenant, whose name it does not tell."""
    return _PREFIX + hashlib.blake2b(tenant.encode(), digest_size=_DIGEST).hexdigest()


def is_fact(key: str) -> bool:
    """Whether a fact about a database is one of a router's."""
    return key.startswith(_PREFIX)


def served(moves: int) -> str:
    """The tenant lives here, after so many moves, and may be written to."""
    return f"{moves}"


def frozen(moves: int) -> str:
    """The tenant lives here and may be read: it is about to leave."""
    return f"frozen:{moves}"


def arriving(moves: int) -> str:
    """The tenant is being copied here by the move of that number."""
    return f"arriving:{moves}"


def left(moves: int) -> str:
    """The tenant has left by the move of that number."""
    return f"left:{moves}"


def has_left(stand: str) -> bool:
    """Whether a stand says that the tenant has left."""
    return stand.startswith(left(0)[:-1])


def serves(held: str | None, route: Route) -> bool:
    """Whether what is read in the database that `route` names is the tenant's present memory."""
    moves = route.moves
    return held is None or held in (served(moves), frozen(moves), arriving(moves))


def held(store: Store, tenant: str) -> str | None:
    """How a database stands to a tenant; `None` where it never had it."""
    row = _row(store, tenant)
    return None if row is None else str(row.value)


def set_fence(
    store: Store, tenant: str, value: str, *expected: str | None, above: tuple[int, int] = (0, 0)
) -> None:
    """Change how a database stands to a tenant, from one of `expected`. Raises `Conflict` from another.

    It is kept twice: as a fact, which commits can require, and as a state, which is read at once.
    """
    row = _row(store, tenant)
    present = None if row is None else str(row.value)
    if present == value:
        return
    if present not in expected:
        raise Conflict(f"tenant {tenant!r} stands at {present!r} here, expected {expected}; look again")
    version = 1 if row is None else row.version + 1
    state = StateRow(OWNER, _place(tenant), _NAME, value, version)
    key = fact(tenant)
    store.commit(Batch((RequireInfo(((key, present),)), PutState(state), PutInfo(key, value)), above))


def _row(store: Store, tenant: str) -> StateRow | None:
    return next(iter(store.states(_place(tenant), OWNER, _NAME)), None)


def _place(tenant: str) -> Scope:
    return Scope("engram:router", user_id=tenant)
