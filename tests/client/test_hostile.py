"""A service that lies: whatever it answers, the client says so in the error tree's words, and stays small."""

from __future__ import annotations

import asyncio
import gzip
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from engram import AsyncMemory, ConfigError, EngramError, Memory
from engram.cli.app import app
from engram.client import Client, Service
from engram.client.events import Reader
from engram.client.receiving import Gathered, Lines
from engram.testing.server import Answer, ScriptedServer

KEY = "engram_0123456789ab_a-secret-that-is-nowhere-else"
ANA: dict[str, Any] = {"user_id": "ana"}
ODD = ("null", "3", '"x"', "[]", "{}", '{"items": null}', '{"items": [null]}', '{"items": [{}]}', "[" * 9999)
CALLS: tuple[Callable[[Memory], object], ...] = (
    lambda memory: memory.search("x", **ANA),
    lambda memory: memory.get("x"),
    lambda memory: memory.add("x", **ANA),
    lambda memory: memory.get_all(**ANA),
    lambda memory: memory.ask("x", **ANA),
    lambda memory: memory.scopes(),
)


def lying(*said: Answer) -> ScriptedServer:
    return ScriptedServer(list(said))


def service(server: ScriptedServer) -> Service:
    return Service(server.origin, KEY, timeout=30.0, retries=0)


@pytest.mark.parametrize("call", CALLS)
def test_an_answer_of_another_shape_is_an_error_of_the_tree(call: Callable[[Memory], object]) -> None:
    with lying(*(Answer(text) for text in ODD)) as server, Memory(service(server)) as memory:
        for _ in ODD:
            with pytest.raises(ConfigError, match="answer"):
                call(memory)


def test_so_it_is_when_awaited(tmp_path: Path) -> None:
    async def talk(server: ScriptedServer) -> None:
        async with AsyncMemory(service(server)) as memory:
            for _ in ODD:
                with pytest.raises(ConfigError, match="answer"):
                    await memory.search("x", **ANA)

    with lying(*(Answer(text) for text in ODD)) as server:
        asyncio.run(talk(server))


@pytest.mark.parametrize(
    "answer",
    [
        Answer("no gzip", 200, {"Content-Encoding": "gzip"}),
        Answer('{"type":"urn:engram:problem:budget-exceeded","title":"x","spent":"much"}', 429),
        Answer('{"type":"urn:engram:problem:invalid-input","title":"x","status":"bad"}', 422),
        Answer("[" * 9999, 500),
        Answer("9" * 5000, 500),
        Answer("", 307, {"Location": "https://elsewhere.example/"}),
    ],
)
def test_an_odd_refusal_is_an_error_of_the_tree(answer: Answer) -> None:
    with lying(answer) as server, Memory(service(server)) as memory:
        with pytest.raises(EngramError) as raised:
            memory.search("x", **ANA)
        assert KEY not in str(raised.value)
        assert len(server.requests) == 1


@pytest.mark.parametrize(
    ("said", "count"),
    [('{"a":1}\n', "many"), ('"type":"end"}\n\ud83d', "1"), ('{"a":1}\n', "9" * 5000)],
)
def test_an_export_of_something_else_leaves_no_file(tmp_path: Path, said: str, count: str) -> None:
    answer = Answer(said, 200, {"Engram-Records": count})
    with (
        lying(answer, answer, answer) as server,
        Memory(service(server)) as memory,
        pytest.raises(EngramError),
    ):
        memory.export(tmp_path / "out.jsonl", **ANA)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("said", ["null", "{}", '{"left": [3], "examples": 3}', "["])
def test_an_import_that_is_answered_oddly_is_an_error_of_the_tree(tmp_path: Path, said: str) -> None:
    path = tmp_path / "in.jsonl"
    path.write_text('{"role": "user", "content": "x"}\n', encoding="utf-8")
    with lying(Answer(said)) as server, Memory(service(server)) as memory, pytest.raises(ConfigError):
        memory.import_(path, **ANA)


@pytest.mark.parametrize(
    "said", ["data: nope\n\n", "event: change\ndata: 3\n\n", "event: change\ndata: {}\n\n"]
)
def test_an_odd_event_is_an_error_of_the_tree(said: str) -> None:
    with lying(Answer(said)) as server, Client(service(server)) as client:
        events = iter(client.changes(**ANA))
        with pytest.raises(ConfigError, match="does not answer as engram"):
            next(events)


def test_nothing_that_comes_is_kept_without_end() -> None:
    here = Service("http://127.0.0.1:1", KEY)
    bomb, gathered = gzip.decompress(gzip.compress(b"\0" * 2000)), Gathered(here, 5000)
    gathered.take(bomb)
    gathered.take(bomb)
    with pytest.raises(ConfigError, match="over 5,000 bytes"):
        gathered.take(bomb)
    lines = Lines(here)
    assert lines.take(b"a\r\nb\nc") == ["a", "b"]
    assert lines.take(b"d\n") == ["cd"]
    with pytest.raises(ConfigError, match="a line without end"):
        lines.take(b"x" * 2_000_000)


def test_a_stream_cannot_make_its_reader_sleep_for_ever_or_show_what_it_likes() -> None:
    reader = Reader("7")
    for line in ("retry: 99999999999999", "id: 8\u00e9", "id: 9\0"):
        reader.take(line)
    reader.take("")
    assert reader.pause <= 60
    assert reader.headers["Last-Event-ID"] == "7"
    reader.take("retry: \u00b2")
    with pytest.raises(ValueError, match="without end"):
        list(map(reader.take, ["data: x"] * 2000))


ORDERS = "\x1b]0;owned\x07\x9b2J\u202e"
METRICS = (
    f'engram_build_info{{version="{ORDERS}",policy="[/red]{ORDERS}",store="{ORDERS}"}} 1\n'
    f'engram_calls_total{{call="[bold]{ORDERS}[/nothing]"}} 3\n'
    "engram_records NaN\nengram_scopes +Inf\nengram_store_bytes 1e999\n"
)
SCOPE = {"tenant": ORDERS, "user_id": ORDERS, "agent_id": None, "run_id": None, "records": 1}
REFUSED = {"type": "urn:engram:problem:not-found", "title": "x", "detail": f"no {ORDERS}", "status": 404}


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("top", "--once"), (Answer(METRICS), Answer({"items": []}), Answer({"items": [SCOPE]}))),
        (("search", "x", "--user", "ana"), (Answer(REFUSED, 404),)),
        (("audit",), (Answer(REFUSED, 404),)),
    ],
)
def test_nothing_of_it_gives_the_terminal_orders(
    words: tuple[str, ...], said: tuple[Answer, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ENGRAM_KEY", KEY)
    with lying(*said) as server:
        done = CliRunner().invoke(app, [*words, "--url", server.origin])
    assert done.exception is None or isinstance(done.exception, SystemExit), done.output
    assert not set("\x1b\x07\x9b\u202e") & set(done.output)
    assert "\ufffd" in done.output
