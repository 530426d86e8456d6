"""What readers of foreign files give: messages and where each belongs, one at a time."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

from engram.formats.source import Source

__all__ = ["Format", "Incoming", "Skipped"]


@dataclass(frozen=True, slots=True)
class Incoming:
    """One message of a file, as `Memory.add` takes it, and where it belongs.

    `message` has `role`, `content`, and where the file knows them `name`, `time` (ISO 8601), `id`,
    `metadata`. Its `id` is stable: reading the same file again, or a later copy of it that has grown,
    gives the same ids for the same messages. `place` says where it stands (`chat.txt:12`). `kind` is a
    record kind. `valid` and `known` are intervals in ISO 8601, `None` for an open end, where the file
    says since and until when something holds, or was believed; without, they are what `add` gives.
    """

    message: Mapping[str, Any]
    place: str
    run_id: str | None = None
    user_id: str | None = None
    agent_id: str | None = None
    kind: str = "episode"
    valid: tuple[str | None, str | None] | None = None
    known: tuple[str | None, str | None] | None = None


@dataclass(frozen=True, slots=True)
class Skipped:
    """Something in a file that is no message, or cannot be taken: where it stands, and why.

    `lost` says that it is a message whose words are missing from the memory now.
    """

    place: str
    reason: str
    details: Mapping[str, Any] = field(default_factory=dict)
    lost: bool = False


class Format(Protocol):
    """A kind of file that can be imported: stateless, found by its name in the entry points `engram.formats`.

    Reading is lazy and takes memory for one conversation at most, whatever the size of the file. Raises
    `InvalidInput` naming the file and the line (or the place in the archive) for what is broken.
    """

    name: str
    title: str

    def recognises(self, source: Source) -> bool:
        """Whether the source is of this format, from the names in it and the first 64 KiB of a file."""
        ...

    def read(self, source: Source) -> Iterator[Incoming | Skipped]:
        """The messages in their order, and what was left out."""
        ...
