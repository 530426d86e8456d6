"""Transcripts: who speaks, when, and where one session ends and the next begins."""

from pathlib import Path
from typing import Any

import pytest

from engram.formats import Source, load_format
from engram.kernel.errors import InvalidInput
from formats.exports import messages, skipped, write
from formats.samples import TALK


def said(path: Path) -> list[tuple[Any, ...]]:
    """Run, role, name, text and time of every message."""
    return [
        (item.run_id, *(item.message.get(key) for key in ("role", "name", "content", "time")))
        for item in messages(path, "transcript")
    ]


def test_times_and_sessions(tmp_path: Path) -> None:
    path = write(tmp_path / "talk.txt", TALK)
    assert said(path) == [
        ("talk#1", "user", "Ana", "The kiln is hot.\nIt took all night.", "2026-01-02T10:00:00"),
        ("talk#1", "user", "Ben", "How hot?", "2026-01-02T10:01:00"),
        ("talk#2", "user", "Ana", "Cold again.", "2026-01-03T09:30:00"),
    ]
    assert [item.place for item in messages(path)] == [f"{path}:1", f"{path}:3", f"{path}:5"]


@pytest.mark.parametrize(
    ("line", "name", "time"),
    [
        ("Ana: hot", "Ana", None),
        ("**Ana:** hot", "Ana", None),
        ("**Ana**: hot", "Ana", None),
        ("Ana Reis (guest) : hot", "Ana Reis (guest)", None),
        ("[2026-01-02 10:00] Ana: hot", "Ana", "2026-01-02T10:00:00"),
        ("[2026-01-02T10:00:05.250Z] Ana: hot", "Ana", "2026-01-02T10:00:05.250+00:00"),
        ("2026-01-02T10:00Z Ana: hot", "Ana", "2026-01-02T10:00:00+00:00"),
        ("2026-01-02 10:00:05+02:00 - Ana: hot", "Ana", "2026-01-02T10:00:05+02:00"),
        ("(2026-01-02 1:00 PM) Ana: hot", "Ana", "2026-01-02T13:00:00"),
        ("Ana (2026-01-02 12:00 am): hot", "Ana", "2026-01-02T00:00:00"),
        ("Ana [2026-01-02 10:00]: hot", "Ana", "2026-01-02T10:00:00"),
        ("李雷: hot", "李雷", None),
        ("\ufeffAna: hot", "Ana", None),
    ],
)
def test_a_line_that_starts_a_message(tmp_path: Path, line: str, name: str, time: str | None) -> None:
    assert said(write(tmp_path / "t.txt", f"{line}\nUser: ok\n"))[0] == ("t#1", "user", name, "hot", time)


def test_roles(tmp_path: Path) -> None:
    text = "User: a\nHuman: b\nAssistant: c\nAI: d\nsystem: e\ntool: f\nChatGPT: g\n"
    assert [(role, name) for _, role, name, _, _ in said(write(tmp_path / "t.txt", text))] == [
        ("user", None),
        ("user", None),
        ("assistant", None),
        ("assistant", None),
        ("system", None),
        ("tool", None),
        ("assistant", "ChatGPT"),
    ]


def test_a_clock_needs_a_day(tmp_path: Path) -> None:
    text = "Ana (23:59): a\n=== 2026-01-02 ===\n[23:59] Ana: b\n[00:01] Ana: c\n"
    read = messages(write(tmp_path / "t.txt", text), "transcript")
    assert [item.message.get("time") for item in read] == [None, "2026-01-02T23:59:00", "2026-01-03T00:01:00"]
    assert read[0].message["metadata"] == {"clock": "23:59:00"}


def test_what_goes_on_is_no_new_message(tmp_path: Path) -> None:
    text = (
        "Ana: see\n  Ben: indented\nNote: a label\nhttps://kiln.example: no name\n"
        "```\nkey: in code\n```\nthe end\nBen: next\n"
    )
    assert [(name, text.count("\n")) for _, _, name, text, _ in said(write(tmp_path / "t.txt", text))] == [
        ("Ana", 7),
        ("Ben", 0),
    ]


def test_in_a_timed_file_a_label_is_no_speaker(tmp_path: Path) -> None:
    text = "[2026-01-02 10:00] Ana: a\nShopping: clay\nAna: still me\n"
    assert [text for _, _, _, text, _ in said(write(tmp_path / "t.txt", text))] == [
        "a\nShopping: clay",
        "still me",
    ]


@pytest.mark.parametrize(
    ("text", "runs"),
    [
        ("Ana: a\nBen: b\n\nAna: c\n", ["#1", "#1", "#2"]),
        ("Ana: a\n\nBen: b\n\nAna: c\n\n\nAna: d\n", ["#1", "#1", "#1", "#2"]),
        ("Ana: a\n---\nBen: b\n\n***\n\nAna: c\n", ["#1", "#2", "#3"]),
        ("Ana: a\n\nstill a\nBen: b\n", ["#1", "#1"]),
    ],
)
def test_sessions(tmp_path: Path, text: str, runs: list[str]) -> None:
    assert [run for run, *_ in said(write(tmp_path / "t.txt", text))] == [f"t{run}" for run in runs]


def test_what_is_left_out(tmp_path: Path) -> None:
    path = write(tmp_path / "t.txt", "A talk\nin two lines\n\nAna: a\nBen:\nAna: b\n")
    assert skipped(path, "transcript") == [
        ("t.txt:1", "text before the first message"),
        ("t.txt:5", "no text"),
    ]


def test_a_grown_file_keeps_its_ids(tmp_path: Path) -> None:
    text = "Ana: ok\nBen: ok\nAna: ok\n"
    first = [item.message["id"] for item in messages(write(tmp_path / "t.txt", text), "transcript")]
    grown = [
        item.message["id"]
        for item in messages(write(tmp_path / "t.txt", text + "Ana: ok\nBen: bye\n\nAna: ok\n"), "transcript")
    ]
    assert grown[:3] == first
    assert len(set(grown)) == 6


def test_a_folder_of_transcripts(tmp_path: Path) -> None:
    write(tmp_path / "talks" / "a.txt", TALK)
    write(tmp_path / "talks" / "b.log", TALK)
    assert [item.run_id for item in messages(tmp_path / "talks")] == [
        "a#1", "a#1", "a#2", "b#1", "b#1", "b#2",
    ]  # fmt: skip


@pytest.mark.parametrize(
    "text",
    [
        "Name: Ana\nAge: 30\nTown: Porto\n",
        "Just words.\nAnd more of them.\n",
        "2026-01-02 10:00:00 INFO: started\n2026-01-02 10:00:01 ERROR: stopped\n",
        "# Title\n\nAna: said once\n\nLong text follows.\nAnd goes on.\nAnd on.\nAnd on.\nAnd on.\n",
        "",
    ],
)
def test_other_text_is_no_transcript(tmp_path: Path, text: str) -> None:
    with Source(write(tmp_path / "t.txt", text)) as source:
        assert not load_format("transcript").recognises(source)


def test_other_encodings_are_named_with_their_line(tmp_path: Path) -> None:
    path = write(tmp_path / "t.txt", b"Ana: a\nBen: caf\xe9\n")
    with pytest.raises(InvalidInput, match=r"t\.txt:2: not UTF-8"):
        messages(path, "transcript")
    wide = write(tmp_path / "w.txt", "Ana: café\nBen: ok\nAna: é\n".encode("utf-16"))
    assert [item.message["content"] for item in messages(wide)] == ["café", "ok", "é"]
