"""The exact look-ups of a large scope that no index in memory holds: facts and entities by name."""

from __future__ import annotations

import threading

from engram.kernel.protocols import Position, Select, Store
from engram.kernel.scope import Scope
from engram.operators.retrieval.stated import Alike, Named, Reading, Stated

__all__ = ["ByFact", "ByLikeness", "ByName", "Lookups"]

_PAGE = 5000
_NAMED = ("fact", "entity")


class Lookups:
    """The exact look-ups of a large scope: read when first asked for, then following the store."""

    def __init__(self, store: Store, scope: Scope) -> None:
        self._store, self._scope = store, scope
        self._maps = (Stated(), Named(), Alike())
        self._seen: Position | None = None
        self._lock = threading.Lock()

    def facts(self, subject: str, relation: str, read: Reading) -> list[str]:
        """The ids of the facts of a subject and relation."""
        with self._lock:
            return self._followed()[0].ids(subject, relation, read)

    def entities(self, name: str, read: Reading) -> list[str]:
        """The ids of the entities of a name."""
        with self._lock:
            return self._followed()[1].ids(name, read)

    def alike(self, name: str, read: Reading) -> list[str]:
        """The ids of the entities whose names are alike."""
        with self._lock:
            return self._followed()[2].ids(name, read)

    def names(self, name: str) -> list[str]:
        """Names of entities that are nearly this one."""
        with self._lock:
            return self._followed()[1].like(name)

    def _followed(self) -> tuple[Stated, Named, Alike]:
        position = self._store.sequence(self._scope.tenant)
        if self._seen is None or self._seen.erasures != position.erasures:
            self._maps = (Stated(), Named(), Alike())
            self._begin()
        else:
            self._go_on(self._seen.last)
        self._seen = position
        return self._maps

    def _begin(self) -> None:
        after = None
        while True:
            asked = Select(scope=self._scope, kinds=_NAMED, after=after, limit=_PAGE)
            page = self._store.select(asked)
            for held in self._maps:
                for kind in _NAMED:
                    held.note(kind, [record.id for record in page if record.kind == kind])
            if len(page) < _PAGE:
                return
            after = page[-1].arrival

    def _go_on(self, after: int) -> None:
        while page := self._store.entries(self._scope, after=after, limit=_PAGE):
            for held in self._maps:
                held.follow(page)
            after = page[-1].sequence


class ByFact:
    """Facts by subject and relation (`searched.ByFact`)."""

    def __init__(self, lookups: Lookups) -> None:
        self.ids = lookups.facts


class ByName:
    """Entities by name (`searched.ByName`)."""

    def __init__(self, lookups: Lookups) -> None:
        self.ids = lookups.entities
        self.like = lookups.names


class ByLikeness:
    """Entities by what their names share (`searched.ByLikeness`)."""

    def __init__(self, lookups: Lookups) -> None:
        self.ids = lookups.alike
