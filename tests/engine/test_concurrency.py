"""Several threads on one memory, and erasures that happen while a model is being asked."""

from __future__ import annotations

import asyncio
import json
import threading
import time
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from engine.asking import Finder
from engine.conftest import Open
from engine.helpers import Digest, Facts, ScriptedModel
from engram import AsyncMemory, Chat, Memory
from engram.engine.lease import Run
from engram.engine.results import Receipt
from engram.kernel.chat import ChatReply, ChatRequest
from engram.kernel.drive import Perform
from engram.kernel.effects import Effect
from engram.kernel.protocols import Batch, PutJob, Store
from engram.testing.doubles import ScriptedModel as Double


def test_threads_on_one_memory_each_get_a_true_receipt(open_memory: Open) -> None:
    memory = open_memory(policy=Facts())
    receipts: list[Receipt] = []

    def work(number: int) -> None:
        receipts.extend(memory.add(f"thing {number}/{step} is {number}", user_id="u") for step in range(5))

    threads = [threading.Thread(target=work, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert {tuple(item.event for item in receipt.items) for receipt in receipts} == {("stored", "stored")}
    assert {receipt.job for receipt in receipts} == {None}
    kinds = [record.kind for record in memory.get_all(user_id="u", limit=1000)]
    assert (kinds.count("episode"), kinds.count("fact")) == (20, 20)
    assert memory.stats()["jobs"] == {"pending": 0, "parked": 0}
    assert memory.verify().ok


def test_one_job_at_a_time_runs_in_a_lane(open_memory: Open) -> None:
    running, most = [0], [0]

    def answer(prompt: str) -> str:
        running[0] += 1
        most[0] = max(most[0], running[0])
        threading.Event().wait(0.02)
        running[0] -= 1
        return "S"

    model = ScriptedModel(answer)
    memory = open_memory(policy=Digest(), model=model)
    threads = [
        threading.Thread(target=memory.add, args=(f"text {n}",), kwargs={"user_id": "u"}) for n in "abc"
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert most == [1]
    assert len(model.prompts) == 6


def test_a_reply_about_what_was_erased_meanwhile_is_not_kept(tmp_path: Path) -> None:
    path = tmp_path / "m.db"
    memory = Memory(f"sqlite:///{path}", policy=Digest())

    def answer(prompt: str) -> str:
        if len(model.prompts) == 1:
            memory.forget(user_id="u")
        return "about canaryword"

    model = ScriptedModel(answer)
    memory._bound.core.model = model
    receipt = memory.add("the canaryword sings", user_id="u")
    assert [item.event for item in receipt.items] == ["stored", "failed"]
    assert len(model.prompts) == 1
    assert memory.stats()["jobs"] == {"pending": 0, "parked": 0}
    files = [file.read_bytes() for file in tmp_path.iterdir()]
    memory.close()
    assert not any(b"canaryword" in content for content in files)


def test_waiting_ends_when_its_time_is_up(open_memory: Open) -> None:
    memory = open_memory(policy=Facts())
    memory.add("the sky is blue", user_id="u", wait=False)
    core = memory._bound.core
    [job] = core.store.jobs()
    held = replace(job, owner="elsewhere/1/x", until=core.now() + timedelta(hours=1))
    core.store.commit(Batch((PutJob(held),)))
    start = time.monotonic()
    assert memory.wait(0.1) is False
    assert time.monotonic() - start < 10


def journaled(store: Store) -> None:
    """Wait until the thread of a cancelled call has come to its end."""
    while not store.jobs()[0].journal:
        time.sleep(0.01)


def test_a_cancelled_run_holds_no_lane_and_keeps_its_paid_reply(url: str) -> None:
    asked, answer = threading.Event(), threading.Event()

    def slow(prompt: str) -> str:
        asked.set()
        answer.wait(60)
        return "S"

    model = ScriptedModel(slow)

    async def add_and_cancel() -> AsyncMemory:
        memory = AsyncMemory(url, policy=Digest(), model=model)
        adding = asyncio.create_task(memory.add("remember this", user_id="u"))
        await asyncio.to_thread(asked.wait, 60)
        adding.cancel()
        with pytest.raises(asyncio.CancelledError):
            await adding
        answer.set()
        return memory

    async def main() -> None:
        memory = await add_and_cancel()
        store = memory._bound.core.store
        await asyncio.to_thread(journaled, store)
        assert [job.owner for job in store.jobs()] == [None]
        assert await memory.wait()
        assert [prompt.split()[0] for prompt in model.prompts] == ["Summarise:", "Title"]
        await memory.close()

    asyncio.run(main())


def test_waiting_at_once_after_a_cancel_pays_nothing_twice(url: str) -> None:
    asked, answer = threading.Event(), threading.Event()

    def slow(prompt: str) -> str:
        asked.set()
        answer.wait(60)
        return "S"

    model = ScriptedModel(slow)

    async def main() -> None:
        async with AsyncMemory(url, policy=Digest(), model=model) as memory:
            adding = asyncio.create_task(memory.add("remember this", user_id="u"))
            await asyncio.to_thread(asked.wait, 60)
            adding.cancel()
            with pytest.raises(asyncio.CancelledError):
                await adding
            waiting = asyncio.create_task(memory.wait())
            await asyncio.sleep(0.2)
            answer.set()
            assert await waiting

    asyncio.run(main())
    assert [prompt.split()[0] for prompt in model.prompts] == ["Summarise:", "Title"]


def test_a_lease_taken_after_the_cancel_is_given_back(open_memory: Open) -> None:
    memory = open_memory(policy=Facts())
    memory.add("the sky is blue", user_id="u", wait=False)
    core = memory._bound.core
    [job] = core.store.jobs()
    run = Run.of(core, job)
    run.drop()
    run.begin()
    assert [held.owner for held in core.store.jobs()] == [None]


def test_a_receipt_names_what_another_run_derived(open_memory: Open, url: str) -> None:
    if url == "ram:":
        pytest.skip("one store must be opened twice")
    one, other = open_memory(policy=Facts()), open_memory(policy=Facts())

    def around(perform: Perform) -> Perform:
        def performing(effect: Effect[Any], path: str) -> Any:
            if one._bound.core.store.jobs():
                other.wait()
            return perform(effect, path)

        return performing

    one._bound.core.around = around
    receipt = one.add("the sky is blue", user_id="u")
    assert [(item.event, item.reason) for item in receipt.items] == [
        ("stored", ""),
        ("stored", "derived by another run"),
    ]
    assert one.get(receipt.ids[1]).kind == "fact"
    assert receipt.job is None


class Slowest:
    """A model whose replies come in the opposite order of the questions; all three are asked at once."""

    name = "slowest"

    def __init__(self) -> None:
        self.together = threading.Barrier(3)
        self.turn = [threading.Event() for _ in range(4)]
        self.turn[3].set()

    def reply(self, request: ChatRequest) -> ChatReply:
        number = int(request.messages[-1].text[-1])
        self.together.wait(10)
        self.turn[number + 1].wait(10)
        self.turn[number].set()
        return ChatReply(json.dumps({"facts": [f"fact {number}"]}))


def test_one_add_asks_several_questions_at_once_and_keeps_their_order(open_memory: Open) -> None:
    memory = open_memory(policy=Finder(), model=Chat(Slowest(), retries=0))
    receipt = memory.add([f"text {number}" for number in range(3)], user_id="u")
    made = [memory.get(id).text for id in receipt.ids[3:]]
    assert made == ["fact 0", "fact 1", "fact 2"]
    assert receipt.usage["model_calls"] == 3


def test_a_bare_model_is_asked_in_order(open_memory: Open) -> None:
    model = Double([json.dumps({"facts": [f"fact {number}"]}) for number in range(8)])
    memory = open_memory(policy=Finder(), model=model)
    receipt = memory.add([f"text {number}" for number in range(8)], user_id="u")
    assert model.asked == [f"Facts in: text {number}" for number in range(8)]
    assert [memory.get(id).text for id in receipt.ids[8:]] == [f"fact {number}" for number in range(8)]
