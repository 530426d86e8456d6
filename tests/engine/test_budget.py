"""Budgets hold before a call begins, over threads and processes; kept replies go with their sources."""

from __future__ import annotations

import subprocess
import sys
import threading
import time
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from engine.asking import GOOD, Finder
from engine.conftest import Open
from engine.helpers import START, Ticking
from engram import Budget, BudgetExceeded, Chat, Memory, ModelUnavailable
from engram.engine.spending import estimate
from engram.kernel.chat import ChatReply, ChatRequest, Message
from engram.models.prices import Price
from engram.testing.doubles import ScriptedModel
from engram.testing.server import ScriptedServer, chat, slow

REPLY = ChatReply(GOOD, tokens_in=100, tokens_out=50)
PRICES = {"scripted:model": Price(read=1_000, written=10_000)}  # $0.1 read and $0.5 written for each REPLY


def limited(open_memory: Open, model: ScriptedModel | None = None, **limits: Any) -> Memory:
    asked = model or ScriptedModel(lambda request: REPLY)
    settings = Chat(asked, max_tokens=100, budget=Budget(**limits), prices=PRICES, retries=0)
    return open_memory(policy=Finder(), model=settings)


def add(memory: Memory, user: str = "u") -> tuple[str, str]:
    """What became of asking once, and why."""
    item = memory.add("warm tea", user_id=user).items[1]
    return item.event, item.reason


def test_a_scope_has_its_own_budget_and_its_job_is_parked(open_memory: Open) -> None:
    memory = limited(open_memory, scope_tokens=500)
    assert [add(memory)[0] for _ in range(2)] == ["stored", "stored"]
    event, reason = add(memory)
    assert event == "failed"
    assert "budget for this scope is 500 tokens" in reason
    assert "Chat(budget=" in reason
    assert add(memory, "other")[0] == "stored"
    assert memory.stats()["jobs"]["parked"] == 1
    assert memory.stats(user_id="u")["usage"]["tokens_in"] == 200
    assert len(memory.search("tea", user_id="u", filters={"kind": "episode"})) == 3


def test_a_day_has_its_budget_and_the_job_waits_for_the_next(open_memory: Open, clock: Ticking) -> None:
    memory = limited(open_memory, day_tokens=500)
    assert [add(memory, user)[0] for user in "ab"] == ["stored", "stored"]
    event, reason = add(memory, "c")
    assert event == "pending"
    assert "lifted at 2026-03-02 00:00 UTC" in reason
    [job] = memory._bound.core.store.jobs()
    assert job.not_before == (START + timedelta(days=1)).replace(hour=0)
    assert (job.status, job.attempts) == ("pending", 0)
    assert memory.wait(0.1) is False
    clock.skip(days=1)
    assert memory.wait()
    assert memory.stats()["usage"]["model_calls"] == 3


def test_a_scope_has_a_budget_a_day(open_memory: Open, clock: Ticking) -> None:
    memory = limited(open_memory, scope_day_tokens=300)
    assert [add(memory, user)[0] for user in "aab"] == ["stored", "pending", "stored"]
    clock.skip(days=1)
    assert memory.wait()


def test_one_call_is_bounded_by_a_shorter_reply(open_memory: Open) -> None:
    model = ScriptedModel(lambda request: REPLY)
    memory = limited(open_memory, model, call_tokens=260)
    assert add(memory)[0] == "stored"
    [request] = model.requests
    assert request.max_tokens == 260 - estimate(request)
    memory.add("x" * 3000, user_id="u")
    [job] = memory._bound.core.store.jobs()
    assert "budget for one call is 260 tokens" in str(job.error)
    assert len(model.requests) == 1


@pytest.mark.parametrize("limit", ["scope_cost", "day_cost", "scope_day_cost"])
def test_budgets_in_money(open_memory: Open, limit: str) -> None:
    limits: dict[str, Any] = {limit: 2}
    memory = limited(open_memory, **limits)
    events = [add(memory)[0] for _ in range(3)]
    assert events[:2] == ["stored", "stored"]
    assert events[2] == ("failed" if limit == "scope_cost" else "pending")
    assert memory.stats()["usage"]["cost"] == pytest.approx(1.2)


def test_a_call_is_bounded_in_money(open_memory: Open) -> None:
    model = ScriptedModel(lambda request: REPLY)
    memory = limited(open_memory, model, call_cost=0.9)
    assert add(memory)[0] == "stored"
    [request] = model.requests
    assert request.max_tokens is not None
    assert estimate(request) * 1e-3 + request.max_tokens * 1e-2 <= 0.9
    poor = limited(open_memory, call_cost=0.001)
    assert "budget for one call is 0.001 US dollars" in add(poor, "p")[1]


def test_money_cannot_be_limited_where_the_price_is_not_known(open_memory: Open) -> None:
    model = ScriptedModel(lambda request: REPLY, name="unheard:of")
    memory = limited(open_memory, model, day_cost=10)
    event, reason = add(memory)
    assert event == "failed"
    assert "price of 'unheard:of' is not known" in reason
    assert model.requests == []
    assert memory.stats()["usage"]["model_calls"] == 0


def test_a_call_that_fails_gives_back_what_was_set_aside(open_memory: Open) -> None:
    model = ScriptedModel([ModelUnavailable("busy")] * 3 + [REPLY])
    memory = limited(open_memory, model, day_tokens=500)
    events = [add(memory, user)[0] for user in "abcd"]
    assert events == ["pending", "pending", "pending", "stored"]
    assert memory.stats()["usage"]["model_calls"] == 1


def test_the_error_says_spent_and_limit() -> None:
    with Memory(
        "ram:", reranker="model", model=Chat(ScriptedModel([]), budget=Budget(call_tokens=50))
    ) as memory:
        memory.add(["red tea", "green tea"], user_id="u")
        with pytest.raises(BudgetExceeded) as caught:
            memory.search("tea", user_id="u")
    assert caught.value.limit == 50
    assert caught.value.spent > 50
    assert caught.value.again is None


def test_threads_together_stay_within_the_budget(open_memory: Open) -> None:
    memory = limited(open_memory, day_tokens=1200)
    threads = [threading.Thread(target=add, args=(memory, f"user {number}")) for number in range(12)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    usage = memory.stats()["usage"]
    assert 900 <= usage["tokens_in"] + usage["tokens_out"] <= 1200
    assert memory.stats()["jobs"]["pending"] == 12 - usage["model_calls"]


WORKER = """
import sys
sys.path.insert(0, sys.argv[2])
from engine.asking import Finder, at
from engram import Budget, Memory
chat = at(sys.argv[3], max_tokens=100, budget=Budget(day_tokens=2000), timeout=20)
with Memory(sys.argv[1], policy=Finder(), model=chat) as memory:
    for number in range(10):
        memory.add(f"warm tea {number}", user_id=sys.argv[4])
"""


def test_two_processes_share_one_budget(tmp_path: Path) -> None:
    url, tests = f"sqlite:///{tmp_path / 'm.db'}", str(Path(__file__).parents[1])
    with ScriptedServer(lambda request: chat(GOOD, read=100, written=50)) as server:
        workers = [
            subprocess.Popen([sys.executable, "-c", WORKER, url, tests, server.url, user]) for user in "ab"
        ]
        assert [worker.wait(60) for worker in workers] == [0, 0]
        calls = len(server.requests)
    with Memory(url, policy=Finder()) as memory:
        stats = memory.stats()
    assert stats["usage"]["model_calls"] == calls
    assert stats["usage"]["tokens_in"] == 100 * calls
    assert 1600 <= 150 * calls <= 2000
    assert stats["jobs"] == {"pending": 20 - calls, "parked": 0}


def test_a_process_killed_within_a_call_leaves_its_share_taken(tmp_path: Path) -> None:
    url, tests = f"sqlite:///{tmp_path / 'm.db'}", str(Path(__file__).parents[1])
    with ScriptedServer(lambda request: slow(chat(GOOD), 60)) as server:
        worker = subprocess.Popen([sys.executable, "-c", WORKER, url, tests, server.url, "a"])
        while not server.requests:
            time.sleep(0.01)
        worker.kill()
        worker.wait(30)
    model = ScriptedModel(lambda request: REPLY)
    tight = Chat(model, max_tokens=100, budget=Budget(day_tokens=500), timeout=0.1)
    with Memory(url, policy=Finder(), model=tight) as memory:
        assert memory.stats()["usage"]["model_calls"] == 0
        assert memory.add("warm tea", user_id="b").items[1].event == "pending"
    wide = Chat(model, max_tokens=100, budget=Budget(day_tokens=1000))
    with Memory(url, policy=Finder(), model=wide) as memory:
        assert memory.add("warm tea", user_id="c").ok


def test_accounts_hold_no_name_of_a_user(tmp_path: Path) -> None:
    with Memory(
        f"sqlite:///{tmp_path / 'm.db'}", policy=Finder(), model=ScriptedModel(lambda request: REPLY)
    ) as memory:
        memory.add("warm tea", user_id="canaryuser")
        memory.forget(user_id="canaryuser")
        assert memory.stats()["usage"]["model_calls"] == 1
        held = [file.read_bytes() for file in tmp_path.iterdir()]
    assert not any(b"canaryuser" in content for content in held)


def test_tokens_are_estimated_where_nobody_counts() -> None:
    asked = ScriptedModel(lambda request: ChatReply(GOOD))
    with Memory("ram:", policy=Finder(), model=asked) as memory:
        usage = memory.add("warm tea", user_id="u").usage
    assert usage["tokens_in"] == estimate(asked.requests[0])
    assert usage["tokens_out"] == 9
    assert estimate(ChatRequest((Message("user", "x" * 300),))) == 108


def cached(open_memory: Open, model: ScriptedModel, size: int = 64) -> Memory:
    return open_memory(policy=Finder(), model=Chat(model, cache=size))


def test_the_same_question_is_answered_from_the_cache(open_memory: Open) -> None:
    model = ScriptedModel(lambda request: GOOD)
    memory = cached(open_memory, model)
    first = memory.add("warm tea", user_id="u")
    second = memory.add("warm tea", user_id="u")
    assert first.usage["model_calls"] == 1
    assert second.usage == {"cached_replies": 1}
    assert len(model.requests) == 1
    memory.add("cold tea", user_id="u")
    memory.add("warm tea", user_id="another")
    assert len(model.requests) == 3


def test_a_bad_reply_is_not_kept(open_memory: Open) -> None:
    model = ScriptedModel(["no", "no", GOOD])
    memory = cached(open_memory, model)
    assert memory.add("warm tea", user_id="u").items[1].event == "failed"
    assert memory.add("warm tea", user_id="u").ok


def test_the_cache_is_bounded(open_memory: Open) -> None:
    memory = cached(open_memory, ScriptedModel(lambda request: GOOD), size=3)
    memory.add([f"text {number}" for number in range(20)], user_id="u")
    rows = memory._bound.core.store.states(memory._bound.scope({"user_id": "u"}), "engram.cache")
    assert 1 <= len(rows) <= 3


def test_kept_replies_are_erased_with_what_was_read_for_them(tmp_path: Path) -> None:
    path = tmp_path / "m.db"
    model = ScriptedModel(lambda request: '{"facts": ["canaryword"]}')
    with Memory(f"sqlite:///{path}", policy=Finder(), model=Chat(model, cache=64)) as memory:
        receipt = memory.add("the bird sings", user_id="u")
        assert any(b"canaryword" in file.read_bytes() for file in tmp_path.iterdir())
        memory.forget(receipt.ids[0])
        held = [file.read_bytes() for file in tmp_path.iterdir()]
        assert not any(b"canaryword" in content for content in held)
        memory.add("the bird sings", user_id="u")
        assert len(model.requests) == 2


def test_a_reply_about_what_is_erased_meanwhile_is_not_kept(open_memory: Open) -> None:
    def erases(request: ChatRequest) -> str:
        if len(model.requests) == 1:
            memory.forget(user_id="u")
        return GOOD

    model = ScriptedModel(erases)
    memory = cached(open_memory, model)
    memory.add("warm tea", user_id="u")
    assert memory._bound.core.store.states(memory._bound.scope({"user_id": "u"}), "engram.cache") == []
