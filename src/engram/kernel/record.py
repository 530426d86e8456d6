"""The one unit of memory, and what a search gives back."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any, Literal, get_args

from engram.kernel.clock import parse_time
from engram.kernel.scope import DEFAULT_TENANT, Scope
from engram.kernel.show import Card, Shown, card, listed, moment

__all__ = [
    "KINDS",
    "ONCE",
    "ROLES",
    "TEXT_MARK",
    "Direction",
    "Edge",
    "Hit",
    "Interval",
    "Kind",
    "Record",
    "Role",
    "derived_id",
    "new_id",
]

Kind = Literal[
    "episode",
    "fact",
    "entity",
    "summary",
    "core",
    "procedure",
    "case",
    "lesson",
    "resource",
    "secret",
    "task",
]
"""What a record is: something said or done, or what was made of it."""
Role = Literal["user", "assistant", "system", "developer", "tool"]
"""Who said a message."""
Direction = Literal["both", "out", "in"]
"""Which edges of a record: all, those that lead from it, those that lead to it."""
KINDS: tuple[str, ...] = get_args(Kind)
"""All kinds of record."""
ROLES: tuple[str, ...] = get_args(Role)
"""All roles."""
ONCE = "once:"
"""What an origin begins with that was made of a request, so that sending it again stores nothing twice."""
TEXT_MARK = "$text"
"""The key of a payload that stands for the message with the text as its content."""
_BASE32 = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
_LEVELS = ("episode", "window", "session")
_PAIRS = [first + second for first in _BASE32 for second in _BASE32]


@dataclass(frozen=True, slots=True)
class Interval:
    """A half-open stretch of time, [start, end); `None` is open on that side."""

    start: datetime | None = None
    end: datetime | None = None

    def __contains__(self, moment: datetime) -> bool:
        return (self.start is None or self.start <= moment) and (self.end is None or moment < self.end)

    def to_dict(self) -> dict[str, str | None]:
        """`start` and `end` as ISO 8601 text or null."""
        return {"start": _iso(self.start), "end": _iso(self.end)}

    @classmethod
    def from_dict(cls, value: Mapping[str, Any]) -> Interval:
        """The interval that `to_dict` wrote."""
        return cls(_moment(value.get("start")), _moment(value.get("end")))


@dataclass(frozen=True, slots=True, repr=False)
class Record(Shown):
    """A text (or a payload) and what is known about it.

    `time` is when it was said; `valid` when it is true in the world; `known` when the system held it.
    `payload` is what it takes to give the original message back where text, role, name and origin alone
    do not: a mapping with the key `TEXT_MARK` stands for itself with the text as `content`, an empty
    string for the bare text (so no text is held twice), a list of one for that item. `arrival` orders
    what arrived in one store; `opened` and `closed` name the change sets that opened and closed this
    version. `strength` and `trust` lie in [0, 1].
    """

    id: str
    kind: str
    text: str
    scope: Scope
    time: datetime
    valid: Interval
    known: Interval
    level: int | None = None
    origin: str | None = None
    role: str | None = None
    name: str | None = None
    sources: tuple[str, ...] = ()
    made_by: str | None = None
    strength: float = 1.0
    trust: float = 1.0
    metadata: Mapping[str, Any] = field(default_factory=dict)
    payload: Any = None
    expires: datetime | None = None
    version: int = 1
    arrival: int = 0
    opened: int = 0
    closed: int | None = None

    @property
    def original(self) -> Any:
        """The message exactly as it was given to `add` (times as ISO 8601 text)."""
        if isinstance(self.payload, list):
            return self.payload[0]
        if isinstance(self.payload, str):
            return self.text
        if isinstance(self.payload, dict):
            return {
                **{key: item for key, item in self.payload.items() if key != TEXT_MARK},
                "content": self.text,
            }
        message: dict[str, Any] = {"role": self.role, "content": self.text}
        if self.name is not None:
            message["name"] = self.name
        if self.origin is not None:
            message["id"] = self.origin
        return message

    @property
    def indexed(self) -> str:
        """The text as indexes and embedders may have it: a secret's is in none."""
        return "" if self.kind == "secret" else self.text

    @property
    def current(self) -> bool:
        """Whether this version is what the system believes now (its known time is open)."""
        return self.closed is None and self.known.end is None

    def to_dict(self) -> dict[str, Any]:
        """Every field as JSON values."""
        return {
            "id": self.id,
            "kind": self.kind,
            "level": self.level,
            "text": self.text,
            "origin": self.origin,
            "scope": self.scope.to_dict(),
            "role": self.role,
            "name": self.name,
            "time": _iso(self.time),
            "valid": self.valid.to_dict(),
            "known": self.known.to_dict(),
            "sources": list(self.sources),
            "made_by": self.made_by,
            "strength": self.strength,
            "trust": self.trust,
            "metadata": dict(self.metadata),
            "payload": self.payload,
            "expires": _iso(self.expires),
            "version": self.version,
            "arrival": self.arrival,
            "opened": self.opened,
            "closed": self.closed,
        }

    @classmethod
    def from_dict(cls, value: Mapping[str, Any]) -> Record:
        """The record that `to_dict` wrote. Raises `KeyError` or `InvalidInput` on anything else."""
        plain = dict(value)
        plain["scope"] = Scope.of(**plain["scope"])
        plain["time"] = parse_time(plain["time"])[0]
        plain["valid"] = Interval.from_dict(plain["valid"])
        plain["known"] = Interval.from_dict(plain["known"])
        plain["sources"] = tuple(plain["sources"])
        plain["expires"] = _moment(plain.get("expires"))
        return cls(**plain)

    def same_content(self, other: Record) -> bool:
        """Whether both were made from the same message (arrival time and bookkeeping aside)."""
        return (
            self.kind == other.kind
            and self.original == other.original
            and dict(self.metadata) == dict(other.metadata)
        )

    def at(self, *, valid: Interval | None = None, known: Interval | None = None) -> Record:
        """The same record with another valid or known time."""
        return replace(self, valid=valid or self.valid, known=known or self.known)

    def _card(self) -> Card:
        tenant = None if self.scope.tenant == DEFAULT_TENANT else self.scope.tenant
        ended = " to ".join([moment(self.valid.start), moment(self.valid.end)]) if self.valid.end else ""
        more = {
            "scope": listed({**self.scope.to_dict(), "tenant": tenant}),
            "valid": ended,
            "superseded": moment(self.known.end),
            "expires": moment(self.expires),
            "version": "" if self.version == 1 else str(self.version),
            "sources": ", ".join(self.sources),
            "origin": self.origin or "",
            "made by": self.made_by or "",
            "metadata": listed(self.metadata),
        }
        kind = _LEVELS[self.level] if self.level in (0, 1, 2) and self.kind == "episode" else self.kind
        who = self.name or self.role or ""
        words = "(not shown; see .text)" if self.kind == "secret" else self.text
        return Card("Record", (kind, moment(self.time)), who, words, self.id, tuple(more.items()))


@dataclass(frozen=True, slots=True)
class Edge:
    """A typed, weighted relation between two records, on both time axes.

    A change of its valid time or of an end opens a new `version` and closes the known time of the one
    before it. `sequence` is the number of the version's last change in this store, by which a graph in
    memory follows the store.
    """

    id: str
    source: str
    target: str
    type: str
    scope: Scope
    valid: Interval
    known: Interval
    weight: float = 1.0
    sources: tuple[str, ...] = ()
    made_by: str | None = None
    metadata: Mapping[str, Any] = field(default_factory=dict)
    opened: int = 0
    closed: int | None = None
    version: int = 1
    sequence: int = 0

    @property
    def current(self) -> bool:
        """Whether this version is what the system believes now (its known time is open)."""
        return self.closed is None and self.known.end is None

    def to_dict(self) -> dict[str, Any]:
        """Every field as JSON values; the store's own `sequence` is left out."""
        return {
            "id": self.id,
            "version": self.version,
            "source": self.source,
            "target": self.target,
            "edge": self.type,
            "scope": self.scope.to_dict(),
            "valid": self.valid.to_dict(),
            "known": self.known.to_dict(),
            "weight": self.weight,
            "sources": list(self.sources),
            "made_by": self.made_by,
            "metadata": dict(self.metadata),
            "opened": self.opened,
            "closed": self.closed,
        }

    @classmethod
    def from_dict(cls, value: Mapping[str, Any]) -> Edge:
        """The edge that `to_dict` wrote."""
        plain = dict(value)
        plain["type"] = plain.pop("edge")
        plain["scope"] = Scope.of(**plain["scope"])
        plain["valid"] = Interval.from_dict(plain["valid"])
        plain["known"] = Interval.from_dict(plain["known"])
        plain["sources"] = tuple(plain["sources"])
        return cls(**plain)


@dataclass(frozen=True, slots=True, repr=False)
class Hit(Shown):
    """A record found: its calibrated score in [0, 1] and `why`, each signal's share of the ranking score."""

    record: Record
    score: float
    why: Mapping[str, float] = field(default_factory=dict)

    @property
    def text(self) -> str:
        """The record's text."""
        return self.record.text

    @property
    def id(self) -> str:
        """The record's id."""
        return self.record.id

    def to_dict(self) -> dict[str, Any]:
        """Text, score, reasons and the whole record as JSON values."""
        return {
            "id": self.id,
            "text": self.text,
            "score": self.score,
            "why": dict(self.why),
            "record": self.record.to_dict(),
        }

    def _card(self) -> Card:
        found = card(self.record)
        why = sorted(self.why.items(), key=lambda part: -abs(part[1]))
        shares = " · ".join(f"{name} {share:+.2f}" for name, share in why)
        facts = (f"{self.score:.2f}", *found.facts)
        return replace(found, name="Hit", facts=facts, more=(("why", shares), *found.more))


def new_id(milliseconds: int, sequence: int, tag: int) -> str:
    """A 26-character id that sorts by time, then by the store's own sequence.

    48 bits of milliseconds since 1970, 42 bits of sequence, 40 bits of the store's tag: unique in one
    store by the sequence, apart between stores by the tag, and the same for the same clock and seed.
    """
    time, place, store = milliseconds & (1 << 48) - 1, sequence & (1 << 42) - 1, tag & (1 << 40) - 1
    return _base32(time << 82 | place << 40 | store)


def derived_id(job: str, ordinal: int) -> str:
    """The id of the `ordinal`-th record that job `job` makes: a rerun makes the same one."""
    digest = hashlib.blake2b(f"{job}/{ordinal}".encode(), digest_size=10).digest()
    return job[:10] + _base32(int.from_bytes(digest, "big"), 16)


def _base32(value: int, length: int = 26) -> str:
    return "".join([_PAIRS[value >> shift & 1023] for shift in range(5 * length - 10, -1, -10)])


def _iso(moment: datetime | None) -> str | None:
    return None if moment is None else moment.isoformat()


def _moment(value: Any) -> datetime | None:
    return None if value is None else parse_time(value)[0]
