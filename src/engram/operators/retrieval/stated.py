"""Exact look-ups beside the signals: which facts say something of whom, which entities have a name."""

from __future__ import annotations

import unicodedata
from collections.abc import Callable, Iterable, Iterator, Sequence
from difflib import get_close_matches
from itertools import islice
from typing import Generic, TypeVar

from engram.kernel.protocols import Entry
from engram.kernel.record import Record
from engram.kernel.schema import plain_name
from engram.operators.graph.names import keys_of

__all__ = ["Alike", "Named", "Stated", "folded", "said_of"]

_LOOKED_AT = 20_000  # names that a likeness is looked for in
_EACH = 250  # bytes a key takes here, measured


def folded(text: object) -> str:
    """Text as it is compared: whatever its case, its spacing and how its characters are composed."""
    return " ".join(unicodedata.normalize("NFKC", str(text)).casefold().split())


def said_of(subject: object, relation: object) -> tuple[str, str]:
    """A subject and a relation as they are compared: "Lives in" and `lives_in` are one relation."""
    return folded(subject), plain_name(folded(relation))


Reading = Callable[[Sequence[str]], list[Record]]
"""Gives records by id."""
Key = TypeVar("Key")


class _Map(Generic[Key]):
    """The ids of records of one kind by keys that `keys` gives of each.

    It is told of entries that changed, and reads those records when it is next asked.
    """

    def __init__(self, kind: str, keys: Callable[[Record], Iterable[Key]]) -> None:
        self._kind, self._of = kind, keys
        self._changed: set[str] = set()
        self._keys: dict[str, tuple[Key, ...]] = {}
        self._ids: dict[Key, set[str]] = {}

    @property
    def nbytes(self) -> int:
        """Bytes held in memory, estimated."""
        return _EACH * (sum(map(len, self._keys.values())) + len(self._changed))

    def follow(self, entries: Iterable[Entry]) -> None:
        """Take note of records of the kind that came, changed or went."""
        self._changed.update(entry.id for entry in entries if entry.kind == self._kind)

    def note(self, kind: str, ids: Iterable[str]) -> None:
        """Take note of records of a kind by id."""
        if kind == self._kind:
            self._changed.update(ids)

    def of(self, key: Key, read: Reading) -> list[str]:
        """The ids of the records that have the key, sorted."""
        for id in self._changed:
            for old in self._keys.pop(id, ()):
                self._ids[old].discard(id)
        changed, self._changed = sorted(self._changed), set()
        for record in read(changed) if changed else ():
            keys = self._keys[record.id] = tuple(dict.fromkeys(self._of(record)))
            for new in keys:
                self._ids.setdefault(new, set()).add(record.id)
        return sorted(self._ids.get(key, ()))


class Stated(_Map[tuple[str, str]]):
    """The ids of facts by subject and relation, as their metadata names them."""

    def __init__(self) -> None:
        super().__init__("fact", _subject)

    def ids(self, subject: str, relation: str, read: Reading) -> list[str]:
        """The ids of the facts of a subject and relation, sorted; `read` gives records by id."""
        return self.of(said_of(subject, relation), read)


class Named(_Map[str]):
    """The ids of entities by name: their text, and the aliases in their metadata."""

    def __init__(self) -> None:
        super().__init__("entity", _names)

    def ids(self, name: str, read: Reading) -> list[str]:
        """The ids of the entities that have the name, sorted; `read` gives records by id."""
        return self.of(folded(name), read)

    def like(self, name: str) -> list[str]:
        """Names, folded, that are nearly this one; call `ids` first."""
        held = (key for key, ids in self._ids.items() if ids)
        return get_close_matches(folded(name), islice(held, _LOOKED_AT), n=3)


class Alike(_Map[str]):
    """The ids of entities by keys that alike names share (`keys_of`)."""

    def __init__(self) -> None:
        super().__init__("entity", _keys)

    def ids(self, name: str, read: Reading, most: int = 20) -> list[str]:
        """The ids of the `most` entities that share the rarest keys with a name."""
        weights: dict[str, float] = {}
        for key in keys_of(name):
            for id in (ids := self.of(key, read)):
                weights[id] = weights.get(id, 0.0) + 1 / len(ids)
        return sorted(weights, key=lambda entity: (-weights[entity], entity))[:most]


def _keys(entity: Record) -> Iterator[str]:
    for name in _names(entity):
        yield from keys_of(name)


def _subject(fact: Record) -> Iterator[tuple[str, str]]:
    yield said_of(fact.metadata.get("subject", ""), fact.metadata.get("relation", ""))


def _names(entity: Record) -> Iterator[str]:
    aliases = entity.metadata.get("aliases", ())
    for name in (entity.text, *(aliases if isinstance(aliases, list | tuple) else [aliases])):
        if key := folded(name):
            yield key
