"""A fact as extractors give it, before it becomes a record."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from typing import Any, Literal

from engram.kernel.record import Interval

__all__ = ["Fact", "Lasting"]

Lasting = Literal["state", "event", "plan"]


@dataclass(frozen=True, slots=True)
class Fact:
    """One statement about the world: subject, relation, object, and when.

    `lasting` is what its time means: a `state` holds from `when` on, until something ends it; an `event`
    has happened at `when`; a `plan` stands until `when` is over. `when` is a half-open stretch of days,
    `None` where the source names none. `ended`: the source says that it holds no more. `confidence`
    and `importance` (`None`: nobody has judged it) lie in [0, 1]. `quote` is the clause it was taken from.
    `single` says whether the relation has one value at a time (`None`: its name decides), and `labels` are
    what a schema adds: types and attributes. `span` is when it is true, to the moment, where that is given.
    """

    subject: str
    relation: str
    object: str
    lasting: Lasting = "state"
    when: tuple[date, date] | None = None
    ended: bool = False
    confidence: float = 1.0
    quote: str = ""
    importance: float | None = None
    single: bool | None = None
    labels: Mapping[str, Any] = field(default_factory=dict, hash=False)
    span: Interval | None = None

    @property
    def text(self) -> str:
        """The fact as a sentence of its own."""
        verb = self.relation.replace("_", " ")
        said = f"{self.subject} {verb} {self.object}"
        if self.lasting == "state" and " " not in self.relation and self.relation in _SAYINGS:
            said = f"{self.subject} {_SAYINGS[self.relation]} {self.object}"
        elif self.relation in ("plans", "habit"):
            said = (
                f"{self.subject} {'plans to' if self.relation == 'plans' else 'has the habit:'} {self.object}"
            )
        return f"{said} (no longer)" if self.ended else said

    def valid(self, said: datetime) -> Interval:
        """When it is true in the world, for something said at `said`.

        A plan whose day was over by then ("I decided last week to …") has no end: the day is another one.
        """
        if self.span is not None:
            return self.span
        start = said if self.when is None else _midnight(self.when[0])
        if self.ended:
            return Interval(None, start)
        if self.lasting == "plan":
            due = None if self.when is None else _midnight(self.when[1])
            return Interval(said, due if due is not None and due > said else None)
        return Interval(start)

    def metadata(self) -> dict[str, Any]:
        """What a record of it keeps beside its text."""
        found: dict[str, Any] = {
            "subject": self.subject,
            "relation": self.relation,
            "object": self.object,
            "confidence": self.confidence,
        }
        if self.importance is not None:
            found["importance"] = self.importance
        if self.when is not None:
            found["when"] = [day.isoformat() for day in self.when]
        return {**self.labels, **found}


_SAYINGS = {
    "lives_in": "lives in",
    "works_at": "works at",
    "works_as": "works as",
    "studies_at": "studies at",
    "allergic_to": "is allergic to",
    "born_in": "was born in",
    "from": "comes from",
    "name": "is called",
    "age": "is aged",
}


def _midnight(day: date) -> datetime:
    return datetime(day.year, day.month, day.day, tzinfo=UTC)
