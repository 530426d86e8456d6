"""The files of a SQLite store, looked at without opening them as a store."""

from __future__ import annotations

import os
import re
import shutil
import sqlite3
import stat
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from urllib.parse import quote

from engram.kernel.errors import ConfigError, NeedsMigration, StoreError
from engram.kernel.keeping import Finding, MigrationPlan, MigrationStep, size
from engram.stores.sqlite.connection import connect
from engram.stores.sqlite.errors import translated, translation
from engram.stores.sqlite.migrate import backups, built_in, format_of, migrate, refuse_scrap

__all__ = ["SqliteKeeper"]

OLDEST = (3, 38)
_LOG = 256_000_000
_LITTLE = 50_000_000
_PATIENCE = 30.0
_REMOTE = frozenset(
    {
        "nfs",
        "nfs4",
        "cifs",
        "smb3",
        "smbfs",
        "9p",
        "afs",
        "ceph",
        "glusterfs",
        "lustre",
        "fuse.sshfs",
        "davfs",
    }
)
_OCTAL = re.compile(r"\\([0-7]{3})")
_MOUNTS = Path("/proc/self/mounts")
_OPEN_TO_OTHERS = stat.S_IRWXG | stat.S_IRWXO


class SqliteKeeper:
    """The keeper of one SQLite file (`engram.kernel.keeping.Keeper`); `mounts` lists the file systems."""

    def __init__(self, path: Path, mounts: Path = _MOUNTS) -> None:
        self.path = path.absolute()
        self._mounts = mounts

    @property
    def exists(self) -> bool:
        """Whether the file is there and holds something."""
        return self.path.is_file() and self.path.stat().st_size > 0

    def look(self) -> list[Finding]:
        """The file, its rights, its place, its format, what lies beside it, the room on its disk."""
        return [*self._library(), *self._file()]

    def plan(self) -> MigrationPlan:
        """The steps to the present format."""
        steps = built_in()
        with translated(self.path):
            number = self._format() if self.exists else 0
            length = self.path.stat().st_size if number else 0
            free = shutil.disk_usage(_nearest(self.path.parent)).free
        due = [step for step in steps if number and step.number > number]
        titles = tuple(MigrationStep(step.number, step.title) for step in due)
        return MigrationPlan(str(self.path), number, steps[-1].number, titles, length * bool(due), free)

    def upgrade(self, progress: Callable[[int, int | None], None] | None = None) -> None:
        """Take the steps that lack; nothing where there is no store yet."""
        if not self.exists:
            return
        with translated(self.path), closing(connect(self.path, "process", _PATIENCE)) as connection:
            migrate(connection, self.path, built_in(), _never, progress)

    def fix(self, name: str) -> None:
        """`rights` closes the files to others; `copies` removes what broken-off migrations left."""
        with translated(self.path):
            if name == "rights":
                for file in (self.path, *self._beside()):
                    file.chmod(stat.S_IRUSR | stat.S_IWUSR)
            elif name == "copies":
                for copy in backups(self.path):
                    copy.unlink(missing_ok=True)

    def _library(self) -> Iterator[Finding]:
        if sqlite3.sqlite_version_info >= OLDEST:
            yield Finding("sqlite", "ok", f"SQLite {sqlite3.sqlite_version}")
        else:
            oldest = ".".join(map(str, OLDEST))
            what = f"SQLite {sqlite3.sqlite_version} is older than {oldest}, which engram needs"
            yield Finding("sqlite", "wrong", what, "install a newer Python")

    def _file(self) -> Iterator[Finding]:
        if not self.path.exists():
            yield from self._absent()
            return
        trouble = self._trouble()
        if trouble is not None:
            yield trouble
            return
        yield Finding("file", "ok", f"{self.path}, {size(self.path.stat().st_size)}")
        yield from self._rights()
        yield from self._place()
        yield from self._formats()
        yield from self._leftovers()
        yield from self._room()

    def _absent(self) -> Iterator[Finding]:
        folder = self.path.parent
        if not folder.is_dir():
            what = f"the folder {folder} does not exist"
            yield Finding("file", "wrong", what, f"mkdir -p {folder}, or give another --url")
        elif not _may(folder, os.W_OK | os.X_OK):
            what = f"there is no store yet, and the folder {folder} cannot be written"
            yield Finding("file", "wrong", what, f"chmod u+wx {folder}, or give another --url")
        else:
            what = f"there is no store at {self.path} yet; the first add makes it"
            yield Finding("file", "ok", what)

    def _trouble(self) -> Finding | None:
        """What is in the way of reading the file as a store at all."""
        if not self.path.is_file():
            return Finding("file", "wrong", f"{self.path} is no file", "give another --url")
        if not _may(self.path, os.R_OK):
            return Finding("file", "wrong", f"{self.path} cannot be read", f"chmod u+rw {self.path}")
        if self.exists:
            try:
                self._format()
            except NeedsMigration as error:
                return Finding("format", "wrong", str(error), "pip install --upgrade engram")
            except (ConfigError, StoreError) as error:
                return Finding(
                    "file", "wrong", str(error), "give another --url, or restore the file from a copy"
                )
        return None

    def _rights(self) -> Iterator[Finding]:
        folder = self.path.parent
        if not _may(self.path, os.W_OK):
            yield Finding("rights", "wrong", f"{self.path} cannot be written", f"chmod u+w {self.path}")
        elif not _may(folder, os.W_OK | os.X_OK):
            what = f"the folder {folder} cannot be written: SQLite keeps its log there"
            yield Finding("rights", "wrong", what, f"chmod u+wx {folder}")
        elif os.name == "posix" and any(_open_to_others(file) for file in (self.path, *self._beside())):
            mode = f"{stat.S_IMODE(self.path.stat().st_mode):o}"
            what = f"other users of this machine may read what is remembered (mode {mode})"
            yield Finding("rights", "warn", what, f"chmod 600 {self.path}*", "rights")
        else:
            yield Finding("rights", "ok", "readable and writable, for its owner only")

    def _place(self) -> Iterator[Finding]:
        kind = _file_system(self.path, self._mounts)
        if kind in _REMOTE:
            what = f"the file lies on a network file system ({kind}), where SQLite's locks may fail"
            yield Finding("place", "warn", what, "move the file to a disk of this machine")

    def _formats(self) -> Iterator[Finding]:
        if not self.exists:
            yield Finding("format", "ok", "the file is empty; the first add makes it a store")
            return
        plan = self.plan()
        if plan.steps:
            what = f"format {plan.format}, this engram writes {plan.latest}; it is migrated when it is opened"
            yield Finding("format", "warn", what, "engram migrate", "migrate")
        else:
            yield Finding("format", "ok", f"format {plan.format}, the latest")

    def _leftovers(self) -> Iterator[Finding]:
        copies = backups(self.path)
        if copies:
            length = sum(copy.stat().st_size for copy in copies)
            names = ", ".join(copy.name for copy in copies)
            what = f"a migration was broken off and left {names} ({size(length)})"
            due = bool(self.plan().steps)
            yield Finding("leftovers", "warn", what, "engram migrate", "migrate" if due else "copies")
        for part in sorted(self.path.parent.glob("*.part")):
            what = f"{part} ({size(part.stat().st_size)}) is of an export that runs or was broken off"
            yield Finding("leftovers", "warn", what, f"rm {part}, once no export runs")
        log = self.path.with_name(self.path.name + "-wal")
        if log.exists() and log.stat().st_size > _LOG:
            what = f"the write-ahead log has {size(log.stat().st_size)}: some process reads without an end"
            yield Finding("leftovers", "warn", what, "end the process that has the store open")

    def _room(self) -> Iterator[Finding]:
        needed = self.path.stat().st_size
        free = shutil.disk_usage(self.path.parent).free
        if free < _LITTLE:
            what = f"the disk has {size(free)} left; adding will soon fail"
            yield Finding("disk", "wrong", what, "free space on it")
        elif free < needed:
            what = f"the disk has {size(free)} left; forgetting rewrites the file and needs {size(needed)}"
            yield Finding("disk", "warn", what, "free space on it")
        else:
            yield Finding("disk", "ok", f"{size(free)} free")

    def _format(self) -> int:
        """The number of the format, read without changing a byte or leaving a file."""
        refuse_scrap(self.path)
        address = f"file:{quote(str(self.path))}?mode=ro"
        unshared = f"{address}&immutable=1"
        latest = built_in()[-1].number
        logged = self.path.with_name(self.path.name + "-wal").exists()
        try:
            with closing(sqlite3.connect(address if logged else unshared, uri=True)) as link:
                return format_of(link, self.path, latest)
        except sqlite3.OperationalError:
            pass  # the log cannot be opened in a folder that cannot be written: what is in the file must do
        except sqlite3.Error as error:
            raise translation(error, self.path) from error
        try:
            with closing(sqlite3.connect(unshared, uri=True)) as link:
                return format_of(link, self.path, latest)
        except sqlite3.Error as error:
            raise translation(error, self.path) from error

    def _beside(self) -> list[Path]:
        names = (self.path.name + ending for ending in ("-wal", "-shm"))
        return [file for name in names if (file := self.path.with_name(name)).exists()]


def _never(_: sqlite3.Connection) -> None:
    raise StoreError("the store vanished while it was migrated; call again")


def _may(path: Path, mode: int) -> bool:
    """Whether this process may do that, whoever started it."""
    return os.access(path, mode, effective_ids=os.access in os.supports_effective_ids)


def _open_to_others(file: Path) -> bool:
    return bool(file.stat().st_mode & _OPEN_TO_OTHERS)


def _nearest(folder: Path) -> Path:
    while not folder.exists():
        folder = folder.parent
    return folder


def _file_system(path: Path, mounts: Path) -> str | None:
    """The kind of file system that a path lies on, where the system tells."""
    try:
        lines = mounts.read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return None
    found, longest = None, -1
    for line in lines:
        _, place, kind, *_ = [*line.split(" "), "", "", ""]
        point = _OCTAL.sub(lambda code: chr(int(code[1], 8)), place)
        if path.is_relative_to(point) and len(point) >= longest:
            found, longest = kind, len(point)
    return found
