"""What one service takes: how much, how deep, how often and how many at once."""

from __future__ import annotations

import time
from collections import OrderedDict
from dataclasses import dataclass, fields

import numpy as np

from engram.kernel.errors import ConfigError

__all__ = ["Buckets", "Limits", "too_deep"]

_MEGABYTE = 1 << 20
_MOST_KEPT = 10_000
_OTHERS = bytes(set(range(256)) - set(b'[]{}"'))


@dataclass(frozen=True, slots=True)
class Limits:
    """The limits of a service. Bytes, counts, and requests a second; each is at least 1.

    `body` is for JSON, `upload` for an import. `nesting` is how deep lists and objects may stand in each
    other. `rate` is what each key may ask in a second, with up to `burst` at once after a pause; `failures`
    is what one address may fail to show a key, a minute. `concurrent` counts requests under way, `streams`
    the event streams that stay open, `files` the exports and imports that lie on disk meanwhile. `quiet` is
    how many seconds may pass without more of a request's head or body.
    """

    body: int = 16 * _MEGABYTE
    upload: int = 1024 * _MEGABYTE
    nesting: int = 64
    rate: int = 500
    burst: int = 1000
    failures: int = 60
    concurrent: int = 256
    streams: int = 64
    files: int = 4
    quiet: int = 30

    def __post_init__(self) -> None:
        for field in fields(self):
            if getattr(self, field.name) < 1:
                raise ConfigError(f"{field.name}: expected at least 1, got {getattr(self, field.name)!r}")


class Buckets:
    """A token bucket for each name: `rate` a second, at most `burst` at once. Those used last are kept."""

    def __init__(self, rate: float, burst: float) -> None:
        self._rate, self._burst = rate, burst
        self._held: OrderedDict[str, tuple[float, float]] = OrderedDict()

    def empty(self, name: str) -> bool:
        """Whether there is none to take."""
        left, since = self._held.get(name, (self._burst, 0.0))
        return left + (time.monotonic() - since) * self._rate < 1

    def take(self, name: str) -> float:
        """Take one; 0 where there was one, else the seconds until there is."""
        now = time.monotonic()
        left, since = self._held.pop(name, (self._burst, now))
        left = min(self._burst, left + (now - since) * self._rate)
        wait = 0.0 if left >= 1 else (1 - left) / self._rate
        self._held[name] = (left - 1 if left >= 1 else left, now)
        if len(self._held) > _MOST_KEPT:
            self._held.popitem(last=False)
        return wait


def too_deep(body: bytes, most: int) -> bool:
    """Whether lists and objects of a JSON text stand more than `most` deep, told without parsing it.

    In linear time: a parser of nested text runs out of stack, or takes memory for every bracket.
    """
    if body.count(b"[") + body.count(b"{") <= most:
        return False
    bare = body.replace(b"\\\\", b"").replace(b'\\"', b"").translate(None, _OTHERS)
    signs = np.frombuffer(bare, dtype=np.uint8)
    if not len(signs):
        return False
    steps = np.where((signs == ord("[")) | (signs == ord("{")), 1, -1).astype(np.int32)
    steps[np.cumsum(signs == ord('"'), dtype=np.int32) & 1 == 1] = 0  # what stands in quotes
    steps[signs == ord('"')] = 0
    return int(np.cumsum(steps, out=steps).max()) > most
