"""Export and import: ids kept, twice adds nothing, and the same answers on the other side."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.helpers import Counting, Facts, Ticking
from engram import Conflict, Forbidden, InvalidInput, Memory


def lively(memory: Memory, clock: Ticking) -> None:
    """A store with versions, gaps in known time, edges, states and several tenants."""
    memory.add([{"content": "home is Porto", "id": "a", "metadata": {"x": 1}}, "tea is good"], user_id="u")
    memory.add("home is Lisbon", user_id="u", run_id="r")
    edited = memory.add("typo", user_id="v").ids[0]
    memory.edit(edited, text="fixed")
    back = memory.add("taken back", user_id="v")
    clock.skip(days=1)
    memory.undo(str(back.change_set))
    memory.add("elsewhere", tenant="t", user_id="u")


def test_a_round_trip_gives_the_same_file_and_answers(tmp_path: Path) -> None:
    clock = Ticking()
    one, two = tmp_path / "one.jsonl", tmp_path / "two.jsonl"
    with Memory("ram:", policy=Facts(), clock=clock) as memory:
        lively(memory, clock)
        assert memory.export(one) == 9
        past = memory.as_of(known=clock.now.replace(day=1))
        expected = [hit.to_dict() for hit in memory.search("home", user_id="u")]
        before = [record.text for record in past.get_all(user_id="v")]
    header, *lines, end = [json.loads(line) for line in one.read_text().splitlines()]
    assert header["format"] == "engram-export/2"
    assert {line["type"] for line in lines} == {"record", "edge", "change_set"}
    assert end == {"type": "end", "lines": len(lines)}
    opened = [pair[0] for line in lines for pair in line.get("changes", [])]
    together = [line for line in lines if line["type"] == "change_set"]
    assert [line["id"] for line in together] == list(range(1, len(together) + 1))
    assert {line["id"]: line["opened"] for line in together if line["opened"]} == Counter(opened)
    with Memory(f"sqlite:///{tmp_path / 'm.db'}", policy=Facts(), clock=clock) as memory:
        first = memory.import_(one)
        assert (first.format, first.stored, first.duplicate, first.ok) == ("engram", 9, 0, True)
        again = memory.import_(one)
        assert (again.stored, again.duplicate) == (0, 9)
        memory.export(two)
        found = [hit.to_dict() for hit in memory.search("home", user_id="u")]
        for hit in [*found, *expected]:
            for local in ("opened", "closed", "arrival"):
                hit["record"].pop(local)
        assert found == expected
        past = memory.as_of(known=clock.now.replace(day=1))
        assert [record.text for record in past.get_all(user_id="v")] == before
        assert memory.verify().ok
    assert two.read_bytes() == one.read_bytes()


def test_states_travel(tmp_path: Path) -> None:
    path = tmp_path / "x.jsonl"
    with Memory("ram:", policy=Counting()) as memory:
        memory.add("a", user_id="u")
        memory.export(path, user_id="u")
    with Memory("ram:", policy=Counting()) as memory:
        memory.import_(path)
        memory.add("b", user_id="u")
        rows = memory._bound.core.store.states(memory._bound.scope({"user_id": "u"}))
        assert [row.value for row in rows] == [2]


def test_one_scope_is_exported_alone(tmp_path: Path) -> None:
    path = tmp_path / "x.jsonl"
    clock = Ticking()
    with Memory("ram:", policy=Facts(), clock=clock) as memory:
        lively(memory, clock)
        assert memory.scoped(user_id="v").export(path) == 2
        assert "Lisbon" not in path.read_text()
        with pytest.raises(Forbidden, match="bound to"):
            memory.scoped(user_id="w").import_(path)


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ('{"type": "record"}', "not an engram-export/2 header"),
        ("hello", "not JSON"),
        (
            '{"type": "header", "format": "engram-export/1"}\n{"type": "record", "id": "x"}',
            ":2: a broken record line",
        ),
        ('{"type": "header", "format": "engram-export/1"}\n[1]', ":2: not a line"),
        ('{"type": "header", "format": "engram-export/9"}', "header"),
    ],
)
def test_a_broken_file_is_refused_with_its_line(tmp_path: Path, text: str, complaint: str) -> None:
    path = tmp_path / "x.jsonl"
    path.write_text(text)
    with Memory("ram:") as memory, pytest.raises(InvalidInput, match=complaint):
        memory.import_(path, format="engram")


def test_paths_that_cannot_be(tmp_path: Path) -> None:
    with Memory("ram:") as memory:
        with pytest.raises(InvalidInput, match="no such file"):
            memory.import_(tmp_path / "missing.jsonl")
        with pytest.raises(InvalidInput, match="cannot be written"):
            memory.export(tmp_path / "no" / "folder" / "x.jsonl")
        (tmp_path / "bytes").write_bytes(b"\xff\xff")
        with pytest.raises(InvalidInput, match="bytes:1: not UTF-8"):
            memory.import_(tmp_path / "bytes", format="engram")


@settings(max_examples=20)
@given(st.lists(st.tuples(st.sampled_from("uv"), st.text("abc é\n", min_size=1)), max_size=8), st.data())
def test_any_store_comes_back_the_same(
    tmp_path_factory: pytest.TempPathFactory, said: list[tuple[str, str]], data: st.DataObject
) -> None:
    folder = tmp_path_factory.mktemp("trip")
    with (
        Memory("ram:", policy="rrf", clock=Ticking()) as one,
        Memory("ram:", policy="rrf", clock=Ticking()) as two,
    ):
        for user, text in said:
            if text.strip():
                id = one.add(text, user_id=user).ids[0]
                if data.draw(st.booleans()):
                    one.edit(id, metadata={"edited": True})
        one.export(folder / "x")
        two.import_(folder / "x")
        two.export(folder / "y")
        assert (folder / "x").read_bytes() == (folder / "y").read_bytes()
        assert [hit.id for hit in one.search("a b c", user_id="u")] == [
            hit.id for hit in two.search("a b c", user_id="u")
        ]


HEADER = {"type": "header", "format": "engram-export/1"}


def altered(tmp_path: Path, **fields: Any) -> Path:
    """An export of one record, with some of its fields changed."""
    path = tmp_path / "one.jsonl"
    with Memory("ram:") as memory:
        memory.add({"content": "apple", "id": "mine"}, user_id="u")
        memory.export(path)
    line = json.loads(path.read_text().splitlines()[1])
    path.write_text(f"{json.dumps(HEADER)}\n{json.dumps({**line, **fields})}\n")
    return path


@pytest.mark.parametrize(
    "fields",
    [
        {"scope": None},
        {"scope": {"planet": "x"}},
        {"id": 5},
        {"id": ""},
        {"id": "w~a~b"},
        {"text": None},
        {"text": "a\0b"},
        {"text": "\ud800"},
        {"kind": "thought"},
        {"role": "king"},
        {"name": 5},
        {"origin": 5},
        {"level": 7},
        {"strength": float("nan")},
        {"trust": 5},
        {"metadata": [1]},
        {"metadata": {"a": "\ud800"}},
        {"sources": "abc"},
        {"sources": ["nowhere"]},
        {"versions": [5]},
        {"valid": {"start": "2026-01-02T00:00:00Z", "end": "2026-01-01T00:00:00Z"}},
        {"type": "thought"},
    ],
)
def test_a_line_that_cannot_be_is_refused_before_anything_is_stored(
    tmp_path: Path, fields: dict[str, Any]
) -> None:
    path = altered(tmp_path, **fields)
    with Memory("ram:") as memory:
        for bound in (memory, memory.scoped(user_id="u")):
            with pytest.raises(InvalidInput, match=r"one.jsonl:2: "):
                bound.import_(path)
        assert memory.scopes() == []


def test_importing_twice_adds_nothing_at_all(tmp_path: Path) -> None:
    clock, path = Ticking(), tmp_path / "x.jsonl"
    with Memory("ram:", policy=Facts(), clock=clock) as memory:
        lively(memory, clock)
        memory.export(path)
    with Memory("ram:", policy=Facts(), clock=clock) as memory:
        memory.import_(path)
        before = memory._bound.core.store.sequence()
        assert memory.import_(path).stored == 0
        assert memory._bound.core.store.sequence() == before


def test_a_callers_id_that_is_there_already_is_a_duplicate_or_a_conflict(tmp_path: Path) -> None:
    path, clock = tmp_path / "x.jsonl", Ticking()
    with Memory("ram:", policy=Facts(), clock=clock) as memory:
        memory.add({"content": "sky is blue", "id": "mine"}, user_id="u")
        memory.export(path)
    with Memory("ram:", policy=Facts(), seed=1) as memory:
        there = memory.add({"content": "sky is blue", "id": "mine"}, user_id="u", infer=False).ids[0]
        imported = memory.import_(path)
        assert (imported.duplicate, imported.stored) == (1, 1)
        fact = memory.get_all(filters={"kind": "fact"}, user_id="u").items[0]
        assert fact.sources == (there,)
        assert memory.verify().ok
    with Memory("ram:", policy=Facts()) as memory:
        memory.add({"content": "sky is red", "id": "mine"}, user_id="u", infer=False)
        with pytest.raises(Conflict, match="'mine' is taken"):
            memory.import_(path)
        assert memory.stats()["records"] == 1


def test_an_export_does_not_overwrite_an_open_store(tmp_path: Path) -> None:
    path = tmp_path / "m.db"
    with Memory(f"sqlite:///{path}") as memory:
        memory.add("apple", user_id="u")
        with pytest.raises(InvalidInput, match="open database"):
            memory.export(path)
        assert memory.verify().ok
