"""The driver for an event loop: the same programs as `engram.kernel.drive`, awaited."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any, TypeVar, cast

from engram.kernel.drive import Perform, Steps, as_program, close_items, in_order
from engram.kernel.effects import Each, Effect, Program

__all__ = ["arun"]

T = TypeVar("T")
_CONCURRENCY = 8
APerform = Callable[[Effect[Any], str], Awaitable[Any]]


async def arun(program: Program[T], perform: Perform, *, concurrency: int = _CONCURRENCY) -> T:
    """Run `program` on the running event loop; blocking effects go to threads, at most `concurrency` at once.

    Cancelling it closes the program at the effect it waits for.
    """
    gate = asyncio.Semaphore(concurrency)

    async def perform_in_thread(effect: Effect[Any], path: str) -> Any:
        async with gate:
            return await asyncio.to_thread(perform, effect, path)

    return cast("T", await _arun(program, perform_in_thread, ""))


async def _arun(program: Program[Any], perform: APerform, prefix: str) -> Any:
    steps = Steps(program, prefix)
    try:
        effect = steps.step(None, None)
        while effect is not None:
            value, error = None, None
            try:
                if isinstance(effect, Each):
                    value = await _arun_each(effect, perform, steps.path)
                else:
                    value = await perform(effect, steps.path)
            except Exception as raised:
                error = raised
            effect = steps.step(value, error)
        return steps.result
    finally:
        program.close()


async def _arun_each(effect: Each[Any], perform: APerform, path: str) -> list[Any]:
    async def child(index: int) -> tuple[Any, Exception | None]:
        item = effect.items[index]
        place = f"{path}.{index}"
        try:
            if isinstance(item, Effect) and not isinstance(item, Each):
                return await perform(item, place), None
            return await _arun(as_program(item), perform, place + "."), None
        except Exception as error:
            return None, error

    try:
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(child(index)) for index in range(len(effect.items))]
    finally:
        close_items(effect)
    return in_order([task.result() for task in tasks])
