"""The edge of the service: what every request passes before any route, and every answer after it.

Here a request is held against the limits, its key is looked up before its body is read, and whatever fails
becomes a problem: this is the one place of the service that catches every exception.
"""

from __future__ import annotations

import asyncio
import logging
import secrets
import traceback
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any, TypeVar
from urllib.parse import unquote_to_bytes

from starlette.requests import ClientDisconnect

from engram.serve.keys import Key
from engram.serve.limits import too_deep
from engram.serve.problems import (
    MEDIA_TYPE,
    Busy,
    Malformed,
    Problem,
    TooLarge,
    Unauthorized,
    problem_of,
)
from engram.serve.service import Service
from engram.serve.traffic import Seen

__all__ = ["OPEN", "Edge", "ending", "told"]

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[MutableMapping[str, Any], Receive, Send], Awaitable[None]]
T = TypeVar("T")
OPEN = frozenset({"/health", "/ready", "/openapi.json"})
"""What is answered without a key: nothing of any memory."""
_LOG = logging.getLogger("engram.serve")
_UPLOAD = "/engram/v1/import"
_ONCE = frozenset({b"authorization", b"x-api-key", b"content-length", b"content-type", b"host",
                   b"idempotency-key", b"transfer-encoding", b"last-event-id"})  # fmt: skip
_SCHEMES = (b"bearer", b"token", b"api-key")
_IDS = (b"tenant", b"user_id", b"agent_id", b"run_id", b"app_id")
_HEADERS = [
    (b"x-content-type-options", b"nosniff"),
    (b"x-frame-options", b"DENY"),
    (b"referrer-policy", b"no-referrer"),
    (b"cache-control", b"no-store"),
    (b"content-security-policy", b"default-src 'none'; frame-ancestors 'none'"),
    (b"cross-origin-resource-policy", b"same-origin"),
]


class Edge:
    """Middleware around all routes of a service."""

    def __init__(self, app: App, service: Service) -> None:
        self._app, self._service, self._limits = app, service, service.limits
        self._under_way = 0

    async def __call__(self, scope: MutableMapping[str, Any], receive: Receive, send: Send) -> None:
        """Answer one request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        answer = _Answer(send)
        with self._service.traffic.request(scope, answer.seen):
            self._under_way += 1
            try:
                await self._guarded(scope, receive, answer)
            except ClientDisconnect:
                pass  # nobody is there to be told
            except Exception as error:
                await self._failed(error, answer)
            finally:
                self._under_way -= 1

    async def _guarded(self, scope: MutableMapping[str, Any], receive: Receive, answer: _Answer) -> None:
        headers = _headers(scope)
        if scope["path"] not in OPEN:
            self._room()
            _check_ids(scope["query_string"])
            address = (scope.get("client") or ("",))[0]
            key: Key = await self._service.admitted(_token(headers), address)
            scope.setdefault("state", {})["key"] = key
            answer.seen.key = key.id
            receive = await self._received(scope, headers, receive)
        scope.setdefault("state", {})["request"] = answer.id
        await self._app(scope, receive, answer.send)

    def _room(self) -> None:
        if self._service.stopping.is_set():
            raise Busy("the service is about to stop; ask again")
        if self._under_way > self._limits.concurrent:
            raise Busy(f"{self._limits.concurrent} requests are under way; ask again")

    async def _received(
        self, scope: MutableMapping[str, Any], headers: dict[bytes, bytes], receive: Receive
    ) -> Receive:
        """The body, held against the limits: that of an import as it comes, any other as a whole."""
        most = self._limits.upload if scope["path"] == _UPLOAD else self._limits.body
        if b"transfer-encoding" in headers and (
            b"content-length" in headers or scope["http_version"] < "1.1"
        ):
            raise Malformed("Transfer-Encoding: leave out Content-Length beside it, and speak HTTP/1.1")
        receive = _prompt(receive, self._limits.quiet)
        length = headers.get(b"content-length", b"0")
        if not length.isdigit():
            raise Malformed("Content-Length: expected a number")
        if int(length) > most:
            raise TooLarge(f"the body has {int(length):,} bytes; this service takes {most:,}")
        if scope["path"] == _UPLOAD:
            return _counted(receive, most)
        body = await _whole(receive, most)
        if too_deep(body, self._limits.nesting):
            raise Malformed(f"the body is nested over {self._limits.nesting} deep; flatten it")
        return _again(body, receive)

    async def _failed(self, error: Exception, answer: _Answer) -> None:
        """Send what failed as a problem, where nothing was sent yet; what is ours to mend is logged."""
        problem = problem_of(error, answer.id)
        if problem.status >= 500 and not isinstance(error, Busy):
            _LOG.error("request %s failed: %s", answer.id, told(error))
        if not answer.begun:
            await answer.problem(problem)


async def ending(work: Awaitable[T], failed: Callable[[Exception], T]) -> T:
    """What the work gives, or what `failed` makes of an error: of requests that come within another one."""
    try:
        return await work
    except Exception as error:
        return failed(error)


def told(error: BaseException) -> str:
    """An error for the log: its classes and where it was raised; its words may quote a memory."""
    parts: list[str] = []
    while error is not None:
        frames = traceback.extract_tb(error.__traceback__)
        where = " < ".join(f"{frame.name} ({frame.filename}:{frame.lineno})" for frame in frames[:-4:-1])
        parts.append(f"{type(error).__name__} in {where}" if where else type(error).__name__)
        following = error.__cause__ or (None if error.__suppress_context__ else error.__context__)
        if following is None:
            break
        error = following
    return ", from ".join(parts)


class _Answer:
    """An answer under way: what is put into its head, and what is seen of it."""

    def __init__(self, send: Send) -> None:
        self.id = secrets.token_hex(8)
        self.seen = Seen(self.id)
        self.begun = False
        self._send = send

    async def send(self, message: Message) -> None:
        """Send on, with the headers that every answer has."""
        if message["type"] == "http.response.start":
            self.begun, self.seen.status = True, message["status"]
            given = {name.lower() for name, _ in message["headers"]}
            added = [(name, value) for name, value in _HEADERS if name not in given]
            headers = [*message["headers"], *added, (b"x-request-id", self.id.encode())]
            message = {**message, "headers": headers}
        await self._send(message)

    async def problem(self, problem: Problem) -> None:
        """Send a problem."""
        body = problem.encoded()
        headers = [(name.lower().encode(), value.encode()) for name, value in problem.headers.items()]
        headers += [(b"content-type", MEDIA_TYPE.encode()), (b"content-length", str(len(body)).encode())]
        if problem.status in (400, 401, 413, 429, 503):
            headers.append((b"connection", b"close"))  # what is left of the body is not read
        await self.send({"type": "http.response.start", "status": problem.status, "headers": headers})
        await self.send({"type": "http.response.body", "body": body})


def _headers(scope: MutableMapping[str, Any]) -> dict[bytes, bytes]:
    """The headers by name. Raises `Malformed` where one stands twice that must not."""
    found: dict[bytes, bytes] = {}
    for name, value in scope["headers"]:
        if name in found and name in _ONCE:
            raise Malformed(f"the header {name.decode('latin-1')} stands twice; send it once")
        found[name] = value
    return found


def _token(headers: dict[bytes, bytes]) -> str | None:
    """The token that is shown, in either of two headers; `None` where there is none."""
    scheme, _, shown = headers.get(b"authorization", b"").strip().partition(b" ")
    bearer = shown.strip() if scheme.lower() in _SCHEMES else b""
    other = headers.get(b"x-api-key", b"").strip()
    if bearer and other and bearer != other:
        raise Unauthorized("Authorization and X-API-Key show two keys; send one")
    token = bearer or other
    return token.decode("latin-1") if token else None


def _check_ids(query: bytes) -> None:
    """Raise `Malformed` where a scope id is asked for twice."""
    names = [unquote_to_bytes(part.partition(b"=")[0]) for part in query.split(b"&")]
    for id in _IDS:
        if names.count(id) > 1:
            raise Malformed(f"{id.decode()} stands twice in the query; name it once")


def _prompt(receive: Receive, most: float) -> Receive:
    """A receive that fails where nothing of the body comes for so many seconds, until all of it is there."""
    whole = False

    async def receiving() -> Message:
        nonlocal whole
        if whole:  # what comes now is that the connection ends, whenever that is
            return await receive()
        try:
            async with asyncio.timeout(most):
                message = await receive()
        except TimeoutError:
            raise Malformed(f"nothing of the body came for {most:g} seconds; send it as a whole") from None
        whole = not message.get("more_body", False)
        return message

    return receiving


async def _whole(receive: Receive, most: int) -> bytes:
    parts: list[bytes] = []
    size, more = 0, True
    while more:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise Malformed("the connection was closed before the body was there")
        part = message.get("body", b"")
        size += len(part)
        if size > most:
            raise TooLarge(f"the body has over {most:,} bytes, which is what this service takes")
        parts.append(part)
        more = message.get("more_body", False)
    return b"".join(parts)


def _again(body: bytes, receive: Receive) -> Receive:
    """A receive that gives the whole body first."""
    given = False

    async def receiving() -> Message:
        nonlocal given
        if given:
            return await receive()
        given = True
        return {"type": "http.request", "body": body, "more_body": False}

    return receiving


def _counted(receive: Receive, most: int) -> Receive:
    """A receive that fails where the body grows too long."""
    size = 0

    async def receiving() -> Message:
        nonlocal size
        message = await receive()
        size += len(message.get("body", b""))
        if size > most:
            raise TooLarge(f"the body has over {most:,} bytes, which is what this service takes")
        return message

    return receiving
