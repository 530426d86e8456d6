"""A scripted HTTP server on loopback that speaks the OpenAI API, well or badly, as a test wants it."""

from __future__ import annotations

import contextlib
import hashlib
import json
import socket
import struct
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Any, Self

__all__ = [
    "Answer",
    "Request",
    "ScriptedServer",
    "chat",
    "cut_off",
    "failing",
    "hung_up",
    "malformed",
    "rate_limited",
    "slow",
    "unreachable",
]


@dataclass(frozen=True)
class Answer:
    """What the server says to one request. A `body` that is no text or bytes becomes JSON.

    `wait` is how many seconds pass before anything is said. `drip` is how many pass between single bytes of
    the body. After `only` bytes of the body the connection is broken, though more was announced; with `only`
    below 0 it is broken before a word is said.
    """

    body: Any = ""
    status: int = 200
    headers: Mapping[str, str] = field(default_factory=dict)
    wait: float = 0.0
    drip: float = 0.0
    only: int | None = None

    @property
    def content(self) -> bytes:
        """The body as bytes."""
        if isinstance(self.body, bytes):
            return self.body
        text = self.body if isinstance(self.body, str) else json.dumps(self.body)
        return text.encode("utf-8", "surrogatepass")


@dataclass(frozen=True)
class Request:
    """A request that came in; `body` is its JSON, `None` where it had none."""

    method: str
    path: str
    headers: Mapping[str, str]
    body: Any

    @property
    def prompt(self) -> str:
        """The text of the last message of a chat."""
        return str(self.body["messages"][-1]["content"])


Script = Iterable["Answer | str"] | Callable[[Request], "Answer | str"]


def chat(
    text: str | None,
    *,
    finish: str = "stop",
    read: int = 10,
    written: int = 5,
    cached: int = 0,
    model: str = "scripted",
    **usage: Any,
) -> Answer:
    """A chat completion. `read`, `written` and `cached` are token counts; `usage` is put beside them."""
    counts = {
        "prompt_tokens": read,
        "completion_tokens": written,
        "total_tokens": read + written,
        "prompt_tokens_details": {"cached_tokens": cached},
        **usage,
    }
    message = {"role": "assistant", "content": text}
    choice = {"index": 0, "message": message, "finish_reason": finish}
    return Answer(
        {"id": "1", "object": "chat.completion", "model": model, "choices": [choice], "usage": counts}
    )


def rate_limited(after: float | str | None = 0) -> Answer:
    """429; `after` is the Retry-After header: seconds, or an HTTP date, or none."""
    headers = {} if after is None else {"Retry-After": after if isinstance(after, str) else f"{after:g}"}
    return Answer({"error": {"message": "slow down", "code": "rate_limit_exceeded"}}, 429, headers)


def failing(status: int = 500, message: str = "something broke", **error: Any) -> Answer:
    """An error of the server's, or with a status such as 400 or 401 of the client's."""
    return Answer({"error": {"message": message, **error}}, status)


def slow(answer: Answer | str, seconds: float) -> Answer:
    """The answer, said late."""
    return replace(_answer(answer), wait=seconds)


def cut_off(answer: Answer | str, size: int | None = None) -> Answer:
    """The answer, with the connection broken after `size` bytes of the body, by default half."""
    whole = _answer(answer)
    return replace(whole, only=len(whole.content) // 2 if size is None else size)


def hung_up() -> Answer:
    """A connection that is closed without a word."""
    return Answer(only=-1)


def malformed(body: str = '{"choices": [{"message": {"content": "hal') -> Answer:
    """An answer whose body is not JSON, or not of the API's form."""
    return Answer(body)


def unreachable() -> str:
    """An address on loopback at which nobody listens (ask at once: it is free for anyone to take)."""
    with socket.socket() as held:
        held.bind(("127.0.0.1", 0))
        return f"http://127.0.0.1:{held.getsockname()[1]}/v1"


class ScriptedServer:
    """An OpenAI-compatible server on 127.0.0.1 that plays a script; `with ScriptedServer([…]) as server:`.

    `script` is answers in order, or a function of the `Request` that gives one; text is a chat completion
    with that text. A request for which there is none gets a 500 that says so. Without a script of theirs,
    `/v1/embeddings` gives vectors of `dimensions` that follow from the text, and `/v1/models` names `model`.
    `url` is the address to configure, `requests` are those that came. It stops at the end of `with`, and
    whatever it is saying then is broken off.
    """

    def __init__(self, script: Script = (), *, dimensions: int = 8, model: str = "scripted") -> None:
        self.requests: list[Request] = []
        self.most_at_once = 0
        self._script: Callable[[Request], Answer | str] | Iterator[Answer | str] = (
            script if callable(script) else iter(script)
        )
        self._dimensions, self._model = dimensions, model
        self._lock, self._running = threading.Lock(), 0
        self.stopped = threading.Event()
        handler = type("Handler", (_Handler,), {"scripted": self})
        self._server = _Server(("127.0.0.1", 0), handler)
        self.origin = f"http://127.0.0.1:{self._server.server_port}"
        self.url = f"{self.origin}/v1"
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.01,), daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def stop(self) -> None:
        """Break off what is being said and go down; from then on the address refuses connections."""
        if not self.stopped.is_set():
            self.stopped.set()
            self._server.shutdown()
            self._thread.join()
            self._server.server_close()

    @property
    def prompts(self) -> list[str]:
        """The last message of each chat that came in."""
        return [request.prompt for request in self.requests if "/chat/" in request.path]

    def answer(self, request: Request) -> Answer:
        """What is said to a request, which is kept."""
        with self._lock:
            self.requests.append(request)
        if request.path.endswith("/models") and request.method == "GET":
            return Answer({"object": "list", "data": [{"id": self._model, "object": "model"}]})
        if request.path.endswith("/embeddings"):
            return self._vectors(request.body)
        if callable(self._script):
            return _answer(self._script(request))
        with self._lock:
            said = next(self._script, failing(500, "the script is over"))
        return _answer(said)

    @contextlib.contextmanager
    def counted(self) -> Any:
        """Counts how many requests wait for an answer at once: whoever has one may ask again meanwhile."""
        with self._lock:
            self._running += 1
            self.most_at_once = max(self.most_at_once, self._running)
        try:
            yield
        finally:
            with self._lock:
                self._running -= 1

    def _vectors(self, body: Any) -> Answer:
        texts = [body["input"]] if isinstance(body["input"], str) else body["input"]
        size = body.get("dimensions") or self._dimensions
        rows = [hashlib.shake_128(text.encode()).digest(size) for text in texts]
        data = [
            {"object": "embedding", "index": index, "embedding": [byte / 127.5 - 1 for byte in row]}
            for index, row in enumerate(rows)
        ]
        return Answer({"object": "list", "model": self._model, "data": data})


def _answer(said: Answer | str) -> Answer:
    return said if isinstance(said, Answer) else chat(said)


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that went away is what many tests are about: silence."""


class _Handler(BaseHTTPRequestHandler):
    scripted: ScriptedServer

    def do_GET(self) -> None:
        self._handle()

    def do_POST(self) -> None:
        self._handle()

    def _handle(self) -> None:
        held = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        request = Request(self.command, self.path, dict(self.headers), json.loads(held) if held else None)
        with self.scripted.counted():
            answer = self.scripted.answer(request)
            silent = self.scripted.stopped.wait(answer.wait) or (answer.only is not None and answer.only < 0)
        if silent:
            self._break_off()
        else:
            self._say(answer)

    def _say(self, answer: Answer) -> None:
        stopped = self.scripted.stopped
        content = answer.content
        self.send_response(answer.status)
        headers = {"Content-Type": "application/json", **answer.headers, "Content-Length": str(len(content))}
        for name, value in headers.items():
            self.send_header(name, value)
        self.end_headers()
        shown = content if answer.only is None else content[: answer.only]
        for place in range(len(shown)) if answer.drip else ():
            self.wfile.write(shown[place : place + 1])
            if stopped.wait(answer.drip):
                break
        if not answer.drip:
            self.wfile.write(shown)
        if answer.only is not None or stopped.is_set():
            self.wfile.flush()
            self._break_off()

    def _break_off(self) -> None:
        """Reset the connection."""
        self.close_connection = True
        with contextlib.suppress(OSError):
            self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            self.connection.shutdown(socket.SHUT_WR)

    def log_message(self, format: str, *args: Any) -> None:
        """Silence."""
