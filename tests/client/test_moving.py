"""Exports and imports over HTTP: the same files as in a program, whole or not there."""

from __future__ import annotations

import asyncio
import gzip
import json
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from client.loopback import Loopback, loopback
from engine.helpers import START
from engram import AsyncMemory, ConfigError, Forbidden, InvalidInput, Memory, StoreError
from engram.client import Service
from engram.engine.results import Left
from engram.serve.keys import KeyStore
from engram.testing.server import Answer, ScriptedServer, cut_off, hung_up

KEY = "engram_0123456789ab_a-secret"
ANA: dict[str, Any] = {"user_id": "ana"}
CHAT = json.dumps([{"role": "user", "content": "Plum is a cat."}, {"role": "user", "content": ""}, 7])
END = '{"lines":1,"type":"end"}\n'
LINES = f'{{"type":"header"}}\n{{"id":"a","type":"record"}}\n{END}'


@pytest.fixture(scope="module")
def server() -> Iterator[Loopback]:
    with loopback() as made:
        yield made


@pytest.fixture(scope="module")
def pair(server: Loopback) -> Iterator[tuple[Memory, Memory]]:
    """The same memory twice: as a service, and here."""
    with Memory("ram:", clock=lambda: START, seed=7) as here:
        KeyStore(here._bound.core.store, lambda: START).create(rights="admin", tenant="*")
        there = server.opened(clock=lambda: START, seed=7)
        for memory in (there, here):
            herons = [{"id": f"m{number}", "content": f"heron {number} on the weir"} for number in range(30)]
            memory.add(herons, run_id="r", **ANA)
            memory.add({"content": "tea is good", "id": "tea"}, user_id="bo")
        yield there, here


@pytest.mark.parametrize("name", ["out.jsonl", "out.jsonl.gz"])
@pytest.mark.parametrize("asked", [{}, ANA, {"since": "2030-01-01"}, {"until": START, "user_id": "bo"}])
def test_an_export_is_the_same_bytes(
    pair: tuple[Memory, Memory], tmp_path: Path, name: str, asked: dict[str, Any]
) -> None:
    counts, files = [], []
    for number, memory in enumerate(pair):
        path = tmp_path / f"{number}-{name}"
        told: list[tuple[int, int | None]] = []
        counts.append(memory.export(path, progress=lambda *step: told.append(step), **asked))  # noqa: B023
        files.append(path.read_bytes())
        assert told[-1] == (counts[-1], counts[-1])
    assert counts[0] == counts[1]
    assert files[0] == files[1]
    assert sorted(path.name for path in tmp_path.iterdir()) == [f"0-{name}", f"1-{name}"]


@pytest.mark.parametrize("topics", [(), ("heron", "tea")])
def test_pages_are_the_same_files(
    pair: tuple[Memory, Memory], tmp_path: Path, topics: tuple[str, ...]
) -> None:
    found = []
    for number, memory in enumerate(pair):
        folder = tmp_path / str(number)
        count = memory.export(folder, format="markdown", topics=topics, **ANA)
        pages = {str(page.relative_to(folder)): page.read_text() for page in folder.rglob("*.md")}
        found.append((count, pages))
        with pytest.raises(InvalidInput, match="not empty"):
            memory.export(folder, format="markdown", **ANA)
    assert found[0] == found[1]
    assert len(found[0][1]) > 1


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        ({"path": "."}, "is a folder"),
        ({"path": "none/out.jsonl"}, "cannot be written"),
        ({"path": "x", "format": "xml"}, "is not one of"),
        ({"path": "x", "topics": ["a"]}, "only format='markdown'"),
        ({"path": "x", "since": "2026-01-01", "until": "2025-01-01"}, "does not lie after"),
        ({"path": "x", "since": "soon"}, "is not a time"),
    ],
)
def test_an_export_that_cannot_be_is_refused_as_in_a_program(
    pair: tuple[Memory, Memory],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    arguments: dict[str, Any],
    told: str,
) -> None:
    monkeypatch.chdir(tmp_path)
    said = []
    for memory in pair:
        with pytest.raises(InvalidInput, match=told) as raised:
            memory.export(**arguments)
        said.append(str(raised.value))
    assert said[0] == said[1]
    assert list(tmp_path.iterdir()) == []


def test_an_export_that_breaks_off_is_fetched_again_or_not_there(tmp_path: Path) -> None:
    whole = Answer(LINES, headers={"Engram-Records": "1"})
    short = Answer(LINES.removesuffix(END), headers={"Engram-Records": "1"})
    goal = tmp_path / "out.jsonl.gz"
    for troubles in ([cut_off(whole), hung_up()], [short]):
        with (
            ScriptedServer([*troubles, whole]) as server,
            Memory(Service(server.origin, KEY)) as memory,
        ):
            assert memory.export(goal) == 1
        assert gzip.decompress(goal.read_bytes()).decode() == LINES
        goal.unlink()
    with ScriptedServer([short] * 9) as server, Memory(Service(server.origin, KEY)) as memory:
        with pytest.raises(StoreError, match="broke off 3 times; call again"):
            memory.export(goal)
        with pytest.raises(StoreError, match="broke off 3 times"):
            memory.export(tmp_path / "pages", format="markdown")
    assert list(tmp_path.iterdir()) == []


def made_file(folder: Path) -> Path:
    path = folder / "a chat (1) ünï.json"
    path.write_text(CHAT)
    return path


def made_folder(folder: Path) -> Path:
    path = folder / "talk"
    path.mkdir()
    (path / "one.json").write_text(CHAT)
    (path / ".hidden").write_text("x")
    return path


def made_archive(folder: Path) -> Path:
    path = folder / "talk.zip"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("one.json", CHAT)
    return path


@pytest.mark.parametrize("make", [made_file, made_folder, made_archive])
def test_an_import_does_and_tells_the_same(server: Loopback, tmp_path: Path, make: Any) -> None:
    path, told = make(tmp_path), []
    with Memory("ram:", clock=lambda: START) as here:
        for memory in (server.opened(clock=lambda: START), here):
            left: list[Left] = []
            steps: list[tuple[int, int | None]] = []
            options: dict[str, Any] = {"progress": lambda *step: steps.append(step), "on_skip": left.append}  # noqa: B023
            imported = memory.import_(path, **options, **ANA)
            again = memory.import_(str(path), **ANA)
            assert steps[-1][0] == steps[-1][1]
            places = [item.place.replace(f"{path}.zip", str(path)) for item in left]
            told.append((imported.to_dict() | {"examples": [], "change_sets": []}, again.duplicate, places))
            assert [record.text for record in memory.get_all(**ANA)] == ["Plum is a cat."]
    assert told[0] == told[1]
    assert told[0][2]


def test_a_file_that_cannot_be_read_is_named_as_it_is_here(
    pair: tuple[Memory, Memory], tmp_path: Path
) -> None:
    broken, empty = tmp_path / "broken chat.json", tmp_path / "empty.json"
    broken.write_bytes(b'[{"role": "user", "content": ')
    empty.write_text("")
    for path in (broken, empty, tmp_path / "none.json"):
        said = []
        for memory in pair:
            with pytest.raises(InvalidInput) as raised:
                memory.import_(path, **ANA)
            said.append(str(raised.value))
        assert said[0] == said[1]
        assert str(path) in said[0]


def test_a_line_that_belongs_elsewhere_is_named_as_it_is_here(
    pair: tuple[Memory, Memory], tmp_path: Path
) -> None:
    path, said = tmp_path / "bo.jsonl", []
    with Memory("ram:") as other:
        other.add("Plum is a dog.", user_id="bo")
        other.export(path)
    for memory in pair:
        with pytest.raises(Forbidden, match="belongs elsewhere") as raised:
            memory.import_(path, **ANA)
        said.append(str(raised.value))
    assert said[0] == said[1]
    assert said[0].startswith(f"{path}:2: ")


def test_an_import_that_broke_off_is_not_sent_again(tmp_path: Path) -> None:
    path = made_file(tmp_path)
    script = [Answer("no JSON, which is no matter", only=3), hung_up()]
    with (
        ScriptedServer(lambda request: script.pop(0)) as server,
        Memory(Service(server.origin, KEY)) as memory,
        pytest.raises(StoreError, match="broke off"),
    ):
        memory.import_(path, format="openai")
    assert len(script) == 1


def test_an_import_into_something_else_is_told(tmp_path: Path) -> None:
    page = Answer("<html>", 200, {"Content-Type": "text/html"})
    with (
        ScriptedServer([page]) as server,
        Memory(Service(server.origin, KEY)) as memory,
        pytest.raises(ConfigError, match="text/html, not with JSON"),
    ):
        memory.import_(made_file(tmp_path), format="openai")


async def exported(memory: AsyncMemory, path: Path) -> int:
    """An export on an event loop."""
    async with memory:
        return await memory.export(path)


def test_an_event_loop_exports_the_same(pair: tuple[Memory, Memory], tmp_path: Path) -> None:
    there, here = pair
    service = there._bound.place.service  # type: ignore[attr-defined]
    assert asyncio.run(exported(AsyncMemory(service), tmp_path / "a.jsonl")) == here.export(
        tmp_path / "b.jsonl"
    )
    assert (tmp_path / "a.jsonl").read_bytes() == (tmp_path / "b.jsonl").read_bytes()
