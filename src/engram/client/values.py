"""What a service answers, as the values that the faces give."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime
from typing import Any

from engram.engine.results import Imported, Item, Left, Page, Problem, Receipt, Report
from engram.kernel.clock import parse_time
from engram.kernel.record import ONCE, Edge, Hit, Record
from engram.operators.answering import Answer
from engram.operators.graph.subgraph import Graph
from engram.operators.packing import Citation, Context

__all__ = [
    "answer",
    "context",
    "graph",
    "hit",
    "imported",
    "left",
    "page",
    "receipt",
    "record",
    "report",
]

Json = Mapping[str, Any]


def record(value: Json) -> Record:
    """A record, as it is in the store but for the id that came of its request: nobody gave it that."""
    found = Record.from_dict(value)
    if _origin(found.origin) == found.origin:
        return found
    said = found.original
    plain = replace(found, origin=None)
    bare = replace(plain, payload=None)
    return bare if bare.original == said else plain


def hit(value: Json) -> Hit:
    """A record found."""
    return Hit(record(value["record"]), value["score"], dict(value["why"]))


def page(value: Json) -> Page:
    """A part of a listing."""
    return Page(tuple(map(record, value["items"])), value["next"])


def receipt(value: Json) -> Receipt:
    """What a call did."""
    items = (
        Item(item["event"], item["id"], _origin(item["origin"]), item["reason"]) for item in value["items"]
    )
    return Receipt(
        tuple(items),
        value["change_set"],
        value["job"],
        dict(value["usage"]),
        value["purge"],
        value["dry_run"],
        tuple(value["outside"]),
        value["derived"],
    )


def context(value: Json) -> Context:
    """What is remembered, packed for a prompt."""
    return Context(value["text"], value["tokens"], _citations(value), tuple(value["notes"]))


def answer(value: Json) -> Answer:
    """An answer with what it stands on."""
    return Answer(
        value["text"],
        _citations(value),
        value["abstained"],
        value["kind"],
        tuple(value["notes"]),
        dict(value["usage"]),
    )


def graph(value: Json) -> Graph:
    """A part of a memory's graph."""
    nodes, edges = tuple(map(record, value["nodes"])), tuple(map(Edge.from_dict, value["edges"]))
    return Graph(nodes, edges, tuple(value["start"]), value["more"])


def report(value: Json) -> Report:
    """What was looked at and found."""
    problems = tuple(Problem(item["what"], item["id"]) for item in value["problems"])
    return Report(value["checked"], problems, value["mended"])


def left(value: Json) -> Left:
    """Something that an import did not take."""
    return Left(value["place"], value["reason"], value["failed"])


def imported(value: Json) -> Imported:
    """What an import did."""
    counts = {name: value[name] for name in ("stored", "duplicate", "skipped", "failed", "jobs", "dry_run")}
    return Imported(
        value["format"],
        **counts,
        reasons=dict(value["reasons"]),
        examples=tuple(map(left, value["examples"])),
        change_sets=tuple(value["change_sets"]),
        notes=tuple(value["notes"]),
    )


def _citations(value: Json) -> tuple[Citation, ...]:
    return tuple(
        Citation(
            item["number"],
            item["id"],
            _origin(item["origin"]),
            item["score"],
            item["kind"],
            item["who"],
            _moment(item["time"]),
        )
        for item in value["citations"]
    )


def _origin(origin: str | None) -> str | None:
    """The caller's own id; one that was made of a request's idempotency key is none."""
    return None if origin is None or origin.startswith(ONCE) else origin


def _moment(text: str | None) -> datetime | None:
    return None if text is None else parse_time(text)[0]
