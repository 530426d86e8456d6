"""Conversations under faults at every effect: what is left of them is looked at afterwards."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from engine.helpers import Ticking
from engine.test_faults import finish, with_faults
from engram import Memory, ModelError
from engram.kernel.chat import ChatRequest
from engram.kernel.policy import Policy
from engram.testing.doubles import ScriptedModel
from engram.testing.faults import Crash

__all__ = ["survived"]


@contextmanager
def survived(
    path: Path,
    said: Sequence[dict[str, str]],
    policy: Policy,
    answers: Callable[[ChatRequest], Any] | None,
    struck: Counter[str],
    *,
    user: str = "u",
    seed: int = 0,
    rate: float = 0.1,
    tending: bool = False,
) -> Iterator[Memory]:
    """The memory when all that was said is acknowledged, and no more work is owed, whole as `verify` sees it.

    A call that a fault ends is made again by a process that starts anew; `struck` counts those by kind.
    `answers` is what the model says to a request (`None`: no model).
    """
    url, clock = f"sqlite:///{path}", Ticking()
    settings: dict[str, Any] = {"policy": policy, "clock": clock, "seed": seed}
    if answers is not None:
        settings["model"] = ScriptedModel(answers)
    assert _told(url, settings, clock, list(said), user, rate, struck, tending=tending)
    with Memory(url, **settings) as memory:
        finish(memory, clock)
        if tending:
            memory.tend(user_id=user)
        assert memory.verify().problems == ()
        yield memory


def _told(
    url: str,
    settings: dict[str, Any],
    clock: Ticking,
    left: list[dict[str, str]],
    user: str,
    rate: float,
    struck: Counter[str],
    *,
    tending: bool,
) -> bool:
    """Add what is left, process after process; whether all of it was acknowledged."""
    for attempt in range(100):
        with Memory(url, **settings) as memory:
            with_faults(memory, settings["seed"] * 100 + attempt, rate)
            try:
                while left:
                    memory.add(left[0], user_id=user)
                    left.pop(0)
                    memory.search("tea", user_id=user)
                    if tending:
                        memory.tend(user_id=user)
                return True
            except Crash:
                struck["crash"] += 1
                clock.skip(seconds=30)
            except ModelError:
                struck["model"] += 1
    return False
