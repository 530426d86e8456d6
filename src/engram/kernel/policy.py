"""The base of every memory method."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields
from datetime import datetime
from typing import Any, ClassVar

from engram.kernel.changes import Changes
from engram.kernel.record import Hit, Record
from engram.kernel.scope import Scope

__all__ = ["Cited", "Policy", "Query", "Recall"]


@dataclass(frozen=True, slots=True)
class Query:
    """A question to memory.

    `at` anchors relative time expressions and recency. `level` is 0 for turns and derived records, 1
    for windows, 2 for sessions. `depth` is how many ranked candidates the caller may need (at least
    `k`; more where filters will drop some). `explain` asks for each signal's share. `kinds` are those that
    the filters ask for by name; empty for all but what the policy puts aside. `past`: it is asked of a view
    of the past, where nothing that the read wants changed is done.
    """

    text: str
    scope: Scope
    k: int = 10
    at: datetime | None = None
    level: int = 0
    depth: int = 10
    explain: bool = False
    kinds: tuple[str, ...] = ()
    past: bool = False


@dataclass(frozen=True, slots=True)
class Recall:
    """What a read found, best first, and what it wants changed (such as `Reinforce`)."""

    hits: tuple[Hit, ...] = ()
    changes: Changes = field(default_factory=Changes)


@dataclass(frozen=True, slots=True)
class Cited:
    """What an answer to a query stood on: the ids `cited`, among those it was `shown` (`None`: unknown)."""

    query: Query
    cited: frozenset[str]
    shown: frozenset[str] | None = None


@dataclass(frozen=True)
class Policy:
    """One memory method: what to write, how to read, what to tend. Its fields are its parameters.

    Subclasses set `name` and override what they need; each method is a coroutine that awaits effects
    only. A policy that keeps the base `write` costs nothing on add: no job is made for it. One that derives
    from some records only says which (`wants`). One that awaits `Rank` itself says `reranks = True`; else a
    memory's reranker looks at the hits after `read`. `by_run` says that an import gives `write` one run at a
    time, because what is said there is read together. Derived records of the kinds `aside` are no candidates
    and count in no statistics, unless their kind is asked for by name. Fields that `read` and counters alone
    depend on are named in `reading`: what was derived with other values of them is the policy's own as well.
    """

    name: ClassVar[str] = "policy"
    reranks: ClassVar[bool] = False
    reading: ClassVar[tuple[str, ...]] = ()
    by_run: ClassVar[bool] = True
    aside: ClassVar[frozenset[str]] = frozenset({"entity"})

    async def write(self, episodes: Sequence[Record]) -> Changes:
        """What to derive from the episodes of one `add`."""
        return Changes()

    async def read(self, query: Query) -> Recall:
        """The records that answer a query."""
        raise NotImplementedError(f"policy {self.name!r} does not read")

    async def tend(self, scope: Scope) -> Changes:
        """What to do off the hot path: consolidation, decay, reflection."""
        return Changes()

    async def heard(self, told: Cited) -> Changes:
        """What an answer teaches that stood on some of what it was shown: `ask` tells, or `memory.cited`.

        It is done in one transaction with what it changes, and once; where the memory moved on meanwhile,
        it is done again.
        """
        return Changes()

    async def beside(self, query: Query) -> tuple[Record, ...]:
        """What a prompt holds besides blocks and hits, such as the last turns: `context` and `ask` show it.

        Few and short records, for they go before all hits.
        """
        return ()

    @property
    def parameters(self) -> Mapping[str, Any]:
        """The fields and their values."""
        return {item.name: getattr(self, item.name) for item in fields(self)}

    @property
    def made_by(self) -> str:
        """Name and a hash of the parameters, those of `reading` left out: who made a derived record."""
        made = sorted((name, value) for name, value in self.parameters.items() if name not in self.reading)
        digest = hashlib.blake2b(repr(made).encode(), digest_size=4).hexdigest()
        return f"{self.name}:{digest}"

    @property
    def writes(self) -> bool:
        """Whether `write` does anything."""
        return type(self).write is not Policy.write

    def wants(self, record: Record) -> bool:
        """Whether `write` is to have the record: by default each that was said or done (an episode).

        Where it wants none of an `add`, no job is made.
        """
        return self.writes and record.kind == "episode"

    @property
    def whole(self) -> int | None:
        """For a policy that gives all there is in order of time: how many tokens of a prompt that may take.

        `None` where it chooses, and the best hits are packed. A budget that the caller names goes before it.
        """
        return None

    @property
    def hears(self) -> bool:
        """Whether `heard` does anything."""
        return type(self).heard is not Policy.heard

    @property
    def tends(self) -> bool:
        """Whether `tend` does anything."""
        return type(self).tend is not Policy.tend
