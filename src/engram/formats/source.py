"""Files, folders and zip archives of unknown origin, read safely and in bounded memory."""

from __future__ import annotations

import gzip
import io
import zipfile
import zlib
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Final, Protocol, Self

from engram.formats.archive import Limits, Zip, folder_files, is_zip
from engram.formats.streaming import Unreadable, json_items, json_text, text_lines, text_pieces
from engram.kernel.errors import InvalidInput

if TYPE_CHECKING:
    from _typeshed import WriteableBuffer

__all__ = ["Limits", "Source"]

_GZIP: Final = ".gz"
_BUFFER: Final = 1 << 16
_BROKEN: Final = (zipfile.BadZipFile, gzip.BadGzipFile, EOFError, OSError, zlib.error)


class Source:
    """A file, a folder or a zip archive that somebody else may have written.

    `names` are the files in it, relative and with slashes, sorted; for a single file its own name. Nothing
    is unpacked onto the disk, and only what is asked for by its name is ever inflated.

    Raises `InvalidInput`, naming the archive and the member, for what is missing, cannot be read, leads
    outside, is encrypted, truncated, there twice, or beyond the `limits`.
    """

    def __init__(self, path: str | Path, limits: Limits = Limits()) -> None:  # noqa: B008 - frozen
        self.path = Path(path)
        self.limits = limits
        self._zip: Zip | None = None
        self._read = self._given = 0
        self._wanted: tuple[str, ...] | None = None
        self._total: int | None = None
        try:
            self.is_folder = self.path.is_dir()
            self.is_archive = self.path.is_file() and is_zip(self.path)
            if self.is_archive:
                self._zip = Zip(self.path, limits)
                self.names = tuple(sorted(self._zip.members))
            elif self.is_folder:
                self.names = tuple(sorted(folder_files(self.path, limits)))
            elif self.path.is_file():
                self.names = (self.path.name,)
            elif self.path.exists():
                raise InvalidInput(f"{self.path}: is no file and no folder; save what it gives to a file")
            else:
                raise FileNotFoundError
            self._known = frozenset(self.names)
        except FileNotFoundError as error:
            raise InvalidInput(f"{self.path}: there is no such file or folder") from error
        except OSError as error:
            raise InvalidInput(f"{self.path}: cannot be read ({error.strerror or error})") from error

    def size(self, name: str) -> int:
        """Bytes of a file as it lies there; of a member of an archive, when it is inflated."""
        if self._zip:
            return self._zip.members[name].file_size
        return self._file(name).stat().st_size

    def place(self, name: str) -> str:
        """The file as messages call it: `export.zip/conversations.json`."""
        return f"{self.path}/{name}" if self._zip else str(self._file(name))

    def open(self, name: str) -> io.BufferedReader:
        """The bytes of a file, decompressed as they are read and held against the limits; `.gz` is unpacked.

        Reading raises `InvalidInput` naming the file where it is truncated, broken or a bomb.
        """
        return self._open(name, count=True)

    def head(self, name: str, size: int = 65536) -> bytes:
        """The first bytes of a file, for a look at what it is; fewer where it ends or breaks off.

        Raises `InvalidInput` naming the file where there is nothing before it breaks.
        """
        data = b""
        try:
            with self._open(name, count=False) as stream:
                while len(data) < size and (piece := stream.read1(size - len(data))):
                    data += piece
        except Unreadable:
            if not data:
                raise  # else whoever reads it through is told
        return data

    def text(self, name: str) -> Iterator[str]:
        """The text of a file in pieces: UTF-8 with or without a byte order mark, or UTF-16 with one.

        Raises `InvalidInput` naming the file, the line and the byte for any other encoding.
        """
        with self.open(name) as stream:
            yield from text_pieces(stream, self.place(name))

    def lines(self, name: str) -> Iterator[tuple[int, str]]:
        """The lines of a file with their numbers from 1, without line ends; encodings as for `text`."""
        return text_lines(self.text(name), self.place(name), self.limits.value)

    def items(self, name: str, prefix: str = "item") -> Iterator[tuple[int, Any]]:
        """The values at `prefix` in a JSON file, numbered from 0, one in memory at a time.

        `item` is each element of the outer list, `messages.item` each of the list under a key, `` the whole.
        Raises `InvalidInput` naming file, line and column for malformed, truncated or too deep JSON.
        """
        path = prefix.split(".") if prefix else []
        limits = self.limits
        values = json_items(
            self.text(name), self.place(name), path, longest=limits.value, deepest=limits.depth
        )
        return enumerate(values)

    def json_lines(self, name: str) -> Iterator[tuple[int, Any]]:
        """The values of a JSON Lines file with the numbers of their lines; blank lines are passed over.

        Raises `InvalidInput` naming file, line and column.
        """
        for number, line in self.lines(name):
            if line and not line.isspace():
                yield number, json_text(line, f"{self.place(name)}:{number}", deepest=self.limits.depth)

    def expect(self, names: Iterable[str]) -> None:
        """Say which files will be read, so that `total_bytes` is about them."""
        self._wanted, self._total = tuple(names), None

    @property
    def bytes_read(self) -> int:
        """Bytes that reading has consumed so far, out of `total_bytes`."""
        return min(self._read, self.total_bytes)

    @property
    def total_bytes(self) -> int:
        """Bytes of all files, or of those that are expected to be read."""
        if self._total is None:
            self._total = sum(map(self.size, self.names if self._wanted is None else self._wanted))
        return self._total

    def close(self) -> None:
        """Let go of the archive."""
        if self._zip:
            self._zip.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _file(self, name: str) -> Path:
        return self.path / name if self.is_folder else self.path

    def _open(self, name: str, *, count: bool) -> io.BufferedReader:
        if name not in self._known:
            raise InvalidInput(f"{self.path}: there is no file {name!r} in it")
        place, size = self.place(name), None
        if self._zip:
            raw, size = self._zip.open(name), self.size(name)
        else:
            try:
                raw = self._file(name).open("rb")
            except OSError as error:
                raise InvalidInput(f"{place}: cannot be read ({error.strerror})") from error
        stored = Stream(raw, place, self._count if count else None, size=size)
        if not name.endswith(_GZIP):
            return io.BufferedReader(Stream(stored, place, self._hold), _BUFFER)
        plain = gzip.GzipFile(fileobj=io.BufferedReader(stored, _BUFFER))
        return io.BufferedReader(Stream(plain, place, self._hold, under=stored), _BUFFER)

    def _count(self, stream: Stream, given: int) -> None:
        """Progress, in bytes as they are stored."""
        self._read += given

    def _hold(self, stream: Stream, given: int) -> None:
        """Refuse what inflates beyond the limits."""
        limits = self.limits
        self._given += given
        if stream.taken > limits.member or self._given > limits.total:
            raise Unreadable(stream.place, f"more than {min(limits.member, limits.total)} bytes; cut it")
        if stream.under and stream.taken > max(limits.free, limits.ratio * stream.under.taken):
            raise Unreadable(stream.place, f"inflates more than {limits.ratio} times: no honest file does")


class Readable(Protocol):
    """What gives bytes: a file, a member of an archive, something that inflates."""

    def read(self, size: int, /) -> bytes | None: ...
    def close(self) -> None: ...


class Stream(io.RawIOBase):
    """Bytes of which nothing is believed: damage is reported as `Unreadable`, and what comes is counted.

    `note` is told how many came, `size` is how many there must be, `under` what they are inflated from.
    """

    def __init__(
        self,
        inner: Readable,
        place: str,
        note: Callable[[Stream, int], None] | None,
        *,
        size: int | None = None,
        under: Stream | None = None,
    ) -> None:
        self.inner = inner
        self._take = getattr(inner, "read1", inner.read)  # what there is before it breaks, too
        self.place = place
        self.note = note
        self.size = size
        self.under = under
        self.taken = 0

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: WriteableBuffer, /) -> int:
        """Fill the buffer, or as much of it as there is."""
        room = memoryview(buffer)
        try:
            data = self._take(len(room)) or b""
        except _BROKEN as error:
            raise Unreadable(
                self.place, f"truncated or damaged ({str(error) or type(error).__name__})"
            ) from error
        self.taken += len(data)
        if not data and self.size is not None and self.taken != self.size:
            raise Unreadable(self.place, f"truncated: it ends after {self.taken} of {self.size} bytes")
        if self.note:
            self.note(self, len(data))
        room[: len(data)] = data
        return len(data)

    def close(self) -> None:
        if not self.closed:
            self.inner.close()
            if self.under:
                self.under.close()
        super().close()
