"""Services to call: an application on an event loop of the test's own, and real processes on loopback."""

from __future__ import annotations

import asyncio
import json
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx

from engram import AsyncMemory
from engram.serve.app import PREFIX, build
from engram.serve.audit import Audit
from engram.serve.limits import Limits
from engram.serve.service import Service

ENGRAM = str(Path(sys.executable).with_name("engram"))
PATIENCE = 60.0
WIDE = Limits(rate=1_000_000, burst=1_000_000, failures=1_000_000)


@dataclass
class House:
    """A service in this process, its keys by name, and calls to it."""

    service: Service
    client: httpx.AsyncClient
    loop: asyncio.AbstractEventLoop
    audit: Path
    tokens: dict[str, str] = field(default_factory=dict)

    def key(self, name: str, rights: str = "admin", tenant: str = "default", users: str = "*") -> str:
        """Make a key; calls name it by `as_`. Its id."""
        key, self.tokens[name] = self.service.keyring.store.create(rights=rights, tenant=tenant, users=users)
        self.do(self.service.keyring.refresh())
        return key.id

    def do(self, awaited: Any) -> Any:
        """Run something on the service's loop."""
        return self.loop.run_until_complete(awaited)

    def call(self, method: str, path: str, *, as_: str | None = "all", **options: Any) -> httpx.Response:
        """Call a route; a path without a slash in front is one of engram's own."""
        headers = dict(options.pop("headers", {}))
        if as_ is not None:
            headers.setdefault("Authorization", f"Bearer {self.tokens[as_]}")
        place = path if path.startswith("/") else f"{PREFIX}/{path}"
        response: httpx.Response = self.do(self.client.request(method, place, headers=headers, **options))
        return response

    def told(self, method: str, path: str, *, as_: str = "all", status: int = 200, **options: Any) -> Any:
        """What a route answers, which has this status."""
        response = self.call(method, path, as_=as_, **options)
        assert response.status_code == status, response.text
        return response.json()

    def audited(self) -> list[dict[str, Any]]:
        """The audit so far."""
        return [json.loads(line) for line in self.audit.read_text(encoding="utf-8").splitlines()]


@contextmanager
def house(folder: Path, url: str = "ram:", limits: Limits = WIDE, **settings: Any) -> Iterator[House]:
    """A service in this process, with an admin key for everything named `all`."""
    audit = folder / "audit.jsonl"
    loop = asyncio.new_event_loop()
    service = Service(AsyncMemory(url, **settings), Audit(audit), limits)
    transport = httpx.ASGITransport(build(service), raise_app_exceptions=True)
    made = House(service, httpx.AsyncClient(transport=transport, base_url="http://engram"), loop, audit)
    try:
        made.key("all", tenant="*")
        yield made
    finally:
        loop.run_until_complete(made.client.aclose())
        loop.run_until_complete(service.close())
        loop.run_until_complete(loop.shutdown_default_executor())
        loop.close()


@dataclass
class Process:
    """`engram serve` as a process: where it listens, and its first key."""

    child: subprocess.Popen[str]
    url: str
    token: str
    told: Mapping[str, Any]
    said: list[str] = field(default_factory=list)

    @property
    def headers(self) -> Mapping[str, str]:
        """What shows the key."""
        return {"Authorization": f"Bearer {self.token}"}

    def client(self, **options: Any) -> httpx.Client:
        """A client that shows the key."""
        return httpx.Client(base_url=self.url, headers=dict(self.headers), timeout=PATIENCE, **options)

    def stop(self, number: int = signal.SIGTERM) -> int:
        """Send a signal, and wait for the end; the exit code."""
        self.child.send_signal(number)
        return self.child.wait(PATIENCE)


@contextmanager
def process(url: str | None, *options: str, token: str = "") -> Iterator[Process]:
    """A service as a process of its own; `token` is its key where it has one already."""
    place = [] if url is None else ["--url", url]
    command = [ENGRAM, "serve", "--port", "0", "--json", *place, *options]
    child = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    said: list[str] = []
    assert child.stdout is not None
    assert child.stderr is not None
    errors = child.stderr
    reader = threading.Thread(target=lambda: said.extend(errors), daemon=True)
    reader.start()
    try:
        line = child.stdout.readline()
        assert line, "".join(said) or child.wait(PATIENCE)
        told = json.loads(line)
        yield Process(child, told["url"], token or told["key"], told, said)
    finally:
        if child.poll() is None:
            child.kill()
        child.wait(PATIENCE)
        reader.join(PATIENCE)
        child.stdout.close()
        child.stderr.close()


def problem(response: httpx.Response) -> tuple[int, str]:
    """The status of a problem, and the last part of its type."""
    body = response.json()
    assert response.headers["content-type"] == "application/problem+json"
    assert body["status"] == response.status_code
    return response.status_code, body["type"].rpartition(":")[2]


Check = Callable[[httpx.Response], bool]
