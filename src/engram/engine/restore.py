"""Storing what stands in an engram export, ids kept, a page a transaction."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import replace
from typing import TypeVar

from engram.engine.core import Core, with_entries
from engram.engine.imported import Line, Proof, prove, read_lines
from engram.engine.intake import ImportRequest, Tally
from engram.engine.progress import Progress
from engram.engine.results import Imported
from engram.formats.source import Source
from engram.kernel.errors import Conflict
from engram.kernel.protocols import (
    Batch,
    Op,
    Put,
    PutEdge,
    PutInfo,
    PutState,
    RequireInfo,
    Reserve,
    Select,
    SelectEdges,
)
from engram.kernel.record import Edge, Record
from engram.kernel.scope import Scope

__all__ = ["restore"]

NAME = "engram"
_PAGE = 500
_PAGE_TEXT = 8 << 20
Stamped = TypeVar("Stamped", Record, Edge)


def restore(core: Core, source: Source, request: ImportRequest) -> Imported:
    """Read an export; what is there already is counted as duplicate, and stays as it is.

    The whole file is checked before anything is stored: raises `InvalidInput` with the line that is
    broken, `Forbidden` for records outside the ids that are named, `Conflict` for a caller's id that is
    taken by other content. Each page of lines is committed by itself; an import that was broken off can
    be made again. Its change sets get numbers of this store, as many, in the same order.
    """
    half = None if request.progress is None else _half(request.progress, first=True)
    proof = prove(core, source, Scope.of(**request.ids) if request.ids else None, half)
    with Source(source.path, source.limits) as again:
        return _Restore(core, proof, request).run(again)


def _half(progress: Progress, *, first: bool) -> Progress:
    """Progress of one of two readings of a file, told as that of the whole."""

    def told(done: int, total: int | None) -> None:
        progress((done + (0 if first else total or done)) // 2, total)

    return told


class _Restore:
    """An import of an export under way."""

    def __init__(self, core: Core, proof: Proof, request: ImportRequest) -> None:
        self._core, self._proof, self._request = core, proof, request
        self._tally = Tally(NAME, request)
        self._key = f"import:{proof.fingerprint}"
        self._base: int | None = None

    def run(self, source: Source) -> Imported:
        """Store page by page."""
        progress = None if self._request.progress is None else _half(self._request.progress, first=False)
        waiting: list[Line] = []
        size = 0
        for line in read_lines(source):
            waiting.append(line)
            size += sum(len(version.text) for version in line.versions)
            if len(waiting) >= _PAGE or size > _PAGE_TEXT:
                self._take(waiting)
                waiting, size = [], 0
                if progress is not None:
                    progress(source.bytes_read, source.total_bytes)
        self._take(waiting)
        if progress is not None:
            progress(source.total_bytes, source.total_bytes)
        if self._key in self._core.store.info():
            self._core.store.commit(Batch((PutInfo(self._key, None),)))
        return self._tally.report()

    def _take(self, lines: Sequence[Line]) -> None:
        core, aliases, tally = self._core, self._proof.aliases, self._tally
        present, edges = _present(core, lines), _held_edges(core, lines)
        new: list[Line] = []
        for line in lines:
            if line.edge is not None:
                held = edges.get(line.edge.id, ())
                if line.edge.version not in [edge.version for edge in held] and not any(
                    edge.current for edge in held
                ):
                    new.append(line.renamed(aliases))
            elif line.state is not None:
                there = core.store.states(line.state.scope, line.state.policy, line.state.name)
                new.extend([] if there else [line])
            elif line.versions and (line.versions[0].id in aliases or line.versions[0].id in present):
                tally.duplicate += 1
            elif line.versions:
                new.append(line.renamed(aliases))
        known = self._stored(new) if new and not self._request.dry_run else frozenset[str]()
        for line in new:
            if line.versions:
                tally.duplicate += line.versions[0].id in known
                tally.stored += line.versions[0].id not in known

    def _stored(self, lines: Sequence[Line]) -> frozenset[str]:
        """Commit lines; the ids of records that another process has stored since they were looked for."""
        base = self._reserved()
        ops = with_entries(self._core, [op for line in lines for op in _ops(line, base)])
        puts = [op.record.id for op in ops if isinstance(op, Put)]
        there = self._core.store.commit(Batch(tuple(ops))).duplicates
        return frozenset(id for id, known in zip(puts, there, strict=True) if known)

    def _reserved(self) -> int:
        """The number before the first of this import's change sets; the same again when it is resumed.

        It is the same for all who import the file at once: whoever notes it first decides.
        """
        if self._base is None:
            known = self._core.store.info().get(self._key)
            if known is not None:
                self._base = int(known)
            elif not self._proof.change_sets:
                self._base = 0
            else:
                taken = self._core.store.commit(Batch((Reserve(self._proof.change_sets),)))
                noted = RequireInfo(((self._key, None),)), PutInfo(self._key, str(taken.change_set - 1))
                with suppress(Conflict):  # another process was first
                    self._core.store.commit(Batch(noted))
                self._base = int(self._core.store.info().get(self._key, taken.change_set - 1))
        return self._base


def _ops(line: Line, base: int) -> Iterator[Op]:
    for version in line.versions:
        yield Put(_numbered(version, base), keep=True)
    if line.edge is not None:
        yield PutEdge(_numbered(line.edge, base))
    if line.state is not None:
        yield PutState(line.state)


def _numbered(item: Stamped, base: int) -> Stamped:
    """With numbers of this store's change sets instead of the file's ranks."""
    closed = None if item.closed is None else base + item.closed
    return replace(item, opened=base + item.opened if item.opened else 0, closed=closed)


def _present(core: Core, lines: Sequence[Line]) -> frozenset[str]:
    """The ids of records of these lines that are in the store."""
    ids = tuple(line.versions[0].id for line in lines if line.versions)
    found = core.store.select(Select(ids=ids, closed=True)) if ids else []
    return frozenset(record.id for record in found)


def _held_edges(core: Core, lines: Sequence[Line]) -> dict[str, list[Edge]]:
    """The versions that are in the store of edges of these lines, by id."""
    ids = tuple(line.edge.id for line in lines if line.edge is not None)
    held: dict[str, list[Edge]] = {}
    for edge in core.store.edges(SelectEdges(ids=ids, history=True)) if ids else ():
        held.setdefault(edge.id, []).append(edge)
    return held
