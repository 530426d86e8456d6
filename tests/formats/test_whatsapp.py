"""WhatsApp chats: ways of writing dates and clocks, what WhatsApp itself writes, media."""

from pathlib import Path
from typing import Any

import pytest

from engram.engine.results import Left
from engram.formats import Source, load_format
from formats.exports import archive, messages, skipped, write
from formats.samples import ANDROID, IOS


def said(path: Path) -> list[tuple[Any, ...]]:
    """Run, name, text and time of every message."""
    return [
        (item.run_id, *(item.message.get(key) for key in ("name", "content", "time")))
        for item in messages(path, "whatsapp")
    ]


def days(path: Path, *dates: str) -> list[str]:
    """The days that the file of these dates is read as."""
    text = "".join(f"[{date}, 10:00:00] Ana: hot\n" for date in dates)
    return [time[:10] for *_, time in said(write(path / "_chat.txt", text))]


def test_an_iphone_chat(tmp_path: Path) -> None:
    path = archive(
        tmp_path / "WhatsApp Chat - Pottery.zip", {"_chat.txt": IOS, "00000012-PHOTO.jpg": b"\xff"}
    )
    assert said(path) == [
        (
            "Pottery/2026-01-30",
            "Ana",
            "The kiln is hot.\nIt took all night: 12 hours.",
            "2026-01-30T21:58:05",
        ),
        ("Pottery/2026-01-31", "Carl", "@Ana how hot?", "2026-01-31T00:01:19"),
        ("Pottery/2026-01-31", "Ben", "look at that", "2026-01-31T00:02:00"),
    ]
    assert [item.message.get("metadata") for item in messages(path)] == [
        None,
        {"edited": True},
        {"attachments": ["00000012-PHOTO-2026-01-31.jpg"]},
    ]
    assert skipped(path) == [
        ("_chat.txt:1", "WhatsApp's own line"),
        ("_chat.txt:4", "media that was not exported"),
        ("_chat.txt:7", "deleted by its writer"),
        (path.name, "media and other files are not read"),
    ]


def test_an_android_chat(tmp_path: Path) -> None:
    path = write(tmp_path / "WhatsApp Chat with Ben Ito.txt", ANDROID)
    assert said(path) == [
        ("Ben Ito/2026-01-02", "Ana", "The kiln is hot.", "2026-01-02T21:59:00"),
        ("Ben Ito/2026-01-02", "Ana", "ok", "2026-01-02T21:59:00"),
        ("Ben Ito/2026-01-02", "Ana", "ok", "2026-01-02T21:59:00"),
        ("Ben Ito/2026-01-13", "Ben", "The glaze", "2026-01-13T00:05:00"),
    ]
    assert len({item.message["id"] for item in messages(path)}) == 4
    assert [reason for _, reason in skipped(path)] == [
        "WhatsApp's own line",
        "media that was not exported",
        "WhatsApp's own line",
    ]


@pytest.mark.parametrize(
    ("line", "time"),
    [
        ("[30/01/2026, 21:58:05] Ana: hot", "21:58:05"),
        ("[30.01.26, 21:58:05] Ana: hot", "21:58:05"),
        ("[30/1/26, 9:58:05 PM] Ana: hot", "21:58:05"),
        ("[30/1/26, 9:58:05\u202fp. m.] Ana: hot", "21:58:05"),
        ("[30.1.2026 klo 21.58.05] Ana: hot", "21:58:05"),
        ("30/01/2026, 21:58 - Ana: hot", "21:58:00"),
        ("30/01/2026 21:58 - Ana: hot", "21:58:00"),
        ("30-01-2026 21:58 - Ana: hot", "21:58:00"),
        ("30.01.26, 21:58 - Ana: hot", "21:58:00"),
        ("2026/1/30, 21:58 - Ana: hot", "21:58:00"),
        ("2026-01-30, 9:58 p.m. - Ana: hot", "21:58:00"),
        ("2026. 1. 30. 오후 9:58 - Ana: hot", "21:58:00"),
        ("2026/1/30 下午9:58 - Ana: hot", "21:58:00"),
        ("30/1/2569 21:58 - Ana: hot", "21:58:00"),
        (
            "\u0663\u0660/\u0660\u0661/\u0662\u0660\u0662\u0666\u060c \u0662\u0661:\u0665\u0668 - Ana: hot",
            "21:58:00",
        ),
        ("30.01.2026 21:58:05: Ana: hot", "21:58:05"),
        ("\u200e\u202a30/01/2026, 21:58\u202c - Ana: hot", "21:58:00"),
    ],
)
def test_ways_of_writing_a_date_and_a_clock(tmp_path: Path, line: str, time: str) -> None:
    path = write(tmp_path / "_chat.txt", f"{line}\nand on\n")
    assert said(path) == [("chat/2026-01-30", "Ana", "hot\nand on", f"2026-01-30T{time}")]


def test_days_or_months_first_is_found_in_the_whole_file(tmp_path: Path) -> None:
    assert days(tmp_path, "01/02/2026", "02/02/2026", "13/02/2026")[0] == "2026-02-01"
    assert days(tmp_path, "01/02/2026", "02/02/2026", "02/13/2026")[0] == "2026-01-02"
    assert days(tmp_path, "01/02/2026", "01/03/2026", "01/04/2026", "02/01/2026")[0] == "2026-01-02"
    assert days(tmp_path, "31/12/25", "01/01/26")[0] == "2025-12-31"
    assert days(tmp_path, "26-01-30", "26-02-01")[0] == "2026-01-30"


def test_what_cannot_be_decided_is_told(tmp_path: Path) -> None:
    assert days(tmp_path, "01/02/2026", "03/04/2026") == ["2026-02-01", "2026-04-03"]
    assert "cannot be told apart" in skipped(tmp_path / "_chat.txt")[0][1]
    assert "read as day first" in Left("_chat.txt", skipped(tmp_path / "_chat.txt")[0][1]).kind
    american = write(tmp_path / "us" / "_chat.txt", "1/2/26, 9:58 PM - Ana: hot\n")
    assert said(american)[0][3] == "2026-01-02T21:58:00"
    assert "month first" in skipped(american)[0][1]
    assert days(tmp_path, "05/05/2026") == ["2026-05-05"]
    assert skipped(tmp_path / "_chat.txt") == []


def test_a_date_that_there_is_not_is_left_out(tmp_path: Path) -> None:
    assert days(tmp_path, "30/01/2026", "31/02/2026", "14/02/2026") == ["2026-01-30", "2026-02-14"]
    assert skipped(tmp_path / "_chat.txt") == [
        ("_chat.txt:2", "there is no such date (31/02/2026, day first)")
    ]


def test_a_later_export_adds_only_what_is_new(tmp_path: Path) -> None:
    first = messages(write(tmp_path / "WhatsApp Chat with Ben.txt", ANDROID))
    later = messages(
        write(tmp_path / "WhatsApp Chat with Ben (1).txt", ANDROID + "1/14/26, 9:00 AM - Ana: new\n")
    )
    assert [(item.run_id, item.message["id"]) for item in later[:4]] == [
        (item.run_id, item.message["id"]) for item in first
    ]
    shorter = messages(write(tmp_path / "WhatsApp Chat with Ben.txt", "".join(ANDROID.splitlines(True)[4:])))
    assert {item.message["id"] for item in shorter} <= {item.message["id"] for item in first}


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("<Medien ausgeschlossen>", "media that was not exported"),
        ("\u200evideo omitted", "media that was not exported"),
        ("\u200eBild weggelassen", "media that was not exported"),
        ("sticker omitted", "media that was not exported"),
        ("PTT-20260113-WA0001.opus (file attached)", "media without a caption"),
        ("\u200eMissed voice call", "WhatsApp's own line"),
        ("Diese Nachricht wurde gelöscht.", "deleted by its writer"),
        ("", "no text"),
    ],
)
def test_what_is_left_out(tmp_path: Path, text: str, reason: str) -> None:
    path = write(tmp_path / "_chat.txt", f"[30/01/2026, 21:58:05] Ana: {text}\n")
    assert skipped(path) == [("_chat.txt:1", reason)]


@pytest.mark.parametrize(
    "text", ["\u200ePOLL:\nWhere?\nOPTION: Porto", "\u200eLocation: https://maps.example/1", "a < b > c"]
)
def test_what_somebody_made_is_kept(tmp_path: Path, text: str) -> None:
    path = write(tmp_path / "_chat.txt", f"[30/01/2026, 21:58:05] Ana: {text}\n")
    assert said(path)[0][2] == text.strip("\u200e")


def test_text_of_another_kind_is_no_chat(tmp_path: Path) -> None:
    for text in ("Ana: hot\n", "[2026-01-02 10:00] Ana: hot\n", "1.2.3 is a version - not a date\n", ""):
        with Source(write(tmp_path / "t.txt", text)) as source:
            assert not load_format("whatsapp").recognises(source)
    assert skipped(write(tmp_path / "t.txt", "Ana: hot\n"), "whatsapp") == [
        ("t.txt", "no line of it starts a WhatsApp message")
    ]
