"""What watches a memory: calls, effects, model calls, jobs and commits are told as they begin and end.

Spans and metrics are watchers. Nobody watches unless it is asked for, and then nothing is done.
"""

from __future__ import annotations

import logging
import sys
from collections import Counter
from collections.abc import Iterator, Sequence, Sized
from contextlib import AbstractContextManager, ExitStack, contextmanager, nullcontext
from dataclasses import dataclass
from typing import Any, Final

from engram.engine.events import TRACE, Event, Fact, Watcher, What
from engram.kernel.drive import Perform
from engram.kernel.effects import Effect, Task
from engram.kernel.protocols import Batch, Embedder, Put

__all__ = ["CALLS", "Watch", "carried", "counted", "embedded", "tracing"]

CALLS: Final = frozenset(
    ("add", "add_triples", "ask", "cited", "context", "edit", "export", "forget", "get", "get_all", "graph",
     "history", "import_", "repair", "scopes", "search", "stats", "tend", "undo", "verify", "wait")
)  # fmt: skip
"""The calls of the faces that are events."""
logging.getLogger("engram").addHandler(logging.NullHandler())  # it says nothing where nobody listens
_API: Final = "opentelemetry.trace"
_ASKED: Final = ("k", "count", "last", "level", "limit")
_MANY: Final = ("texts", "ids", "names", "seeds")


class _Unseen(Event):
    """A call that nobody watches."""

    def say(self, **facts: Fact | None) -> None:
        """Nobody listens."""

    def gave(self, result: object) -> None:
        """Nobody listens."""


_UNSEEN: Final = nullcontext(_Unseen("call", ""))


@dataclass
class Watch:
    """Who watches one open memory; `policy` (where known) and `store` (a scheme) are said of every event.

    `provider` is a tracer provider of OpenTelemetry, `None` for the one that the program has set up.
    """

    policy: str
    store: str
    watchers: tuple[Watcher, ...] = ()
    provider: Any = None

    @property
    def on(self) -> bool:
        """Whether anybody watches now."""
        return bool(self.watchers) or bool(self._spans())

    def event(self, what: What, name: str, **facts: Fact | None) -> AbstractContextManager[Event]:
        """Something that goes on as long as the block does."""
        watchers = (*self._spans(), *self.watchers)
        if not watchers:
            return nullcontext(Event(what, name))
        event = Event(what, name)
        event.say(policy=self.policy or None, store=self.store, **facts)
        return _told(event, watchers)

    def call(self, name: str) -> AbstractContextManager[Event]:
        """A call of a face; one that is none of them is no event."""
        return self.event("call", name) if self.on and name in CALLS else _UNSEEN

    def owing(self) -> dict[str, Any]:
        """What the journal of a job that is owed now begins with: the trace, where there is one."""
        return dict(carried()) if self._spans() else {}

    def effects(self, perform: Perform) -> Perform:
        """`perform`, with an event for each effect of a policy."""
        if not self.on:
            return perform

        def performing(effect: Effect[Any], path: str) -> Any:
            if isinstance(effect, Task):
                return perform(effect, path)
            with self.event("effect", type(effect).__name__, path=path, **_asked(effect)) as event:
                result = perform(effect, path)
                if isinstance(result, Sized) and not isinstance(result, str | bytes):
                    event.say(results=len(result))
                return result

        return performing

    def _spans(self) -> tuple[Watcher, ...]:
        """The watcher that makes spans, where a tracer provider is set up; that is told without an import."""
        if self.provider is None and _API not in sys.modules:
            return ()
        from engram.engine.spans import watchers

        return watchers(self.provider)


@contextmanager
def _told(event: Event, watchers: Sequence[Watcher]) -> Iterator[Event]:
    with ExitStack() as stack:
        for watcher in watchers:
            stack.enter_context(watcher(event))
        yield event


def _asked(effect: Effect[Any]) -> dict[str, Fact]:
    """How much an effect asks for."""
    said: dict[str, Fact] = {}
    for name in _ASKED:
        value = getattr(effect, name, None)
        if isinstance(value, int) and not isinstance(value, bool):
            said[name] = value
    for name in _MANY:
        value = getattr(effect, name, None)
        if isinstance(value, tuple):
            said[name] = len(value)
    return said


def counted(batch: Batch) -> dict[str, Fact]:
    """How many operations of each kind a commit has, and how many records of each kind it writes."""
    names = [f"ops.{type(op).__name__}" for op in batch.ops]
    names += [f"records.{op.record.kind}" for op in batch.ops if isinstance(op, Put)]
    return dict(Counter(names))


def carried() -> dict[str, str]:
    """The header that tells a service which trace asks it; nothing outside of one."""
    if _API not in sys.modules:
        return {}
    from engram.engine.spans import traceparent

    found = traceparent()
    return {} if found is None else {TRACE: found}


def tracing() -> dict[str, str]:
    """The ids of the trace and span that are current, for a line of the log; nothing outside of one."""
    _, trace, span, _ = carried().get(TRACE, "---").split("-")
    return {"trace_id": trace, "span_id": span} if trace else {}


def embedded(watch: Watch, embedder: Embedder, texts: Sequence[str]) -> Any:
    """Vectors of texts; asking a remote embedder is an event."""
    if embedder.local:
        return embedder.embed(texts)
    with watch.event("embeddings", embedder.name, texts=len(texts), dimensions=embedder.dimensions):
        return embedder.embed(texts)
