"""The requests themselves: sent, answered, and sent again where that is safe. Needs `engram[client]`."""

from __future__ import annotations

import asyncio
import json
import os
import random
import ssl
import threading
import time
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Generator, Iterable, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from socket import gaierror
from typing import Any, TypeVar

from engram import __version__
from engram.client.call import PREFIX, Request, Talk, once
from engram.client.refusals import BrokeOff, Trouble, refused, unreadable
from engram.client.service import Service
from engram.engine.watching import carried
from engram.kernel.errors import ConfigError, MissingExtra, StoreError

try:
    import httpx
except ImportError as missing:
    raise MissingExtra("a memory that is a service", "client") from missing

__all__ = ["AsyncWire", "Wire", "failed"]

T = TypeVar("T")
_CONNECT = 10.0
_FIRST_PAUSE = 0.2
_LONGEST_PAUSE = 10.0
_CLOSED = "this memory is closed; open it again"
_BROKEN = (httpx.NetworkError, httpx.RemoteProtocolError, httpx.ConnectTimeout, httpx.PoolTimeout)


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


def failed(service: Service, error: httpx.TransportError) -> Trouble:
    """What a request without an answer stands for."""
    trouble = _told(service, error)
    trouble.error.__cause__ = error
    return trouble


def _told(service: Service, error: httpx.TransportError) -> Trouble:
    where = service.address
    causes = list(_causes(error))
    bad = next((cause for cause in causes if isinstance(cause, ssl.SSLError)), None)
    if bad is not None:
        why = getattr(bad, "verify_message", "") or bad.reason or str(bad)
        return Trouble(
            ConfigError(
                f"{where}: no safe connection ({why}); mend the certificate, name the file of "
                "the authority that signed it (Service(…, verify=path)), or use a port that speaks https"
            )
        )
    if any(isinstance(cause, gaierror) for cause in causes):
        return Trouble(StoreError(f"{where}: there is no host of that name; mend the url, or the network"))
    if isinstance(error, httpx.ReadTimeout | httpx.WriteTimeout):
        return Trouble(
            StoreError(
                f"{where} has not answered in time; it may still do what was asked. Look whether it is "
                "well, or give it longer (Service(…, timeout=seconds))"
            )
        )
    if isinstance(error, httpx.ProxyError):
        return Trouble(
            StoreError(f"{where}: the proxy in between refuses ({error}); mend HTTP_PROXY, NO_PROXY")
        )
    if isinstance(error, httpx.ConnectError | httpx.ConnectTimeout):
        told = f"{where} cannot be reached ({error}); look whether engram serve runs there, and mend the url"
        return Trouble(StoreError(told), again=True, begun=False)
    told = f"the connection to {where} broke off ({str(error) or type(error).__name__}); call again"
    return Trouble(StoreError(told), again=isinstance(error, _BROKEN))


def _causes(error: BaseException | None) -> Iterator[BaseException]:
    while error is not None:
        yield error
        error = error.__cause__ or error.__context__


def _answered(service: Service, request: Request, response: httpx.Response) -> Trouble | None:
    """What is wrong with an answer that is there as a whole; `None`: nothing."""
    if response.is_success:
        return None
    return refused(service, request, response.status_code, response.headers, response.content)


def _json(service: Service, response: httpx.Response) -> Any:
    try:
        return json.loads(response.content)
    except ValueError as error:
        raise unreadable(service, response.headers) from error


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
        return _led(talk, self.ask)

    def ask(self, request: Request) -> Any:
        """The JSON that answers a request. Raises the error tree's error for anything else."""
        sent, rounds = _Sent.of(self.service, request), Rounds(self.service, request)
        while True:
            try:
                response = self._client().request(**sent.named())
            except httpx.TransportError as error:
                self._sleep(rounds.pause(failed(self.service, error)))
                continue
            trouble = _answered(self.service, request, response)
            if trouble is None:
                return _json(self.service, response)
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
        except httpx.TransportError as error:
            raise _broken(self.service, error) from error

    def lines(self, response: httpx.Response) -> Iterator[str]:
        """The lines of a streamed answer as they come. Raises `BrokeOff`."""
        try:
            yield from response.iter_lines()
        except httpx.TransportError as error:
            raise _broken(self.service, error) from error

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
                if not response.is_success:
                    response.read()
            except httpx.TransportError as error:
                self._sleep(rounds.pause(failed(self.service, error)))
                continue
            trouble = _answered(self.service, request, response)
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
                request = talk.send(value)
            except StopIteration as stop:
                result: T = stop.value
                return result
            value = await self.ask(request)

    async def ask(self, request: Request) -> Any:
        """The JSON that answers a request. Raises the error tree's error for anything else."""
        sent, rounds = _Sent.of(self.service, request), Rounds(self.service, request)
        while True:
            try:
                response = await (await self._client()).request(**sent.named())
            except httpx.TransportError as error:
                await asyncio.sleep(rounds.pause(failed(self.service, error)))
                continue
            trouble = _answered(self.service, request, response)
            if trouble is None:
                return _json(self.service, response)
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
        try:
            async for line in response.aiter_lines():
                yield line
        except httpx.TransportError as error:
            raise _broken(self.service, error) from error

    async def _begun(self, request: Request, headers: Mapping[str, str]) -> httpx.Response:
        sent, rounds = _Sent.of(self.service, request), Rounds(self.service, request)
        named: dict[str, Any] = sent.named() | {"headers": {**sent.headers, **headers}}
        while True:
            client = await self._client()
            try:
                response = await client.send(client.build_request(**named), stream=True)
                if not response.is_success:
                    await response.aread()
            except httpx.TransportError as error:
                await asyncio.sleep(rounds.pause(failed(self.service, error)))
                continue
            trouble = _answered(self.service, request, response)
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


def _broken(service: Service, error: httpx.TransportError) -> BrokeOff:
    return BrokeOff(str(failed(service, error).error))


def _led(talk: Generator[Request, Any, T], ask: Callable[[Request], Any]) -> T:
    value: Any = None
    while True:
        try:
            request = talk.send(value)
        except StopIteration as stop:
            result: T = stop.value
            return result
        value = ask(request)
