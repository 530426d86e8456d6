"""What happens on the way: what is sent again and what is not, and what each failure says."""

from __future__ import annotations

import asyncio
import json
import logging
import socket
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest

from client.loopback import Loopback, loopback
from engram import (
    AsyncMemory,
    BadReply,
    BudgetExceeded,
    ConfigError,
    Conflict,
    EngramError,
    Forbidden,
    InvalidInput,
    Memory,
    MissingExtra,
    ModelError,
    ModelUnavailable,
    NeedsMigration,
    NotFound,
    StoreError,
)
from engram.client import Service
from engram.kernel.clock import utc_now
from engram.serve.problems import Busy, Malformed, TooLarge, TooMany, problem_of
from engram.testing.server import Answer, Request, ScriptedServer, cut_off, hung_up, slow
from serve.service import process

KEY = "engram_0123456789ab_a-secret-that-is-nowhere-else"
ANA: dict[str, Any] = {"user_id": "ana"}
HITS = Answer({"items": []})
BUSY = Answer({"type": "urn:engram:problem:busy", "title": "The service is busy"}, 503, {"Retry-After": "0"})


@contextmanager
def scripted(*said: Answer, **settings: Any) -> Iterator[tuple[Memory, ScriptedServer]]:
    """A memory on a server that says this, one answer a request."""
    with ScriptedServer(list(said)) as server:
        service = Service(server.origin, KEY, **{"timeout": 30.0, **settings})
        with Memory(service) as memory:
            yield memory, server


def keys(server: ScriptedServer) -> list[str | None]:
    """The idempotency keys of the requests so far."""
    return [request.headers.get("Idempotency-Key") for request in server.requests]


@pytest.fixture(scope="module")
def server() -> Iterator[Loopback]:
    with loopback() as made:
        yield made


@pytest.mark.parametrize("trouble", [hung_up(), BUSY, cut_off(HITS), Answer("<html>", 502), Answer("", 504)])
def test_what_breaks_off_or_is_put_off_is_sent_again(trouble: Answer) -> None:
    with scripted(trouble, HITS) as (memory, server):
        assert memory.search("x", **ANA) == []
        assert keys(server) == [None, None]


@pytest.mark.parametrize("trouble", [hung_up(), BUSY, cut_off(Answer({"items": [], "usage": {}}))])
def test_a_change_is_sent_again_under_the_same_key(trouble: Answer) -> None:
    receipt: dict[str, Any] = {
        "items": [],
        "change_set": "1",
        "job": None,
        "usage": {},
        "purge": None,
        "dry_run": False,
    }
    answer = Answer({**receipt, "outside": [], "derived": None})
    with scripted(trouble, answer, answer) as (memory, server):
        assert memory.add("x", **ANA).change_set == "1"
        memory.add("x", **ANA)
        first, again, other = keys(server)
    assert first == again != other
    assert first is not None


def test_what_the_service_says_of_when_to_come_again_is_held_to() -> None:
    late = Answer(BUSY.body, 429, {"Retry-After": "61"})
    with scripted(late, HITS) as (memory, server), pytest.raises(StoreError, match="again in 61 s"):
        memory.search("x", **ANA)
    assert len(server.requests) == 1


def test_what_goes_on_failing_is_told() -> None:
    with scripted(*[BUSY] * 9, retries=2) as (memory, server), pytest.raises(StoreError, match="is busy"):
        memory.search("x", **ANA)
    assert len(server.requests) == 3


def test_an_answer_that_does_not_come_is_not_waited_for() -> None:
    with scripted(slow(HITS, 60), timeout=1.0) as (memory, server):
        with pytest.raises(StoreError, match="has not answered in time; it may still do") as raised:
            memory.search("x", **ANA)
        assert isinstance(raised.value.__cause__, httpx.ReadTimeout)
        assert len(server.requests) == 1


@pytest.mark.parametrize(
    ("answer", "kind", "told"),
    [
        (Answer("<html>", 200, {"Content-Type": "text/html"}), ConfigError, "text/html, not with JSON"),
        (Answer("<html>", 404, {"Content-Type": "text/html"}), ConfigError, "mend the url, its port"),
        (Answer("", 302, {"Location": "https://elsewhere"}), ConfigError, "sends on to https://elsewhere"),
        (Answer({"error": {"message": "no"}}, 401), ConfigError, "not how engram answers"),
    ],
)
def test_what_is_no_answer_of_engrams_is_told(answer: Answer, kind: type[EngramError], told: str) -> None:
    with scripted(answer) as (memory, _), pytest.raises(kind, match=told):
        memory.search("x", **ANA)


NOW = utc_now()


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        (InvalidInput("k: no"), InvalidInput),
        (Forbidden("no"), Forbidden),
        (NotFound("there is no record"), NotFound),
        (Conflict("taken"), Conflict),
        (TooLarge("too long"), InvalidInput),
        (Malformed("not JSON"), InvalidInput),
        (BudgetExceeded("used up", spent=2.5, limit=2, again=NOW), BudgetExceeded),
        (MissingExtra("a graph", "graph"), MissingExtra),
        (BadReply("a secret"), BadReply),
        (ModelError("a secret"), ModelError),
        (ModelUnavailable("a secret", retry_after=7), ModelUnavailable),
        (NeedsMigration("a secret"), NeedsMigration),
        (StoreError("a secret"), StoreError),
        (ConfigError("a secret"), ConfigError),
        (ZeroDivisionError("a secret"), StoreError),
        (Busy("full"), StoreError),
        (TooMany("wait", 1.0), StoreError),
    ],
)
def test_each_error_comes_back_as_itself(error: Exception, kind: type[EngramError]) -> None:
    problem = problem_of(error, "request-1")
    answer = Answer(problem.body, problem.status, problem.headers)
    with scripted(answer, retries=0) as (memory, _), pytest.raises(EngramError) as raised:
        memory.search("x", **ANA)
    found = raised.value
    assert type(found) is kind
    told = "request-1" if "a secret" in str(error) else str(error)
    assert told in str(found).replace(f"{memory._bound.place.told()[0]}: ", "")
    if isinstance(found, BudgetExceeded):
        assert (found.spent, found.limit, found.again) == (2.5, 2, NOW)
    if isinstance(found, ModelUnavailable):
        assert found.retry_after == 7
    if isinstance(found, MissingExtra):
        assert found.extra == "graph"


def test_nobody_there_is_told_with_what_to_do() -> None:
    with socket.create_server(("127.0.0.1", 0)) as gone:
        port = gone.getsockname()[1]
    told = pytest.raises(StoreError, match=r"cannot be reached .* look whether engram serve runs there")
    for scheme in ("http", "https"):
        with Memory(Service(f"{scheme}://127.0.0.1:{port}", KEY, retries=1)) as memory, told:
            memory.stats()


def test_a_port_that_does_not_speak_https_is_told(server: Loopback) -> None:
    url = server.url.replace("http://", "https://")
    with Memory(url, key=KEY) as memory, pytest.raises(ConfigError, match="no safe connection"):
        memory.stats()


def test_the_key_is_nowhere_to_be_read(server: Loopback, caplog: pytest.LogCaptureFixture) -> None:
    memory = server.opened()
    token = memory._bound.place.service.key  # type: ignore[attr-defined]
    with caplog.at_level(logging.DEBUG):
        memory.add("x", **ANA)
        with pytest.raises(NotFound):
            memory.get("nothing")
        with (
            Memory(server.url + "/m0", key=KEY) as wrong,
            pytest.raises(Forbidden, match="does not take this key") as raised,
        ):
            wrong.stats()
    secret = token.rpartition("_")[2]
    shown = (caplog.text, repr(memory), repr(wrong), str(raised.value), repr(Service(server.url, token)))
    assert not any(word in text for text in shown for word in (secret, "a-secret-that-is"))


def test_threads_share_a_memory_and_closing_ends_it(server: Loopback) -> None:
    memory = server.opened()
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda n: memory.add(f"thing {n}", **ANA), range(24)))
    assert len(memory.get_all(**ANA)) == 24
    memory.close()
    memory.close()
    assert "closed" in repr(memory)
    with pytest.raises(StoreError, match="closed; open it again"):
        memory.stats()


def test_one_asynchronous_memory_serves_one_loop_after_the_other(server: Loopback) -> None:
    url, key = server.serve(AsyncMemory("ram:"))
    memory = AsyncMemory(url, key=key)
    for _ in range(2):
        asyncio.run(memory.add("x", **ANA))
    assert asyncio.run(memory.stats())["records"] == 2
    asyncio.run(memory.close())
    with pytest.raises(StoreError, match="closed"):
        asyncio.run(memory.stats())


class Unlucky:
    """What stands between a client and a service, and lets something happen to the first answer."""

    def __init__(self, url: str, happens: Callable[[Answer], Answer]) -> None:
        self.url, self._happens, self._lock = url, happens, threading.Lock()
        self.passed: list[Request] = []

    def __call__(self, request: Request) -> Answer:
        headers = {name: value for name, value in request.headers.items() if name.lower() != "host"}
        with self._lock:
            first = not self.passed
            self.passed.append(request)
        response = httpx.request(
            request.method, self.url + request.path, headers=headers, json=request.body, timeout=60
        )
        answer = Answer(response.content, response.status_code)
        return self._happens(answer) if first else answer


def test_an_add_whose_answer_is_lost_is_stored_once(server: Loopback) -> None:
    for happens in (lambda answer: hung_up(), cut_off):
        url, key = server.serve(AsyncMemory("ram:", policy="rrf"))
        unlucky = Unlucky(url, happens)
        with ScriptedServer(unlucky) as between, Memory(between.origin, key=key) as memory:
            receipt = memory.add(["one", {"role": "user", "content": "two"}], **ANA)
            assert [item.event for item in receipt.items] == ["stored", "stored"]
            assert [record.text for record in memory.get_all(**ANA)] == ["one", "two"]
            assert next(iter(memory.get_all(**ANA))).original == "one"
        assert len(unlucky.passed) == 3 + 1


def test_killed_between_the_commit_and_the_answer_nothing_is_stored_twice(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/m.db"
    running: list[Any] = []

    def killed(answer: Answer) -> Answer:
        assert json.loads(answer.content)["items"][0]["event"] == "stored"
        first.stop(9)
        again = process(url, "--no-audit", token=first.token)
        running.append(again)
        unlucky.url = again.__enter__().url
        return hung_up()

    with process(url, "--no-audit") as first:
        unlucky = Unlucky(first.url, killed)
        try:
            with ScriptedServer(unlucky) as between, Memory(between.origin, key=first.token) as memory:
                receipt = memory.add(["one", "two"], **ANA)
                assert [item.event for item in receipt.items] == ["duplicate", "duplicate"]
                assert [record.text for record in memory.get_all(**ANA)] == ["one", "two"]
                assert [record.origin for record in memory.get_all(**ANA)] == [None, None]
        finally:
            for again in running:
                again.__exit__(None, None, None)
    with Memory(url) as memory:
        assert [record.original for record in memory.get_all(**ANA)] == ["one", "two"]
        assert memory.verify().ok
