"""Questions to the model at a search: where it fails for now, the search goes on without it, and says so."""

from __future__ import annotations

from typing import TypeVar

from engram.kernel.effects import Ask
from engram.kernel.errors import BadReply, ModelUnavailable

__all__ = ["PASSING", "attempted"]

PASSING = (BadReply, ModelUnavailable)
"""Failures that a search outlives; a limit that was set (`BudgetExceeded`) is told to who set it."""
T = TypeVar("T")


async def attempted(prompt: str, reply: type[T], system: str) -> T | None:
    """The model's reply; `None` where it fails for now. Raises `BudgetExceeded`.

    Whoever gets `None` gives the search's hits `by_model` 0 (`operators/retrieval/recall.py`).
    """
    try:
        return await Ask(prompt, reply, system)
    except PASSING:
        return None
