"""Proving every derived structure against the records, and mending what does not agree."""

from __future__ import annotations

from collections.abc import Iterator

from engram.engine.core import Core
from engram.engine.results import Problem, Report
from engram.kernel.protocols import Batch, Entry, Mark, Select
from engram.kernel.record import Record
from engram.kernel.scope import Scope

__all__ = ["reembed", "repair", "verify"]

_PAGE = 1000


def verify(core: Core) -> Report:
    """Check the database itself, then every record's index entry against its text."""
    problems = [Problem(sentence) for sentence in core.store.check()]
    checked = 0
    for records, entries in _pages(core):
        checked += len(records)
        for record, _ in _wrong(core, records, entries):
            owed = entries[record.id].vector is None
            what = "has no vector yet" if owed else "does not agree with the text"
            problems.append(Problem(f"the index entry {what}", record.id))
    return Report(checked, tuple(problems))


def repair(core: Core) -> Report:
    """Rebuild what `verify` finds wrong in index entries, drop all caches, complete a pending purge."""
    mended = checked = 0
    for records, entries in _pages(core):
        checked += len(records)
        marks = [mark for _, mark in _wrong(core, records, entries)]
        if marks:
            core.store.commit(Batch(tuple(marks)))
            mended += len(marks)
    core.forget_memos()
    core.store.purge()
    return Report(checked, tuple(Problem(sentence) for sentence in core.store.check()), mended)


def reembed(core: Core) -> Report:
    """Write every index entry anew with the present analyser and embedder, and make them the store's."""
    checked = 0
    for records, _ in _pages(core):
        checked += len(records)
        marks = [
            Mark(record.id, record.version, words=words, vector=vector or b"")
            for record, (words, vector) in zip(records, core.encode(records, now=True), strict=True)
        ]
        core.store.commit(Batch(tuple(marks)))
    core.check_identity(mend=True)
    core.forget_memos()
    return Report(checked, mended=checked)


def _wrong(core: Core, records: list[Record], entries: dict[str, Entry]) -> Iterator[tuple[Record, Mark]]:
    """Records whose entry differs from what their text gives, with the operation that mends it."""
    for record, (words, vector) in zip(records, core.encode(records), strict=True):
        entry = entries.get(record.id)
        if entry is not None and entry.version != record.version:
            continue  # written anew since the page was read
        same_words = entry is not None and entry.words == words
        if vector is None:  # a remote embedder: present is all that can be said without asking it
            agrees = entry is not None and entry.vector is not None
        else:
            agrees = entry is not None and _close(entry.vector, vector)
        if not (same_words and agrees):
            yield record, Mark(record.id, record.version, words=words, vector=vector)


def _pages(core: Core) -> Iterator[tuple[list[Record], dict[str, Entry]]]:
    """All open records of all tenants with their entries, a page at a time."""
    for tenant in sorted({scope.tenant for scope, _ in core.store.scopes()}):
        scope, after = Scope(tenant), 0
        while True:
            page = core.store.entries(scope, after=after, limit=_PAGE)
            entries = {entry.id: entry for entry in page if not entry.closed}
            if entries:
                yield core.store.select(Select(ids=tuple(entries))), entries
            if len(page) < _PAGE:
                break
            after = page[-1].sequence


def _close(stored: bytes | None, wanted: bytes) -> bool:
    """Whether two packed vectors are the same up to rounding (one unit of the int8 codes)."""
    if stored is None or len(stored) != len(wanted):
        return False
    return (
        stored == wanted or max(abs(a - b) for a, b in zip(_codes(stored), _codes(wanted), strict=True)) <= 1
    )


def _codes(packed: bytes) -> list[int]:
    return list(memoryview(packed[4:]).cast("b"))
