"""Small layers around any chat model: time limits, a bound on calls at once, patience with a busy server."""

import random
import threading
import time
from collections.abc import Callable
from contextvars import copy_context
from dataclasses import replace
from queue import Empty, SimpleQueue
from typing import Final

from engram.kernel.chat import ChatModel, ChatReply, ChatRequest
from engram.kernel.drive import outcome
from engram.kernel.errors import BadReply, ConfigError, ModelUnavailable

__all__ = ["Bounded", "Retried", "Timed"]

_GRACE: Final = 2.0


class Timed:
    """A model that is given up on after a time, whatever it does.

    The limit, in seconds, is the request's own or `seconds`; the model is told it, and has two seconds more
    to say by itself what went wrong. It runs in a thread of its own: one that is given up on comes to its
    end unheard. Raises `ModelUnavailable` when time is up.
    """

    def __init__(self, model: ChatModel, seconds: float = 60) -> None:
        if seconds <= 0:
            raise ConfigError("a chat model's time limit is above 0 seconds")
        self.name: str = model.name
        self._model, self._seconds = model, seconds

    def reply(self, request: ChatRequest) -> ChatReply:
        """The model's reply, in time."""
        limit = request.timeout or self._seconds
        asked = replace(request, timeout=limit)
        outcomes: SimpleQueue[tuple[ChatReply | None, Exception | None]] = SimpleQueue()

        def work() -> None:
            try:
                outcomes.put(outcome(self._model.reply, asked))
            finally:  # a thread that is killed hands over nothing
                outcomes.put((None, ModelUnavailable(f"{self.name} was stopped before it replied")))

        threading.Thread(
            target=copy_context().run, args=(work,), name=f"engram {self.name}", daemon=True
        ).start()
        try:
            reply, error = outcomes.get(timeout=limit + _GRACE)
        except Empty:
            raise ModelUnavailable(f"{self.name} gave no reply within {limit:g} s") from None
        if reply is None:
            raise error or BadReply(f"{self.name} gave no reply and no error")
        return reply


class Bounded:
    """A model with at most `calls` calls at once; further ones wait for their turn."""

    def __init__(self, model: ChatModel, calls: int = 8) -> None:
        if calls < 1:
            raise ConfigError("a chat model takes at least 1 call at once")
        self.name: str = model.name
        self._model, self._gate = model, threading.BoundedSemaphore(calls)

    def reply(self, request: ChatRequest) -> ChatReply:
        """The model's reply, when it is this call's turn."""
        with self._gate:
            return self._model.reply(request)


class Retried:
    """A model that is asked again while it is out of reach or busy.

    At most `retries` times, after 0.5 s, 1 s, 2 s … (each between half of that and all of it, by chance
    from `seed`, so that many clients do not return at once), or after what the server asks for where
    that is longer. No pause begins that would end more than `patience` seconds after the first call began.
    The last `ModelUnavailable` is raised; other errors are not repeated.
    """

    def __init__(
        self,
        model: ChatModel,
        *,
        retries: int = 4,
        patience: float = 120,
        seed: int = 0,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        if retries < 0 or patience < 0:
            raise ConfigError("retries and patience of a chat model are 0 or more")
        self.name: str = model.name
        self._model, self._retries, self._patience, self._sleep = model, retries, patience, sleep
        self._chance, self._lock = random.Random(seed), threading.Lock()  # noqa: S311 - jitter is no secret

    def reply(self, request: ChatRequest) -> ChatReply:
        """The model's reply, of whichever attempt has one."""
        began, slept = time.monotonic(), 0.0
        for attempt in range(self._retries + 1):
            try:
                return self._model.reply(request)
            except ModelUnavailable as error:
                pause = self._pause(attempt, error.retry_after)
                spent = max(time.monotonic() - began, slept)
                if attempt == self._retries or spent + pause > self._patience:
                    raise
            self._sleep(pause)
            slept += pause
        raise AssertionError

    def _pause(self, attempt: int, asked: float | None) -> float:
        with self._lock:
            chance = self._chance.random()
        pause: float = 0.5 * 2**attempt * (0.5 + chance / 2)
        return max(pause, asked or 0.0)
