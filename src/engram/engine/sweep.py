"""All versions of all records, a part at a time, with their index entries."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from engram.kernel.protocols import Entry, Select, Store
from engram.kernel.record import Record
from engram.kernel.scope import Scope

__all__ = ["Part", "sweep"]

_PAGE = 512
_TEXTS = 64  # read at once: a text may have 10 MB, and a remote embedder takes so many in one request


class Part(NamedTuple):
    """Some versions, each with its entry under (id, version), and all versions of their records."""

    versions: list[Record]
    entries: dict[tuple[str, int], Entry]
    chains: dict[str, list[Record]]


def sweep(store: Store, since: int = 0, *, unstaged: bool = False) -> Iterator[Part]:
    """Every version in every tenant whose entry changed behind the sequence `since`.

    With `unstaged` only those for which no entry is staged. What is added or changed meanwhile may or may
    not come along.
    """
    for tenant in sorted({scope.tenant for scope, _ in store.scopes()}):
        after = since
        while True:
            page = store.entries(Scope(tenant), after=after, limit=_PAGE, history=True)
            for first in range(0, len(page), _TEXTS):
                yield _part(store, page[first : first + _TEXTS], unstaged)
            if len(page) < _PAGE:
                break
            after = page[-1].sequence


def _part(store: Store, page: list[Entry], unstaged: bool) -> Part:
    entries = {(entry.id, entry.version): entry for entry in page}
    chains: dict[str, list[Record]] = {}
    wanted = Select(ids=tuple({entry.id for entry in page}), history=True, unstaged=unstaged)
    for version in store.select(wanted):
        chains.setdefault(version.id, []).append(version)
    here = [item for chain in chains.values() for item in chain if (item.id, item.version) in entries]
    return Part(here, entries, chains)
