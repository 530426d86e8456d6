"""What a memory is opened on: urls, keys, and what of both is refused."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from typing import Any

import pytest

from client.loopback import Loopback, loopback
from engram import AsyncMemory, ConfigError, Forbidden, Memory, NotFound
from engram.client import Client, Service
from engram.upkeep import copy, migration

KEY = "engram_0123456789ab_a-secret"


@pytest.fixture(scope="module")
def server() -> Iterator[Loopback]:
    with loopback() as made:
        yield made


@pytest.mark.parametrize("opened", [Memory, AsyncMemory])
@pytest.mark.parametrize(
    ("url", "complaint"),
    [
        ("https://ana:hunter2@host", "a name or a password"),
        ("https://host?key=hunter2", "a query or a fragment"),
        ("https://host#hunter2", "a query or a fragment"),
        ("https://", "is no service"),
        ("https://[hunter2", "is no url"),
        ("https://host:hunter2", "is no url"),
        ("http://memory.example.com", r"over plain HTTP everybody .* plain_http=True"),
        ("http://192.168.0.7:8765", "over plain HTTP"),
    ],
)
def test_a_url_that_cannot_be_is_refused_without_its_secret(opened: Any, url: str, complaint: str) -> None:
    with pytest.raises(ConfigError, match=complaint) as raised:
        opened(url, key=KEY)
    assert "hunter2" not in str(raised.value)
    assert "a-secret" not in str(raised.value)


@pytest.mark.parametrize(
    ("settings", "complaint"),
    [
        ({"timeout": 0}, "timeout"),
        ({"retries": -1}, "retries"),
        ({"patience": float("nan")}, "patience"),
        ({"connections": 0}, "connections"),
        ({"key": "two words"}, "key: expected"),
    ],
)
def test_a_setting_that_cannot_work_is_refused(settings: dict[str, Any], complaint: str) -> None:
    with pytest.raises(ConfigError, match=complaint):
        Service("https://host", **settings)


@pytest.mark.parametrize(
    "url", ["http://127.0.0.1:1", "http://[::1]:1", "http://localhost:1", "HTTPS://host/memory/"]
)
def test_these_are_services(url: str) -> None:
    with Memory(url, key=KEY) as memory:
        assert repr(memory).startswith(f"<Memory {url.rstrip('/')}, a service")
        assert KEY not in repr(memory)
    Service("http://memory.example.com", KEY, plain_http=True)


def test_what_a_service_decides_is_not_given_here(tmp_path: Any) -> None:
    with pytest.raises(ConfigError, match="policy, seed: a service has settings of its own"):
        Memory("https://host", key=KEY, policy="mem0", seed=3)
    with pytest.raises(ConfigError, match="key: a store needs none"):
        Memory("ram:", key=KEY)
    with pytest.raises(ConfigError, match="give it once"):
        Memory(Service("https://host", KEY), key="engram_other")


def test_without_a_key_there_is_none(monkeypatch: pytest.MonkeyPatch, server: Loopback) -> None:
    monkeypatch.delenv("ENGRAM_KEY", raising=False)
    with pytest.raises(ConfigError, match=r"needs a key: give key=… or set ENGRAM_KEY"):
        Memory("https://host")
    url, key = server.serve(AsyncMemory("ram:"))
    monkeypatch.setenv("ENGRAM_KEY", key)
    monkeypatch.setenv("ENGRAM_URL", url)
    with Memory() as memory:
        memory.add("x", user_id="ana")
        assert memory.stats()["records"] == 1


def test_what_needs_the_store_itself_says_so() -> None:
    for call in (lambda: copy("https://host", "ram:"), lambda: migration("https://host")):
        with pytest.raises(ConfigError, match="is a service"):
            call()
    with (
        Memory("https://host", key=KEY) as memory,
        pytest.raises(ConfigError, match="needs the store itself"),
    ):
        memory._bound.core  # noqa: B018 - it raises


def test_a_key_reaches_its_own_and_nothing_else(server: Loopback) -> None:
    served = AsyncMemory("ram:")
    url, key = server.serve(served)
    with Client(url, key=key) as client:
        made = [client.create_key(rights="write", tenant=name, users=name)["key"] for name in ("ana", "bo")]
        reader = client.create_key(rights="read", tenant="ana")["key"]
    with Memory(url, key=made[0]) as ana, Memory(url, key=made[1]) as bo, Memory(url, key=reader) as reading:
        id = ana.add("the code is ZEBRA").ids[0]
        assert ana.get(id).scope.to_dict() == {
            "tenant": "ana", "user_id": "ana", "agent_id": None, "run_id": None
        }  # fmt: skip
        assert [hit.id for hit in ana.search("code")] == [id]
        assert bo.search("code") == bo.search("code", user_id="bo") == []
        assert bo.scopes() == []
        assert bo.wait(0) is True
        for call in (
            lambda: bo.get(id), lambda: bo.history(id), lambda: bo.forget(id), lambda: bo.edit(id, text="x")
        ):  # fmt: skip
            with pytest.raises(NotFound, match=id):
                call()
        with pytest.raises(Forbidden, match="reaches tenant 'bo'"):
            bo.search("code", user_id="ana", tenant="ana")
        for refused in (bo.verify, bo.repair):
            with pytest.raises(Forbidden, match="right 'admin'"):
                refused()
        assert reading.search("code", user_id="ana")[0].id == id
        with pytest.raises(Forbidden, match="right 'write'"):
            reading.add("x", user_id="ana")


def test_nothing_of_http_is_loaded_for_a_store_and_the_extra_is_named() -> None:
    code = (
        "import sys\n"
        "from engram import Memory, ConfigError\n"
        "Memory('ram:').stats()\n"
        "assert 'httpx' not in sys.modules\n"
        "sys.modules['httpx'] = None\n"
        "try: Memory('https://host', key='engram_x').stats()\n"
        "except ConfigError as error: print(error)\n"
    )
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert "pip install 'engram[client]'" in out.stdout
