"""A policy that does what a test tells it to, for each message added; and how tests read edges."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import ClassVar

from engram import Memory, Receipt
from engram.kernel.changes import Add, Changes
from engram.kernel.effects import Effect, Program, T
from engram.kernel.policy import Query, Recall
from engram.kernel.protocols import SelectEdges
from engram.kernel.record import Edge, Record
from engram.kernel.scope import Scope
from engram.policies.rrf import RRF
from engram.view import View

__all__ = ["Told", "edges_of", "entity", "seen", "tell"]

Step = Callable[[Sequence[Record]], Program[Changes]]


@dataclass(frozen=True)
class Told(RRF):
    """Runs the steps that it was told of, one an add; in `read`, the first of `looks`, if any."""

    name: ClassVar[str] = "told"
    steps: ClassVar[list[Step]] = []
    looks: ClassVar[list[Callable[[], Program[None]]]] = []

    async def write(self, episodes: Sequence[Record]) -> Changes:
        """The next step."""
        return await self.steps.pop(0)(episodes) if self.steps else Changes()

    async def read(self, query: Query) -> Recall:
        """Nothing is found; the first look is taken."""
        if self.looks:
            await self.looks.pop(0)()
        return await super().read(query)


def tell(memory: Memory, step: Step | Changes, text: str = "something", **more: object) -> Receipt:
    """Add a message, of which the policy makes what `step` says; the receipt."""

    async def plain(_: Sequence[Record]) -> Changes:
        assert isinstance(step, Changes)
        return step

    Told.steps[:] = [plain if isinstance(step, Changes) else step]
    receipt = memory.add({"content": text, **more}, user_id="ana")
    assert not Told.steps
    assert not [item for item in receipt.items if item.event in ("failed", "pending")], receipt
    return receipt


def entity(memory: Memory, *names: str) -> list[str]:
    """The ids of new entities; what stands behind a "/" are aliases."""

    async def step(episodes: Sequence[Record]) -> Changes:
        parts = [name.split("/") for name in names]
        return Changes(
            tuple(
                Add(first, "entity", (episodes[0].id,), metadata={"aliases": more}) for first, *more in parts
            )
        )

    return [str(item.id) for item in tell(memory, step, f"about {names}").items[1:]]


def seen(memory: Memory | View, effect: Effect[T]) -> T:
    """What a program of the policy gets for an effect now."""
    found: list[T] = []

    async def look() -> None:
        found.append(await effect)

    Told.looks[:] = [look]
    memory.search("anything", user_id="ana")
    return found[0]


def edges_of(memory: Memory) -> list[Edge]:
    """All versions of all edges."""
    return memory._bound.core.store.edges(SelectEdges(Scope(), history=True))
