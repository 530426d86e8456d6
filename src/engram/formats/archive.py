"""Zip archives and folders of unknown origin: nothing in them is opened before all of it was looked at."""

from __future__ import annotations

import io
import os
import re
import stat
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Final, Never

from engram.kernel.errors import InvalidInput

__all__ = ["Limits", "Zip", "folder_files", "is_zip"]

_DRIVE: Final = re.compile(r"[A-Za-z]:")
_ENTRY, _LONG_ENTRY = 46, 256
"""Bytes of an entry of a zip directory: the least, and with a long name."""
_ENCRYPTED: Final = 0x1
_METHODS: Final = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)


@dataclass(frozen=True, slots=True)
class Limits:
    """How much is taken from a file that somebody else may have written.

    `members`: files in an archive or a folder. `member`: bytes that one file may inflate to. `total`: bytes
    that all reading from one source may come to. `ratio`: how many times as large as its compressed form a
    file may be, once it is larger than `free` bytes. `value`: characters of one JSON value or one line.
    `depth`: levels of nesting.
    """

    members: int = 100_000
    member: int = 64 << 30
    total: int = 256 << 30
    ratio: int = 200
    free: int = 16 << 20
    value: int = 64 << 20
    depth: int = 100


def is_zip(path: Path) -> bool:
    """Whether a file begins as zip archives do."""
    with path.open("rb") as file:
        return file.read(4) in (b"PK\3\4", b"PK\5\6")


class Zip:
    """A zip archive of which every member is safe to open.

    Raises `InvalidInput` naming the archive, and the member where it is one, for what is truncated, leads
    outside, is a link, encrypted, there twice, overlapping, compressed in an unusual way, or inflating
    beyond the limits. What a member says of its size is held against its bytes when it is read.
    """

    def __init__(self, path: Path, limits: Limits) -> None:
        self.path = path
        self.limits = limits
        self._file = _Guarded(path, limits)
        try:
            self._archive = zipfile.ZipFile(self._file)
            self._file.listed = True
            self.members = {info.filename: info for info in self._checked()}
        except InvalidInput:
            self._file.close()
            raise
        except (zipfile.BadZipFile, OSError, NotImplementedError, UnicodeDecodeError) as error:
            self._file.close()
            raise InvalidInput(
                f"{path}: not a whole zip archive ({error}); it may be truncated: fetch it again"
            ) from error

    def open(self, name: str) -> IO[bytes]:
        """The member's bytes, inflated as they are read."""
        info = self.members[name]
        if info.file_size > max(self.limits.free, self.limits.ratio * info.compress_size):
            self._refuse(name, f"inflates more than {self.limits.ratio} times, which is no honest file")
        if info.file_size > self.limits.member:
            self._refuse(name, f"inflates to {info.file_size} bytes, and the limit is {self.limits.member}")
        if info.flag_bits & _ENCRYPTED:
            self._refuse(name, "is encrypted; unpack the archive with its password, and give the folder")
        if info.compress_type not in _METHODS:
            self._refuse(name, "is compressed in an unusual way; unpack the archive, and give the folder")
        try:
            return self._archive.open(info)
        except (zipfile.BadZipFile, OSError, NotImplementedError, UnicodeDecodeError) as error:
            raise InvalidInput(f"{self.path}/{name}: cannot be read ({error}); fetch it again") from error

    def close(self) -> None:
        """Let go of the file."""
        self._archive.close()
        self._file.close()

    def _checked(self) -> Iterator[zipfile.ZipInfo]:
        seen: set[str] = set()
        end = 0
        for info in sorted(self._archive.infolist(), key=lambda info: info.header_offset):
            name = info.filename
            if reason := _unsafe(info.orig_filename):
                self._refuse(name, reason)
            if stat.S_ISLNK(info.external_attr >> 16):
                self._refuse(name, "is a link; an export holds none")
            if name in seen:
                self._refuse(name, "is there twice")
            if info.header_offset < end:
                self._refuse(name, "overlaps another member, which is no honest archive")
            seen.add(name)
            end = info.header_offset + info.compress_size
            if not info.is_dir():
                yield info

    def _refuse(self, name: str, reason: str) -> Never:
        shown = name if name.isprintable() else ascii(name)
        raise InvalidInput(f"{self.path}/{shown:.200}: {reason}")


class _Guarded(io.BufferedReader):
    """The file under an archive; refuses too many entries before zipfile makes an object of each."""

    def __init__(self, path: Path, limits: Limits) -> None:
        super().__init__(io.FileIO(path))
        self.path = path
        self.most = limits.members
        self.listed = False

    def read(self, size: int | None = -1, /) -> bytes:
        if self.listed:
            return super().read(size)
        if size is not None and size > max(self.most, 1000) * _LONG_ENTRY:
            self._refuse()
        data = super().read(size)
        if len(data) > self.most * _ENTRY and data.count(b"PK\1\2") > self.most:
            self._refuse()
        return data

    def _refuse(self) -> Never:
        raise InvalidInput(
            f"{self.path}: more than {self.most} files are in it; unpack it, and give the file that is wanted"
        )


def _unsafe(name: str) -> str:
    """Why a name in an archive cannot be trusted; empty if it can."""
    parts = name.replace("\\", "/").split("/")
    if "\0" in name:
        return "has a NUL in its name"
    if not parts[0] or _DRIVE.match(name):
        return "is an absolute path, which could name any file; an export holds none"
    if ".." in parts:
        return "leads out of the archive; an export holds no such path"
    return ""


def folder_files(root: Path, limits: Limits) -> Iterator[str]:
    """Names, relative to the folder, of the regular files in it; hidden ones are no part of it.

    Links are followed where they lead to a file inside. Raises `InvalidInput` naming a link that leads out,
    or the folder when there is more in it than the limit.
    """
    inside = root.resolve()
    count = 0
    for folder, folders, files in os.walk(root, onerror=_raise):
        folders[:] = sorted(name for name in folders if _visible(name))
        for name in [*folders, *filter(_visible, files)]:
            path = Path(folder, name)
            if path.is_symlink() and not path.resolve().is_relative_to(inside):
                raise InvalidInput(f"{path}: is a link that leads out of {root}; give the file itself")
            if name not in folders and path.is_file():
                count += 1
                yield path.relative_to(root).as_posix()
            if count > limits.members:
                raise InvalidInput(
                    f"{root}: more than {limits.members} files are in it; give a smaller folder"
                )


def _visible(name: str) -> bool:
    return not name.startswith(".") and name != "__MACOSX"


def _raise(error: OSError) -> Never:
    raise InvalidInput(f"{error.filename}: cannot be read ({error.strerror})") from error
