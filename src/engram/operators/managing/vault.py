"""A vault: values are kept as secrets, which nothing finds; what else is written does not hold them.

A value is a record of kind `secret`, which is in no index and goes to no policy and no model again. An edge
leads from it to each turn that told it, by which a search leaves out these turns as well. Of what is not
highly sensitive there is a caption, which is found, and has the secret among its sources; of several the
latest is what it leads to.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from engram.kernel.changes import Add, Changes, Connect
from engram.kernel.effects import Neighbours
from engram.kernel.policy import Query
from engram.kernel.record import Hit, Record
from engram.operators.managing.calls import GivenCall, Taken
from engram.operators.managing.six import VAULT, VaultCall

__all__ = ["MASK", "SECRET", "Vault", "opened", "outside_vault"]

SECRET = "secret"  # noqa: S105 - the name of a kind
"""The kind of a value's record."""
MASK = "[in the vault]"
"""What stands where a value stood."""
_LEAST = 4  # characters of a value that is looked for elsewhere
_LONGEST = 10_000


@dataclass
class Vault:
    """What one write puts into the vault.

    `texts` are the words of its turns by id, `kept` the ids of those that the vault has something of already.
    `taken` is a `Take`. The additions of `changes` come before all others of a write, so that captions can
    stand on them.
    """

    texts: Mapping[str, str]
    kept: Collection[str]
    _secrets: list[Add] = field(default_factory=list)
    _links: list[Connect] = field(default_factory=list)
    _values: list[str] = field(default_factory=list)

    def taken(self, given: GivenCall, sources: tuple[str, ...]) -> Taken:
        """What a call writes: of one on the vault the caption, of any other what it says, without values."""
        if not isinstance(given, VaultCall):
            return Taken(self._masked(given.content), _each(given.metadata, self._masked), sources)
        value = given.secret.strip()[:_LONGEST]
        if not _letters(value):
            return Taken("", {}, sources)
        self._values.append(value)
        more = _each(given.metadata, self._masked)
        caption = self._masked(given.caption.strip())[:200]
        place = self._put(value, caption, more, sources)
        if place is None:
            return Taken("", {}, sources)
        return Taken(self._masked(given.content), more, (*sources, place))

    def changes(self) -> tuple[Changes, Changes]:
        """The secrets, and the edges from them to the turns that told them."""
        return Changes(tuple(self._secrets)), Changes(tuple(self._links))

    def _put(self, value: str, caption: str, more: Mapping[str, Any], sources: tuple[str, ...]) -> str | None:
        """The place of a new secret; `None` where no turn tells it, or the vault has it."""
        same = any((add.text, add.name) == (value, caption) for add in self._secrets)
        told = [id for id, text in self.texts.items() if _letters(value) in _letters(text)]
        if same or set(told) <= set(self.kept):
            return None
        place = f"#{len(self._secrets)}"
        metadata = {"memory": VAULT, "caption": caption, **more}
        self._secrets.append(
            Add(value, SECRET, sources, name=caption, metadata=metadata, reason="in the vault")
        )
        self._links += [Connect(place, turn, VAULT, sources=(turn,)) for turn in told]
        return place

    def _masked(self, text: str) -> str:
        """The text without any value, whatever its case and punctuation."""
        for value in self._values:
            letters = list(filter(str.isalnum, value))
            forms = [re.escape(value)] if len(value) >= _LEAST else []
            forms += [r"[\W_]*".join(letters)] if len(letters) >= _LEAST else []
            text = re.sub("|".join(forms), MASK, text, flags=re.IGNORECASE) if forms else text
        return text


def _letters(text: str) -> str:
    """Letters and digits alone."""
    return "".join(filter(str.isalnum, text.casefold()))


async def opened(turns: Sequence[Record]) -> Vault:
    """A vault for what the turns tell."""
    edges = await Neighbours(tuple(turn.id for turn in turns), (VAULT,), "in")
    return Vault({turn.id: turn.text for turn in turns}, {edge.target for edge in edges})


async def outside_vault(query: Query, hits: Sequence[Hit]) -> list[Hit]:
    """The hits without turns that told what is in the vault, nor the windows and sessions that hold them.

    All of them where the query asks for secrets by their kind.
    """
    if SECRET in query.kinds:
        return list(hits)
    parts = {hit.id: _turns(hit.record) for hit in hits}
    turns = dict.fromkeys(id for ids in parts.values() for id in ids)
    edges = await Neighbours(tuple(turns), (VAULT,), "in") if turns else []
    told = {edge.target for edge in edges}
    return [hit for hit in hits if told.isdisjoint(parts[hit.id])]


def _turns(record: Record) -> tuple[str, ...]:
    """The turns that a hit shows word for word."""
    if record.made_by is not None:
        return ()
    return record.sources if record.level else (record.id,)


def _each(metadata: Mapping[str, Any], change: Any) -> dict[str, Any]:
    return {key: change(value) if isinstance(value, str) else value for key, value in metadata.items()}
