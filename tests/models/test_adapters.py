"""The adapter to OpenAI-compatible endpoints, against a scripted one on loopback."""

import json
import sys
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, NamedTuple

import numpy as np
import pytest

from engram.kernel.errors import BadReply, ConfigError, MissingExtra, ModelUnavailable
from engram.kernel.protocols import Embedder
from engram.models.openai import OpenAIEmbedder

KEY = "sk-canary"


class Answer(NamedTuple):
    """What the endpoint says to one request; a body that is no text becomes JSON."""

    body: Any
    status: int = 200
    headers: tuple[tuple[str, str], ...] = ()


def vectors(*rows: list[Any]) -> Answer:
    """The API's answer with these embeddings, last first: an endpoint may give them in any order."""
    data = [{"index": index, "embedding": row} for index, row in enumerate(rows)]
    return Answer({"data": data[::-1]})


class Endpoint(ThreadingHTTPServer):
    """An `/embeddings` endpoint that plays a script and keeps the requests."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.script: list[Answer] = []
        self.requests: list[dict[str, Any]] = []
        self.keys: list[str | None] = []
        self.paths: list[str] = []
        self.url = f"http://127.0.0.1:{self.server_port}/v1"


class _Handler(BaseHTTPRequestHandler):
    server: Endpoint

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.server.requests.append(json.loads(body))
        self.server.keys.append(self.headers["Authorization"])
        self.server.paths.append(self.path)
        answer = self.server.script.pop(0)
        reply = (answer.body if isinstance(answer.body, str) else json.dumps(answer.body)).encode()
        self.send_response(answer.status)
        for name, value in (*answer.headers, ("Content-Length", str(len(reply)))):
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(reply)

    def log_message(self, format: str, *args: Any) -> None:
        """Silence."""


@pytest.fixture
def endpoint(monkeypatch: pytest.MonkeyPatch) -> Iterator[Endpoint]:
    """A running endpoint; it stops with the test."""
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    with Endpoint() as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True)
        thread.start()
        yield server
        server.shutdown()
        thread.join()


@pytest.fixture
def naps() -> list[float]:
    """The pauses that an embedder made."""
    return []


@pytest.fixture
def make(endpoint: Endpoint, naps: list[float]) -> Iterator[Callable[..., OpenAIEmbedder]]:
    """Makes embedders of the endpoint that note their pauses in place of waiting."""
    made: list[OpenAIEmbedder] = []

    def build(**options: Any) -> OpenAIEmbedder:
        given: dict[str, Any] = {
            "base_url": endpoint.url,
            "api_key": KEY,
            "dimensions": 2,
            "sleep": naps.append,
        }
        made.append(OpenAIEmbedder("small", **(given | options)))
        return made[-1]

    yield build
    for embedder in made:
        embedder.close()


Make = Callable[..., OpenAIEmbedder]


def test_openai_vectors_come_in_order_and_scaled(endpoint: Endpoint, make: Make) -> None:
    endpoint.script = [vectors([3, 4], [0, 2])]
    rows = make().embed(["one", "two"])
    np.testing.assert_allclose(rows, np.array([[0.6, 0.8], [0.0, 1.0]]), atol=1e-7)
    assert rows.dtype == np.float32
    assert endpoint.requests == [{"model": "small", "input": ["one", "two"], "dimensions": 2}]
    assert (endpoint.paths, endpoint.keys) == (["/v1/embeddings"], [f"Bearer {KEY}"])


def test_openai_is_a_remote_embedder(make: Make) -> None:
    embedder = make()
    assert isinstance(embedder, Embedder)
    assert (embedder.name, embedder.dimensions, embedder.local) == ("openai:small/2", 2, False)
    assert embedder.count("hello world") == 2


def test_openai_blank_texts_are_not_sent(endpoint: Endpoint, make: Make) -> None:
    endpoint.script = [vectors([1, 0])]
    rows = make().embed(["", "word", " \n"])
    assert rows.tolist() == [[0, 0], [1, 0], [0, 0]]
    assert endpoint.requests[0]["input"] == ["word"]
    assert make().embed(["", ""]).shape == (2, 2)
    assert make().embed([]).shape == (0, 2)
    assert len(endpoint.requests) == 1


def test_openai_batches(endpoint: Endpoint, make: Make) -> None:
    endpoint.script = [vectors([1, 0], [1, 1]), vectors([0, 1])]
    assert make(batch=2).embed(["a", "b", "c"]).shape == (3, 2)
    assert [request["input"] for request in endpoint.requests] == [["a", "b"], ["c"]]


def test_openai_long_texts_are_cut_and_spread_over_requests(endpoint: Endpoint, make: Make) -> None:
    endpoint.script = [vectors(*[[1, 0]] * 33), vectors([1, 0])]
    assert make().embed(["word " * 20_000] * 34).shape == (34, 2)
    sent = [text for request in endpoint.requests for text in request["input"]]
    assert {len(text) for text in sent} == {5 * 6000}


def test_openai_dimensions_are_published_or_asked_for_once(endpoint: Endpoint, make: Make) -> None:
    assert OpenAIEmbedder("text-embedding-3-small", base_url=endpoint.url).dimensions == 1536
    endpoint.script = [vectors([1, 2, 3])]
    embedder = make(dimensions=None)
    assert (embedder.dimensions, embedder.dimensions, embedder.name) == (3, 3, "openai:small")
    assert endpoint.requests == [{"model": "small", "input": ["dimension"]}]


def test_openai_without_a_key_sends_none(endpoint: Endpoint, make: Make) -> None:
    endpoint.script = [vectors([1, 0])]
    make(api_key=None).embed(["a"])
    assert endpoint.keys == [None]


def test_openai_waits_as_long_as_it_is_asked_to(endpoint: Endpoint, make: Make, naps: list[float]) -> None:
    past = ("Retry-After", "Sun, 06 Nov 1994 08:49:37 GMT")
    endpoint.script = [
        Answer("busy", 429, (("Retry-After", "7"),)),
        Answer("busy", 503),
        Answer("busy", 503, (past,)),
        Answer("busy", 500, (("Retry-After", "soon"),)),
        vectors([1, 0]),
    ]
    assert make().embed(["a"]).tolist() == [[1, 0]]
    assert naps == [7, 1, 2, 4]


def test_openai_gives_up_on_a_server_that_stays_busy(
    endpoint: Endpoint, make: Make, naps: list[float]
) -> None:
    endpoint.script = [Answer("overloaded", 503)] * 3
    with pytest.raises(ModelUnavailable, match=r"in 3 attempts \(503: overloaded"):
        make(retries=2).embed(["a"])
    assert naps == [0.5, 1]


def test_openai_does_not_wait_for_hours(endpoint: Endpoint, make: Make, naps: list[float]) -> None:
    endpoint.script = [Answer("quota", 429, (("Retry-After", "7200"),))]
    with pytest.raises(ModelUnavailable, match="try again in 7200 s"):
        make().embed(["a"])
    assert naps == []


def test_openai_no_server(make: Make, naps: list[float]) -> None:
    with pytest.raises(ModelUnavailable, match="ConnectError") as caught:
        make(base_url="http://127.0.0.1:9/v1", retries=1).embed(["a"])
    assert type(caught.value.__cause__).__name__ == "ConnectError"
    assert naps == [0.5]


@pytest.mark.parametrize("status", [401, 403, 404])
def test_openai_what_settings_can_mend(endpoint: Endpoint, make: Make, status: int) -> None:
    endpoint.script = [Answer("no", status)]
    with pytest.raises(ConfigError, match="refuses the key, the address or model 'small'") as caught:
        make().embed(["a"])
    assert KEY not in str(caught.value)


def test_openai_a_refused_text(endpoint: Endpoint, make: Make) -> None:
    endpoint.script = [Answer("too long", 400)]
    with pytest.raises(BadReply, match=r"refuses these texts \(400: too long") as caught:
        make().embed(["a"])
    assert (caught.value.prompt, caught.value.reply) == ("['a']", "400: too long")


@pytest.mark.parametrize(
    "body",
    [
        "<html>",
        {"error": "none"},
        [],
        {"data": []},
        {"data": [{"index": 1, "embedding": [1, 0]}]},
        {"data": [{"index": 0}]},
        {"data": [{"index": [], "embedding": [1, 0]}]},
    ],
    ids=["no JSON", "no data", "a list", "no rows", "another row", "no vector", "odd index"],
)
def test_openai_a_useless_answer(endpoint: Endpoint, make: Make, body: Any) -> None:
    endpoint.script = [Answer(body)]
    with pytest.raises(BadReply, match="gave no embedding for each of 1 texts") as caught:
        make().embed(["a"])
    assert caught.value.reply == (body if isinstance(body, str) else json.dumps(body))
    assert caught.value.__cause__ is not None


@pytest.mark.parametrize(
    "row, message",
    [
        ([1, 2, 3], r"shape \[1, 3\], not \[1, 2\]"),
        ([], r"shape \[1, 0\], not \[1, 2\]"),
        ([1, float("nan")], "NaN or infinity"),
        ([1, float("inf")], "NaN or infinity"),
        ([1, None], "NaN or infinity"),
        ([1, "x"], "no numbers"),
        ([1, [2]], "no numbers"),
    ],
)
def test_openai_vectors_of_no_use_are_refused(
    endpoint: Endpoint, make: Make, row: list[Any], message: str
) -> None:
    endpoint.script = [vectors(row)]
    with pytest.raises(BadReply, match=message):
        make().embed(["a"])


def test_openai_a_vector_of_zeros_stays(endpoint: Endpoint, make: Make) -> None:
    endpoint.script = [vectors([0, 0])]
    assert make().embed(["a"]).tolist() == [[0, 0]]


@pytest.mark.parametrize(
    "options",
    [
        {"base_url": "api.example.org"},
        {"base_url": "http://exa\x00mple.org"},
        {"api_key": "schlüssel"},
        {"batch": 0},
        {"dimensions": 0},
        {"timeout": 0},
        {"retries": -1},
    ],
    ids=str,
)
def test_openai_settings_that_cannot_work(make: Make, options: dict[str, Any]) -> None:
    with pytest.raises(ConfigError):
        make(**options)


def test_openai_without_its_package(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "httpx", None)
    with pytest.raises(MissingExtra, match=r"pip install 'engram\[openai\]'"):
        OpenAIEmbedder("small")
