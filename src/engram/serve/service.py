"""One running service: the memory, its keys, its limits, and whether it is about to stop."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping
from dataclasses import dataclass, field

from engram.aio import AsyncMemory
from engram.engine.core import Core
from engram.engine.identity import Guarded
from engram.observe.meters import Meters
from engram.serve.audit import Audit
from engram.serve.keys import Key, KeyStore, matching, readable
from engram.serve.limits import Buckets, Limits
from engram.serve.problems import TooMany, Unauthorized
from engram.serve.replays import Replays
from engram.serve.traffic import Traffic

__all__ = ["Keyring", "Service"]

_FRESH = 1.0  # seconds that keys are taken as they were read
_STALE = 5.0  # after which a request waits for them to be read again
_NEW = 0.2  # for how long a key that is not known cannot have been made since


class Keyring:
    """The keys as this process knows them: read again while requests come, at the latest after 5 seconds."""

    def __init__(self, store: KeyStore, core: Core) -> None:
        self.store = store
        self._core = core
        self._keys: Mapping[str, Key] = {}
        self._read = float("-inf")
        self._reading: asyncio.Task[None] | None = None

    async def find(self, token: str, *, again: bool = True) -> Key | None:
        """The key of a token, where it may be used now; with `again` the keys are read anew for a new one."""
        await self._at_most(_FRESH, _STALE)
        found = matching(self._keys, token, self._core.now())
        if found is None and again and readable(token):
            before = self._read
            await asyncio.sleep(before + _NEW - time.monotonic())
            if self._read == before:  # else another request has read them meanwhile
                await self.refresh()
            found = matching(self._keys, token, self._core.now())
        return found

    async def still(self, key: Key) -> bool:
        """Whether a key that was found may still be used."""
        await self._at_most(_FRESH, _FRESH)
        now = self._keys.get(key.id)
        return now is not None and now.state(self._core.now()) == "active"

    async def refresh(self) -> None:
        """Read the keys as they are from now on, once for all who wait for it."""
        asked = time.monotonic()
        while self._read < asked:  # one that is under way may have begun before what was changed
            if self._reading is None or self._reading.done():
                self._reading = asyncio.create_task(self._load())
            await asyncio.shield(self._reading)

    async def _at_most(self, fresh: float, stale: float) -> None:
        age = time.monotonic() - self._read
        if age > stale:
            await self.refresh()
        elif age > fresh and (self._reading is None or self._reading.done()):
            self._reading = asyncio.create_task(self._load())

    async def _load(self) -> None:
        began = time.monotonic()
        self._keys = {key.id: key for key in await asyncio.to_thread(self.store.all)}
        self._read = began


@dataclass
class Service:
    """What requests share. `stopping` is set when the service was told to stop: streams end then."""

    memory: AsyncMemory
    audit: Audit
    limits: Limits = field(default_factory=Limits)
    stopping: asyncio.Event = field(default_factory=asyncio.Event)

    def __post_init__(self) -> None:
        self.core: Core = self.memory._bound.core  # noqa: SLF001 - jobs, changes and keys are no calls of the face
        store = self.core.store
        bare = store.bare if isinstance(store, Guarded) else store
        self.keyring = Keyring(KeyStore(bare, self.core.clock), self.core)
        self.traffic = Traffic(self.core.watch, Meters(self.core) if Meters.possible() else None)
        self.replays = Replays()
        self.streams = asyncio.Semaphore(self.limits.streams)
        self.files = asyncio.Semaphore(self.limits.files)
        self._asked = Buckets(self.limits.rate, self.limits.burst)
        self._failed = Buckets(self.limits.failures / 60, self.limits.failures)

    async def admitted(self, token: str | None, address: str) -> Key:
        """The key of whoever asks. Raises `Unauthorized`, or `TooMany` where it asks too often."""
        again = not self._failed.empty(address)  # whoever guesses on keeps no request waiting
        key = None if token is None else await self.keyring.find(token, again=again)
        if key is None:
            wait = self._failed.take(address)
            if wait:
                raise TooMany("too many requests without a key that is good; wait", wait)
            raise Unauthorized(
                "show a key that is neither expired nor revoked, as Authorization: Bearer engram_… or "
                "X-API-Key: engram_…; engram keys create makes one"
            )
        wait = self._asked.take(key.id)
        if wait:
            raise TooMany(f"this key may ask {self.limits.rate} times a second; wait", wait)
        return key

    async def close(self) -> None:
        """Release the memory and the audit."""
        await self.memory.close()
        self.audit.close()
