"""What tests of `a_mem` script a model to say, and how they look at its notes."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from engine.replies import held as held_of
from engram import Memory, Record
from engram.kernel.protocols import SelectEdges
from engram.kernel.record import Edge
from engram.policies.a_mem import AMem
from engram.testing.doubles import ScriptedModel


def noted(*found: tuple[Sequence[str], Sequence[str], str]) -> dict[str, Any]:
    """Notes of turns 1, 2, …: keywords, tags and context."""
    return {
        "notes": [
            {"turn": number, "keywords": list(keywords), "tags": list(tags), "context": context}
            for number, (keywords, tags, context) in enumerate(found, 1)
        ]
    }


def woven(links: Sequence[tuple[int, int]] = (), *updates: dict[str, Any]) -> dict[str, Any]:
    return {"links": [{"note": one, "to": other} for one, other in links], "updates": list(updates)}


def update(note: int, context: str | None = None, *tags: str, reason: str = "it fits") -> dict[str, Any]:
    return {"note": note, "context": context, "tags": list(tags) or None, "reason": reason}


def held(memory: Memory, user: str = "ana") -> list[Record]:
    return held_of(memory, user, "summary")


def edges(memory: Memory, type: str = "link") -> list[Edge]:
    core = memory._bound.core
    asked = SelectEdges(scope=memory._bound.scope({"user_id": "ana"}), types=(type,))
    return core.store.edges(asked)


STARTER = noted((["sourdough", "starter"], ["baking"], "Ana begins a sourdough starter."))
BREAD = noted((["sourdough", "bread"], ["baking", "food"], "Ana bakes her first sourdough bread."))
SOUP = noted((["soup"], ["food"], "Ana cooks a soup."))
SAID = ("I began a sourdough starter today.", "I baked my first sourdough bread.")
Scripted = Callable[..., tuple[Memory, ScriptedModel]]


def scripted_by(open_memory: Callable[..., Memory]) -> Scripted:
    """Opens a memory whose policy has these parameters, and whose model says this."""

    def open_one(*script: Any, **parameters: Any) -> tuple[Memory, ScriptedModel]:
        model = ScriptedModel(script)
        return open_memory(policy=AMem(**parameters), model=model), model

    return open_one
