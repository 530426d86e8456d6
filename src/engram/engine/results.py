"""What calls give back."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from engram.kernel.record import Record
from engram.kernel.show import ROWS, Card, Shown, card, cut, listed

__all__ = ["Copied", "Event", "Imported", "Item", "Left", "Page", "Problem", "Receipt", "Report"]

OTHER = "other reasons"
_NUMBER = re.compile(r"\d[\d,.]*")
Event = Literal["stored", "duplicate", "merged", "superseded", "failed", "pending", "erased"]


@dataclass(frozen=True, slots=True, repr=False)
class Item(Shown):
    """One thing that happened to one record. `origin` is the caller's own id."""

    event: Event
    id: str | None
    origin: str | None = None
    reason: str = ""

    def to_dict(self) -> dict[str, Any]:
        """The fields as JSON values."""
        return {"event": self.event, "id": self.id, "origin": self.origin, "reason": self.reason}

    def _card(self) -> Card:
        told = [f"({self.origin})" if self.origin else "", cut(self.reason, 200)]
        return Card("Item", tuple(filter(None, [self.event, self.id, *told])))


@dataclass(frozen=True, slots=True, repr=False)
class Receipt(Shown):
    """What a call did, item by item; it never reports what did not happen.

    `change_set` can be given to `undo` (`None`: nothing was changed, or it cannot be undone), and `derived`,
    the change set of what the policy made of what was added. `job` is the id of work that is still owed.
    `usage` counts what model calls took. `purge` is `done` or `pending` after an erasure: whether the bytes
    have left the files. `outside` names copies that are
    out of reach.
    """

    items: tuple[Item, ...] = ()
    change_set: str | None = None
    job: str | None = None
    usage: Mapping[str, float] = field(default_factory=dict)
    purge: str | None = None
    dry_run: bool = False
    outside: tuple[str, ...] = ()
    derived: str | None = None

    @property
    def ids(self) -> list[str]:
        """The ids of the items, in order, those without one left out."""
        return [item.id for item in self.items if item.id is not None]

    @property
    def ok(self) -> bool:
        """Whether no item failed."""
        return all(item.event != "failed" for item in self.items)

    def to_dict(self) -> dict[str, Any]:
        """The fields as JSON values."""
        return {
            "items": [item.to_dict() for item in self.items],
            "change_set": self.change_set,
            "job": self.job,
            "usage": dict(self.usage),
            "purge": self.purge,
            "dry_run": self.dry_run,
            "outside": list(self.outside),
            "derived": self.derived,
        }

    def _card(self) -> Card:
        events = Counter(item.event for item in self.items)
        facts = ["dry run: nothing was changed"] if self.dry_run else []
        facts += [", ".join(f"{count:,} {event}" for event, count in events.items()) or "nothing to do"]
        facts += [f"change set {self.change_set}"] if self.change_set else []
        facts += [f"derived {self.derived}"] if self.derived else []
        facts += [f"purge {self.purge}"] if self.purge else []
        ordered = sorted(self.items, key=lambda item: item.event != "failed")
        rows = [(item.event, item.id or "", item.origin or "", item.reason) for item in ordered[:ROWS]]
        more = {"job": self.job or "", "usage": listed(self.usage), "outside": ", ".join(self.outside)}
        columns = ("event", "id", "origin", "reason") if rows else ()
        return Card(
            "Receipt",
            tuple(facts),
            more=tuple(more.items()),
            columns=columns,
            rows=rows,
            total=len(self.items),
        )


@dataclass(frozen=True, slots=True, repr=False)
class Page(Shown):
    """A part of a listing; give `next` as `after` to go on, `None` when it ends here."""

    items: tuple[Record, ...]
    next: str | None = None

    def __iter__(self) -> Iterator[Record]:
        return iter(self.items)

    def __len__(self) -> int:
        return len(self.items)

    def to_dict(self) -> dict[str, Any]:
        """The fields as JSON values."""
        return {"items": [record.to_dict() for record in self.items], "next": self.next}

    def _card(self) -> Card:
        facts = [f"{len(self.items):,} {'record' if len(self.items) == 1 else 'records'}"]
        cards = [card(record) for record in self.items[:ROWS]]
        rows = [
            (item.facts[-1], item.who or item.facts[0], cut(item.words or "", 100), item.id) for item in cards
        ]
        columns = ("time", "who", "text", "id") if rows else ()
        more = (("next", self.next or ""),)
        return Card("Page", tuple(facts), more=more, columns=columns, rows=rows, total=len(self.items))


@dataclass(frozen=True, slots=True, repr=False)
class Problem(Shown):
    """Something that `verify` found wrong; `id` is the record concerned, if one is."""

    what: str
    id: str | None = None

    def to_dict(self) -> dict[str, Any]:
        """The fields as JSON values."""
        return {"what": self.what, "id": self.id}

    def _card(self) -> Card:
        return Card("Problem", (self.what,), id=self.id or "")


@dataclass(frozen=True, slots=True, repr=False)
class Report(Shown):
    """What `verify` looked at and found, or what `repair` mended."""

    checked: int
    problems: tuple[Problem, ...] = ()
    mended: int = 0

    @property
    def ok(self) -> bool:
        """Whether nothing is wrong."""
        return not self.problems

    def to_dict(self) -> dict[str, Any]:
        """The fields as JSON values."""
        return {
            "checked": self.checked,
            "ok": self.ok,
            "mended": self.mended,
            "problems": [problem.to_dict() for problem in self.problems],
        }

    def _card(self) -> Card:
        wrong = len(self.problems)
        found = f"{wrong:,} {'problem' if wrong == 1 else 'problems'}" if wrong else "all agree"
        facts = (found, f"{self.checked:,} checked", *([f"{self.mended:,} mended"] if self.mended else []))
        rows = [(problem.id or "store", problem.what) for problem in self.problems[:ROWS]]
        return Card("Report", facts, columns=("where", "what") if rows else (), rows=rows, total=wrong)


@dataclass(frozen=True, slots=True, repr=False)
class Left(Shown):
    """Something that an import did not take: where it stands, and why.

    `failed` says that it is a message which could not be stored; else it is none, and nothing is missing.
    """

    place: str
    reason: str
    failed: bool = False

    @property
    def kind(self) -> str:
        """The reason without its numbers and its advice: alike for what is alike."""
        return _NUMBER.sub("N", self.reason.partition(";")[0])

    def to_dict(self) -> dict[str, Any]:
        """The fields as JSON values."""
        return {"place": self.place, "reason": self.reason, "failed": self.failed}

    def _card(self) -> Card:
        return Card("Left", (f"{self.place}: {self.reason}", *(["failed"] if self.failed else [])))


@dataclass(frozen=True, slots=True, repr=False)
class Imported(Shown):
    """What an import did with a file.

    `skipped` counts what was not taken; `failed`, of these, the messages that could not be stored (no
    text can be told from them, or another content has their id). `reasons` maps why to how many, numbers
    in it written as "N"; `examples` are the first 100 with their places. `duplicate` counts what was
    there already. `jobs` are owed to the policy and the embedder: `wait()` does them. `change_sets` can be
    given to `undo`; an export of engram's own brings its own.
    """

    format: str
    stored: int = 0
    duplicate: int = 0
    skipped: int = 0
    failed: int = 0
    reasons: Mapping[str, int] = field(default_factory=dict)
    examples: tuple[Left, ...] = ()
    jobs: int = 0
    change_sets: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    dry_run: bool = False

    @property
    def ok(self) -> bool:
        """Whether every message is stored now."""
        return not self.failed

    def to_dict(self) -> dict[str, Any]:
        """The fields as JSON values."""
        return {
            "format": self.format,
            "ok": self.ok,
            "stored": self.stored,
            "duplicate": self.duplicate,
            "skipped": self.skipped,
            "failed": self.failed,
            "reasons": dict(self.reasons),
            "examples": [example.to_dict() for example in self.examples],
            "jobs": self.jobs,
            "change_sets": list(self.change_sets),
            "notes": list(self.notes),
            "dry_run": self.dry_run,
        }

    def _card(self) -> Card:
        counts = {
            "stored": self.stored,
            "there already": self.duplicate,
            "skipped": self.skipped,
            "failed": self.failed,
        }
        told = [f"{count:,} {name}" for name, count in counts.items() if count or name == "stored"]
        facts = [self.format, *(["dry run: nothing was stored"] if self.dry_run else []), *told]
        more = {
            "jobs": f"{self.jobs:,} owed" if self.jobs else "",
            "change sets": ", ".join(self.change_sets[:ROWS]),
            "notes": "; ".join(self.notes),
        }
        rows = [(f"{count:,}", reason) for reason, count in self.reasons.items()]
        columns = ("count", "why") if rows else ()
        return Card("Imported", tuple(facts), more=tuple(more.items()), columns=columns, rows=rows)


@dataclass(frozen=True, slots=True, repr=False)
class Copied(Shown):
    """What a copy holds of its source, after both were read again and compared.

    `checksum` is the same for the same records, versions, entries, edges and states, in whatever order.
    `behind` counts what has changed in the source since: copying again catches up.
    """

    records: int
    versions: int
    edges: int
    states: int
    jobs: int
    checksum: str
    behind: int = 0

    def to_dict(self) -> dict[str, Any]:
        """The fields as JSON values."""
        return {
            "records": self.records,
            "versions": self.versions,
            "edges": self.edges,
            "states": self.states,
            "jobs": self.jobs,
            "checksum": self.checksum,
            "behind": self.behind,
        }

    def _card(self) -> Card:
        names = ("records", "versions", "edges", "states", "jobs")
        counts = [
            f"{count:,} {name}" for name in names if (count := getattr(self, name)) or name == "records"
        ]
        behind = f"{self.behind:,} changed in the source since; copy again" if self.behind else ""
        return Card("Copied", tuple(counts), more=(("checksum", self.checksum), ("behind", behind)))
