"""Slack exports: names for ids, threads, what is no message."""

from pathlib import Path

import pytest

from engram.kernel.errors import InvalidInput
from formats.exports import archive, messages, read, skipped, write
from formats.samples import SLACK


def message(**changes: object) -> dict[str, object]:
    """A message of a user, with changes."""
    return {"type": "message", "user": "U1", "text": "hot", "ts": "1767348000.000200", **changes}


def one(path: Path, **changes: object) -> Path:
    """The folder of an export that has one message."""
    write(path / "users.json", SLACK["users.json"])
    write(path / "kiln" / "2026-01-02.json", [message(**changes)])
    return path


@pytest.mark.parametrize("inside", ["", "Pottery Slack export/"])
def test_a_workspace(tmp_path: Path, inside: str) -> None:
    path = archive(tmp_path / "slack.zip", {inside + name: content for name, content in SLACK.items()})
    found = messages(path)
    assert [(item.run_id, item.message["name"], item.message["role"]) for item in found] == [
        ("kiln/2026-01-02", "Ana", "user"),
        ("kiln/1767348000.000200", "Ben Ito", "user"),
        ("kiln/2026-01-03", "Thermo", "assistant"),
    ]
    assert [item.message["content"] for item in found] == [
        "Is it hot, @Ben Ito?",
        "1200 < 1300, see the chart (https://kiln.example/chart) in #kiln",
        "Kiln 1\ncold",
    ]
    assert found[0].message["id"] == "C1:1767348000.000200"
    assert found[0].message["time"].startswith("2026-01-02T10:00:00")
    assert found[1].message["metadata"] == {"channel": "kiln", "thread": "1767348000.000200", "edited": True}
    assert [reason for _, reason in skipped(path)] == [
        "a notice (channel_join)",
        "files only",
        "not messages",
    ]
    assert found[0].place == f"{path}/{inside}kiln/2026-01-02.json: [1]"


@pytest.mark.parametrize(
    ("text", "plain"),
    [
        ("<!here> <!subteam^S1|@potters>", "@here @potters"),
        ("<@U7|dee> and <@U8>", "@dee and @U8"),
        ("<mailto:ana@kiln.example|ana@kiln.example>", "ana@kiln.example"),
        ("<https://kiln.example>", "https://kiln.example"),
        ("<!date^1767348000^{date}|2 January>", "2 January"),
        ("a &amp;lt; b", "a &lt; b"),
        ("<#C1>", "#kiln"),
    ],
)
def test_marks_are_written_out(tmp_path: Path, text: str, plain: str) -> None:
    write(tmp_path / "s" / "channels.json", SLACK["channels.json"])
    assert messages(one(tmp_path / "s", text=text))[0].message["content"] == plain


def test_blocks_give_the_text_that_is_missing(tmp_path: Path) -> None:
    elements = [{"type": "text", "text": "hot, "}, {"type": "user", "user_id": "U2"}]
    blocks = [{"type": "rich_text", "elements": [{"type": "rich_text_section", "elements": elements}]}]
    assert messages(one(tmp_path, text="", blocks=blocks))[0].message["content"] == "hot,  @Ben Ito"


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"subtype": "tombstone"}, "deleted"),
        ({"subtype": "channel_topic"}, "a notice (channel_topic)"),
        ({"subtype": ["odd"]}, "a notice (['odd'])"),
        ({"hidden": True}, "a notice (hidden)"),
        ({"ts": None}, "no time (ts)"),
        ({"ts": "soon"}, "no time (ts)"),
        ({"ts": "1e300"}, "no time (ts)"),
        ({"text": " "}, "no text"),
        ({"text": "a\0b"}, "it holds a NUL character"),
    ],
)
def test_what_is_left_out(tmp_path: Path, changes: dict[str, object], reason: str) -> None:
    assert skipped(one(tmp_path, **changes)) == [("2026-01-02.json: [0]", reason)]


def test_a_thread_that_got_replies_keeps_its_first_message(tmp_path: Path) -> None:
    first = messages(one(tmp_path / "a"))[0]
    later = messages(one(tmp_path / "b", thread_ts="1767348000.000200", reply_count=2))[0]
    assert (first.run_id, first.message) == (later.run_id, later.message)


def test_direct_talks_are_called_by_their_people(tmp_path: Path) -> None:
    write(tmp_path / "users.json", SLACK["users.json"])
    write(tmp_path / "dms.json", [{"id": "D1", "members": ["U1", "U2"]}])
    write(tmp_path / "D1" / "2026-01-02.json", [message()])
    (found,) = messages(tmp_path)
    assert found.message["metadata"] == {"channel": "Ana, Ben Ito"}
    assert (found.run_id, found.message["id"]) == ("D1/2026-01-02", "D1:1767348000.000200")


def test_a_broken_day_is_named(tmp_path: Path) -> None:
    one(tmp_path)
    write(tmp_path / "kiln" / "2026-01-03.json", '[{"ts": "1",\n "text": }]')
    with pytest.raises(InvalidInput, match=r"kiln/2026-01-03\.json:2: not JSON"):
        read(tmp_path)
