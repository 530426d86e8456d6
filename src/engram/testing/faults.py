"""Bad luck from a seed: a perform function that crashes, times out, garbles or declines."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from engram.kernel.effects import Ask, Effect, Embed, Rank
from engram.kernel.errors import BadReply, ModelUnavailable

__all__ = ["KINDS", "Crash", "Faulty"]

KINDS = ("crash", "timeout", "garble", "refuse")
"""The kinds of bad luck."""
_MODEL = (Ask, Embed, Rank)  # what a model performs; everything else is the store's or the engine's own
_STRUCK: Mapping[str, Any] = {"crash": Effect, "timeout": _MODEL, "garble": _MODEL, "refuse": Ask}
_DECLINED = "I am sorry, but I cannot help with that."
Perform = Callable[[Effect[Any], str], Any]


class Crash(BaseException):
    """The process is killed here: nothing may catch it, and nothing after it runs."""


class Faulty:
    """A perform function that fails on purpose, the same way for the same seed.

    Whether the n-th effect fails, and how, depends on `seed` and n alone. `rate` is the share of effects
    that fail, in [0, 1]; `at` names the numbers of the effects that do instead, counted from 0.

    - `crash` raises `Crash`, before the effect is performed or (every other time) after: what a killed
      process leaves behind.
    - `timeout` raises `ModelUnavailable` where a model is asked (`Ask`, `Embed`, `Rank`).
    - `garble` performs the effect and spoils a model's reply: `Ask` raises `BadReply` with the prompt and
      half of the reply, `Embed` gives one row too few, `Rank` one score too few.
    - `refuse` raises `BadReply` where a chat model is asked (`Ask`): it declines, and says so.

    Time-outs, refusals and garbled replies do not befall what no model performs. `log` holds what was done
    to whom.
    """

    def __init__(
        self,
        perform: Perform,
        seed: int,
        *,
        rate: float = 0.1,
        kinds: Sequence[str] = KINDS,
        at: Sequence[int] | None = None,
    ) -> None:
        unknown = set(kinds) - set(KINDS)
        if unknown or not kinds:
            raise ValueError(f"kinds: {sorted(unknown)} are none of {', '.join(KINDS)}")
        self._perform = perform
        self._seed = seed
        self._rate = rate
        self._kinds = tuple(kinds)
        self._at = None if at is None else frozenset(at)
        self.count = 0
        self.log: list[tuple[int, str, str]] = []

    def __call__(self, effect: Effect[Any], path: str) -> Any:
        """The effect's result, or what bad luck makes of it."""
        number, self.count = self.count, self.count + 1
        kind = self._fate(number, effect)
        if kind is None:
            return self._perform(effect, path)
        self.log.append((number, kind, type(effect).__name__))
        if kind == "crash":
            if self._draw(number, "when") >= 0.5:
                self._perform(effect, path)
            raise Crash(f"killed at effect {number}, {type(effect).__name__} at {path}")
        if kind == "timeout":
            raise ModelUnavailable(f"no answer in time at effect {number}, {type(effect).__name__} at {path}")
        if kind == "refuse" and isinstance(effect, Ask):
            raise BadReply("the model declined to reply", prompt=effect.prompt, reply=_DECLINED)
        return _garbled(effect, self._perform(effect, path))

    def _fate(self, number: int, effect: Effect[Any]) -> str | None:
        strikes = number in self._at if self._at is not None else self._draw(number, "if") < self._rate
        possible = [kind for kind in self._kinds if isinstance(effect, _STRUCK[kind])]
        if not strikes or not possible:
            return None
        return possible[int(self._draw(number, "how") * len(possible))]

    def _draw(self, number: int, what: str) -> float:
        """A number in [0, 1) that is the same in every run."""
        digest = hashlib.blake2b(f"{self._seed}/{number}/{what}".encode(), digest_size=8).digest()
        return int.from_bytes(digest, "big") / 2**64


def _garbled(effect: Effect[Any], reply: Any) -> Any:
    if isinstance(effect, Ask):
        text = repr(reply)
        raise BadReply("the reply does not parse", prompt=effect.prompt, reply=text[: len(text) // 2])
    return reply[:-1]
