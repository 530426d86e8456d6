"""What the engine asks an index of a scope, whether it holds all of the scope or looks at candidates."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from engram.kernel.record import Record
from engram.operators.retrieval.candidates import ScopeColumns
from engram.operators.retrieval.near import Near
from engram.operators.retrieval.query import Parts, Query
from engram.operators.retrieval.stated import Reading

__all__ = ["ByFact", "ByLikeness", "ByName", "Searched"]


class ByFact(Protocol):
    """The ids of facts by subject and relation (`Stated`)."""

    def ids(self, subject: str, relation: str, read: Reading) -> list[str]:
        """Those of a subject and relation, sorted."""
        ...


class ByName(Protocol):
    """The ids of entities by name (`Named`)."""

    def ids(self, name: str, read: Reading) -> list[str]:
        """Those of a name, sorted."""
        ...

    def like(self, name: str) -> list[str]:
        """Names that are nearly this one."""
        ...


class ByLikeness(Protocol):
    """The ids of entities by what alike names share (`Alike`)."""

    def ids(self, name: str, read: Reading) -> list[str]:
        """Those whose names are alike."""
        ...


class Searched(Protocol):
    """An index of a scope; see `ScopeIndex` for each method."""

    @property
    def stated(self) -> ByFact:
        """Facts by subject and relation."""
        ...

    @property
    def named(self) -> ByName:
        """Entities by name."""
        ...

    @property
    def alike(self) -> ByLikeness:
        """Entities by what names are alike by."""
        ...

    def score(
        self,
        query: Query,
        vector: NDArray[np.float32] | None,
        *,
        now: int,
        made_by: str | None = None,
        level: int = 0,
        signals: Sequence[str] = (),
        kinds: Collection[str] = (),
        parts: Parts | None = None,
        times: Sequence[tuple[int, int]] = (),
        depth: int = 0,
    ) -> ScopeColumns:
        """Columns of signals over candidates, among them the best `depth`."""
        ...

    def similar(
        self,
        vectors: NDArray[np.float32],
        k: int,
        *,
        now: int,
        made_by: str | None = None,
        kinds: Collection[str] = (),
        floor: float = 0.0,
    ) -> list[Near]:
        """The nearest candidates of each vector."""
        ...

    def ids_of(self, kind: str, *, now: int, made_by: str | None = None) -> list[str]:
        """The ids of all candidates of a kind."""
        ...

    def recent(self, count: int, *, now: int, before: Record | None = None) -> list[str]:
        """The ids of the last turns."""
        ...

    def told(
        self,
        span: tuple[int | None, int | None],
        *,
        now: int,
        made_by: str | None = None,
        kinds: Collection[str] = (),
        last: int | None = None,
        strength: float = 0.0,
    ) -> list[tuple[int, str]]:
        """Time and id of candidates by when they were told."""
        ...
