"""The indexes of large scopes in files beside the store: made again when they do not fit, never trusted."""

from __future__ import annotations

import json
import os
import shutil
import time
from collections import Counter
from collections.abc import Callable, Collection, Mapping, Sequence
from hashlib import blake2b
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from engram.kernel.protocols import Position, Select, Store
from engram.kernel.scope import Scope
from engram.operators.retrieval.approximate import available, woven
from engram.operators.retrieval.arrays import Broken, facts_of, opened, written
from engram.operators.retrieval.aside import SidedIndex
from engram.operators.retrieval.lists import Parts, listed
from engram.operators.retrieval.mapped import MappedIndex, blocks_of, keepable

__all__ = ["ANN", "Shelf", "large_scopes"]

ANN = "pip install 'engram[ann]'"

_FORMAT = 1
_PAGE = 5000
_WITNESSES = 16
_LINKS = 150  # bytes a vector of the graph takes besides its own
_STALE = 3600.0  # seconds after which a file that was never finished is taken away


def large_scopes(store: Store, scope: Scope | None, above: int) -> list[Scope]:
    """The users, or agents without one, in a scope who have more than `above` records, the largest first."""
    counts: Counter[Scope] = Counter()
    for found, count in store.scopes(scope):
        agent = found.agent_id if found.user_id is None else None
        counts[Scope(found.tenant, found.user_id, agent)] += count
    return [pattern for pattern, count in counts.most_common() if count > above]


def _room() -> float:
    """Bytes that a graph may take while it is woven: a quarter of the memory, where that is known."""
    try:
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 4
    except (AttributeError, ValueError, OSError):
        return float("inf")


class Shelf:
    """The files of a store's large scopes, in `folder`; without one, or without usearch, there are none.

    Each stands for one scope pattern at one sequence of the store, and says so: its name is made of scope,
    embedder and kinds aside, its facts hold the store's tag, the sequence, the count of erasures, and ids and
    hashes of a few texts that the store must have. What does not fit, or is damaged, is removed. `layout`
    says how vectors are laid out; without it, by a graph where that fits into memory.
    """

    def __init__(
        self,
        store: Store,
        folder: Path | None,
        identity: Mapping[str, str],
        dimensions: int,
        aside: Collection[str],
    ) -> None:
        self._store, self._identity = store, dict(identity)
        self._dimensions, self._aside = dimensions, sorted(aside)
        self._folder = folder if dimensions else None
        self.shut = False
        self.layout: Literal["graph", "lists"] | None = None

    @property
    def usable(self) -> bool:
        """Whether there is a folder, and usearch, and nobody has `shut` it."""
        return self._folder is not None and not self.shut and available()

    @property
    def possible(self) -> bool:
        """Whether there is a folder."""
        return self._folder is not None

    def due(self, scope: Scope, share: float) -> bool:
        """Whether a scope has no file, or one behind which more than that share of its records came."""
        path = self.path(scope)
        if path is None or not path.exists():
            return True
        try:
            facts = facts_of(path)
        except (Broken, FileNotFoundError):
            return True
        behind = self._store.sequence(scope.tenant).last - int(facts["last"])
        return behind > share * int(facts["main"]["vectors"])

    @property
    def files(self) -> dict[str, int]:
        """The files and their bytes on the disk."""
        if self._folder is None or not self._folder.is_dir():
            return {}
        return {file.name: file.stat().st_blocks * 512 for file in self._folder.iterdir()}

    def path(self, scope: Scope) -> Path | None:
        """The file of a scope, whether it is there or not."""
        if self._folder is None:
            return None
        told = json.dumps([_FORMAT, scope.to_dict(), self._identity, self._aside], sort_keys=True)
        return self._folder / f"{blake2b(told.encode(), digest_size=16).hexdigest()}.arrays"

    def load(self, scope: Scope, position: Position) -> tuple[MappedIndex, int] | None:
        """The index in a scope's file and the sequence up to which it goes; `None` where there is none.

        A file that does not fit the store at `position` is removed.
        """
        path = self.path(scope)
        if path is None or not self.usable or not path.exists():
            return None
        try:
            if not self._fits(facts_of(path), position):
                raise Broken("it is of another store, or of another time")
            facts, arrays = opened(path)
            return MappedIndex(self._dimensions, self._aside, facts, arrays), facts["last"]
        except Broken:
            path.unlink(missing_ok=True)
        except FileNotFoundError:
            pass  # somebody has just removed it
        return None

    def make(self, scope: Scope, stop: Callable[[], bool] = bool, threads: int = 0) -> bool:
        """Write a scope's file anew from the store, or bring it up to date.

        False where `stop` said so, where something was erased meanwhile, or where there can be no file.
        """
        path = self.path(scope)
        if path is None or not self.usable:
            return False
        position = self._store.sequence(scope.tenant)
        held = self.load(scope, position)
        if held is not None and held[0].worn:
            held = None
        index, last = held if held is not None else (SidedIndex(self._dimensions, self._aside), 0)
        last = self._follow(index, scope, last, stop)
        if stop() or not len(index):
            return False
        near = self._near(index, stop, threads)
        if near is None:
            return False
        facts, arrays = keepable(index, near)
        told = {**facts, **self._facts(index, max(last, position.last), position)}
        path.parent.mkdir(mode=0o700, exist_ok=True)
        self._sweep(path.parent)
        return written(
            path, told, arrays, lambda: self._store.sequence(scope.tenant).erasures == position.erasures
        )

    def _near(
        self, index: SidedIndex, stop: Callable[[], bool], threads: int
    ) -> NDArray[np.uint8] | Parts | None:
        """What finds vectors that are near: a graph, or lists where that would take too much memory."""
        count = len(index.parts()[0])
        if self.layout == "lists" or (self.layout is None and count * (self._dimensions + _LINKS) > _room()):
            return listed(lambda: blocks_of(index), count, stop)
        grown = index.regrown(threads) if isinstance(index, MappedIndex) else None
        if grown is not None:
            return grown
        return woven(blocks_of(index), self._dimensions, threads=threads, stop=stop)

    def drop(self) -> None:
        """Remove every file: something was erased."""
        if self._folder is not None:
            shutil.rmtree(self._folder, ignore_errors=True)  # what stays is removed by the purge, or owed

    def _follow(self, index: SidedIndex, scope: Scope, after: int, stop: Callable[[], bool]) -> int:
        while not stop():
            page = self._store.entries(scope, after=after, limit=_PAGE)
            if page:
                index.apply(page)
                after = page[-1].sequence
            if len(page) < _PAGE:
                break
        return after

    def _facts(self, index: SidedIndex, last: int, position: Position) -> dict[str, Any]:
        ids = index.parts()[0].ids
        step = max(1, len(ids) // _WITNESSES)
        chosen = [*(ids[row] for row in range(0, len(ids), step)), ids[len(ids) - 1]]
        return {
            "format": _FORMAT,
            "tag": self._store.info()["tag"],
            "last": last,
            "erasures": position.erasures,
            "witnesses": self._witnesses(chosen),
        }

    def _fits(self, facts: Mapping[str, Any], position: Position) -> bool:
        """Whether the store is the one that the file was made of, and knows what was there then."""
        if facts.get("format") != _FORMAT or facts.get("tag") != self._store.info()["tag"]:
            return False
        if facts["erasures"] != position.erasures or facts["last"] > position.last:
            return False
        witnesses = facts["witnesses"]
        return set(witnesses) <= set(self._witnesses([witness.partition("/")[0] for witness in witnesses]))

    def _witnesses(self, ids: Sequence[str]) -> list[str]:
        """Id and a hash of the text of every version of some records."""
        versions = self._store.select(Select(ids=tuple(dict.fromkeys(ids)), history=True))
        texts = ((item.id, blake2b(item.text.encode(), digest_size=8).hexdigest()) for item in versions)
        return [f"{id}/{digest}" for id, digest in texts]

    def _sweep(self, folder: Path) -> None:
        for file in folder.glob("*.tmp"):
            if time.time() - file.stat().st_mtime > _STALE:
                file.unlink(missing_ok=True)
