"""Drivers: they run a program of effects, blocking (`run`) or from a script (`replay`).

`engram.kernel.adrive` has the one for an event loop, `arun`.

A perform function is given each effect and the path of its place in the program ("3", or "3.0.1" for the
second effect of the first child of an `each` that was the program's fourth effect). Paths are the same in
every run of the same program, under every driver: journals and random numbers hang on them.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Coroutine, Sequence
from contextvars import copy_context
from typing import Any, TypeVar, cast

from engram.kernel.effects import Each, Effect, Program, Under
from engram.kernel.errors import EngramError

__all__ = [
    "Perform",
    "ReplayMismatch",
    "Steps",
    "Transcript",
    "as_program",
    "close_items",
    "in_order",
    "outcome",
    "record",
    "replay",
    "run",
]

T = TypeVar("T")
Perform = Callable[[Effect[Any], str], Any]
"""What carries out effects: called with an effect and its path, gives the result or raises."""
Transcript = list[tuple[Effect[Any], Any]]
"""Effects with their replies, in the order in which they were asked for; a script for `replay`."""


class ReplayMismatch(EngramError):
    """The program asked for something else than the script says."""


def run(program: Program[T], perform: Perform, *, concurrency: int = 1) -> T:
    """Run `program` to its end, blocking, and return its result.

    With `concurrency` above 1 the children of an `each` run on that many threads; `perform` must then
    be thread-safe. Raises what the program raises.
    """
    return cast("T", _run(program, perform, concurrency, ""))


def replay(program: Program[T], script: Sequence[tuple[Effect[Any], Any]]) -> T:
    """Run `program` from a script of (effect, reply); a reply that is an exception is raised.

    Children of an `each` are played one after the other. Raises `ReplayMismatch` when the program asks
    for something else, or ends before the script does.
    """
    left = list(script)

    def perform(effect: Effect[Any], _path: str) -> Any:
        if not left:
            raise ReplayMismatch(f"the script is over, but the program asks for {effect!r}")
        expected, reply = left.pop(0)
        if expected != effect:
            raise ReplayMismatch(f"the script has {expected!r}, but the program asks for {effect!r}")
        if isinstance(reply, BaseException):
            raise reply
        return reply

    result = run(program, perform)
    if left:
        raise ReplayMismatch(f"the program ended; the script goes on with {left[0][0]!r}")
    return result


def record(perform: Perform, transcript: Transcript) -> Perform:
    """A perform function that also writes each effect and its reply (or error) down, for `replay`."""

    def recording(effect: Effect[Any], path: str) -> Any:
        try:
            reply = perform(effect, path)
        except Exception as error:
            transcript.append((effect, error))
            raise
        transcript.append((effect, reply))
        return reply

    return recording


class Steps:
    """One program being driven: sends results in, hands effects out."""

    def __init__(self, program: Program[Any], prefix: str) -> None:
        self.program = program
        self.prefix = prefix
        self.count = 0
        self.result: Any = None

    def step(self, value: Any, error: BaseException | None) -> Effect[Any] | None:
        """The next effect, or `None` when the program returned (then `result` is set)."""
        try:
            asked = self.program.send(value) if error is None else self.program.throw(error)
            while not isinstance(asked, Effect):
                asked = self.program.throw(_not_an_effect(self.program, asked))
        except StopIteration as stop:
            self.result = stop.value
            return None
        self.count += 1
        return asked

    @property
    def path(self) -> str:
        """The place of the effect that `step` gave last."""
        return f"{self.prefix}{self.count - 1}"


def _run(program: Program[Any], perform: Perform, concurrency: int, prefix: str) -> Any:
    steps = Steps(program, prefix)
    try:
        effect = steps.step(None, None)
        while effect is not None:
            value, error = None, None
            try:
                if isinstance(effect, Each):
                    value = _run_each(effect, perform, concurrency, steps.path)
                elif isinstance(effect, Under):
                    value = _run(effect.program, effect.perform, concurrency, "")
                else:
                    value = perform(effect, steps.path)
            except Exception as raised:
                error = raised
            effect = steps.step(value, error)
        return steps.result
    finally:
        program.close()


def _run_each(effect: Each[Any], perform: Perform, concurrency: int, path: str) -> list[Any]:
    def child(index: int) -> Any:
        item = effect.items[index]
        place = f"{path}.{index}"
        if isinstance(item, Effect) and not isinstance(item, Each | Under):
            return perform(item, place)
        return _run(as_program(item), perform, 1, place + ".")

    indices = range(len(effect.items))
    try:
        if concurrency > 1 and len(effect.items) > 1:
            from concurrent.futures import ThreadPoolExecutor  # 15 ms that most programs never need

            contexts = [copy_context() for _ in indices]  # as on an event loop, threads know who began them
            with ThreadPoolExecutor(min(concurrency, len(effect.items))) as pool:
                outcomes = list(pool.map(lambda index: contexts[index].run(outcome, child, index), indices))
        else:
            outcomes = [outcome(child, index) for index in indices]
    finally:
        close_items(effect)
    return in_order(outcomes)


def outcome(call: Callable[..., T], *arguments: Any) -> tuple[T | None, Exception | None]:
    """What a call gives or raises, as a pair: for whoever hands it to another thread."""
    try:
        return call(*arguments), None
    except Exception as error:
        return None, error


def in_order(outcomes: Sequence[tuple[Any, BaseException | None]]) -> list[Any]:
    """The values of (value, error) pairs; raises the first error."""
    for _, error in outcomes:
        if error is not None:
            raise error
    return [value for value, _ in outcomes]


def as_program(item: Effect[Any] | Program[Any]) -> Program[Any]:
    """An item of an `each` as a program; raises `TypeError` for what is none."""
    if isinstance(item, Effect):
        return _await_effect(item)
    if not isinstance(item, Coroutine):
        raise TypeError(f"each(…) takes effects and coroutines, got {type(item).__name__}")
    return item


async def _await_effect(effect: Effect[T]) -> T:
    return await effect


def close_items(effect: Each[Any]) -> None:
    """Close the coroutines of an `each` that never got to run."""
    for item in effect.items:
        if inspect.iscoroutine(item):
            item.close()


def _not_an_effect(program: Program[Any], asked: object) -> TypeError:
    """A `TypeError` that names the line of the policy that awaited something foreign."""
    inner: Any = program
    places = []
    while inner is not None and getattr(inner, "cr_frame", None) is not None:
        frame = inner.cr_frame
        places.append(f"{frame.f_code.co_filename}:{frame.f_lineno} in {frame.f_code.co_name}")
        inner = inner.cr_await
    return TypeError(
        f"{' -> '.join(places)}: a policy may await effects, each(…) and coroutines of those, "
        f"not {type(asked).__name__}; see engram.kernel.effects"
    )
