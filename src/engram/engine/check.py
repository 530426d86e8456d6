"""Proving every derived structure against the records, and mending what does not agree."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import pairwise

import numpy as np

from engram.engine.core import Core
from engram.engine.indexes import index_problems
from engram.engine.progress import Progress
from engram.engine.results import Problem, Report
from engram.engine.sweep import Part, sweep
from engram.kernel.errors import ModelError
from engram.kernel.protocols import Batch, Entry, Op, Rebuild, Reindex, Unstage
from engram.kernel.record import Record

__all__ = ["REEMBED", "agrees", "entry_problems", "repair", "verify"]

REEMBED = "reembed"
"""The fact under which a store keeps whose entries are being staged."""


def verify(core: Core, progress: Progress | None = None) -> Report:
    """Check the store's own structures, every version's index entry against its text, and cached indexes.

    A local embedder's vectors are made again and compared; of a remote one's, presence and size are
    checked. Raises `NeedsMigration` where another embedder has taken the store over.
    """
    core.check_same()
    problems = [Problem(sentence) for sentence in core.store.check()]
    problems += _left_over(core)
    checked, tell = 0, _counted(core, progress)
    for part in sweep(core.store):
        checked += sum(version.version == 1 for version in part.versions)
        problems += _chain_problems(part)
        problems += [Problem(what, version.id) for version, what in entry_problems(core, part)]
        tell(len(part.versions))
    problems += index_problems(core)
    core.check_same()
    return Report(checked, tuple(problems))


def repair(core: Core, progress: Progress | None = None) -> Report:
    """Make anew what `verify` finds wrong, drop all caches, complete a pending purge.

    What is still wrong afterwards cannot be derived from the records; it is in the report. Vectors that a
    remote embedder owes are fetched: raises `ModelError` where that fails, with what is mended kept.
    """
    core.check_same()
    mended = _rebuilt(core, bool(core.store.check()))
    if _left_over(core):
        mended += 1
        core.store.commit(Batch((Unstage(),)))
    checked, chained, tell = 0, 0, _counted(core, progress)
    for part in sweep(core.store):
        checked += sum(version.version == 1 for version in part.versions)
        chained += len(_chain_problems(part))
        wrong = [version for version, _ in entry_problems(core, part)]
        if wrong:
            core.store.commit(Batch(tuple(_mends(core, wrong))))
            mended += len(wrong)
        tell(len(part.versions))
    mended += chained
    _rebuilt(core, chained > 0)
    core.forget_memos()
    core.store.purge()
    problems = [Problem(sentence) for sentence in core.store.check()]
    return Report(checked, tuple(problems), mended)


def agrees(entry: Entry, words: bytes, vector: bytes | None, dimensions: int) -> bool:
    """Whether an entry is what its text gives; without a `vector`, whether one of the right size is there."""
    stored = entry.vector
    if entry.words != words or stored is None:
        return False
    if vector is None or not words:
        return len(stored) in (0, 4 + dimensions)
    return stored == vector or _close(stored, vector)


def _rebuilt(core: Core, wanted: bool) -> int:
    """Have the store make its own structures anew, if `wanted`; how many faults that took away."""
    if not wanted:
        return 0
    before = len(core.store.check())
    core.store.commit(Batch((Rebuild(),)))
    return max(0, before - len(core.store.check()))  # what is mended may bring to light what lay behind it


def _left_over(core: Core) -> list[Problem]:
    info = core.store.info()
    if "staged" in info and REEMBED not in info:
        return [Problem(f"{info['staged']} staged index entries belong to no reembed; run engram repair")]
    return []


def entry_problems(core: Core, part: Part) -> Iterator[tuple[Record, str]]:
    """Versions whose entry differs from what their text gives, and what is wrong with it."""
    made = core.encode(part.versions) if part.versions else []
    for version, (words, vector) in zip(part.versions, made, strict=True):
        entry = part.entries[version.id, version.version]
        if not agrees(entry, words, vector, core.embedder.dimensions):
            which = "" if len(part.chains[version.id]) == 1 else f" of version {version.version}"
            owed = entry.vector is None and entry.words == words
            yield (
                version,
                f"the index entry{which} {'has no vector yet' if owed else 'does not agree with the text'}",
            )


def _mends(core: Core, wrong: Sequence[Record]) -> Iterator[Op]:
    try:
        made = core.encode(wrong, now=True)
    except ModelError as error:
        error.add_note("what was mended before this is kept; run engram repair again")
        raise
    for version, (words, vector) in zip(wrong, made, strict=True):
        yield Reindex(version.id, version.version, words, vector)


def _chain_problems(part: Part) -> list[Problem]:
    """Versions of a record that leave a gap, or that are believed at the same time."""
    found: list[Problem] = []
    for id, chain in part.chains.items():
        if (id, chain[-1].version) not in part.entries:
            continue  # told with the part that holds the latest version
        for old, new in pairwise(chain):
            end, start = old.known.end, new.known.start
            if new.version != old.version + 1:
                found.append(
                    Problem(f"version {old.version + 1} is missing; restore the file from a copy", id)
                )
            elif end is None or (start is not None and end > start):
                found.append(Problem(f"version {old.version} is believed beyond the start of the next", id))
    return found


def _counted(core: Core, progress: Progress | None) -> _Count:
    return _Count(progress, int(core.store.info().get("versions", 0)) if progress else 0)


class _Count:
    """Adds up what is done, and tells it."""

    def __init__(self, progress: Progress | None, total: int) -> None:
        self._progress = progress
        self._done, self._total = 0, total

    def __call__(self, more: int) -> None:
        self._done += more
        if self._progress is not None:
            self._progress(self._done, max(self._done, self._total))


def _close(stored: bytes, wanted: bytes) -> bool:
    """Whether two packed vectors are the same up to rounding (one unit of the int8 codes)."""
    if len(stored) != len(wanted) or len(stored) <= 4:
        return False
    one, other = (np.frombuffer(packed, np.int8, offset=4).astype(np.int16) for packed in (stored, wanted))
    return bool(np.abs(one - other).max() <= 1)
