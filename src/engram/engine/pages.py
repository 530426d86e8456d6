"""Memory as Markdown for people: a page a session, a document, a kind of derived record, or a topic."""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import datetime
from itertools import chain
from pathlib import Path
from tempfile import mkdtemp
from typing import Any, TextIO

from engram.engine import read
from engram.engine.core import Core
from engram.engine.exported import ExportRequest, pages, tenants
from engram.engine.lens import expired
from engram.engine.markdown import MARK, entry, file_name, moment, plain
from engram.kernel.clock import micros
from engram.kernel.drive import run
from engram.kernel.errors import InvalidInput
from engram.kernel.protocols import Select
from engram.kernel.record import KINDS, Record
from engram.kernel.scope import Scope
from engram.operators.retrieval.layout import GAP

__all__ = ["filling", "write_pages"]

_FOLDERS = ("sessions", "documents", "kinds", "topics")
_PAGE = 5000
_BEST = 25
_NOTHING = "*(nothing is remembered about it)*"


@dataclass(frozen=True, slots=True)
class _Page:
    """A page that is written, for the index."""

    scope: Scope
    title: str
    path: str
    first: datetime | None
    count: int


def write_pages(core: Core, request: ExportRequest) -> int:
    """Write what is current into a folder, with an index; returns how many records.

    `sessions/DATE-NAME-HASH.md` holds a session, `documents/` one document each, `kinds/` what was
    derived, `topics/` the best for each topic. Raises `InvalidInput` where the folder holds anything,
    unless `overwrite`: then pages of an earlier export go, and other files stay.
    """
    with filling(request.path, overwrite=request.overwrite) as beside:
        written = list(_topics(core, request, beside) if request.topics else _all(core, request, beside))
        _index(beside, request, written)
    return sum(page.count for page in written)


@contextmanager
def filling(target: Path, *, overwrite: bool) -> Iterator[Path]:
    """A folder to write pages into; at the end they are put into `target`, all of them or none.

    Raises `InvalidInput` where that is a file, holds anything (unless `overwrite`) or cannot be written.
    """
    if target.exists() and not target.is_dir():
        raise InvalidInput(f"{target}: is a file; Markdown is written into a folder")
    if target.is_dir() and any(target.iterdir()) and not overwrite:
        raise InvalidInput(
            f"{target}: the folder is not empty; choose another, or say that pages may be overwritten"
        )
    try:
        beside = Path(mkdtemp(prefix=f".{target.name}.", dir=target.absolute().parent))
        try:
            yield beside
            _moved(beside, target)
        finally:
            shutil.rmtree(beside, ignore_errors=True)
    except OSError as error:
        raise InvalidInput(f"{target}: cannot be written ({error.strerror}); choose another path") from error


def _moved(beside: Path, target: Path) -> None:
    """Put the pages where they belong; what an earlier export wrote there goes."""
    target.mkdir(exist_ok=True)
    for folder in _FOLDERS:
        for old in (target / folder).glob("*.md"):
            if old.is_file() and not old.is_symlink() and _ours(old):
                old.unlink()
    for page in sorted(beside.rglob("*.md")):
        place = target / page.relative_to(beside)
        place.parent.mkdir(exist_ok=True)
        page.replace(place)


def _ours(page: Path) -> bool:
    with page.open("rb") as file:
        return file.readline().strip() == MARK.encode()


def _all(core: Core, request: ExportRequest, folder: Path) -> Iterator[_Page]:
    """Every session, document and kind."""
    scopes = [item for pattern in tenants(core, request.scope) for item in core.store.scopes(pattern)]
    total, done = sum(count for _, count in scopes), 0
    derived = _derived(core, request)
    for scope, count in scopes:
        yield from _sessions(core, request, folder, scope)
        for kind in (kind for kind in KINDS[1:] if (scope, kind) in derived):
            yield from _kind(core, request, folder, scope, kind)
        done += count
        if request.progress is not None:
            request.progress(done, total)


def _sessions(core: Core, request: ExportRequest, folder: Path, scope: Scope) -> Iterator[_Page]:
    """One page for each session of one scope: its run, or what lies between pauses."""
    turns = _turns(core, request, scope)
    record = next(turns, None)
    while record is not None:
        title = scope.run_id or f"{record.name or record.role or 'Session'}, {moment(record.time)[:10]}"
        name = file_name(title, *_fields(scope), None if scope.run_id else record.id, time=record.time)
        path = f"sessions/{name}"
        with _opened(folder, path, title, scope) as file:
            first, count = record.time, 0
            while record is not None:
                print(*entry(record), sep="\n", file=file)
                count += 1
                last, record = record, next(turns, None)
                if record is not None and not scope.run_id and micros(record.time) - micros(last.time) > GAP:
                    break
        yield _Page(scope, title, path, first, count)


def _turns(core: Core, request: ExportRequest, scope: Scope) -> Iterator[Record]:
    """The current episodes of exactly this scope, by time."""
    after: tuple[int, int] | None = None
    while True:
        what = Select(scope=scope, kinds=("episode",), by_time=True, after=after, limit=_PAGE)
        page = core.store.select(what)
        yield from (record for record in page if record.scope == scope and _shown(core, request, record))
        if len(page) < _PAGE:
            return
        after = micros(page[-1].time), page[-1].arrival


def _derived(core: Core, request: ExportRequest) -> set[tuple[Scope, str]]:
    """Which scopes hold what is no episode, and of which kinds."""
    return {
        (record.scope, record.kind)
        for pattern in tenants(core, request.scope)
        for page in pages(core, pattern, kinds=KINDS[1:])
        for record in page
    }


def _kind(core: Core, request: ExportRequest, folder: Path, scope: Scope, kind: str) -> Iterator[_Page]:
    """What is of a kind, of exactly this scope: one page; for documents, one a run."""
    found = (
        record
        for page in pages(core, scope, kinds=(kind,))
        for record in page
        if record.scope == scope and _shown(core, request, record)
    )
    first = next(found, None)
    if first is None:
        return
    document = scope.run_id if kind == "resource" else None
    title = document or kind.capitalize()
    name = file_name(document or kind, *_fields(scope), kind)
    path = f"documents/{name}" if document else f"kinds/{name}"
    count = 0
    with _opened(folder, path, title, scope) as file:
        for record in chain([first], found):
            print(*entry(record, _held(record)), sep="\n", file=file)
            count += 1
    yield _Page(scope, title, path, None, count)


def _topics(core: Core, request: ExportRequest, folder: Path) -> Iterator[_Page]:
    """For each topic the records that a search finds best, best first."""
    conditions: list[dict[str, Any]] = []
    if request.span.since is not None:
        conditions.append({"time": {"gte": request.span.since}})
    if request.span.until is not None:
        conditions.append({"time": {"lt": request.span.until}})
    filters = {"and": conditions} if conditions else None
    for done, topic in enumerate(dict.fromkeys(request.topics), 1):
        hits = [
            hit
            for pattern in tenants(core, request.scope)
            for hit in run(
                read.search(
                    core,
                    core.present,
                    read.SearchRequest(topic, pattern, everyone=True, k=_BEST, filters=filters),
                ),
                core.performed,
            )
        ]
        hits = sorted(hits, key=lambda hit: -hit.score)[:_BEST]
        scope = request.scope or Scope()
        path = f"topics/{file_name(topic)}"
        with _opened(folder, path, topic, scope) as file:
            for hit in hits:
                print(*entry(hit.record, f" · score {hit.score:.2f}"), sep="\n", file=file)
            if not hits:
                print(_NOTHING, file=file)
        yield _Page(scope, topic, path, None, len(hits))
        if request.progress is not None:
            request.progress(done, len(request.topics))


def _shown(core: Core, request: ExportRequest, record: Record) -> bool:
    return record.kind != "secret" and record in request.span and not expired(record, core.now())


def _held(record: Record) -> str:
    """Until when it held, where that is over."""
    return "" if record.valid.end is None else f" · until {moment(record.valid.end)}"


def _opened(folder: Path, path: str, title: str, scope: Scope) -> TextIO:
    """A new page with its heading."""
    place = folder / path
    place.parent.mkdir(exist_ok=True)
    file = place.open("x", encoding="utf-8", newline="\n")
    print(MARK, f"# {plain(title)}", _whose(scope), "[Index](../index.md)", sep="\n\n", end="\n\n", file=file)
    return file


def _index(folder: Path, request: ExportRequest, written: Sequence[_Page]) -> None:
    with (folder / "index.md").open("x", encoding="utf-8", newline="\n") as file:
        print(MARK, "# Memory", sep="\n\n", file=file)
        span = [
            f"{word} {moment(time)}"
            for word, time in (("since", request.span.since), ("until", request.span.until))
            if time is not None
        ]
        print(f"\n{sum(page.count for page in written):,} records {' '.join(span)}".rstrip(), file=file)
        whose = None
        for page in written:
            owner = replace(page.scope, run_id=None)
            if owner != whose:
                whose = owner
                print(f"\n## {_whose(owner)}\n", file=file)
            day = f"{moment(page.first)[:10]} · " if page.first is not None else ""
            print(f"- {day}[{plain(page.title)}]({page.path}) · {page.count:,}", file=file)


def _fields(scope: Scope) -> tuple[str | None, ...]:
    return scope.tenant, scope.user_id, scope.agent_id, scope.run_id


def _whose(scope: Scope) -> str:
    """The scope in words."""
    named = {"tenant": scope.tenant if scope.tenant != Scope().tenant else None, "user": scope.user_id}
    named |= {"agent": scope.agent_id, "run": scope.run_id}
    return " · ".join(f"{name} {plain(id)}" for name, id in named.items() if id) or "everyone"
