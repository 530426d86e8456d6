"""What a selection asks for, as conditions by name: every store in SQL has a statement for each."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from engram.kernel.clock import micros
from engram.kernel.protocols import Select, SelectEdges

__all__ = ["Condition", "edge_conditions", "record_conditions"]

Condition = tuple[str, dict[str, Any]]
"""The name of a statement, and the values that it names: numbers, texts and lists of texts."""


def record_conditions(what: Select) -> Iterator[Condition]:
    """What records are asked for; scope and callers' ids excepted, which each store keeps in its own way."""
    if what.ids is not None:
        yield "where_ids", {"ids": list(what.ids)}
    if what.kinds:
        yield "where_kinds", {"kinds": list(what.kinds)}
    if what.derived_from is not None:
        yield "where_derived", {"derived_from": list(what.derived_from)}
    if what.change_set is not None:
        yield "where_change_set", {"change_set": what.change_set}
    if what.made_by is not None:
        yield "where_made_by", {"made_by": what.made_by}
    if what.expired_by is not None:
        yield "where_expired", {"expired_by": micros(what.expired_by)}
    if what.unstaged:
        yield "where_unstaged", {}
    if not what.history and not what.closed:
        yield "where_open", {}
    if what.after is not None:
        time, arrival = what.after if isinstance(what.after, tuple) else (0, what.after)
        yield "where_after_time" if what.by_time else "where_after", {"time": time, "arrival": arrival}


def edge_conditions(what: SelectEdges) -> Iterator[Condition]:
    """What edges are asked for, scope excepted."""
    if what.touching is not None:
        yield f"where_{what.direction}", {"touching": list(what.touching)}
    if what.types:
        yield "where_types", {"types": list(what.types)}
    if what.makers is not None:
        makers = [maker for maker in what.makers if maker is not None]
        yield "where_makers", {"makers": makers, "said": None in what.makers}
    if what.standing_on is not None:
        yield "where_standing", {"standing_on": list(what.standing_on)}
    if what.ids is not None:
        yield "where_ids", {"ids": list(what.ids)}
    yield from _edge_times(what)


def _edge_times(what: SelectEdges) -> Iterator[Condition]:
    if what.change_set is not None:
        yield "where_change_set", {"change_set": what.change_set}
    if what.known_at is not None:
        yield "where_known_at", {"known_at": micros(what.known_at)}
    elif not what.history:
        yield "where_open", {}
    if what.valid_at is not None:
        yield "where_valid_at", {"valid_at": micros(what.valid_at)}
    if what.lasting is not None:
        yield "where_lasting", {"lasting": micros(what.lasting)}
    if isinstance(what.after, tuple):
        opened, id, version = what.after
        yield "where_beyond", {"after_opened": opened, "after_id": id, "after_version": version}
    elif what.after is not None:
        yield "where_behind", {"after": what.after}
