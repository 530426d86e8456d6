"""What both faces share: where their calls are carried out, and the scope ids that these are bound to."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Generic, TypedDict, TypeVar

from engram.engine.core import Core
from engram.engine.lens import AsOf
from engram.engine.place import Somewhere
from engram.kernel.clock import parse_time
from engram.kernel.errors import Forbidden, InvalidInput
from engram.kernel.scope import SCOPE_FIELDS, Scope
from engram.kernel.show import listed

__all__ = ["Bound", "ScopeIds", "as_ids"]

P = TypeVar("P", bound=Somewhere)


class ScopeIds(TypedDict, total=False):
    """The scope ids that every call takes."""

    tenant: str | None
    user_id: str | None
    agent_id: str | None
    run_id: str | None


@dataclass(frozen=True)
class Bound(Generic[P]):
    """A place where calls are carried out, and the ids that are fixed for them."""

    place: P
    ids: Mapping[str, str] = field(default_factory=dict)

    @property
    def core(self) -> Core:
        """The open core. Raises `ConfigError` where the memory is a service."""
        return self.place.core

    def scope(self, given: Mapping[str, object]) -> Scope:
        """The scope of one call. Raises `Forbidden` where it names another id than the bound one."""
        return self.place.scope(self._merged(given))

    def address(self, given: Mapping[str, object]) -> Scope:
        """The scope to write to: user `default` where no id is named."""
        return self.place.address(self._merged(given))

    def narrowed(self, given: Mapping[str, object]) -> Bound[P]:
        """The same place with more ids fixed."""
        merged = self._merged(given)
        Scope.of(**merged)
        return Bound(self.place, merged)

    def named(self, given: Mapping[str, object]) -> Mapping[str, str]:
        """The ids that are named for one call, the bound ones among them."""
        merged = self._merged(given)
        Scope.of(**merged)
        return merged

    def listed(self, tenant: str | None) -> Scope | None:
        """The pattern of scopes to list: the bound one, of the given tenant, or `None` for all."""
        merged = self._merged({"tenant": tenant})
        return self.place.scope(merged) if merged else None

    def as_of(self, valid: object, known: object) -> AsOf:
        """A view of the past. Raises `InvalidInput` where neither axis is given."""
        if valid is None and known is None:
            raise InvalidInput("as_of: give valid, known or both")
        given = {"valid": valid, "known": known}
        moments = [None if value is None else parse_time(value, name)[0] for name, value in given.items()]
        return self.place.as_of(*moments)

    def shown(self, face: str, lens: AsOf | None = None) -> str:
        """What a face shows of itself: where it is kept, its method, whose it is, as of when; no secrets."""
        where, *told = self.place.told()
        parts = [f"{face} {where}", *told[:1]]
        parts += [listed(self.ids)] if self.ids else []
        parts += [str(lens)] if lens else []
        parts += told[1:]
        return f"<{', '.join(parts)}>"

    def _merged(self, given: Mapping[str, object]) -> dict[str, str]:
        merged = dict(self.ids)
        for name, value in given.items():
            if name not in SCOPE_FIELDS:
                raise TypeError(f"unexpected argument {name!r}; scope ids are {', '.join(SCOPE_FIELDS)}")
            if value is None:
                continue
            if merged.get(name, value) != value:
                raise Forbidden(f"this memory is bound to {name}={merged[name]!r}; it cannot reach {value!r}")
            merged[name] = value  # type: ignore[assignment]  # Scope.of checks its type
        return merged


def as_ids(ids: object) -> list[str] | None:
    """A list of ids from one id, several, or none."""
    if ids is None:
        return None
    if isinstance(ids, str):
        return [ids]
    if isinstance(ids, Sequence) and all(isinstance(id, str) for id in ids):
        return list(ids)
    raise InvalidInput(f"ids: expected an id or a list of ids, got {ids!r:.80}")
