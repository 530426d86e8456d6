"""Proving the in-memory indexes against ones that are built anew."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from engram.engine.core import Core
from engram.engine.results import Problem
from engram.engine.views import is_view, view_record
from engram.kernel.clock import micros
from engram.kernel.protocols import Position, Select
from engram.kernel.scope import Scope
from engram.operators.retrieval.candidates import ScopeColumns
from engram.operators.retrieval.index import ScopeIndex
from engram.operators.retrieval.query import ask
from engram.operators.retrieval.searched import Searched

__all__ = ["index_problems"]

_PAGE = 5000
_PROBES = 3
_PROBE = 100
_LEVELS = (0, 1, 2)
_SESSIONS = 20
_ROUNDING = 2e-3
_TRIES = 3


def index_problems(core: Core) -> list[Problem]:
    """What is wrong with the cached index of each scope.

    Its signals for a few questions differ from those of an index built anew, or it names sessions that
    the store cannot compute.
    """
    return [problem for scope in core.cache.scopes() for problem in _scope_problems(core, scope)]


def _scope_problems(core: Core, scope: Scope) -> Iterator[Problem]:
    for _ in range(_TRIES):
        before = core.store.sequence(scope.tenant)
        with core.present.index(scope) as kept:
            fresh = _built(core, scope, before)
            if core.store.sequence(scope.tenant) != before or fresh is None:
                continue  # somebody writes: what was built anew may know more
            asked = [(level, text) for level in _LEVELS for text in _probes(core, scope)]
            if not all(_alike(kept, fresh, core, *question) for question in asked):
                yield Problem(
                    f"the in-memory index of {scope} differs from one that is built anew; "
                    "run engram repair, or open the store again"
                )
            names = _asked(kept, core, 2, "")
        for id in list(names)[:_SESSIONS]:
            if is_view(id) and view_record(core.store, id, list) is None:
                yield Problem("the session cannot be computed from its turns", id)
        return


def _built(core: Core, scope: Scope, position: Position) -> ScopeIndex | None:
    index, after = core.new_index(), 0
    while True:
        page = core.store.entries(scope, after=after, limit=_PAGE)
        if core.store.sequence(scope.tenant).erasures != position.erasures:
            return None
        index.apply(page)
        if len(page) < _PAGE:
            return index
        after = page[-1].sequence


def _probes(core: Core, scope: Scope) -> list[str]:
    found = core.store.select(Select(scope=scope, limit=_PROBES))
    return [record.text[:_PROBE] for record in found]


def _alike(kept: Searched, fresh: ScopeIndex, core: Core, level: int, text: str) -> bool:
    one, other = (_asked(index, core, level, text) for index in (kept, fresh))
    if one.keys() != other.keys():
        return False
    return all(np.allclose(one[id], other[id], rtol=_ROUNDING, atol=_ROUNDING) for id in one)


def _asked(index: Searched, core: Core, level: int, text: str) -> dict[str, NDArray[np.float32]]:
    """The signals of every candidate for a question and some direction, by id."""
    direction = np.random.default_rng(0).standard_normal(core.embedder.dimensions, np.float32)
    direction /= np.linalg.norm(direction)
    columns: ScopeColumns = index.score(
        ask(text), direction, now=micros(core.now()), made_by=core.policy.made_by, level=level
    )
    return dict(zip(columns.rows(range(len(columns))), columns.matrix.T, strict=True))
