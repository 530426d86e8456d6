"""Message lists in JSON and JSON Lines: which runs they are, what of a message is kept, stable ids."""

import json
from pathlib import Path
from typing import Any

import pytest

from engram import Memory
from engram.formats import Source, detect
from engram.kernel.errors import InvalidInput
from formats.exports import archive, messages, read, skipped, write

TALK: list[dict[str, Any]] = [
    {"role": "system", "content": "Be brief."},
    {"role": "user", "content": "How hot is a kiln?", "name": "Ada"},
    {"role": "assistant", "content": "1,200 °C."},
]


def lines(*values: object) -> str:
    return "".join(json.dumps(value) + "\n" for value in values)


BODY = {"model": "m", "messages": TALK[:1]}
BATCH = {"method": "POST", "url": "/v1/chat/completions", "body": BODY}
RESULT = {
    "id": "batch_req_1",
    "custom_id": "q1",
    "response": {
        "status_code": 200,
        "body": {"id": "chatcmpl-1", "created": 1767348000, "choices": [{"index": 0, "message": TALK[2]}]},
    },
    "error": None,
}
SHAPES: list[tuple[str, object, list[str]]] = [
    ("talk.json", TALK, ["talk"] * 3),
    ("talk.json", json.dumps(TALK, indent=2), ["talk"] * 3),
    ("talk.json", {"model": "m", "messages": TALK}, ["talk"] * 3),
    ("talk.json", {"id": "t-1", "messages": TALK}, ["t-1"] * 3),
    ("talk.json", {"input": TALK, "model": "m"}, ["talk"] * 3),
    ("talk.json", [TALK, TALK[1:]], ["talk#1"] * 3 + ["talk#2"] * 2),
    ("talk.json", [{"messages": TALK}, {"conversation_id": 7, "messages": TALK}], ["talk#1"] * 3 + ["7"] * 3),
    ("talk.json", {"custom_id": "q1", **BATCH}, ["q1"]),
    ("talk.jsonl", lines(*TALK), ["talk"] * 3),
    ("talk.jsonl", lines({"messages": TALK}, {"messages": TALK[:1]}), ["talk#1"] * 3 + ["talk#2"]),
    ("talk.jsonl", lines(TALK, TALK[:2]), ["talk#1"] * 3 + ["talk#2"] * 2),
    ("talk.json", lines({"messages": TALK}, {"messages": TALK[:1]}), ["talk#1"] * 3 + ["talk#2"]),
    ("talk.jsonl", lines({"custom_id": "q1", **BATCH}, {"custom_id": "q2", **BATCH}), ["q1", "q2"]),
    ("talk.jsonl", lines(RESULT), ["q1"]),
]


@pytest.mark.parametrize("name, content, runs", SHAPES)
def test_every_shape_is_recognised_and_each_list_is_a_run(
    tmp_path: Path, name: str, content: object, runs: list[str]
) -> None:
    path = write(tmp_path / name, content)
    with Source(path) as source:
        assert detect(source).name == "openai"
    said = messages(path)
    assert [item.run_id for item in said] == runs
    assert skipped(path) == []
    assert {item.message["content"] for item in said} <= {message["content"] for message in TALK}
    assert len({(item.run_id, item.message["id"]) for item in said}) == len(said)


def test_a_folder_or_zip_of_lists_is_read_file_by_file(tmp_path: Path) -> None:
    path = archive(tmp_path / "a.zip", {"one.json": TALK, "two/three.jsonl": lines(*TALK), "x.png": b"\x89"})
    assert [item.run_id for item in messages(path)] == ["one"] * 3 + ["two/three"] * 3
    assert messages(path)[3].place == f"{path}/two/three.jsonl:1"
    assert messages(path)[0].place == f"{path}/one.json: [0]"


def test_parts_calls_names_times_and_metadata_are_kept(tmp_path: Path) -> None:
    call = {"id": "c1", "type": "function", "function": {"name": "heat", "arguments": "{}"}}
    parts = [
        {"type": "text", "text": "See:"},
        {"type": "image_url", "image_url": {"url": "https://example.com/kiln.png"}},
    ]
    large = {"type": "image_url", "image_url": {"url": "data:image/png;base64," + "A" * 100_000}}
    path = write(
        tmp_path / "talk.json",
        [
            {"role": "user", "content": parts, "id": "u1", "created_at": 1767348000, "metadata": {"a": 1}},
            {"role": "assistant", "content": None, "tool_calls": [call], "timestamp": "2026-01-02T10:00:01Z"},
            {"role": "tool", "tool_call_id": "c1", "content": "hot"},
            {"role": "function", "name": "heat", "content": "hotter"},
            {"role": "developer", "content": "x", "unknown": 1},
            {"role": "user", "content": [parts[0], large]},
        ],
    )
    found = [item.message for item in messages(path)]
    assert found[0] == {
        "role": "user",
        "content": parts,
        "id": "u1",
        "time": "2026-01-02T10:00:00+00:00",
        "metadata": {"a": 1},
    }
    assert found[1]["tool_calls"] == [call]
    assert found[1]["time"] == "2026-01-02T10:00:01Z"
    assert found[2]["tool_call_id"] == "c1"
    assert (found[3]["role"], found[3]["name"]) == ("tool", "heat")
    assert set(found[4]) == {"role", "content", "id"}
    length = len(json.dumps(large))
    assert found[5]["content"] == [parts[0], {"type": "image_url", "left_out": f"{length} characters"}]
    assert found[5]["metadata"] == {"left_out": ["image_url"]}


LEFT: list[tuple[Any, str]] = [
    ({"role": "critic", "content": "x"}, "role 'critic' is unknown"),
    ({"role": 7, "content": "x"}, "role '7' is unknown"),
    ({"role": "user", "content": ""}, "no text"),
    ({"role": "user", "content": " \n"}, "no text"),
    ({"role": "user", "content": None}, "no text"),
    ({"role": "user"}, "no text"),
    ({"role": "user", "content": [{"type": "image_url", "image_url": {}}]}, "no text"),
    ({"role": "user", "content": 7}, "content is int, not text or parts"),
    ({"role": "user", "content": {"a": 1}}, "content is dict, not text or parts"),
    ({"type": "reasoning", "summary": []}, "no message: reasoning"),
    ({"a": 1}, "no message: dict"),
    (None, "no message: NoneType"),
    ("words", "no message: str"),
]


@pytest.mark.parametrize("value, reason", LEFT)
def test_what_is_left_out_says_why_and_where(tmp_path: Path, value: Any, reason: str) -> None:
    path = write(tmp_path / "talk.json", [TALK[0], value, TALK[1]])
    assert skipped(path, "openai") == [("talk.json: [1]", reason)]
    path = write(tmp_path / "talk.jsonl", lines({"messages": [value]}))
    assert skipped(path, "openai") == [("talk.jsonl:1.messages[0]", reason)]
    assert len(messages(write(tmp_path / "talk.json", [TALK[0], value, TALK[1]]), "openai")) == 2


def test_ids_are_the_same_again_and_when_the_file_has_grown(tmp_path: Path) -> None:
    again = [*TALK, {"role": "user", "content": "ok"}, {"role": "user", "content": "ok"}]
    before = [item.message["id"] for item in messages(write(tmp_path / "talk.json", again))]
    after = [item.message["id"] for item in messages(write(tmp_path / "talk.json", [*again, TALK[1]]))]
    assert after[:-1] == before
    assert len(set(after)) == len(after)


def test_half_characters_are_left_out_with_their_place_and_the_rest_is_stored(tmp_path: Path) -> None:
    path = write(
        tmp_path / "talk.json", json.dumps([{"role": "user", "content": text} for text in "\ud83db"])
    )
    with Memory("ram:") as memory:
        report = memory.import_(path)
        assert (report.stored, report.failed) == (1, 1)
        (left,) = report.examples
        assert left.place == f"{path}: [0]"
        assert "a lone surrogate (U+D83D) at position 0" in left.reason


def test_broken_lines_are_refused_by_their_number(tmp_path: Path) -> None:
    path = write(tmp_path / "talk.jsonl", lines({"messages": TALK}) + '{"messages": [}\n')
    with pytest.raises(InvalidInput, match=r"talk\.jsonl:2: not JSON \(expecting value, column 15\)"):
        read(path, "openai")
    path = write(tmp_path / "talk.json", json.dumps({"messages": TALK})[:-5])
    with pytest.raises(InvalidInput, match=r"talk\.json:1: not JSON"):
        read(path, "openai")
