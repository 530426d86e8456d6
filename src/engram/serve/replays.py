"""Idempotency keys: a request that comes again under the same one gets the first one's answer."""

from __future__ import annotations

import asyncio
import hashlib
import time
from collections import OrderedDict
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field

from engram.kernel.errors import Conflict, InvalidInput

__all__ = ["Replay", "Replays", "checked"]

_LASTS = 24 * 3600.0
_MOST = 10_000
_MOST_BYTES = 32 << 20
_LONGEST = 128


@dataclass(frozen=True, slots=True)
class Replay:
    """An answer that was given: what was asked (a digest), the status, the type of the body and the body."""

    asked: bytes
    status: int
    media_type: str | None
    body: bytes
    at: float


@dataclass(slots=True)
class _Turn:
    """Whose turn it is among the requests under one name, and how many of them there are."""

    lock: asyncio.Lock = field(default_factory=asyncio.Lock)
    takers: int = 0


def checked(key: str) -> str:
    """An idempotency key. Raises `InvalidInput`."""
    if not 1 <= len(key) <= _LONGEST or not key.isascii() or not key.isprintable():
        raise InvalidInput(f"Idempotency-Key: expected 1 to {_LONGEST} printable ASCII characters")
    return key


class Replays:
    """The answers to changing requests of the last day, of each key apart; the oldest go first.

    They are kept by one process. What must hold beyond it, that nothing is added twice, the store sees to:
    messages that are added under an idempotency key have ids made of it.
    """

    def __init__(self) -> None:
        self._kept: OrderedDict[tuple[str, str], Replay] = OrderedDict()
        self._bytes = 0
        self._turns: dict[tuple[str, str], _Turn] = {}

    async def once(
        self, name: tuple[str, str], asked: bytes, answer: Callable[[], Awaitable[Replay]]
    ) -> tuple[Replay, bool]:
        """The answer under this name, and whether it was given before. Raises what `answer` raises.

        `asked` is what is asked; raises `Conflict` where something else was asked under the same name.
        Only what went well is kept. One that comes while the first is under way waits for it.
        """
        digest = hashlib.sha256(asked).digest()
        turn = self._turns.setdefault(name, _Turn())
        turn.takers += 1
        try:
            async with turn.lock:
                kept = self._found(name)
                if kept is not None:
                    if kept.asked != digest:
                        raise Conflict(
                            "this Idempotency-Key was used for another request; take a new one for each"
                        )
                    return kept, True
                given = await answer()
                made = Replay(digest, given.status, given.media_type, given.body, time.monotonic())
                if made.status < 300:
                    self._keep(name, made)
                return made, False
        finally:
            turn.takers -= 1
            if not turn.takers:
                del self._turns[name]

    def _found(self, name: tuple[str, str]) -> Replay | None:
        kept = self._kept.get(name)
        if kept is not None and time.monotonic() - kept.at > _LASTS:
            self._drop(name)
            return None
        return kept

    def _keep(self, name: tuple[str, str], made: Replay) -> None:
        self._kept[name] = made
        self._bytes += len(made.body)
        while len(self._kept) > _MOST or (self._bytes > _MOST_BYTES and len(self._kept) > 1):
            self._drop(next(iter(self._kept)))

    def _drop(self, name: tuple[str, str]) -> None:
        self._bytes -= len(self._kept.pop(name).body)
