"""Looking after a store's files: what was found, what a migration would do, and who can tell."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal, Protocol

__all__ = ["Finding", "Keeper", "Level", "MigrationPlan", "MigrationStep", "size"]

Level = Literal["ok", "warn", "wrong"]
"""How bad a finding is: as it should be, worth a look, or in the way."""


@dataclass(frozen=True, slots=True)
class Finding:
    """Something that was looked at, and what came of it.

    `check` says what was looked at, `mend` the command that mends it. `fix` names what `engram doctor
    --fix` would do itself, where that is safe.
    """

    check: str
    level: Level
    what: str
    mend: str | None = None
    fix: str | None = None

    def to_dict(self) -> dict[str, Any]:
        """The fields as JSON values."""
        return {
            "check": self.check,
            "level": self.level,
            "what": self.what,
            "mend": self.mend,
            "fix": self.fix,
        }


@dataclass(frozen=True, slots=True)
class MigrationStep:
    """One step to a store's next format."""

    number: int
    title: str


@dataclass(frozen=True, slots=True)
class MigrationPlan:
    """What bringing a store to the present format would do, or has done.

    `format` is the store's (0: it is not made yet), `latest` what this engram writes. `copied` is how
    many bytes are copied beside the store before it changes, `free` how many the disk has left.
    """

    path: str
    format: int
    latest: int
    steps: tuple[MigrationStep, ...]
    copied: int
    free: int

    def to_dict(self) -> dict[str, Any]:
        """The fields as JSON values."""
        return {
            "path": self.path,
            "format": self.format,
            "latest": self.latest,
            "steps": [{"number": step.number, "title": step.title} for step in self.steps],
            "copied": self.copied,
            "free": self.free,
        }


def size(count: int) -> str:
    """A number of bytes, for people."""
    if count < 1000:
        return f"{count} bytes"
    amount, units = count / 1000, ["KB", "MB", "GB", "TB"]
    while amount >= 1000 and len(units) > 1:
        amount /= 1000
        units.pop(0)
    return f"{amount:.1f} {units[0]}"


class Keeper(Protocol):
    """Who knows the files of one kind of store, without opening them as a store."""

    @property
    def exists(self) -> bool:
        """Whether there is anything yet."""
        ...

    def look(self) -> list[Finding]:
        """What can be told of the files; it changes nothing."""
        ...

    def plan(self) -> MigrationPlan:
        """The steps to the present format. Raises `ConfigError` and `NeedsMigration` where there are none."""
        ...

    def upgrade(self, progress: Callable[[int, int | None], None] | None = None) -> None:
        """Take those steps. `progress` counts the bytes of the copy."""
        ...

    def fix(self, name: str) -> None:
        """Do what a finding of `look` names as its `fix`."""
        ...
