"""Drivers: results, errors, order, cancellation, replay, and what may be awaited."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable
from typing import Any

import pytest

from engram.kernel.adrive import arun
from engram.kernel.drive import ReplayMismatch, Transcript, record, replay, run
from engram.kernel.effects import Effect, Find, Now, Program, Random, Read, Under, each
from engram.kernel.errors import ModelUnavailable

Driver = Callable[[Program[Any], Callable[[Effect[Any], str], Any]], Any]


def threaded(program: Program[Any], perform: Callable[[Effect[Any], str], Any]) -> Any:
    return run(program, perform, concurrency=4)


def looped(program: Program[Any], perform: Callable[[Effect[Any], str], Any]) -> Any:
    return asyncio.run(arun(program, perform))


DRIVERS = pytest.mark.parametrize("drive", [run, threaded, looped], ids=["run", "threads", "loop"])


def by_path(effect: Effect[Any], path: str) -> str:
    return path


async def child(delay: float) -> Any:
    time.sleep(delay)  # noqa: ASYNC251 - it stands for slow work
    return await Random()


@DRIVERS
def test_results_come_in_input_order_whatever_finishes_first(drive: Driver) -> None:
    async def program() -> Any:
        first = await Now()
        items: list[Any] = [child(0.02), Random(), child(0.0)]
        return first, await each(items)

    assert drive(program(), by_path) == ("0", ["1.0.0", "1.1", "1.2.0"])


@DRIVERS
def test_the_first_error_in_input_order_is_raised_after_all_ran(drive: Driver) -> None:
    done: list[str] = []

    async def failing(name: str) -> None:
        await Now()
        done.append(name)
        raise ModelUnavailable(name)

    async def fine() -> str:
        await Now()
        done.append("fine")
        return "fine"

    async def program() -> Any:
        await each([failing("first"), fine(), failing("second")])

    with pytest.raises(ModelUnavailable, match="first"):
        drive(program(), by_path)
    assert sorted(done) == ["fine", "first", "second"]


@DRIVERS
def test_a_program_can_catch_what_an_effect_raises(drive: Driver) -> None:
    def perform(effect: Effect[Any], path: str) -> Any:
        if isinstance(effect, Read):
            raise ModelUnavailable("down")
        return path

    async def program() -> Any:
        try:
            await Read(("a",))
        except ModelUnavailable as error:
            return f"{error}, then {await Now()}"

    assert drive(program(), perform) == "down, then 1"


@DRIVERS
def test_a_nested_each_and_a_program_under_another_perform(drive: Driver) -> None:
    async def program() -> Any:
        inner = await each([each([Now(), Now()]), each([Now()])])
        other = await Under(child(0), lambda effect, path: f"other {path}")
        return inner, other

    inner, other = drive(program(), by_path)
    assert [len(part) for part in inner] == [2, 1]
    assert other == "other 0"


@DRIVERS
def test_awaiting_something_foreign_names_the_line(drive: Driver) -> None:
    async def program() -> None:
        await asyncio.sleep(0)  # a bare yield, under every driver

    with pytest.raises(TypeError, match=r"test_drive\.py:\d+ in program.*await effects"):
        drive(program(), by_path)


def test_each_refuses_what_is_neither_effect_nor_coroutine() -> None:
    async def program() -> None:
        items: list[Any] = [3]
        await each(items)

    with pytest.raises(TypeError, match="takes effects and coroutines, got int"):
        run(program(), by_path)


def test_the_traceback_shows_the_line_of_the_policy() -> None:
    def perform(effect: Effect[Any], path: str) -> Any:
        raise ModelUnavailable("down")

    async def program() -> None:
        await Find("x")

    with pytest.raises(ModelUnavailable) as caught:
        run(program(), perform)
    assert "program" in [entry.name for entry in caught.traceback]


def at_once(parties: int) -> tuple[Callable[[Effect[Any], str], str], list[int]]:
    """A perform function that goes on when so many calls are in it, and how many there were each time."""
    lock, together, running = threading.Lock(), threading.Barrier(parties), [0]
    seen: list[int] = []

    def perform(effect: Effect[Any], path: str) -> str:
        with lock:
            running[0] += 1
            seen.append(running[0])
        together.wait(60)
        time.sleep(0.001)  # one too many would come in meanwhile
        with lock:
            running[0] -= 1
        return path

    return perform, seen


def test_threads_bound_their_number_and_run_at_once() -> None:
    async def program() -> Any:
        return await each(Now() for _ in range(12))

    perform, seen = at_once(3)
    assert len(run(program(), perform, concurrency=3)) == 12
    assert max(seen) == 3
    perform, seen = at_once(2)
    assert len(asyncio.run(arun(program(), perform, concurrency=2))) == 12
    assert max(seen) == 2


def test_cancelling_closes_the_program_where_it_waits() -> None:
    closed: list[str] = []
    started = threading.Event()

    def perform(effect: Effect[Any], path: str) -> None:
        started.set()
        time.sleep(0.05)

    async def waits(name: str) -> None:
        try:
            await Now()
        finally:
            closed.append(name)

    async def program() -> None:
        try:
            await each([waits("a"), waits("b")])
        finally:
            closed.append("program")

    async def main() -> None:
        task = asyncio.create_task(arun(program(), perform))
        await asyncio.to_thread(started.wait)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    asyncio.run(main())
    assert sorted(closed) == ["a", "b", "program"]


def test_what_was_recorded_replays_the_same() -> None:
    async def program() -> Any:
        items: list[Any] = [Random(), child(0)]
        values: list[Any] = [await Now(), *await each(items)]
        try:
            await Read(("gone",))
        except ModelUnavailable:
            values.append("down")
        return values

    def perform(effect: Effect[Any], path: str) -> Any:
        if isinstance(effect, Read):
            raise ModelUnavailable("down")
        return path

    transcript: Transcript = []
    assert run(program(), record(perform, transcript)) == replay(program(), transcript)


def test_replay_tells_where_program_and_script_part() -> None:
    async def program() -> Any:
        return await Now()

    with pytest.raises(ReplayMismatch, match="asks for Now"):
        replay(program(), [(Random(), 0.5)])
    with pytest.raises(ReplayMismatch, match="goes on with"):
        replay(program(), [(Now(), None), (Random(), 0.5)])
    with pytest.raises(ReplayMismatch, match="script is over"):
        replay(program(), [])


def test_an_effect_costs_microseconds() -> None:
    async def program() -> None:
        for _ in range(1000):
            await Now()

    def seconds() -> float:
        start = time.perf_counter()
        run(program(), by_path)
        return time.perf_counter() - start

    assert min(seconds() for _ in range(20)) / 1000 < 100e-6  # the best run: others share the machine
