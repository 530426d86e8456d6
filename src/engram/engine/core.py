"""What every operation works with: the store, the models, the policy, the clock, the caches."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, TypeVar

from engram.engine.cache import IndexCache
from engram.engine.chat import Chat
from engram.engine.identity import Guarded, check_same, identity, opened_by, settled
from engram.engine.large import LARGE, Larges
from engram.engine.lens import AsOf, Present
from engram.engine.maker import Maker
from engram.engine.shelf import Shelf
from engram.engine.watching import Watch, embedded
from engram.kernel.chat import ChatModel
from engram.kernel.clock import Clock, from_micros, micros
from engram.kernel.drive import Perform
from engram.kernel.effects import Effect, Task
from engram.kernel.errors import NeedsMigration, StoreError
from engram.kernel.policy import Policy
from engram.kernel.preselect import Beside, Indexing, Preselecting
from engram.kernel.protocols import (
    AskingReranker,
    Embedder,
    Op,
    Put,
    Reranker,
    Store,
    Supersede,
    Waking,
    WordEmbedder,
)
from engram.kernel.record import Record
from engram.kernel.schema import Schema
from engram.operators.retrieval.aside import SidedIndex
from engram.operators.retrieval.codec import encode
from engram.operators.retrieval.index import ScopeIndex

__all__ = ["Core", "Encoded", "with_entries"]

Encoded = tuple[bytes, bytes | None]
Asked = tuple[Any, Sequence[tuple[str, Any]] | None]
T = TypeVar("T")
_QUERY_MEMO = 256


@dataclass
class Core:
    """The parts of one open memory. Thread-safe as far as its parts are."""

    store: Store
    policy: Policy
    embedder: Embedder
    clock: Clock
    model: ChatModel | None = None
    chat: Chat | None = None
    reranker: Reranker | AskingReranker | None = None
    schema: Schema = field(default_factory=Schema)
    seed: int = 0
    cache_bytes: int = 512 << 20
    large: int = LARGE
    told: dict[str, Any] = field(default_factory=dict)
    around: Callable[[Perform], Perform] | None = None
    url: str = ""
    closed: bool = False

    def __post_init__(self) -> None:
        self.identity = identity(self.embedder)
        self.watch = Watch(self.policy.name, self.url.partition(":")[0])
        self.waking = self.store if isinstance(self.store, Waking) else None
        self.indexing = self.store if isinstance(self.store, Indexing) else None
        beside = self.store.beside if isinstance(self.store, Beside) else None
        shelf = Shelf(self.store, beside, self.identity, self.embedder.dimensions, self.policy.aside)
        self.maker = Maker(shelf, self.large)
        self.cache = IndexCache(self.store, self.new_index, self.cache_bytes, self.check_same, self.maker)
        self.larges = Larges(
            self.store,
            self.store if isinstance(self.store, Preselecting) else None,
            above=self.large,
            dimensions=self.embedder.dimensions,
            aside=self.policy.aside,
            now=lambda: micros(self.now()),
            check=self.check_same,
        )
        self.present = Present(self.store, self.cache, self.now, self.larges)
        self._vectors: OrderedDict[str, Asked] = OrderedDict()
        self._lock = threading.Lock()
        self.account = threading.Lock()

    def call(self, function: Callable[..., T], *arguments: Any) -> T:
        """One blocking operation of the engine on this core. Raises `StoreError` where it is closed."""
        if self.closed:
            raise StoreError("this memory is closed; open it again")
        return function(self, *arguments)

    def driven(self, perform: Perform) -> Perform:
        """`perform` with whatever stands around every effect: who watches, and such as faults in tests."""
        watched = self.watch.effects(perform)
        return watched if self.around is None else self.around(watched)

    @property
    def performed(self) -> Perform:
        """The engine's own perform function, driven."""
        return self.perform if self.around is None else self.around(self.perform)

    @property
    def concurrency(self) -> int:
        """How many model calls of one program the blocking face makes at once.

        One where a model was given bare or something stands around every effect: they see them in order.
        """
        ordered = self.around is not None or self.chat is None or self.chat.model is self.model
        return 1 if ordered or self.chat is None else self.chat.calls

    def perform(self, effect: Effect[Any], path: str) -> Any:
        """Perform the engine's own effects: blocking calls."""
        if isinstance(effect, Task):
            if self.closed:
                raise StoreError("this memory is closed; open it again")
            return effect.call()
        raise TypeError(f"the engine has no handler for {type(effect).__name__} here")

    def now(self) -> datetime:
        """The clock, cut to whole microseconds, in UTC."""
        return from_micros(micros(self.clock()))

    def new_index(self) -> ScopeIndex:
        """An empty index for this memory's vectors."""
        return SidedIndex(self.embedder.dimensions, self.policy.aside)

    def as_of(self, valid: datetime | None, known: datetime | None) -> AsOf:
        """The store as it was."""
        return AsOf(self.store, self.new_index, self.now, valid, known, self.check_same)

    def encode(self, records: Sequence[Record], *, now: bool = False) -> list[Encoded]:
        """Index entries of records; with a remote embedder the vectors are left for a job, unless `now`."""
        texts = [record.indexed for record in records]
        vectors = embedded(self.watch, self.embedder, texts) if self.embedder.local or now else None
        return encode(texts, vectors)

    def query_vector(self, text: str) -> Asked:
        """The embedded query, float32 [dimensions], and its words' vectors where the embedder has them.

        From a small memo.
        """
        with self._lock:
            found = self._vectors.get(text)
            if found is not None:
                self._vectors.move_to_end(text)
                return found
        parts = self.embedder.words(text) if isinstance(self.embedder, WordEmbedder) else None
        made = (embedded(self.watch, self.embedder, [text])[0], parts)
        with self._lock:
            self._vectors[text] = made
            if len(self._vectors) > _QUERY_MEMO:
                self._vectors.popitem(last=False)
        return made

    def forget_memos(self) -> None:
        """Drop what is remembered of queries and indexes, after an erasure."""
        with self._lock:
            self._vectors.clear()
        self.cache.clear()
        self.larges.clear()
        self.maker.forget()

    def check_same(self) -> None:
        """Raise `NeedsMigration` where the store was rewritten with another embedder meanwhile."""
        check_same(self.store, self.identity)

    def check_identity(self) -> None:
        """Write down who made this store's entries, or refuse another embedder or analyser than that.

        Raises `NeedsMigration` with the command that mends it. From here on the store takes entries of
        this embedder only.
        """
        try:
            opened_by(self.store, self.identity)
        except NeedsMigration:
            self.close()
            raise
        settled(self.store, self.identity)
        self.store = Guarded(self.store, self.identity, self.watch)

    def close(self) -> None:
        """Release the store; the memory cannot be used any more."""
        if not self.closed:
            self.closed = True
            self.maker.close()
            self.cache.clear()
            self.store.close()


def with_entries(core: Core, ops: Sequence[Op]) -> list[Op]:
    """The operations, new versions of records with their index entries, from one call of the embedder."""
    holders = [op.record for op in ops if isinstance(op, Put | Supersede)]
    entries = iter(core.encode(holders, now=True) if holders else ())
    out: list[Op] = []
    for op in ops:
        if isinstance(op, Put | Supersede):
            words, vector = next(entries)
            if isinstance(op, Put):
                out.append(Put(op.record, words, vector, op.keep))
            else:
                out.append(Supersede(op.record, op.expected, words, vector))
        else:
            out.append(op)
    return out
