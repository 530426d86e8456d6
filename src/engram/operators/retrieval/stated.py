"""Which facts say something of whom: an exact look-up by subject and relation, beside the signals."""

from __future__ import annotations

import unicodedata
from collections.abc import Callable, Iterable, Sequence

from engram.kernel.protocols import Entry
from engram.kernel.record import Record

__all__ = ["Stated", "folded"]

_EACH = 250  # bytes a fact takes here, measured


def folded(text: object) -> str:
    """Text as it is compared: whatever its case, its spacing and how its characters are composed."""
    return " ".join(unicodedata.normalize("NFKC", str(text)).casefold().split())


class Stated:
    """The ids of facts by subject and relation, as their metadata names them.

    It is told of entries that changed, and reads those facts when it is next asked.
    """

    def __init__(self) -> None:
        self._changed: set[str] = set()
        self._key: dict[str, tuple[str, str]] = {}
        self._ids: dict[tuple[str, str], set[str]] = {}

    @property
    def nbytes(self) -> int:
        """Bytes held in memory, estimated."""
        return _EACH * (len(self._key) + len(self._changed))

    def follow(self, entries: Iterable[Entry]) -> None:
        """Take note of facts that came, changed or went."""
        self._changed.update(entry.id for entry in entries if entry.kind == "fact")

    def ids(self, subject: str, relation: str, read: Callable[[Sequence[str]], list[Record]]) -> list[str]:
        """The ids of the facts of a subject and relation, sorted; `read` gives records by id."""
        if self._changed:
            for id in self._changed:
                if key := self._key.pop(id, None):
                    self._ids[key].discard(id)
            for record in read(sorted(self._changed)):
                key = (
                    folded(record.metadata.get("subject", "")),
                    folded(record.metadata.get("relation", "")),
                )
                self._key[record.id] = key
                self._ids.setdefault(key, set()).add(record.id)
            self._changed.clear()
        return sorted(self._ids.get((folded(subject), folded(relation)), ()))
