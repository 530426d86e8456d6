"""Events of a memory: something that begins and ends, with what may be said of it.

That is names, counts and times only: no text, no query, no id of a tenant, user, agent or run, no secret.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from typing import Final, Literal

from engram.engine.results import Imported, Page, Receipt, Report
from engram.operators.answering import Answer
from engram.operators.graph.subgraph import Graph
from engram.operators.packing import Context

__all__ = ["TRACE", "Event", "Fact", "Watcher", "What"]

What = Literal["call", "effect", "chat", "embeddings", "job", "commit"]
"""A call of a face, an effect of a policy, a request to a chat model or remote embedder, a job, a commit."""
Fact = str | int | float | bool | tuple[str, ...]
"""What is said of an event."""
TRACE: Final = "traceparent"
"""Where a job's journal says which trace owed it, in the form of HTTP's header of that name."""


@dataclass(slots=True)
class Event:
    """Something that goes on: `facts` are filled in until it ends."""

    what: What
    name: str
    facts: dict[str, Fact] = field(default_factory=dict)

    def say(self, **facts: Fact | None) -> None:
        """Add facts; what is `None` is left out."""
        self.facts.update({name: value for name, value in facts.items() if value is not None})

    def gave(self, result: object) -> None:
        """Say how much a call gave, and what models took for it; never what it was."""
        self.say(**_size(result))
        usage = getattr(result, "usage", None)
        if isinstance(usage, Mapping):
            self.say(**{name: amount for name, amount in usage.items() if amount})


Watcher = Callable[[Event], AbstractContextManager[object]]
"""What is told of events: called as one begins, left as it ends, with the error if there was one."""


def _size(result: object) -> dict[str, Fact]:
    match result:
        case Page():
            return {"results": len(result.items)}
        case Receipt():
            events = Counter(item.event for item in result.items)
            return {"results": len(result.items), **{f"items.{name}": n for name, n in events.items()}}
        case Context():
            return {"results": len(result.citations), "tokens": result.tokens}
        case Answer():
            return {"results": len(result.citations), "abstained": result.abstained}
        case Graph():
            return {"nodes": len(result.nodes), "edges": len(result.edges)}
        case Report():
            return {"results": len(result.problems)}
        case Imported():
            return {"items.stored": result.stored, "items.duplicate": result.duplicate}
        case list():
            return {"results": len(result)}
        case bool():
            return {}
        case int():
            return {"results": result}
        case _:
            return {}
