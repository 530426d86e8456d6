"""A desk: the entries of one memory while calls change them; what is asked for is checked, then done once."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any

from engram.kernel.changes import Add, Change, Changes, Retire, Revise
from engram.kernel.record import Record
from engram.operators.consolidation.diary import BLOCK

__all__ = ["MEMORY", "Desk", "Entry", "Shelf", "settled"]

MEMORY = "memory"
"""The key of an entry's metadata that names the memory it belongs to."""
_CUT = " […]"
_SHOWN = 400


@dataclass(frozen=True)
class Shelf:
    """One memory of a method: its name, the kind of its records, and what is told of it to the model.

    An entry holds at most `longest` characters. A `single` memory has one entry, a block of that name,
    which is shown whole and only updated: by the first update, where it is not there yet. In a `renewed` one,
    an insertion of what is there already updates it, and an update may say the same of other sources.
    """

    name: str
    kind: str
    told: str
    longest: int = 2000
    single: bool = False
    renewed: bool = False

    def whole(self, text: str) -> bool:
        """Whether a question shows all of an entry."""
        return self.single or len(text) <= _SHOWN

    def cut(self, text: str) -> str:
        """An entry as a question shows it: a longer one cut, with a mark."""
        return text if self.whole(text) else text[:_SHOWN] + _CUT

    @property
    def metadata(self) -> dict[str, Any]:
        """What each entry keeps."""
        return {MEMORY: self.name, **({BLOCK: self.name} if self.single else {})}

    def kept(self, text: str) -> str:
        """The text as an entry holds it."""
        words = text.strip()
        return words if len(words) <= self.longest else words[: self.longest - len(_CUT)].rstrip() + _CUT


@dataclass(frozen=True)
class Entry:
    """An entry as it stands; `record` is the one that holds it in the store, if it is there yet."""

    text: str
    sources: tuple[str, ...]
    record: Record | None = None
    metadata: Mapping[str, Any] = field(default_factory=dict)
    changed: bool = False
    ended: datetime | None = None
    reason: str = ""


class Desk:
    """The entries of one shelf, by key; each call sees what those before it did.

    `known` are the policy's own records, oldest first. `insert`, `update` and `delete` do what can be done
    and give an empty text, else the reason why not. `changes` gives one change an entry.
    """

    def __init__(self, shelf: Shelf, known: Iterable[Record]) -> None:
        self.shelf = shelf
        self._entries = {
            record.id: Entry(record.text, record.sources, record, record.metadata) for record in known
        }

    def held(self) -> dict[str, Entry]:
        """The entries that are not ended, in order of arrival."""
        return {key: entry for key, entry in self._entries.items() if entry.ended is None}

    @property
    def newest(self) -> str | None:
        """The key of the entry that was put there last, or of the one that a single memory has."""
        held = self.held()
        return next(reversed(held), None)

    def insert(
        self, text: str, sources: Sequence[str], metadata: Mapping[str, Any] | None = None, reason: str = ""
    ) -> str:
        """Put a new entry on the shelf."""
        kept = self.shelf.kept(text)
        if not kept:
            return "no content"
        if self.shelf.single and self.held():
            return f"{self.shelf.name} memory is only updated"
        same = next((key for key, entry in self.held().items() if entry.text == kept), None)
        if same is not None:
            again = self.shelf.renewed
            return self.update(same, text, sources, metadata, reason) if again else "known already"
        more = {**(metadata or {}), **self.shelf.metadata}
        self._entries[f"+{len(self._entries)}"] = Entry(kept, tuple(sources), metadata=more, reason=reason)
        return ""

    def update(
        self,
        key: str | None,
        text: str,
        sources: Sequence[str],
        metadata: Mapping[str, Any] | None = None,
        reason: str = "",
    ) -> str:
        """Let an entry say something else from now on; it stands on its older sources besides."""
        if key is None and self.shelf.single:
            key = next(iter(self.held()), None)
            if key is None:
                return self.insert(text, sources, metadata, reason)
        entry, kept = self.held().get(key or ""), self.shelf.kept(text)
        if entry is None:
            return "names no memory shown"
        if not kept:
            return "no content"
        more = {**(metadata or {}), **self.shelf.metadata}
        new = self.shelf.renewed and not set(sources) <= set(entry.sources)
        if (kept, more) == (entry.text, dict(entry.metadata)) and not new:
            return "known already"
        stands = tuple(dict.fromkeys([*sources, *entry.sources]))
        self._entries[str(key)] = replace(
            entry, text=kept, sources=stands, metadata=more, changed=True, reason=reason
        )
        return ""

    def delete(self, key: str | None, sources: Sequence[str], at: datetime, reason: str = "") -> str:
        """End an entry; one that is not in the store yet is gone."""
        if key is None and self.shelf.single:
            key = next(iter(self.held()), None)
        entry = self.held().get(key or "")
        if entry is None:
            return "names no memory shown"
        start = at if entry.record is None or entry.record.valid.start is None else entry.record.valid.start
        stands = tuple(dict.fromkeys(sources))
        self._entries[str(key)] = replace(entry, ended=max(at, start), sources=stands, reason=reason)
        return ""

    def changes(self) -> tuple[list[Add], list[Change]]:
        """What was done: what is added, in order, and what becomes of records."""
        added: list[Add] = []
        others: list[Change] = []
        for entry in self._entries.values():
            record = entry.record
            if record is None:
                if entry.ended is None:
                    added.append(
                        Add(
                            entry.text,
                            self.shelf.kind,
                            entry.sources,
                            metadata=entry.metadata,
                            reason=entry.reason,
                        )
                    )
            elif entry.ended is not None:
                others.append(Retire(record.id, record.version, entry.ended, entry.sources, entry.reason))
            elif entry.changed:
                others.append(
                    Revise(record.id, record.version, entry.text, entry.metadata, entry.sources, entry.reason)
                )
        return added, others

    def place(self, key: str) -> int | None:
        """Where a new entry stands among those that `changes` adds."""
        new = [name for name, entry in self._entries.items() if entry.record is None and entry.ended is None]
        return new.index(key) if key in new else None


def settled(desks: Iterable[Desk], note: str = "") -> Changes:
    """What was done on all desks: additions first, by desk. The `note` goes to the first change's reason."""
    parts = [desk.changes() for desk in desks]
    changes: list[Change] = [change for adds, _ in parts for change in adds]
    changes += [change for _, others in parts for change in others]
    first = changes[0] if changes else None
    if note and isinstance(first, Add | Revise | Retire):
        changes[0] = replace(first, reason="; ".join(filter(None, (first.reason, note))))
    return Changes(tuple(changes))
