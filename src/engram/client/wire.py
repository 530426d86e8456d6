"""The requests themselves: sent, answered, and sent again where that is safe. Needs `engram[client]`."""

from __future__ import annotations

import asyncio
import os
import random
import ssl
import threading
import time
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Iterable, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from typing import Any, TypeVar

from engram import __version__
from engram.client.call import PREFIX, Request, Talk, once
from engram.client.receiving import Done, Gathered, Lines, heard, value_of
from engram.client.refusals import BrokeOff, Trouble, refused
from engram.client.service import Service
from engram.engine.watching import carried
from engram.kernel.errors import ConfigError, MissingExtra, StoreError

try:
    import httpx
except ImportError as missing:
    raise MissingExtra("a memory that is a service", "client") from missing
else:
    from engram.client.failures import FAILURES, failed

__all__ = ["AsyncWire", "Wire"]

T = TypeVar("T")
_CONNECT = 10.0
_FIRST_PAUSE = 0.2
_LONGEST_PAUSE = 10.0
_CLOSED = "this memory is closed; open it again"


class Rounds:
    """How often one request was sent, and when it is sent again."""

    def __init__(self, service: Service, request: Request) -> None:
        self._service, self._request = service, request
        self._sent = 0

    def pause(self, trouble: Trouble) -> float:
        """The seconds until it is sent again. Raises the trouble's error where it is not."""
        self._sent += 1
        after = trouble.after
        may = trouble.again and (self._request.again or not trouble.begun)
        if not may or self._sent > self._service.retries or (after or 0) > self._service.patience:
            raise trouble.error
        if after is not None:
            return after
        longest: float = min(_LONGEST_PAUSE, _FIRST_PAUSE * 2 ** (self._sent - 1))
        return longest * random.uniform(0.5, 1.0)  # noqa: S311 - so that clients do not come all at once


@dataclass(frozen=True)
class _Sent:
    """A request as it goes over the wire: the same each time that it is sent."""

    method: str
    url: str
    content: bytes | None
    headers: Mapping[str, str]
    params: Mapping[str, str | list[str]]
    timeout: httpx.Timeout

    @classmethod
    def of(cls, service: Service, request: Request) -> _Sent:
        """The request, with an idempotency key where it changes anything."""
        headers = {**carried(), **({"Idempotency-Key": once()} if request.changes else {})}
        content = request.encoded()
        if content is not None:
            headers["Content-Type"] = "application/json"
        longest = service.timeout + request.slow if request.quiet is None else request.quiet
        timeout = httpx.Timeout(longest, connect=min(_CONNECT, service.timeout))
        address = f"{service.address}{'' if request.plain else PREFIX}{request.path}"
        return cls(request.method, address, content, headers, request.params, timeout)

    def named(self) -> dict[str, Any]:
        """The arguments of httpx's request."""
        return {
            "method": self.method,
            "url": self.url,
            "content": self.content,
            "headers": self.headers,
            "params": self.params or None,
            "timeout": self.timeout,
        }


def _answered(
    service: Service, request: Request, response: httpx.Response, content: bytes = b""
) -> Trouble | None:
    """What is wrong with an answer, of which what is refused is there as a whole; `None`: nothing."""
    if response.is_success:
        return None
    return refused(service, request, response.status_code, response.headers, content)


def _settings(service: Service) -> dict[str, Any]:
    """How an httpx client is made; a proxy is asked for other machines alone."""
    headers = {"Authorization": f"Bearer {service.key}", "User-Agent": f"engram/{__version__}"}
    most = service.connections
    return {
        "headers": headers,
        "timeout": service.timeout,
        "limits": httpx.Limits(max_connections=most, max_keepalive_connections=most),
        "verify": _trusted(service),
        "trust_env": not service.is_here,
        "follow_redirects": False,
    }


def _trusted(service: Service) -> ssl.SSLContext | bool:
    """The certificates that are trusted. Raises `ConfigError` where the file named cannot be read."""
    if service.verify is None:
        return True
    trusted = httpx.create_ssl_context()
    try:
        trusted.load_verify_locations(cafile=service.verify)
    except OSError as error:  # ssl.SSLError is one
        raise ConfigError(
            f"verify: {service.verify} holds no certificates that can be read ({error})"
        ) from error
    return trusted


class Wire:
    """The connections to a service, for threads that block. Thread-safe; a forked process gets its own."""

    def __init__(self, service: Service, sleep: Callable[[float], None] = time.sleep) -> None:
        self.service = service
        self._sleep = sleep
        self._lock = threading.Lock()
        self._settings = _settings(service)
        self._held: tuple[int, httpx.Client] | None = None
        self.closed = False

    def say(self, talk: Talk[T]) -> T:
        """Lead a talk to its end. Raises what it raises, and what the service refuses."""
        value: Any = None
        while True:
            try:
                request = heard(self.service, talk, value)
            except Done as done:
                result: T = done.value
                return result
            value = self.ask(request)

    def ask(self, request: Request) -> Any:
        """The JSON that answers a request. Raises the error tree's error for anything else."""
        sent, rounds = _Sent.of(self.service, request), Rounds(self.service, request)
        while True:
            try:
                client = self._client()
                response = client.send(client.build_request(**sent.named()), stream=True)
                content = self._content(response)
            except FAILURES as error:
                self._sleep(rounds.pause(failed(self.service, error)))
                continue
            trouble = _answered(self.service, request, response, content)
            if trouble is None:
                return value_of(self.service, response.headers, content)
            self._sleep(rounds.pause(trouble))

    @contextmanager
    def stream(
        self,
        request: Request,
        headers: Mapping[str, str] | None = None,
        content: Callable[[], Iterable[bytes]] | None = None,
    ) -> Iterator[httpx.Response]:
        """An answer that is read as it comes; `content` gives the body, anew each time it is sent.

        It is sent again until it is answered; what breaks off while the answer is read is the reader's to
        see to.
        """
        response = self._begun(request, headers or {}, content)
        try:
            yield response
        finally:
            response.close()

    def parts(self, response: httpx.Response) -> Iterator[bytes]:
        """The body of a streamed answer as it comes. Raises `BrokeOff`."""
        try:
            yield from response.iter_bytes()
        except FAILURES as error:
            raise _broken(self.service, error) from error

    def lines(self, response: httpx.Response) -> Iterator[str]:
        """The lines of a streamed answer as they come. Raises `BrokeOff`."""
        lines = Lines(self.service)
        for part in self.parts(response):
            yield from lines.take(part)

    def _content(self, response: httpx.Response) -> bytes:
        gathered = Gathered(self.service)
        try:
            for part in response.iter_bytes():
                gathered.take(part)
        finally:
            response.close()
        return gathered.content

    def _begun(
        self,
        request: Request,
        headers: Mapping[str, str],
        content: Callable[[], Iterable[bytes]] | None,
    ) -> httpx.Response:
        sent, rounds = _Sent.of(self.service, request), Rounds(self.service, request)
        named: dict[str, Any] = sent.named() | {"headers": {**sent.headers, **headers}}
        while True:
            if content is not None:
                named["content"] = content()
            client = self._client()
            try:
                response = client.send(client.build_request(**named), stream=True)
                said = b"" if response.is_success else self._content(response)
            except FAILURES as error:
                self._sleep(rounds.pause(failed(self.service, error)))
                continue
            trouble = _answered(self.service, request, response, said)
            if trouble is None:
                return response
            self._sleep(rounds.pause(trouble))

    def close(self) -> None:
        """Close all connections."""
        with self._lock:
            held, self._held, self.closed = self._held, None, True
        if held is not None and held[0] == os.getpid():
            held[1].close()

    def _client(self) -> httpx.Client:
        with self._lock:
            if self.closed:
                raise StoreError(_CLOSED)
            if self._held is None or self._held[0] != os.getpid():
                self._held = os.getpid(), httpx.Client(**self._settings)
            return self._held[1]


class AsyncWire:
    """The connections to a service, for an event loop; another loop gets its own."""

    def __init__(self, service: Service) -> None:
        self.service = service
        self._settings = _settings(service)
        self._held: _Held | None = None
        self.closed = False

    async def say(self, talk: Talk[T]) -> T:
        """Lead a talk to its end. Raises what it raises, and what the service refuses."""
        value: Any = None
        while True:
            try:
                request = heard(self.service, talk, value)
            except Done as done:
                result: T = done.value
                return result
            value = await self.ask(request)

    async def ask(self, request: Request) -> Any:
        """The JSON that answers a request. Raises the error tree's error for anything else."""
        sent, rounds = _Sent.of(self.service, request), Rounds(self.service, request)
        while True:
            try:
                client = await self._client()
                response = await client.send(client.build_request(**sent.named()), stream=True)
                content = await self._content(response)
            except FAILURES as error:
                await asyncio.sleep(rounds.pause(failed(self.service, error)))
                continue
            trouble = _answered(self.service, request, response, content)
            if trouble is None:
                return value_of(self.service, response.headers, content)
            await asyncio.sleep(rounds.pause(trouble))

    @asynccontextmanager
    async def stream(
        self, request: Request, headers: Mapping[str, str] | None = None
    ) -> AsyncIterator[httpx.Response]:
        """An answer that is read as it comes, as `Wire.stream`."""
        response = await self._begun(request, headers or {})
        try:
            yield response
        finally:
            await response.aclose()

    async def lines(self, response: httpx.Response) -> AsyncIterator[str]:
        """The lines of a streamed answer as they come. Raises `BrokeOff`."""
        lines = Lines(self.service)
        try:
            async for part in response.aiter_bytes():
                for line in lines.take(part):
                    yield line
        except FAILURES as error:
            raise _broken(self.service, error) from error

    async def _content(self, response: httpx.Response) -> bytes:
        gathered = Gathered(self.service)
        try:
            async for part in response.aiter_bytes():
                gathered.take(part)
        finally:
            await response.aclose()
        return gathered.content

    async def _begun(self, request: Request, headers: Mapping[str, str]) -> httpx.Response:
        sent, rounds = _Sent.of(self.service, request), Rounds(self.service, request)
        named: dict[str, Any] = sent.named() | {"headers": {**sent.headers, **headers}}
        while True:
            client = await self._client()
            try:
                response = await client.send(client.build_request(**named), stream=True)
                content = b"" if response.is_success else await self._content(response)
            except FAILURES as error:
                await asyncio.sleep(rounds.pause(failed(self.service, error)))
                continue
            trouble = _answered(self.service, request, response, content)
            if trouble is None:
                return response
            await asyncio.sleep(rounds.pause(trouble))

    async def close(self) -> None:
        """Close all connections."""
        held, self._held, self.closed = self._held, None, True
        if held is not None and held.loop is asyncio.get_running_loop():
            await held.life.aclose()

    async def _client(self) -> httpx.AsyncClient:
        if self.closed:
            raise StoreError(_CLOSED)
        loop = asyncio.get_running_loop()
        if self._held is None or self._held.loop is not loop:
            client = httpx.AsyncClient(**self._settings)
            self._held = _Held(loop, client, _living(client))
            await anext(self._held.life)
        return self._held.client


@dataclass(frozen=True)
class _Held:
    """The connections of one event loop, and what closes them when it ends."""

    loop: asyncio.AbstractEventLoop
    client: httpx.AsyncClient
    life: AsyncGenerator[None, None]


async def _living(client: httpx.AsyncClient) -> AsyncGenerator[None, None]:
    """Closes the client when it is closed itself: a loop that ends does that to what is left of these."""
    try:
        yield
    finally:
        await client.aclose()


def _broken(service: Service, error: httpx.RequestError) -> BrokeOff:
    return BrokeOff(str(failed(service, error).error))
