"""Exports and imports over HTTP: streamed from and to files, none of them held in memory."""

from __future__ import annotations

import re
import shutil
import tempfile
import zipfile
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any

from engram.client import values
from engram.client.call import Request
from engram.client.calls import whose
from engram.client.receiving import Gathered, understood, value_of
from engram.client.refusals import BrokeOff
from engram.engine import portable
from engram.engine.exported import opened_lines, target_of
from engram.engine.progress import Progress
from engram.engine.results import Imported
from engram.kernel.errors import Conflict, Forbidden, InvalidInput, StoreError

if TYPE_CHECKING:
    from engram.client.wire import Wire

__all__ = ["MOVES"]

_CHUNK = 1 << 16
_TRIES = 3
_TAKES = 6 * 3600.0
_COUNT = "engram-records"
_TOLD = 500
_END = '"type":"end"}\n'
_DIGITS = 16
_LONGEST_LINE = 256 << 20
_UNSAFE = re.compile(r"[^\w.,()+@#&' -]")
_LONGEST = 100


def export(wire: Wire, departure: portable.Departure) -> int:
    """`export`: the file or folder is complete or not there."""
    since, until = portable.checked(departure)
    times = {"since": since, "until": until}
    params: dict[str, str | list[str]] = {
        **whose(departure.scope),
        **{name: time.isoformat() for name, time in times.items() if time is not None},
    }
    if departure.format == "markdown":
        params |= {"format": "markdown", **({"topics": list(departure.topics)} if departure.topics else {})}
    request = Request("GET", "/export", params, slow=_TAKES)
    if departure.format == "markdown":
        return _pages(wire, request, departure)
    return _lines(wire, request, Path(departure.path), departure.progress)


def _lines(wire: Wire, request: Request, path: Path, progress: Progress | None) -> int:
    """Write JSON lines, compressed where the path ends in `.gz`."""
    target = target_of(path)
    beside = target.with_name(target.name + ".part")
    try:
        count = _whole(wire, lambda: _line_by_line(wire, request, beside, progress))
        beside.replace(target)
    except OSError as error:
        raise InvalidInput(f"{path}: cannot be written ({error.strerror}); choose another path") from error
    finally:
        beside.unlink(missing_ok=True)
    return count


def _line_by_line(wire: Wire, request: Request, beside: Path, progress: Progress | None) -> int:
    """Write what comes; how many records. Raises `BrokeOff` where it is not whole."""
    done, last = -1, ""  # the first line is the head
    with wire.stream(request) as response, opened_lines(beside) as file:
        total = _number(response.headers)
        for line in _split(wire.parts(response)):
            file.write(line)
            done, last = done + 1, line
            if progress is not None and 0 < done < total and done % _TOLD == 0:
                progress(done, total)
    if not last.endswith(_END):
        raise BrokeOff("the last line is missing")
    if progress is not None:
        progress(total, total)
    return total


def _split(parts: Iterable[bytes]) -> Iterator[str]:
    """Lines with their ends. Raises `BrokeOff` for what is no text, or a line without end."""
    left = bytearray()
    for part in parts:
        *ends, last = part.split(b"\n")
        for end in ends:
            yield f"{_text(left + end)}\n"
            left.clear()
        left += last
        if len(left) > _LONGEST_LINE:
            raise BrokeOff("a line without end")
    if left:
        yield _text(left)


def _text(line: bytearray) -> str:
    try:
        return line.decode()
    except UnicodeDecodeError as error:
        raise BrokeOff("a line that is no text") from error


def _number(headers: Mapping[str, str]) -> int:
    """How many records an export says it holds; 0 where it says nothing of use."""
    told = headers.get(_COUNT, "")
    return int(told) if told.isascii() and told.isdigit() and len(told) < _DIGITS else 0


def _pages(wire: Wire, request: Request, departure: portable.Departure) -> int:
    """Fill a folder with pages, which come as an archive."""
    from engram.engine.pages import filling
    from engram.formats import Source

    path = Path(departure.path)
    with filling(path, overwrite=departure.overwrite) as folder, tempfile.TemporaryDirectory() as place:
        packed = Path(place) / "pages.zip"
        count = _whole(wire, lambda: _fetched(wire, request, packed))
        with Source(packed) as source:
            for name in source.names:
                page = folder / name
                page.parent.mkdir(parents=True, exist_ok=True)
                with source.open(name) as content, page.open("wb") as file:
                    shutil.copyfileobj(content, file)
    if departure.progress is not None:
        departure.progress(count, count)
    return count


def _fetched(wire: Wire, request: Request, goal: Path) -> int:
    """Write what comes to a file; how many records. Raises `BrokeOff` where it is not whole."""
    with wire.stream(request) as response:
        with goal.open("wb") as file:
            for part in wire.parts(response):
                file.write(part)
        if not zipfile.is_zipfile(goal):
            raise BrokeOff("the archive has no end")
        return _number(response.headers)


def _whole(wire: Wire, fetch: Callable[[], int]) -> int:
    """What `fetch` gives, made again where it broke off."""
    for attempt in range(1, _TRIES + 1):
        try:
            return fetch()
        except BrokeOff as error:
            if attempt == _TRIES:
                raise StoreError(
                    f"{wire.service.address}: the export broke off {_TRIES} times; call again"
                ) from error
    raise AssertionError("unreachable")


def import_(wire: Wire, arrival: portable.Arrival) -> Imported:
    """`import_`: a folder goes as an archive of its files.

    It is sent again only where the service has not begun; what broke off in the middle is made again by
    calling again, and what is there already counts as duplicate then.
    """
    from engram.formats import Source

    path = Path(arrival.path)
    with ExitStack() as held:
        source = held.enter_context(Source(path))
        portable.not_empty(source)
        sent, name = path, path.resolve().name
        if source.is_folder:
            sent = Path(held.enter_context(tempfile.TemporaryDirectory())) / "folder.zip"
            _packed(path, source.names, sent)
            name += ".zip"
        found = _uploaded(wire, arrival, sent, _named(name))
    with understood(wire.service):
        skipped = [values.left(item) for item in found.pop("left", None) or ()]
        imported = values.imported(found)
    for left in skipped:
        if arrival.on_skip is not None:
            arrival.on_skip(left)
    return imported


def _packed(folder: Path, names: Iterable[str], goal: Path) -> None:
    with zipfile.ZipFile(goal, "w", zipfile.ZIP_DEFLATED) as archive:
        for name in names:
            archive.write(folder / name, name)


def _uploaded(wire: Wire, arrival: portable.Arrival, path: Path, name: str) -> dict[str, Any]:
    """Send a file, and read what was done with it; places are named as they are here."""
    params: dict[str, str | list[str]] = {
        "name": name,
        "infer": _flag(arrival.infer),
        "dry_run": _flag(arrival.dry_run),
        **({"every": "true"} if arrival.on_skip is not None else {}),
        **({"format": arrival.format} if arrival.format is not None else {}),
        **arrival.ids,
    }
    size = path.stat().st_size
    headers = {"Content-Length": str(size), "Content-Type": "application/octet-stream"}
    request = Request("POST", "/import", params, slow=_TAKES, again=False)
    try:
        with wire.stream(request, headers, lambda: _read(path, size, arrival.progress)) as response:
            gathered = Gathered(wire.service)
            for part in wire.parts(response):
                gathered.take(part)
            found: dict[str, Any] = value_of(wire.service, response.headers, gathered.content)
    except (InvalidInput, Conflict, Forbidden) as error:
        raise type(error)(str(error).replace(name, str(arrival.path), 1)) from error
    with understood(wire.service):
        for told in ("examples", "left"):
            for item in found.get(told) or ():
                item["place"] = str(item["place"]).replace(name, str(arrival.path), 1)
    return found


def _read(path: Path, size: int, progress: Progress | None) -> Iterator[bytes]:
    done = 0
    with path.open("rb") as file:
        while part := file.read(_CHUNK):
            yield part
            done += len(part)
            if progress is not None:
                progress(done, size)


def _named(name: str) -> str:
    """The file's name as the service takes it: its ending helps to tell its kind."""
    plain = _UNSAFE.sub("-", name).lstrip(".,)+@#&' -")
    stem, dot, ending = plain.rpartition(".")
    while len(plain.encode()) > _LONGEST and stem:
        stem = stem[:-1]
        plain = f"{stem}{dot}{ending}"
    return plain if plain and len(plain.encode()) <= _LONGEST else "import"


def _flag(value: object) -> str:
    return "true" if value else "false"


MOVES: Mapping[Callable[..., Any], Callable[..., Any]] = {portable.export: export, portable.import_: import_}
"""What moves whole scopes."""
