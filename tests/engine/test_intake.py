"""Importing messages of other programs: what is taken, what is left out and why, going on after a stop."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest

from engine.helpers import Digest, Facts, ScriptedModel, Ticking
from engram import AsyncMemory, Forbidden, InvalidInput, Memory
from engram.bench.archives import chats, write_export
from engram.engine.intake import ImportRequest, take_in
from engram.engine.results import Imported, Left
from engram.formats.base import Incoming, Skipped
from engram.formats.source import Source
from engram.kernel.errors import ConfigError
from engram.testing.doubles import HashEmbedder


def message(text: str, id: str | None = None, **more: Any) -> dict[str, Any]:
    return {"role": "user", "content": text, **({} if id is None else {"id": id}), **more}


def talk(path: Path, turns: Sequence[Mapping[str, Any]], name: str = "ada") -> Path:
    path.write_text(json.dumps({"name": name, "turns": turns}), encoding="utf-8")
    return path


def turn(id: object, text: str, **more: Any) -> dict[str, Any]:
    return {"id": id, "text": text, "session": 1, **more}


@pytest.fixture
def source(tmp_path: Path) -> Source:
    (tmp_path / "made-up").write_text("x")
    return Source(tmp_path / "made-up")


def taken(memory: Memory, source: Source, *items: Incoming | Skipped, **request: Any) -> Imported:
    ids = request.pop("ids", {})
    return take_in(memory._bound.core, "made-up", iter(items), source, ImportRequest(ids, **request))


def test_every_message_goes_where_it_belongs(source: Source) -> None:
    with Memory("ram:") as memory:
        found = taken(
            memory,
            source,
            Incoming(message("to ben", "1"), "x:1", run_id="r", user_id="ben", agent_id="cook"),
            Incoming(message("to nobody", "2"), "x:2", run_id="r"),
            Incoming(message("to an agent", "3"), "x:3", agent_id="cook"),
        )
        assert (found.stored, found.skipped, found.ok, found.format) == (3, 0, True, "made-up")
        assert {(item["user_id"], item["agent_id"], item["run_id"]) for item in memory.scopes()} == {
            ("ben", "cook", "r"),
            ("default", None, "r"),
            (None, "cook", None),
        }


def test_ids_of_the_caller_go_before_those_of_the_file(tmp_path: Path) -> None:
    path = talk(tmp_path / "talk.json", [turn(1, "hello")])
    with Memory("ram:") as memory:
        memory.import_(path, user_id="bob", tenant="t")
        memory.scoped(agent_id="a").import_(path, run_id="mine")
        with pytest.raises(Forbidden):
            memory.scoped(user_id="ana").import_(path, user_id="bob")
        assert [
            (item["tenant"], item["user_id"], item["agent_id"], item["run_id"]) for item in memory.scopes()
        ] == [
            ("default", "ada", "a", "mine"),
            ("t", "bob", None, "1"),
        ]


def test_what_cannot_be_taken_is_left_out_with_its_place_and_the_rest_goes_in(source: Source) -> None:
    told: list[Left] = []
    with Memory("ram:") as memory:
        found = taken(
            memory,
            source,
            Incoming(message("fine", "1"), "x:1"),
            Incoming(message("a\0b", "2"), "x:2"),
            Incoming(message("é" * 6_000_000, "3"), "x:3"),
            Incoming(message("  ", "4"), "x:4"),
            Incoming({"role": "king", "content": "hm", "id": "5"}, "x:5"),
            Incoming(message("when?", "6", time="soon"), "x:6"),
            Incoming(message("where?", "7"), "x:7", run_id="line\nbreak"),
            Incoming(message("what?", "8"), "x:8", kind="thought"),
            Incoming(message("since?", "9"), "x:9", valid=("2026-01-02", "2026-01-01")),
            Incoming({"role": "assistant", "content": None, "tool_calls": [{"id": "t"}], "id": "10"}, "x:10"),
            Skipped("x:11", "a picture"),
            Incoming(message("fine too", "12"), "x:12"),
            on_skip=told.append,
        )
        assert (found.stored, found.skipped, found.failed, found.ok) == (3, 9, 7, False)
        assert found.examples == tuple(told)
        assert [left.place for left in told if left.failed] == [
            "x:2",
            "x:3",
            "x:5",
            "x:6",
            "x:7",
            "x:8",
            "x:9",
        ]
        assert "NUL character at position 1" in told[0].reason
        assert found.reasons["message.content: a NUL character at position N"] == 1
        assert found.reasons["no text"] == found.reasons["a picture"] == 1
        assert sum(scope["records"] for scope in memory.scopes()) == 3
        assert json.dumps(found.to_dict())


def test_reasons_and_examples_stay_few_however_many_are_left_out(source: Source) -> None:
    odd = (
        Incoming({"role": f"role {chr(0x4E00 + number)}", "content": "x"}, f"x:{number}")
        for number in range(3000)
    )
    with Memory("ram:") as memory:
        found = taken(memory, source, *odd)
        assert found.failed == sum(found.reasons.values()) == 3000
        assert len(found.reasons) <= 101
        assert len(found.examples) == 100


def test_importing_again_adds_nothing_and_what_has_grown_is_added(tmp_path: Path) -> None:
    turns = [turn(number, f"text {number}", speaker="Ada") for number in range(5)]
    path = talk(tmp_path / "talk.json", turns)
    with Memory(f"sqlite:///{tmp_path}/m.db") as memory:
        assert memory.import_(path).stored == 5
        before = memory._bound.core.store.sequence()
        again = memory.import_(path)
        assert (again.stored, again.duplicate, again.change_sets) == (0, 5, ())
        assert memory._bound.core.store.sequence() == before
        memory.edit(memory.get_all(user_id="ada").items[0].id, text="mended")
        grown = memory.import_(talk(path, [*turns, turn(5, "text 5")]))
        assert (grown.stored, grown.duplicate) == (1, 5)


def test_the_same_id_with_other_words_is_left_out_and_the_import_goes_on(tmp_path: Path) -> None:
    with Memory("ram:") as memory:
        memory.import_(talk(tmp_path / "a.json", [turn(1, "one"), turn(2, "two")]))
        found = memory.import_(
            talk(tmp_path / "b.json", [turn(1, "ONE"), turn(2, "two"), turn(3, "three"), turn(3, "drei")]),
            user_id="ada",
        )
        assert (found.stored, found.duplicate, found.failed) == (1, 1, 2)
        assert all("its id: the first one stays; forget" in left.reason for left in found.examples)
        assert sorted(record.text for record in memory.get_all(user_id="ada")) == ["one", "three", "two"]


def test_an_import_can_be_taken_back(tmp_path: Path) -> None:
    with Memory("ram:") as memory:
        memory.add("mine", user_id="ada")
        found = memory.import_(talk(tmp_path / "a.json", [turn(1, "one"), turn(2, "two")]))
        for number in reversed(found.change_sets):
            memory.undo(number)
        assert [record.text for record in memory.get_all(user_id="ada")] == ["mine"]


def test_times_in_which_something_held_are_kept(source: Source) -> None:
    with Memory("ram:", clock=Ticking()) as memory:
        taken(
            memory,
            source,
            Incoming(message("lives in Rome", "1"), "x", kind="fact", valid=("2024-01-01", "2025-01-01")),
            Incoming(
                message("likes tea", "2"),
                "x",
                kind="fact",
                valid=("2024-01-01", None),
                known=("2024-02-01", "2024-03-01"),
            ),
            Incoming(message("likes coffee", "3"), "x", kind="fact", valid=("2024-01-01", None)),
        )
        assert [hit.text for hit in memory.search("likes lives", user_id="default")] == ["likes coffee"]
        then = memory.as_of(valid="2024-06-01", known="2026-06-01")
        assert {item.text for item in then.get_all(user_id="default")} == {"lives in Rome", "likes coffee"}
        believed = memory.as_of(known="2024-02-15")
        assert [item.text for item in believed.get_all(user_id="default")] == ["likes tea"]


def test_what_a_policy_derives_is_left_to_jobs_one_a_run(source: Source) -> None:
    model = ScriptedModel(lambda prompt: "short")
    items = [
        Incoming(message(f"said {number}", str(number)), "x", run_id=f"r{number % 2}") for number in range(6)
    ]
    with Memory("ram:", policy=Digest(), model=model) as memory:
        found = taken(memory, source, *items)
        assert (found.jobs, model.prompts) == (2, [])
        assert any("2 jobs are owed" in note for note in found.notes)
        assert memory.wait()
        summaries = memory.get_all(filters={"kind": "summary"}, user_id="default").items
        assert [len(summary.sources) for summary in summaries] == [3, 3]
        assert taken(memory, source, *items).jobs == 0


def test_without_infer_nothing_is_derived(source: Source) -> None:
    with Memory("ram:", policy=Facts()) as memory:
        assert taken(memory, source, Incoming(message("tea is good", "1"), "x"), infer=False).jobs == 0
        assert memory.wait()
        assert memory.get_all(filters={"kind": "fact"}, user_id="default").items == ()


def test_vectors_of_a_remote_embedder_follow_by_jobs_one_a_user(source: Source) -> None:
    with Memory("ram:", embedder=HashEmbedder(local=False)) as memory:
        found = taken(
            memory,
            source,
            *(
                Incoming(message(f"said {number}", str(number)), "x", user_id="ab"[number % 2])
                for number in range(4)
            ),
        )
        assert found.jobs == 2
        assert memory.wait()
        assert memory.verify().ok
        assert memory.search("said 3", user_id="b")[0].text == "said 3"


def test_a_dry_run_tells_what_would_be_stored(tmp_path: Path) -> None:
    path = talk(tmp_path / "a.json", [turn(1, "one"), turn(2, "two"), turn(3, "\0")])
    with Memory("ram:") as memory:
        memory.import_(talk(tmp_path / "b.json", [turn(1, "one")]))
        found = memory.import_(path, dry_run=True)
        assert (found.stored, found.duplicate, found.failed, found.dry_run) == (1, 1, 1, True)
        assert sum(scope["records"] for scope in memory.scopes()) == 1


def test_a_broken_file_is_refused_once_what_stands_before_is_stored(tmp_path: Path) -> None:
    path = tmp_path / "talk.json"
    turns = ",".join(json.dumps(turn(number, f"text {number}")) for number in range(1500))
    path.write_text(f'{{"name": "ada", "turns": [\n{turns},\n{{"id": 9, "te')
    with Memory("ram:") as memory:
        with pytest.raises(
            InvalidInput, match=r"talk.json:3: .*the 1,500 messages before it are stored: mend"
        ):
            memory.import_(path)
        assert sum(scope["records"] for scope in memory.scopes()) == 1500
        path.write_text(f'{{"name": "ada", "turns": [{turns}]}}')
        assert memory.import_(path).duplicate == 1500


@pytest.mark.parametrize("content", ["", "  \n"])
def test_an_empty_file_is_refused(tmp_path: Path, content: str) -> None:
    for name in ("a.jsonl", "a.json", "a.txt"):
        (tmp_path / name).write_text(content)
        with Memory("ram:") as memory, pytest.raises(InvalidInput, match="the file is empty"):
            memory.import_(tmp_path / name)
    (tmp_path / "folder").mkdir()
    with Memory("ram:") as memory, pytest.raises(InvalidInput, match="empty"):
        memory.import_(tmp_path / "folder")


def test_an_unknown_format_is_refused_with_the_names(tmp_path: Path) -> None:
    with (
        Memory("ram:") as memory,
        pytest.raises(ConfigError, match=r"'nope' is unknown; it may be .*chatgpt"),
    ):
        memory.import_(talk(tmp_path / "a.json", []), format="nope")


def test_progress_is_told_in_bytes_and_reaches_the_end(tmp_path: Path) -> None:
    path = talk(tmp_path / "a.json", [turn(number, f"text {number}") for number in range(2500)])
    told: list[tuple[int, int | None]] = []
    with Memory("ram:") as memory:
        memory.import_(path, progress=lambda done, total: told.append((done, total)))
    assert [done for done, _ in told] == sorted(done for done, _ in told)
    assert {total for _, total in told} == {path.stat().st_size}
    assert told[-1][0] == path.stat().st_size
    assert len(told) >= 3


def test_batches_are_small_where_texts_are_long(source: Source) -> None:
    def items() -> Iterator[Incoming]:
        for number in range(10):
            yield Incoming(message("z" * 1_000_000, str(number)), "x")

    with Memory("ram:") as memory:
        request = ImportRequest({})
        found = take_in(memory._bound.core, "made-up", items(), source, request)
        assert found.stored == 10
        assert len(found.change_sets) == 2


def test_the_other_face_imports_alike(tmp_path: Path) -> None:
    path = talk(tmp_path / "a.json", [turn(1, "one"), turn(2, "two")])

    async def imported() -> Imported:
        async with AsyncMemory("ram:") as memory:
            return await memory.import_(path, dry_run=True)

    with Memory("ram:") as memory:
        assert asyncio.run(imported()) == memory.import_(path, dry_run=True)


def test_an_import_that_is_cancelled_stops_and_can_be_made_again(tmp_path: Path) -> None:
    path = talk(tmp_path / "a.json", [turn(number, f"text {number}") for number in range(6000)])

    async def cancelled() -> None:
        async with AsyncMemory(f"sqlite:///{tmp_path}/m.db") as memory:
            begun = asyncio.Event()
            loop = asyncio.get_running_loop()

            def told(done: int, total: int | None) -> None:
                loop.call_soon_threadsafe(begun.set)

            task = asyncio.create_task(memory.import_(path, progress=told))
            await begun.wait()
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task

    asyncio.run(cancelled())
    with Memory(f"sqlite:///{tmp_path}/m.db") as memory:
        again = memory.import_(path)
        assert again.stored > 0
        assert again.duplicate >= 1000
        assert again.stored + again.duplicate == 6000


def test_a_file_of_another_format_than_the_one_named_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "export.json"
    write_export(path, chats(3))
    with Memory("ram:") as memory:
        with pytest.raises(InvalidInput, match=r"export\.json: nothing in it is of the format 'slack'"):
            memory.import_(path, format="slack")
        assert memory.import_(path, format="chatgpt").stored == 3
        assert memory.import_(path, format="chatgpt").duplicate == 3
