"""Moving data in and out: which format a file has, and who reads or writes it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

from engram.engine.core import Core
from engram.engine.progress import Progress
from engram.engine.results import Imported, Left
from engram.kernel.clock import parse_time
from engram.kernel.errors import InvalidInput
from engram.kernel.scope import Scope

if TYPE_CHECKING:
    from engram.formats import Format, Source

__all__ = ["FORMATS", "Arrival", "Departure", "checked", "export", "import_", "not_empty"]

FORMATS = ("jsonl", "markdown")
OWN = "engram"


@dataclass(frozen=True, slots=True)
class Arrival:
    """The arguments of one `import_`; `ids` are those that the caller named."""

    path: str | Path
    ids: Mapping[str, str]
    format: str | None = None
    infer: bool = True
    dry_run: bool = False
    progress: Progress | None = None
    on_skip: Callable[[Left], None] | None = None


@dataclass(frozen=True, slots=True)
class Departure:
    """The arguments of one `export`; without a scope, of the whole store."""

    path: str | Path
    scope: Scope | None
    format: str = "jsonl"
    since: object = None
    until: object = None
    topics: Sequence[str] = ()
    overwrite: bool = False
    progress: Progress | None = None


def import_(core: Core, arrival: Arrival) -> Imported:
    """Read a file, a folder or an archive into the store.

    Raises `InvalidInput` where nothing can read it, it is broken, or it is not of the format that was named;
    see `take_in` and `restore`.
    """
    from engram.engine.intake import ImportRequest, take_in
    from engram.engine.restore import restore
    from engram.formats import Source, detect, load_format

    request = ImportRequest(arrival.ids, arrival.infer, arrival.dry_run, arrival.progress, arrival.on_skip)
    with Source(arrival.path) as source:
        not_empty(source)
        reader = load_format(arrival.format) if arrival.format is not None else detect(source)
        if reader.name == OWN:
            return restore(core, source, request)
        imported = take_in(core, reader.name, reader.read(source), source, request)
        if arrival.format is not None and not (imported.stored or imported.duplicate):
            _of_that_format(reader, source)
        return imported


def _of_that_format(reader: Format, source: Source) -> None:
    """Refuse a file that gave nothing where it is of another format than the one that was named."""
    from engram.formats import detect

    try:
        found = detect(source)
    except InvalidInput:  # of no format at all: an export of nothing looks like that
        return
    if found.name != reader.name:
        raise InvalidInput(
            f"{source.path}: nothing in it is of the format {reader.name!r}, it looks like {found.name!r}; "
            "leave the format out, and it is found"
        )


def export(core: Core, departure: Departure) -> int:
    """Write the store, a scope or a stretch of time to `path`; returns how many records.

    Raises `InvalidInput` for an unknown format, times out of order, and a path that cannot be written.
    """
    from engram.engine.exported import ExportRequest, Span, write_lines

    since, until = checked(departure)
    request = ExportRequest(
        Path(departure.path),
        departure.scope,
        Span(since, until),
        tuple(departure.topics),
        departure.overwrite,
        departure.progress,
    )
    if departure.format == "jsonl":
        return write_lines(core, request)
    from engram.engine.pages import write_pages

    return write_pages(core, request)


def checked(departure: Departure) -> tuple[datetime | None, datetime | None]:
    """The stretch of time that is exported. Raises `InvalidInput` for what cannot be."""
    if departure.format not in FORMATS:
        raise InvalidInput(f"format: {departure.format!r} is not one of {', '.join(FORMATS)}")
    if departure.topics and departure.format != "markdown":
        raise InvalidInput("topics: only format='markdown' writes pages of topics")
    since, until = (
        None if moment is None else parse_time(moment, name)[0]
        for name, moment in (("since", departure.since), ("until", departure.until))
    )
    if since is not None and until is not None and until <= since:
        raise InvalidInput(f"until: {until} does not lie after since ({since})")
    return since, until


def not_empty(source: Source) -> None:
    """Raise `InvalidInput` where there is nothing to read."""
    if not source.names:
        raise InvalidInput(f"{source.path}: it is empty; there is nothing to import")
    if len(source.names) == 1 and not source.head(source.names[0]).strip():
        raise InvalidInput(f"{source.place(source.names[0])}: the file is empty; there is nothing to import")
