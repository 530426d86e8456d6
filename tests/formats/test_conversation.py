"""The plain conversation format, and how formats are found."""

import gzip
import json
from pathlib import Path
from typing import Any

import pytest

from engram.bench.load import read_conversation
from engram.formats import Source, detect, format_names, load_format
from engram.kernel.errors import ConfigError, InvalidInput
from formats.exports import archive, messages, read, skipped, write

TALK: dict[str, Any] = {
    "name": "ada",
    "turns": [
        {
            "id": "1",
            "session": 1,
            "speaker": "Ada",
            "text": "My cat is Plum.",
            "time": "2026-01-02T10:00:00Z",
        },
        {"id": 2, "session": 1, "speaker": "Assistant", "text": "A fine name."},
        {"id": "3", "text": "Thanks."},
    ],
    "questions": [{"question": "What is the cat called?", "evidence": ["1"]}],
}
SHELF: dict[str, Any] = {
    "documents": [{"id": "d", "title": "Plum", "text": "A stone fruit.", "entities": ["plum"]}]
}


@pytest.mark.parametrize("shape", ["json", "gz", "folder", "zip"])
def test_the_reader_gives_what_the_benchmark_reads(tmp_path: Path, shape: str) -> None:
    single = write(tmp_path / "talk.json", TALK)
    match shape:
        case "json":
            path = single
        case "gz":
            path = write(tmp_path / "talk.json.gz", gzip.compress(json.dumps(TALK).encode()))
        case "folder":
            path = write(tmp_path / "talks" / "deep" / "talk.json", TALK).parent.parent
        case _:
            path = archive(tmp_path / "talks.zip", {"talk.json": TALK})
    with Source(path) as source:
        assert detect(source).name == "conversation"
    found = messages(path)
    assert {item.user_id for item in found} == {"ada"}
    by_bench = [
        (session.run_id, message)
        for session in read_conversation(single).sessions
        for message in session.messages
    ]
    assert [(item.run_id, dict(item.message)) for item in found] == by_bench
    assert [item.message.get("name") for item in found] == ["Ada", None, None]


def test_documents_are_runs_of_their_own_and_the_file_names_the_user(tmp_path: Path) -> None:
    (item,) = messages(write(tmp_path / "shelf.json", SHELF))
    assert (item.user_id, item.run_id) == ("shelf", "d")
    assert item.message["title"] == "Plum"
    assert item.message["entities"] == ["plum"]


def test_a_turn_that_breaks_the_rules_is_left_out_with_its_place(tmp_path: Path) -> None:
    odd: list[Any] = [
        7,
        {"text": "x"},
        {"id": "a"},
        {"id": "b", "text": "x", "time": "yesterday"},
        {"id": "c", "text": "a\0b"},
        {"id": "", "text": "x"},
        {"id": "fine", "text": "x"},
    ]
    path = write(tmp_path / "a.json", {"turns": odd})
    left = skipped(path, "conversation")
    assert [place for place, _ in left] == [f"a.json: turns[{number}]" for number in range(6)]
    assert [reason[:30] for _, reason in left] == [
        "expected an object, got int",
        "id: expected a number, or 1 to",
        "text is missing",
        "time: 'yesterday' is not a tim",
        "text: a NUL character at posit",
        "id: expected a number, or 1 to",
    ]
    assert [item.message["id"] for item in messages(path, "conversation")] == ["fine"]


def test_all_formats_load_and_name_themselves() -> None:
    names = format_names()
    assert names[:3] == ["engram", "chatgpt", "claude"]
    for name in names:
        found = load_format(name)
        assert found.name == name
        assert found.title
    with pytest.raises(ConfigError, match="format: 'chatgtp' is unknown; it may be engram, chatgpt"):
        load_format("chatgtp")


def test_the_engine_reads_engrams_own_export(tmp_path: Path) -> None:
    path = write(tmp_path / "a.jsonl", '{"type": "header", "format": "engram-export/1"}\n')
    with Source(path) as source:
        assert detect(source).name == "engram"
    with pytest.raises(InvalidInput, match=r"is restored by Memory\.import_"):
        read(path)


NOTHING: list[tuple[str, bytes]] = [
    ("a.json", b""),
    ("a.json", b"[]"),
    ("a.json", b"{}"),
    ("a.json", b"7"),
    ("a.json", b'{"some": ["other", "file"]}'),
    ("a.bin", b"\x89PNG\r\n\x1a\n\0\0\0"),
    ("a.json", b"\xff\xfe"),
    ("a.json", b"["),
]


@pytest.mark.parametrize("name, data", NOTHING)
def test_what_no_format_recognises_is_refused_with_the_formats(
    tmp_path: Path, name: str, data: bytes
) -> None:
    path = write(tmp_path / name, data)
    with pytest.raises(InvalidInput, match="no known kind of file; say which it is: format may be engram"):
        read(path)
    empty = tmp_path / "empty"
    empty.mkdir()
    with pytest.raises(InvalidInput, match="no known kind of file"):
        read(empty)
