"""Filling a store with made-up turns, as fast as it takes them."""

from __future__ import annotations

from collections.abc import Callable
from itertools import islice

from engram.bench.many import records
from engram.engine.core import Core
from engram.kernel.protocols import Batch, Put
from engram.kernel.scope import Scope

__all__ = ["USER", "filled"]

USER = Scope("default", "bench")
_BLOCK = 2000


def filled(core: Core, count: int, step: Callable[[int], object] = int) -> int:
    """Bring the store to `count` turns of `many.records`; those that are there stay. Gives how many came."""
    held = sum(number for _, number in core.store.scopes(USER))
    coming = records(held, count - held, USER)
    while block := list(islice(coming, _BLOCK)):
        entries = core.encode(block, now=True)
        puts = (Put(record, words, vector) for record, (words, vector) in zip(block, entries, strict=True))
        core.store.commit(Batch(tuple(puts)))
        step(len(block))
    return max(0, count - held)
