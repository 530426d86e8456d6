"""Triples in files: CSV, tab-separated values, or JSON Lines."""

from __future__ import annotations

import csv
import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

from engram.formats.base import Incoming, Skipped
from engram.formats.making import digest
from engram.formats.peek import LINE_ENDINGS
from engram.formats.shapes import opening
from engram.formats.source import Source
from engram.kernel.errors import InvalidInput
from engram.kernel.triple import fact_message, triples_of

__all__ = ["Triples"]

_TABLES: Final = {".csv": ",", ".csv.gz": ",", ".tsv": "\t", ".tsv.gz": "\t", ".tab": "\t", ".txt": "\t"}
_PARTS: Final = ("subject", "relation", "object")
_OF_TRIPLE: Final = (*_PARTS, "valid_start", "valid_end", "weight")
_SCOPE: Final = ("user_id", "agent_id", "run_id")
_BESIDE: Final = ("id", "time", "metadata")
_ALSO_CALLED: Final = {"predicate": "relation"}


class Triples:
    """`.csv`, `.tsv` and `.jsonl` files of triples, or folders and zips of them.

    A table has the columns `subject`, `relation` (or `predicate`) and `object` by name in its first line, or
    exactly these three without names; `valid_start`, `valid_end`, `weight`, `id`, `time`, `user_id`,
    `agent_id` and `run_id` may stand beside them, and other columns become metadata. A line of JSON is
    [subject, relation, object], or an object with these keys and maybe `metadata`. Each becomes a fact. One
    without `id` gets one from what it says, so the same line twice is one.

    Left out, with the reason: lines that are no triple.
    """

    name = "triples"
    title = "Triples (CSV, tab-separated values, JSON Lines)"

    def recognises(self, source: Source) -> bool:
        """Whether the first file names the columns, or begins with a triple."""
        names = _files(source)
        if not names:
            return False
        first = next(iter(opening(source, names[0]).lstrip("\ufeff").splitlines()), "")
        if (sign := _separator(names[0])) is not None:
            return set(_PARTS) <= set(_columns(next(iter(csv.reader([first], delimiter=sign)), [])) or ())
        try:
            value = json.loads(first)
        except (ValueError, RecursionError):
            return False
        if isinstance(value, list):
            return len(value) == len(_PARTS) and all(isinstance(part, str) for part in value)
        return isinstance(value, dict) and set(_PARTS) <= _renamed(value).keys()

    def read(self, source: Source) -> Iterator[Incoming | Skipped]:
        """The triples in their order. Raises `InvalidInput` for what is no JSON, or no table."""
        names = _files(source)
        source.expect(names)
        for name in names:
            place = source.place(name)
            rows = _lines(source, name) if _separator(name) is None else _table(source, name)
            for number, value in rows:
                where = f"{place}:{number}"
                try:
                    yield _fact(value, where)
                except InvalidInput as error:
                    yield Skipped(where, str(error).removeprefix("triples[0]").lstrip(":. "), lost=True)


def _files(source: Source) -> list[str]:
    if not (source.is_folder or source.is_archive):
        return list(source.names)
    endings = (*_TABLES, *LINE_ENDINGS)
    return [name for name in source.names if name.lower().endswith(endings)]


def _separator(name: str) -> str | None:
    return next((sign for ending, sign in _TABLES.items() if name.lower().endswith(ending)), None)


def _lines(source: Source, name: str) -> Iterator[tuple[int, Any]]:
    for number, value in source.json_lines(name):
        yield number, _renamed(value) if isinstance(value, dict) else value


def _table(source: Source, name: str) -> Iterator[tuple[int, Any]]:
    """The rows as mappings, or as lists where the columns have no names."""
    lines = (f"{line}\n" for _, line in source.lines(name))
    rows = csv.reader(lines, delimiter=_separator(name) or ",", strict=True)
    columns: list[str] | None = None
    try:
        for first, row in enumerate(rows):
            if first == 0 and (columns := _columns(row)) is not None:
                continue
            if any(cell.strip() for cell in row):
                yield rows.line_num, row if columns is None else _mapping(columns, row)
    except csv.Error as error:
        raise InvalidInput(f"{source.place(name)}:{rows.line_num}: not a table ({error})") from error


def _columns(row: Sequence[str]) -> list[str] | None:
    """The names of the columns, where the row has them."""
    names = [_ALSO_CALLED.get(name, name) for name in (cell.strip().lower() for cell in row)]
    return names if set(_PARTS) <= set(names) else None


def _mapping(columns: Sequence[str], row: Sequence[str]) -> dict[str, Any]:
    """A row by the names of its columns; empty cells are left out."""
    named = {name: cell.strip() for name, cell in zip(columns, row, strict=False) if cell.strip()}
    known = (*_OF_TRIPLE, *_SCOPE, *_BESIDE)
    value: dict[str, Any] = {name: cell for name, cell in named.items() if name in known}
    metadata = {name: cell for name, cell in named.items() if name not in known}
    if "weight" in value:
        try:
            value["weight"] = float(value["weight"])
        except ValueError:
            value["weight"] = str(value["weight"])
    if len(row) > len(columns):
        value["more columns than names"] = row[len(columns)]
    return {**value, "metadata": metadata} if metadata else value


def _renamed(value: Mapping[str, Any]) -> dict[str, Any]:
    return {_ALSO_CALLED.get(name, name): item for name, item in value.items()}


def _fact(value: Any, place: str) -> Incoming:
    """The message of a line, and whose it is. Raises `InvalidInput` where it is no triple."""
    more: dict[str, Any] = {}
    if isinstance(value, dict):
        more = {name: value[name] for name in (*_SCOPE, *_BESIDE) if value.get(name) is not None}
        value = {name: item for name, item in value.items() if name not in (*_SCOPE, *_BESIDE)}
    triple = triples_of([value])[0]
    moments = (triple.valid_start, triple.valid_end)
    times = [None if moment is None else moment.isoformat() for moment in moments]
    id = more.get("id") or digest(triple.subject, triple.relation, triple.object, *times)
    message = fact_message(triple, {**more, "id": id if isinstance(id, str) else str(id)})
    for name in _SCOPE:
        if not isinstance(more.get(name, ""), str):
            raise InvalidInput(f"{name}: expected text, got {type(more[name]).__name__}")
    return Incoming(message, place, kind="fact", **{name: more[name] for name in _SCOPE if name in more})
