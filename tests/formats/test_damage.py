"""Damaged files of every kind: read as far as they are sound, or refused with the file and the line."""

import json
import re
from pathlib import Path

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from engram.formats import Incoming, Source, format_names, load_format
from engram.kernel.errors import InvalidInput
from formats.exports import archive, write
from formats.samples import (
    ANDROID,
    APOC,
    GRAPH,
    IOS,
    LETTA,
    LETTA_FLAT,
    MEM0,
    MEM0_MARKDOWN,
    NOTES,
    SLACK,
    TALK,
    THREADS,
)

FORMATS = {name: load_format(name) for name in format_names()}
SAMPLES: dict[str, tuple[str, str]] = {
    "transcript": ("talk.txt", TALK),
    "whatsapp": ("_chat.txt", IOS),
    "whatsapp-android": ("_chat.txt", ANDROID),
    "markdown": ("kiln.md", NOTES),
    "markdown-rst": ("kiln.rst", "=====\nTitle\n=====\n\nPart\n----\n\nWords.\n\nMore\n~~~~\n\nWords.\n"),
    "mem0": ("memories.json", json.dumps(MEM0, indent=1)),
    "mem0-markdown": ("mem0-export-a.md", MEM0_MARKDOWN),
    "zep": ("graph.json", json.dumps(GRAPH, indent=1)),
    "zep-threads": ("threads.json", json.dumps(THREADS, indent=1)),
    "zep-neo4j": ("graph.jsonl", APOC),
    "letta": ("helper.af", json.dumps(LETTA, indent=1)),
    "letta-flat": ("helper.af", json.dumps(LETTA_FLAT, indent=1)),
}


def refused_or_read(path: Path, format: str) -> str | None:
    """Why a file is refused; `None` where it is read. Whatever is given must be what `add` takes."""
    try:
        with Source(path) as source:
            for other in FORMATS.values():
                other.recognises(source)
            for item in FORMATS[format].read(source):
                if isinstance(item, Incoming):
                    assert item.message["id"]
                    json.dumps(dict(item.message), ensure_ascii=False, allow_nan=False).encode()
    except InvalidInput as error:
        return str(error)
    return None


@pytest.mark.parametrize("sample", SAMPLES)
@given(data=st.data())
@settings(max_examples=40)
def test_cut_short_or_with_other_bytes(
    tmp_path_factory: pytest.TempPathFactory, sample: str, data: st.DataObject
) -> None:
    name, text = SAMPLES[sample]
    content = bytearray(text.encode())
    for _ in range(data.draw(st.integers(0, 3))):
        content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
    length = data.draw(st.just(len(content)) | st.integers(0, len(content)))
    path = write(tmp_path_factory.getbasetemp() / "damaged" / name, bytes(content[:length]))
    reason = refused_or_read(path, sample.partition("-")[0])
    assert reason is None or re.search(rf"{re.escape(name)}(:\d+)?: ", reason)


WORDS = st.sampled_from(
    [
        "Ana",
        "hot",
        ":",
        " ",
        "\n",
        "[",
        "]",
        "-",
        "10:00",
        "2026-01-02",
        "1/2/26,",
        "9:58 PM",
        "\u200e",
        "---",
    ]
)
KEYS = re.findall(
    r"\w+",
    "uuid fact name summary content messages role created_at valid_at invalid_at id memory metadata user_id"
    " expiration_date replaced_by thread_id group_id agents blocks core_memory label value tool_calls"
    " function type text files results relations source relationship target nodes edges properties labels"
    " ts subtype user thread_ts attachments profile display_name",
)
NUMBERS = st.integers() | st.floats(allow_nan=False, allow_infinity=False)
VALUES = st.recursive(
    st.none() | st.booleans() | NUMBERS | st.text(max_size=9),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(KEYS), inner, max_size=5),
    max_leaves=15,
)


@pytest.mark.parametrize("format", ["transcript", "whatsapp", "markdown"])
@given(words=st.lists(WORDS | st.text(max_size=5), max_size=40))
@settings(max_examples=60)
def test_any_text(tmp_path_factory: pytest.TempPathFactory, format: str, words: list[str]) -> None:
    text = "".join(words).encode(errors="replace")
    path = write(tmp_path_factory.getbasetemp() / "any" / "t.txt", text)
    assert refused_or_read(path, format) is None


@pytest.mark.parametrize("format", ["mem0", "zep", "letta"])
@given(value=VALUES)
@example(value=[{"id": "m", "memory": "a", "expiration_date": "9999-12-31"}])
@example(value=[{"id": "m", "memory": "a\ud800", "created_at": 1e300, "user_id": ["x"]}])
@example(value=[{"id": "m", "memory": "a\0", "metadata": {"n": 10**400}}])
@settings(max_examples=60)
def test_any_json(tmp_path_factory: pytest.TempPathFactory, format: str, value: object) -> None:
    path = write(tmp_path_factory.getbasetemp() / "any" / "t.json", json.dumps(value))
    reason = refused_or_read(path, format)
    assert reason is None or "t.json" in reason


@given(value=VALUES)
@settings(max_examples=60)
def test_any_day_of_slack(tmp_path_factory: pytest.TempPathFactory, value: object) -> None:
    folder = tmp_path_factory.getbasetemp() / "any-slack"
    write(folder / "users.json", json.dumps([value]))
    write(folder / "channels.json", SLACK["channels.json"])
    write(folder / "kiln" / "2026-01-02.json", json.dumps([value, {"ts": "1", "text": "a", "blocks": value}]))
    assert refused_or_read(folder, "slack") is None


@given(data=st.data())
@settings(max_examples=40)
def test_a_damaged_archive(tmp_path_factory: pytest.TempPathFactory, data: st.DataObject) -> None:
    path = archive(write(tmp_path_factory.getbasetemp() / "damaged" / "slack.zip", b""), SLACK)
    content = bytearray(path.read_bytes())
    for _ in range(data.draw(st.integers(1, 3))):
        content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
    path.write_bytes(content[: data.draw(st.integers(1, len(content)))])
    reason = refused_or_read(path, "slack")
    assert reason is None or "slack.zip" in reason
