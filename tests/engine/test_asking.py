"""Asking a model behind HTTP, from `add` to the receipt: whatever goes wrong, nothing is lost."""

from __future__ import annotations

import asyncio
import json
import sqlite3
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.asking import GOOD, Finder, Found, at
from engine.conftest import Open
from engine.helpers import Ticking
from engram import AsyncMemory, BadReply, Chat, Memory, ModelUnavailable, Receipt
from engram.kernel.chat import ChatReply, ChatRequest
from engram.kernel.drive import run
from engram.kernel.effects import Ask
from engram.testing.doubles import ScriptedModel
from engram.testing.server import (
    Answer,
    Request,
    ScriptedServer,
    chat,
    cut_off,
    failing,
    hung_up,
    malformed,
    rate_limited,
    slow,
    unreachable,
)


def add(open_memory: Open, server: ScriptedServer | str, text: str = "warm tea", **settings: Any) -> Any:
    memory = open_memory(policy=Finder(), model=at(server, **settings))
    return memory, memory.add(text, user_id="u")


def facts(memory: Memory) -> list[str]:
    return [record.text for record in memory.get_all(user_id="u") if record.kind == "fact"]


def test_a_typed_reply_becomes_records_and_the_receipt_says_what_it_took(open_memory: Open) -> None:
    with ScriptedServer([chat(GOOD, read=100, written=20, cached=30, cost=0.002)]) as server:
        memory, receipt = add(open_memory, server)
        assert facts(memory) == ["tea is warm"]
        body = server.requests[0].body
    assert receipt.usage == {
        "model_calls": 1,
        "tokens_in": 100,
        "tokens_out": 20,
        "tokens_cached": 30,
        "cost": 0.002,
        "unpriced_calls": 0,
    }
    assert memory.stats()["usage"] == memory.stats(user_id="u")["usage"] == receipt.usage
    assert memory.stats(user_id="other")["usage"]["model_calls"] == 0
    assert [message["role"] for message in body["messages"]] == ["system", "user"]
    assert (body["temperature"], body["seed"], body["max_tokens"]) == (0.0, 0, 4096)
    assert json.dumps(receipt.to_dict())


def test_an_unknown_cost_is_said_to_be_unknown(open_memory: Open) -> None:
    with ScriptedServer([GOOD]) as server:
        memory, receipt = add(open_memory, server)
    assert (receipt.usage["cost"], receipt.usage["unpriced_calls"]) == (0, 1)
    assert memory.stats()["usage"]["unpriced_calls"] == 1


LATER = [
    failing(500),
    failing(503),
    rate_limited(None),
    rate_limited(3000),
    hung_up(),
    cut_off(GOOD),
    slow(GOOD, 20),
]


@pytest.mark.parametrize("answer", LATER)
def test_a_server_in_trouble_leaves_text_and_job(open_memory: Open, clock: Ticking, answer: Answer) -> None:
    with ScriptedServer([answer, GOOD]) as server:
        memory, receipt = add(open_memory, server)
        assert [item.event for item in receipt.items] == ["stored", "pending"]
        assert memory.search("tea", user_id="u")
        [job] = memory._bound.core.store.jobs()
        assert job.not_before is not None
        if answer.headers.get("Retry-After") == "3000":
            assert (job.not_before - clock.now).total_seconds() > 2900
        clock.skip(hours=1)
        assert memory.wait()
        assert facts(memory) == ["tea is warm"]
        assert memory.verify().ok


def test_a_server_that_is_down_leaves_text_and_job(open_memory: Open) -> None:
    memory, receipt = add(open_memory, unreachable())
    assert [item.event for item in receipt.items] == ["stored", "pending"]
    assert memory.stats()["usage"]["model_calls"] == 0


def test_a_busy_server_is_asked_again_within_the_call(open_memory: Open) -> None:
    with ScriptedServer([rate_limited(0.01), failing(503), GOOD]) as server:
        memory, receipt = add(open_memory, server, retries=3)
        assert len(server.requests) == 3
    assert receipt.ok
    assert facts(memory) == ["tea is warm"]
    assert receipt.usage["model_calls"] == 1


@pytest.mark.parametrize("answer", [failing(401), failing(404, "no such model")])
def test_a_refused_key_parks_the_job(open_memory: Open, answer: Answer) -> None:
    with ScriptedServer([answer] * 4) as server:
        memory, receipt = add(open_memory, server)
    assert [item.event for item in receipt.items] == ["stored", "failed"]
    assert "refuses the key" in receipt.items[1].reason
    assert memory.stats()["jobs"]["parked"] == 1


BAD: list[tuple[Answer | str, str]] = [
    ("not JSON at all", "no JSON"),
    ('{"facts": ["tea', "cut off"),
    (chat('{"facts": ["tea', finish="length"), "cut off at 4096 tokens"),
    (chat("I won't.", finish="content_filter"), "declined"),
    (chat(None), "empty"),
    ('{"facts": "tea"}', "facts"),
    ('{"fakten": ["Tee ist warm"]}', "facts"),
    ('[{"facts": []}, {"facts": []}]', "object"),
    ("Der Tee ist warm.", "no JSON"),
    (malformed(), "does it speak"),
    (failing(400, "this prompt is refused"), "this prompt is refused"),
]


@pytest.mark.parametrize("answer, told", BAD)
def test_a_bad_reply_is_asked_for_again_with_the_error(
    open_memory: Open, answer: Answer | str, told: str
) -> None:
    asked: list[Request] = []

    def once(request: Request) -> Answer | str:
        asked.append(request)
        again = "could not be used" in request.prompt
        return GOOD if again else answer

    with ScriptedServer(once) as server:
        memory, receipt = add(open_memory, server)
        last = server.requests[-1]
    assert receipt.ok
    assert facts(memory) == ["tea is warm"]
    assert told in last.prompt
    assert len(last.body["messages"]) in (3, 4)


@pytest.mark.parametrize("answer, told", BAD)
def test_a_second_bad_reply_parks_the_job_with_both_sides(
    open_memory: Open, answer: Answer | str, told: str
) -> None:
    with ScriptedServer(lambda request: answer) as server:
        memory, receipt = add(open_memory, server)
    assert [item.event for item in receipt.items] == ["stored", "failed"]
    assert "BadReply" in receipt.items[1].reason
    [job] = memory._bound.core.store.jobs()
    assert job.status == "parked"
    [(place, held)] = job.journal.items()
    assert place == "bad:0.0"
    assert held["prompt"] == "Facts in: warm tea"
    assert told in held["error"]
    assert facts(memory) == []
    assert memory.search("tea", user_id="u")
    assert memory.verify().ok


def release(memory: Memory) -> None:
    """As somebody does who has looked at the parked jobs."""
    from dataclasses import replace

    from engram.kernel.protocols import Batch, PutJob

    store = memory._bound.core.store
    for job in store.jobs():
        store.commit(Batch((PutJob(replace(job, status="pending", not_before=None)),)))


def test_a_parked_job_that_is_freed_asks_anew_with_another_seed(open_memory: Open) -> None:
    with ScriptedServer(["no", "no", GOOD]) as server:
        memory, receipt = add(open_memory, server)
        assert receipt.usage["model_calls"] == 2
        release(memory)
        assert memory.wait()
        assert [request.body["seed"] for request in server.requests] == [0, 0, 1]
    assert facts(memory) == ["tea is warm"]
    assert memory.stats()["usage"]["model_calls"] == 3


def test_prompt_and_reply_of_a_parked_job_go_with_what_they_tell_of(tmp_path: Path) -> None:
    model = ScriptedModel(["about canaryword", "about canaryword"])
    memory = Memory(f"sqlite:///{tmp_path / 'm.db'}", policy=Finder(), model=model)
    memory.add("the canaryword sings", user_id="u")
    memory.forget(user_id="u")
    held = [file.read_bytes() for file in tmp_path.iterdir()]
    memory.close()
    assert not any(b"canaryword" in content for content in held)


def test_many_good_facts_and_none_are_both_replies(open_memory: Open) -> None:
    many = json.dumps({"facts": [f"fact number {number}" for number in range(1000)]})
    with ScriptedServer(['{"facts": []}', many]) as server:
        memory, receipt = add(open_memory, server)
        assert [item.event for item in receipt.items] == ["stored"]
        assert len(memory.add("more", user_id="u").items) == 1001


def test_all_questions_of_an_add_are_counted(open_memory: Open) -> None:
    with ScriptedServer(lambda request: GOOD) as server:
        memory = open_memory(policy=Finder(), model=at(server))
        receipt = memory.add([f"text {number}" for number in range(6)], user_id="u")
        assert len(server.requests) == 6
    assert receipt.usage["model_calls"] == memory.stats()["usage"]["model_calls"] == 6


def test_a_settled_reply_is_not_paid_twice(open_memory: Open, clock: Ticking) -> None:
    def answer(request: Request) -> Answer | str:
        return failing(503) if "second" in request.prompt and len(asked) == 1 else GOOD

    with ScriptedServer(answer) as server:
        asked = server.requests
        memory = open_memory(policy=Finder(), model=at(server))
        asked.clear()
        receipt = memory.add(["first", "second"], user_id="u")
        clock.skip(hours=1)
        assert memory.wait()
        assert sum("first" in request.prompt for request in server.requests) == 1
    assert receipt.items


def test_the_async_face_asks_as_well_and_many_at_once(clock: Ticking) -> None:
    async def main() -> tuple[Receipt, int]:
        with ScriptedServer(lambda request: slow(GOOD, 0.05)) as server:
            async with AsyncMemory("ram:", policy=Finder(), model=at(server), clock=clock) as memory:
                receipt = await memory.add([f"text {number}" for number in range(6)], user_id="u")
                assert (await memory.stats())["usage"]["model_calls"] == 6
            return receipt, server.most_at_once

    receipt, most = asyncio.run(main())
    assert receipt.usage["model_calls"] == 6
    assert most > 1


def until(done: Callable[[], object]) -> None:
    """Wait until something is there."""
    while not done():
        time.sleep(0.01)


def test_cancelling_while_the_model_is_asked_keeps_the_job_and_the_loop_free(clock: Ticking) -> None:
    async def main() -> None:
        with ScriptedServer(lambda request: slow(GOOD, 0.3)) as server:
            async with AsyncMemory(
                "ram:", policy=Finder(), model=at(server, timeout=5), clock=clock
            ) as memory:
                adding = asyncio.create_task(memory.add("warm tea", user_id="u"))
                await asyncio.to_thread(until, lambda: server.requests)
                adding.cancel()
                with pytest.raises(asyncio.CancelledError):
                    await adding
                assert (await memory.stats())["jobs"]["pending"] == 1
                store = memory._bound.core.store
                await asyncio.to_thread(until, lambda: store.jobs()[0].journal)
                assert await memory.wait()
                found = await memory.get_all(user_id="u")
                assert [record.kind for record in found] == ["episode", "fact"]
                assert len(server.requests) == 1, "the paid reply was kept"

    asyncio.run(main())


def test_a_model_that_never_answers_does_not_hold_an_add_for_ever(open_memory: Open) -> None:
    class Silent:
        name = "silent"

        def reply(self, request: ChatRequest) -> ChatReply:
            threading.Event().wait(60)
            return ChatReply(GOOD)

    memory = open_memory(policy=Finder(), model=Chat(Silent(), timeout=0.05, retries=0))
    receipt = memory.add("warm tea", user_id="u")
    assert [item.event for item in receipt.items] == ["stored", "pending"]


@given(st.lists(st.one_of(st.text(max_size=40), st.sampled_from([GOOD, "{}", "[1]", "null"])), max_size=2))
@settings(max_examples=60)
def test_any_garbage_ends_in_a_value_or_an_error_of_ours(said: list[str]) -> None:
    with Memory("ram:", policy=Finder(), model=ScriptedModel(said)) as memory:
        receipt = memory.add("warm tea", user_id="u")
        events = [item.event for item in receipt.items]
        assert events[0] == "stored"
        assert set(events[1:]) <= {"stored", "failed", "pending"}
        jobs = memory.stats()["jobs"]
        assert jobs["pending"] + jobs["parked"] == sum(event in ("failed", "pending") for event in events)
        assert memory.verify().ok


def test_a_scripted_model_has_failures_of_every_kind(open_memory: Open) -> None:
    script = [Found(["tea is warm"], tags=("a",)), ModelUnavailable("busy"), BadReply("odd"), ChatReply(GOOD)]
    model = ScriptedModel(script)
    memory = open_memory(policy=Finder(), model=model)
    assert memory.add("one", user_id="u").ok
    assert memory.add("two", user_id="u").items[1].event == "pending"
    assert memory.add("three", user_id="v").ok
    assert [request.schema is not None for request in model.requests] == [True] * 4
    short = open_memory(policy=Finder(max_tokens=3), model=ScriptedModel([GOOD, GOOD]))
    assert "cut off at 3 tokens" in short.add("four", user_id="w").items[1].reason

    async def program() -> object:
        return await Ask("?", str)

    assert run(program(), ScriptedModel(["!"])) == "!"
    with pytest.raises(TypeError, match="is a function"):
        run(program(), ScriptedModel(lambda request: "!"))


def test_a_reply_of_half_characters_and_of_great_length_is_stored_nowhere(tmp_path: Path) -> None:
    model = ScriptedModel([ChatReply("\ud800"), ChatReply("y" * 3_000_000)])
    with Memory(f"sqlite:///{tmp_path / 'm.db'}", policy=Finder(), model=model) as memory:
        receipt = memory.add("one", user_id="u")
        assert "longer than" in receipt.items[1].reason
        assert memory.verify().ok
    rows = sqlite3.connect(tmp_path / "m.db").execute("SELECT sum(length(journal)) FROM jobs").fetchone()
    assert rows[0] < 100_000
