"""Answers of several databases joined into one, in the order that one database would give."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from typing import TypeVar

from engram.kernel.clock import micros
from engram.kernel.protocols import Select, SelectEdges
from engram.kernel.record import Edge, Record
from engram.stores.shared import ids_alone

__all__ = ["edges", "in_one_tenant", "limited", "limited_edges", "page", "records"]

T = TypeVar("T")


def records(found: Sequence[Record], what: Select) -> list[Record]:
    """Records or versions, as `what` orders them."""
    if ids_alone(what) and what.ids is not None:
        places = {id: place for place, id in enumerate(dict.fromkeys(what.ids))}
        return sorted(found, key=lambda item: (places[item.id], item.version))[: what.limit]

    def place(record: Record) -> tuple[int, ...]:
        return (micros(record.time), record.arrival) if what.by_time else (record.arrival,)

    ordered = sorted(found, key=lambda item: (*place(item), item.version))
    return page(ordered, what.limit, place, whole=not what.history)


def edges(found: Sequence[Edge], what: SelectEdges) -> list[Edge]:
    """Edges, as `what` orders them."""
    if what.newest:
        ordered = sorted(found, key=lambda edge: edge.sequence, reverse=True)
        return page(ordered, what.limit, lambda edge: edge.sequence, whole=False)
    if isinstance(what.after, int):
        ordered = sorted(found, key=lambda edge: (edge.sequence, edge.id))
        return page(ordered, what.limit, lambda edge: edge.sequence, whole=True)
    return sorted(found, key=lambda edge: (edge.opened, edge.id, edge.version))[: what.limit]


def page(ordered: Sequence[T], limit: int | None, place: Callable[[T], object], *, whole: bool) -> list[T]:
    """The first ones; with `whole` also those at the last one's place, behind which the next page begins."""
    if limit is None or len(ordered) <= limit:
        return list(ordered)
    end = limit
    while whole and 0 < end < len(ordered) and place(ordered[end]) == place(ordered[end - 1]):
        end += 1
    return list(ordered[:end])


def in_one_tenant(tenants: Iterable[str]) -> str | None:
    """The tenant, where it is a single one."""
    found = set(tenants)
    return next(iter(found)) if len(found) == 1 else None


def limited(what: Select, limit: int | None) -> Select:
    """The same question with another limit."""
    return replace(what, limit=limit)


def limited_edges(what: SelectEdges, limit: int | None) -> SelectEdges:
    """The same question with another limit."""
    return replace(what, limit=limit)
