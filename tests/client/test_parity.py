"""A memory that is a service is the same memory: the same names, the same answers, the same errors."""

from __future__ import annotations

import ast
import asyncio
import inspect
import json
from collections.abc import Callable, Iterator
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import pytest

import engram
from client.loopback import Loopback, loopback
from engine.helpers import START, Facts, ScriptedModel
from engram import AsyncMemory, EngramError, Memory
from engram.client.calls import TALKS
from engram.client.moving import MOVES
from engram.engine import answer, check, graphs, hearing, portable, read, revise, upkeep, write
from engram.serve.keys import KeyStore

ENGINE = {
    module.__name__.rpartition(".")[2]: module
    for module in (answer, check, graphs, hearing, portable, read, revise, upkeep, write)
}
ANA: dict[str, Any] = {"user_id": "ana"}
CALLS = sorted(
    {
        ast.unparse(node.args[0])
        for name in ("memory", "aio", "view", "aview")
        for node in ast.walk(ast.parse(Path(inspect.getfile(engram)).with_name(f"{name}.py").read_text()))
        if isinstance(node, ast.Call) and ast.unparse(node.func).startswith("self._bound.place.")
        if node.args and "." in ast.unparse(node.args[0])
    }
)
"""What the faces have carried out, wherever it is."""


@pytest.fixture(scope="module")
def server() -> Iterator[Loopback]:
    with loopback() as made:
        yield made


@pytest.mark.parametrize("name", CALLS)
def test_each_call_of_the_faces_can_be_had_of_a_service(name: str) -> None:
    module, _, function = name.partition(".")
    call = getattr(ENGINE[module], function)
    if call in MOVES:
        return
    wanted = list(inspect.signature(call).parameters.values())[1:]
    talked = [(item.name, item.kind) for item in inspect.signature(TALKS[call]).parameters.values()]
    assert [(item.name.replace("lens", "then"), item.kind) for item in wanted[: len(talked)]] == talked
    assert all(item.default is not item.empty for item in wanted[len(talked) :])


def test_there_are_no_other_calls() -> None:
    assert len(CALLS) > 18
    assert {f"{call.__module__.rpartition('.')[2]}.{call.__name__}" for call in (*TALKS, *MOVES)} == set(
        CALLS
    )


def still() -> datetime:
    """A clock that stands still."""
    return START


def plain(value: Any) -> Any:
    """A result as JSON values."""
    if isinstance(value, list | tuple):
        return [plain(item) for item in value]
    return value.to_dict() if hasattr(value, "to_dict") else value


def outcome(call: Callable[[], Any]) -> str:
    """What comes of a call, in bytes: a result with how it shows itself, or an error with its words."""
    try:
        value = call()
    except (EngramError, TypeError) as error:
        return f"{type(error).__name__}: {error}"
    return json.dumps([plain(value), str(value), repr(value)], sort_keys=True)


def first(memory: Memory) -> str:
    """The id of the first record."""
    return memory.get_all(everyone=True).items[0].id


LIFE: list[Callable[[Memory], Any]] = [
    lambda m: m.add("home is Porto", **ANA),
    lambda m: m.add({"role": "user", "content": "tea is good", "time": datetime(2024, 5, 2)}, **ANA),  # noqa: DTZ001 - as people give them
    lambda m: m.add(
        {"role": "user", "content": "milk is white", "time": datetime(2024, 5, 2, tzinfo=UTC)}, **ANA
    ),
    lambda m: m.add(
        [
            {"content": [{"type": "text", "text": "a heron"}, "on the weir"], "id": "mine", "name": "Ana"},
            {"role": "assistant", "content": None, "tool_calls": [{"x": 1}], "metadata": {"n": [1, None]}},
            "bare text\ud7ff ünï 😀",
        ],
        metadata={"topic": "birds", "day": date(2024, 5, 2)},
        run_id="r1",
        agent_id="a1",
        **ANA,
    ),
    lambda m: m.add(
        [{"content": "a heron on the weir, again", "id": "mine"}], run_id="r1", agent_id="a1", **ANA
    ),
    lambda m: m.add({"content": "she lives here", "valid": {"start": date(2024, 5, 1)}}, kind="fact", **ANA),
    lambda m: m.add("gone soon", expires=START.replace(year=2027), infer=False, user_id="bo"),
    lambda m: m.add("nobody's"),
    lambda m: m.add("elsewhere", tenant="other", user_id="ana"),
    lambda m: m.add_triples(
        [["Ada", "repairs", "pianos"], {"subject": "Ada", "relation": "is", "object": "Ben's"}], **ANA
    ),
    lambda m: m.search("Where is home?", explain=True, **ANA),
    lambda m: m.search("heron", k=2, min_score=0.01, at="2024-06-01", **ANA),
    lambda m: m.search("birds", filters={"metadata.topic": "birds"}, everyone=True),
    lambda m: m.search("tea", filters={"and": [{"time": {"gte": datetime(2024, 1, 1, tzinfo=UTC)}}]}, **ANA),
    lambda m: m.search("...", **ANA),
    lambda m: m.context("home", budget=200, **ANA),
    lambda m: m.context("home", **ANA),
    lambda m: m.ask("Where is home?", **ANA),
    lambda m: m.ask("What is the airspeed of a swallow?", min_score=1.0, **ANA),
    lambda m: m.cited("Where is home?", [first(m)], **ANA),
    lambda m: m.cited("Where is home?", "nothing", **ANA),
    lambda m: m.graph("Ada", depth=2, **ANA),
    lambda m: m.graph(["Ada"], types="repairs", kinds=["entity"], limit=3, **ANA),
    lambda m: m.graph(**ANA),
    lambda m: m.get(first(m)),
    lambda m: m.get(first(m), tenant="other"),
    lambda m: m.get_all(**ANA),
    lambda m: m.get_all(limit=2, everyone=True),
    lambda m: m.get_all(limit=2, after=m.get_all(limit=2, everyone=True).next, everyone=True),
    lambda m: m.edit(first(m), text="home is Lisbon", **ANA),
    lambda m: m.edit(first(m), metadata={"kept": True}),
    lambda m: m.history(first(m)),
    lambda m: m.as_of(known=START).search("home", **ANA),
    lambda m: m.as_of(valid="2024-05-03").get_all(**ANA),
    lambda m: m.as_of(valid=date(2024, 5, 3), known=START).context("tea", **ANA),
    lambda m: m.as_of(known=START).ask("home?", **ANA),
    lambda m: m.as_of(known=START).graph(**ANA),
    lambda m: m.as_of(known="2020").get(first(m)),
    lambda m: m.as_of(known=START).history(first(m)),
    lambda m: m.undo(m.get(first(m)).opened),
    lambda m: m.undo("1"),
    lambda m: m.scopes(),
    lambda m: m.scopes(tenant="other"),
    lambda m: m.scoped(user_id="ana").scopes(),
    lambda m: m.scoped(user_id="ana").search("home"),
    lambda m: m.scoped(user_id="ana").search("home", user_id="bo"),
    lambda m: {k: v for k, v in m.stats().items() if k not in ("cache_bytes", "created")},
    lambda m: m.stats(**ANA)["records"],
    lambda m: m.tend(**ANA),
    lambda m: m.wait(0),
    lambda m: m.wait(),
    lambda m: m.verify(),
    lambda m: m.repair(),
    lambda m: m.forget(**ANA, dry_run=True),
    lambda m: m.forget([first(m)]),
    lambda m: m.forget(first(m), user_id="bo"),
    lambda m: m.forget(user_id="bo"),
    lambda m: m.forget(),
    lambda m: m.forget([]),
    lambda m: m.get("nothing"),
    lambda m: m.get("../stats"),
    lambda m: m.get(""),
    lambda m: m.get(7),  # type: ignore[arg-type]
    lambda m: m.history("w~x~y"),
    lambda m: m.edit("nothing", text="x"),
    lambda m: m.edit(first(m)),
    lambda m: m.edit(first(m), text=" "),
    lambda m: m.undo("x"),
    lambda m: m.undo(99999),
    lambda m: m.search("home"),
    lambda m: m.search("home", k=0, **ANA),
    lambda m: m.search("home", min_score=2, **ANA),
    lambda m: m.search("home", filters={"rolle": "user"}, **ANA),
    lambda m: m.search("home", at="soon", **ANA),
    lambda m: m.search("a\0b", **ANA),
    lambda m: m.search("home", user="ana"),  # type: ignore[call-arg]
    lambda m: m.search("home", user_id=""),
    lambda m: m.context("home", budget=0, **ANA),
    lambda m: m.ask("home", min_score="high", **ANA),  # type: ignore[arg-type]
    lambda m: m.graph("nobody", **ANA),
    lambda m: m.graph(),
    lambda m: m.graph(depth=99, **ANA),
    lambda m: m.graph(kinds="thing", **ANA),
    lambda m: m.get_all(limit=0, **ANA),
    lambda m: m.get_all(after="x", **ANA),
    lambda m: m.get_all(),
    lambda m: m.add([], **ANA),
    lambda m: m.add(7, **ANA),
    lambda m: m.add(" ", **ANA),
    lambda m: m.add({"role": "robot", "content": "x"}, **ANA),
    lambda m: m.add({"content": "x", "tiem": 1}, **ANA),
    lambda m: m.add("x", kind="thing", **ANA),
    lambda m: m.add("x", metadata={"a": {1, 2}}, **ANA),
    lambda m: m.add("x", metadata={"a": float("nan")}, **ANA),
    lambda m: m.add("x", expires="soon", **ANA),
    lambda m: m.add({"content": "other words", "id": "mine"}, run_id="r1", agent_id="a1", **ANA),
    lambda m: m.add_triples([["a", "b"]], **ANA),
    lambda m: m.add_triples([], **ANA),
    lambda m: m.as_of(),
    lambda m: m.as_of(known="soon"),
]
REPLY = '{"cited": [1], "answer": "In Porto.", "answered": true}'
SETTINGS: list[dict[str, Any]] = [{}, {"policy": Facts(), "model": lambda: ScriptedModel(lambda _: REPLY)}]


@pytest.mark.parametrize("settings", SETTINGS, ids=["usual", "facts"])
def test_a_life_is_the_same_byte_for_byte(server: Loopback, settings: dict[str, Any]) -> None:
    def chosen() -> dict[str, Any]:
        made = {name: value() if name == "model" else value for name, value in settings.items()}
        return {"clock": still, "seed": 7, **made}

    with Memory("ram:", **chosen()) as here, server.opened(**chosen()) as there:
        KeyStore(here._bound.core.store, still).create(rights="admin", tenant="*")  # as the service has one
        for number, step in enumerate(LIFE):
            assert outcome(lambda: step(there)) == outcome(lambda: step(here)), number  # noqa: B023 - called here


def test_awaited_calls_give_the_same(server: Loopback) -> None:
    url, key = server.serve(AsyncMemory("ram:", clock=still, seed=7))
    with Memory("ram:", clock=still, seed=7) as here:
        KeyStore(here._bound.core.store, still).create(rights="admin", tenant="*")
        expected = [outcome(lambda: step(here)) for step in LIFE[:10]]  # noqa: B023 - called here
        expected += [outcome(lambda: here.search("home", **ANA)), outcome(lambda: here.get("nothing"))]
        expected += [outcome(lambda: here.as_of(known=START).get_all(**ANA)), outcome(here.scopes)]

    async def main() -> list[str]:
        async with AsyncMemory(url, key=key) as there:
            found = [await _awaited(step(there)) for step in LIFE[:10]]  # type: ignore[arg-type]
            found += [await _awaited(there.search("home", **ANA)), await _awaited(there.get("nothing"))]
            then = there.as_of(known=START)
            return [*found, await _awaited(then.get_all(**ANA)), await _awaited(there.scopes())]

    assert asyncio.run(main()) == expected


async def _awaited(call: Any) -> str:
    try:
        value = await call
    except EngramError as error:
        return f"{type(error).__name__}: {error}"
    return outcome(lambda: value)


def test_a_function_cannot_be_called_by_a_service(server: Loopback) -> None:
    memory = server.opened()
    for call in (memory.context, memory.ask):
        with pytest.raises(engram.InvalidInput, match="count: a service cannot call"):
            call("x", count=len, **ANA)
