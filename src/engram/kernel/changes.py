"""What a policy decides, as data. The engine checks changes and commits them in one transaction."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

__all__ = [
    "Add",
    "Change",
    "Changes",
    "Connect",
    "Disconnect",
    "Erase",
    "Merge",
    "Reinforce",
    "Retire",
    "Revise",
    "SetState",
]


@dataclass(frozen=True, slots=True)
class Add:
    """A new derived record. `sources` are the ids it was made from; at least one.

    Without `valid_start` it is valid from the earliest source's time; where `valid_end` is no later than
    that, since nobody knows when. `ended_by` are the records for which it ends at `valid_end`: erasing them
    opens it again.
    """

    text: str
    kind: str
    sources: tuple[str, ...]
    valid_start: datetime | None = None
    valid_end: datetime | None = None
    time: datetime | None = None
    name: str | None = None
    metadata: Mapping[str, Any] = field(default_factory=dict)
    payload: Any = None
    strength: float = 1.0
    trust: float = 1.0
    reason: str = ""
    ended_by: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Revise:
    """A new version of a record: known time of the old one closes. `None` keeps a field."""

    id: str
    version: int
    text: str | None = None
    metadata: Mapping[str, Any] | None = None
    sources: tuple[str, ...] = ()
    reason: str = ""


@dataclass(frozen=True, slots=True)
class Retire:
    """The record stops being true in the world at `end` (default: now).

    It is the policy's own, or a fact that was added directly.
    """

    id: str
    version: int
    end: datetime | None = None
    sources: tuple[str, ...] = ()
    reason: str = ""


@dataclass(frozen=True, slots=True)
class Merge:
    """`others` become part of `into`, which takes their sources and, if given, a new text and metadata.

    Open edges of `others` are moved to `into`; those between them end. `sources` are what it was made from
    besides. A fact that is given a new text stands on all of them together.
    """

    into: str
    version: int
    others: tuple[tuple[str, int], ...]
    text: str | None = None
    reason: str = ""
    metadata: Mapping[str, Any] | None = None
    sources: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Connect:
    """A new edge from `source` to `target`; `sources` are the ids of the records that it stands on.

    Without `valid_start` it holds from the earliest time of its sources, without sources from now; where
    `valid_end` is no later than that, since nobody knows when. A `single` one is a counter: it takes the
    place of the policy's single edge of that type between the two, and no version of that is kept.
    """

    source: str
    target: str
    type: str
    weight: float = 1.0
    sources: tuple[str, ...] = ()
    metadata: Mapping[str, Any] = field(default_factory=dict)
    valid_start: datetime | None = None
    valid_end: datetime | None = None
    single: bool = False


@dataclass(frozen=True, slots=True)
class Disconnect:
    """The edge ends: with `end` it stops being true in the world then, without it is believed no more.

    `version` is the one that was read, where that matters.
    """

    id: str
    end: datetime | None = None
    reason: str = ""
    version: int | None = None


@dataclass(frozen=True, slots=True)
class Reinforce:
    """Moves a record's counters; makes no version. The results are cut to [0, 1]."""

    id: str
    strength: float = 0.0
    trust: float = 0.0


@dataclass(frozen=True, slots=True)
class SetState:
    """Sets the policy's own state `name` in this scope, if it is still at `version` (0: not there yet)."""

    name: str
    value: Any
    version: int = 0


@dataclass(frozen=True, slots=True)
class Erase:
    """Destroys a record and all that was made from it alone."""

    id: str
    reason: str = ""


Change = Add | Revise | Retire | Merge | Connect | Disconnect | Reinforce | SetState | Erase
"""Any of the changes that a policy can decide on."""


@dataclass(frozen=True, slots=True)
class Changes(Sequence[Change]):
    """A sequence of changes, committed together or not at all."""

    items: tuple[Change, ...] = ()

    @classmethod
    def of(cls, *items: Change) -> Changes:
        """The given changes, in order."""
        return cls(items)

    def __add__(self, other: Changes) -> Changes:
        return Changes(self.items + other.items)

    def __len__(self) -> int:
        return len(self.items)

    def __iter__(self) -> Iterator[Change]:
        return iter(self.items)

    def __getitem__(self, index: Any) -> Any:
        return self.items[index]
