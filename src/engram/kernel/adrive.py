"""The driver for an event loop: the same programs as `engram.kernel.drive`, awaited."""

from __future__ import annotations

import asyncio
from typing import Any, TypeVar, cast

from engram.kernel.drive import Perform, Steps, as_program, close_items, in_order
from engram.kernel.effects import Each, Effect, Program, Under

__all__ = ["arun"]

T = TypeVar("T")
_CONCURRENCY = 8


async def arun(program: Program[T], perform: Perform, *, concurrency: int = _CONCURRENCY) -> T:
    """Run `program` on the running event loop; effects go to threads, at most `concurrency` at once.

    Cancelling it closes the program at the effect it waits for; a call that a thread has begun goes on
    to its end, but its result is dropped. Raises what the program raises.
    """
    return cast("T", await _arun(program, perform, asyncio.Semaphore(concurrency), ""))


async def _perform(perform: Perform, effect: Effect[Any], path: str, gate: asyncio.Semaphore) -> Any:
    async with gate:
        return await asyncio.to_thread(perform, effect, path)


async def _arun(program: Program[Any], perform: Perform, gate: asyncio.Semaphore, prefix: str) -> Any:
    steps = Steps(program, prefix)
    try:
        effect = steps.step(None, None)
        while effect is not None:
            value, error = None, None
            try:
                if isinstance(effect, Each):
                    value = await _arun_each(effect, perform, gate, steps.path)
                elif isinstance(effect, Under):
                    value = await _arun(effect.program, effect.perform, gate, "")
                else:
                    value = await _perform(perform, effect, steps.path, gate)
            except Exception as raised:
                error = raised
            effect = steps.step(value, error)
        return steps.result
    finally:
        program.close()


async def _arun_each(effect: Each[Any], perform: Perform, gate: asyncio.Semaphore, path: str) -> list[Any]:
    async def child(index: int) -> tuple[Any, Exception | None]:
        item = effect.items[index]
        place = f"{path}.{index}"
        try:
            if isinstance(item, Effect) and not isinstance(item, Each | Under):
                return await _perform(perform, item, place, gate), None
            return await _arun(as_program(item), perform, gate, place + "."), None
        except Exception as error:
            return None, error

    try:
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(child(index)) for index in range(len(effect.items))]
    finally:
        close_items(effect)
    return in_order([task.result() for task in tasks])
