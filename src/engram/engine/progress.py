"""How far something long has come, told to whoever wants to know."""

from __future__ import annotations

from collections.abc import Callable

__all__ = ["Progress"]

Progress = Callable[[int, int | None], None]
"""Called with how much is done (bytes, records) and how much there is, `None` where that is not known.

It is called often, from the thread that works; it should return at once. What it raises ends the work.
"""
