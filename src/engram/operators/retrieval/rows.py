"""The rows of an index: what is known of each record, in columns."""

from __future__ import annotations

from collections.abc import Collection, Hashable, Iterable, Mapping, Sequence
from typing import Any, Generic, TypeVar
from zlib import crc32

import numpy as np
from numpy.typing import NDArray

from engram.kernel.protocols import Entry
from engram.operators.retrieval.codec import WordColumns
from engram.operators.retrieval.growing import Table
from engram.operators.retrieval.ids import Ids, Places

__all__ = ["EPISODE", "NEVER", "Codes", "Rows", "stamp"]

NEVER = np.iinfo(np.int64).max
EPISODE = 0
T = TypeVar("T", bound=Hashable)
Stream = tuple[str | None, str | None, str | None] | str
WIDE = ("time", "arrival", "valid_end", "expires", "words", "vector")
NARROW = ("stream", "kind", "role", "name", "made_by", "flags", "alive")
REAL = ("length", "log_length", "strength", "trust")


def stamp(blob: bytes | None) -> int:
    """A number that tells stored bytes from others, the same in every process; -1 for none."""
    return -1 if blob is None else len(blob) << 32 | crc32(blob)


class Codes(Generic[T]):
    """Small numbers for values, in the order they were first seen."""

    def __init__(self, *values: T) -> None:
        self._code: dict[T, int] = {}
        self._shift = 0
        self.of(values)

    @classmethod
    def known(cls, codes: Mapping[T, int], count: int) -> Codes[T]:
        """Codes that were given out before, `count` of them, of some of which the value is forgotten."""
        found: Codes[T] = cls()
        found._code = dict(codes)
        found._shift = count - len(codes)
        return found

    def __len__(self) -> int:
        return len(self._code) + self._shift

    def __iter__(self) -> Any:
        return iter(self._code)

    def items(self) -> Iterable[tuple[T, int]]:
        """The values and their codes, in the order they were first seen."""
        return self._code.items()

    def of(self, values: Iterable[T]) -> list[int]:
        """The code of each value; new values get the next ones."""
        code, shift = self._code, self._shift
        return [code.setdefault(value, len(code) + shift) for value in values]

    def get(self, value: T) -> int:
        """The code of a value, or -1."""
        return self._code.get(value, -1)


class Rows:
    """One row for each record (and one for each that was replaced, until the index is compacted).

    `rows[name]` is a column, shape [n], open to writing: times in microseconds (`NEVER` for none), codes
    of `kinds`, `roles`, `names` and `makers`, `stream` (see `_stream`), stamps of the stored bytes.
    `hideable` says whether any row may ever be hidden (`choose`).
    """

    def __init__(self) -> None:
        self.ids: list[str] | Ids = []
        self.row_of: dict[str, int] = {}
        self.kinds = Codes("episode")
        self.roles: Codes[str | None] = Codes(None, "user", "assistant")
        self.names: Codes[str | None] = Codes(None)
        self.makers: Codes[str | None] = Codes(None)
        self._streams: Codes[Stream] = Codes()
        self._gapped: list[bool] = []
        self.hideable = False
        self._set([Table(len(WIDE), np.int64), Table(len(NARROW), np.int32), Table(len(REAL), np.float32)])

    def __len__(self) -> int:
        return len(self.ids)

    def __getitem__(self, name: str) -> NDArray[Any]:
        table, row = self._place[name]
        return table[row]

    @property
    def nbytes(self) -> int:
        """Bytes held, ids and their dictionary included (estimated)."""
        return sum(table.nbytes for table in self._tables) + 200 * len(self.ids)

    def _set(self, tables: list[Table]) -> None:
        self._tables = tables
        self._place = {
            name: (table, row)
            for table, names in zip(tables, (WIDE, NARROW, REAL), strict=True)
            for row, name in enumerate(names)
        }

    def excerpt(self, rows: NDArray[np.int64]) -> Rows:
        """The given rows, numbered as they come, with the codes of these; to be read only."""
        part = Rows()
        part.kinds, part.roles, part.names, part.makers = self.kinds, self.roles, self.names, self.makers
        part._streams, part._gapped, part.hideable = self._streams, self._gapped, self.hideable
        part._set([Table.over(table.data[:, rows], len(rows)) for table in self._tables])
        return part

    def facts(self) -> dict[str, Any]:
        """What is no array of it, as JSON values; the streams of what is no episode are forgotten."""
        return {
            "kinds": list(self.kinds),
            "roles": list(self.roles),
            "names": list(self.names),
            "makers": list(self.makers),
            "streams": [[*key, code] for key, code in self._streams.items() if isinstance(key, tuple)],
            "stream_count": len(self._streams),
            "gapless": [code for code, gapped in enumerate(self._gapped) if not gapped],
            "hideable": self.hideable,
        }

    def tables(self) -> dict[str, Table]:
        """Its columns, by name."""
        return dict(zip(("wide", "narrow", "real"), self._tables, strict=True))

    @classmethod
    def over(cls, facts: Mapping[str, Any], tables: Mapping[str, Table], ids: Ids, places: Places) -> Rows:
        """The rows that `facts` and `tables` were taken of."""
        rows = cls()
        rows.ids, rows.row_of = ids, places
        rows.kinds, rows.roles = Codes(*facts["kinds"]), Codes(*facts["roles"])
        rows.names, rows.makers = Codes(*facts["names"]), Codes(*facts["makers"])
        streams: dict[Stream, int] = {(user, agent, run): code for user, agent, run, code in facts["streams"]}
        rows._streams = Codes.known(streams, facts["stream_count"])
        rows._gapped = [True] * facts["stream_count"]
        for code in facts["gapless"]:
            rows._gapped[code] = False
        rows.hideable = facts["hideable"]
        rows._set([tables[name] for name in ("wide", "narrow", "real")])
        return rows

    def append(self, entries: Sequence[Entry], words: WordColumns) -> None:
        """Add a row for each entry; `words` are theirs."""
        first, end = len(self.ids), len(self.ids) + len(entries)
        for table in self._tables:
            table.open(first, len(entries))
        self.ids.extend(entry.id for entry in entries)
        self.row_of.update(zip(self.ids[first:], range(first, end), strict=True))
        self["arrival"][first:] = [entry.arrival for entry in entries]
        self["time"][first:] = [entry.time for entry in entries]
        self["words"][first:] = [stamp(entry.words) for entry in entries]
        streams = [self._stream(entry) for entry in entries]
        codes = self._streams.of(streams)
        self["stream"][first:] = codes
        self._gapped += [False] * (len(self._streams) - len(self._gapped))
        for key, code in dict(zip(streams, codes, strict=True)).items():
            self._gapped[code] = isinstance(key, tuple) and key[2] is None
        self["kind"][first:] = self.kinds.of(entry.kind for entry in entries)
        self["alive"][first:] = 1
        self["length"][first:] = words.length
        self["log_length"][first:] = np.log1p(words.length / 20)
        self["flags"][first:] = words.flags
        self.update(np.arange(first, end), entries)

    def update(self, rows: NDArray[np.int64], entries: Sequence[Entry]) -> None:
        """Set what may change while text, time and run stay."""
        self.hideable |= any(
            e.valid_end is not None or e.expires is not None or e.made_by is not None for e in entries
        )
        self["valid_end"][rows] = [NEVER if e.valid_end is None else e.valid_end for e in entries]
        self["expires"][rows] = [NEVER if e.expires is None else e.expires for e in entries]
        self["vector"][rows] = [stamp(e.vector) for e in entries]
        self["role"][rows] = self.roles.of(e.role for e in entries)
        self["name"][rows] = self.names.of(e.name for e in entries)
        self["made_by"][rows] = self.makers.of(e.made_by for e in entries)
        self["strength"][rows] = [e.strength for e in entries]
        self["trust"][rows] = [e.trust for e in entries]

    def same_place(self, row: int, entry: Entry) -> bool:
        """Whether the entry's text, time, run and kind are the row's."""
        return bool(
            self["words"][row] == stamp(entry.words)
            and self["time"][row] == entry.time
            and self["arrival"][row] == entry.arrival
            and self["kind"][row] == self.kinds.get(entry.kind)
            and (entry.kind != "episode" or self["stream"][row] == self._streams.get(self._stream(entry)))
        )

    def gapped(self, streams: NDArray[np.int32]) -> NDArray[np.bool_]:
        """By stream: whether a long pause ends a session in it, because no run does."""
        return np.array(self._gapped, bool)[streams]

    def stream_of(self, user: str | None, agent: str | None, run: str | None) -> int:
        """The code of the stream of a run, or -1."""
        return self._streams.get((user, agent, run))

    def runs_called(self, names: Collection[str]) -> NDArray[np.bool_]:
        """By stream: whether its run has one of these names (in lower case)."""
        called = np.zeros(len(self._streams), bool)
        for key, code in self._streams.items():
            if isinstance(key, tuple) and key[2] is not None and key[2].casefold() in names:
                called[code] = True
        return called

    def pauses(self, stream: int) -> bool:
        """Whether a long pause ends a session in that stream."""
        return self._gapped[stream]

    def keep(self, rows: NDArray[np.int64]) -> None:
        """Keep only the given rows, which must ascend."""
        for table in self._tables:
            table.keep(rows)
        self.ids = [self.ids[row] for row in rows.tolist()]
        self.row_of = {id_: row for row, id_ in enumerate(self.ids)}

    def _stream(self, entry: Entry) -> Stream:
        """What an entry's sessions are cut from: a run, somebody's turns without one, or itself."""
        if entry.kind != "episode":
            return entry.id
        return entry.user_id, entry.agent_id, entry.run_id
