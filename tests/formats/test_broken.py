"""Whatever is done to a file, it gives messages, or is refused with its place: never another error."""

import copy
import gzip
import json
from collections.abc import Callable
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engram.engine.ingest import draft
from engram.formats import Format, Incoming, Skipped, Source, detect
from engram.formats.chatgpt import ChatGPT
from engram.formats.claude import Claude
from engram.formats.conversation import Plain
from engram.formats.openai import OpenAI
from engram.kernel.errors import InvalidInput
from engram.kernel.scope import Scope
from formats.exports import CLAUDE, GPT, archive

NOW = datetime(2026, 1, 2, tzinfo=UTC)
PARTS = [{"type": "text", "text": "hot"}, {"type": "image_url", "image_url": {"url": "x"}}]
OPENAI: list[Any] = [
    {"role": "user", "content": "Grüße 🍑", "name": "Ada", "created_at": 1767348000, "metadata": {"a": [1]}},
    {"role": "assistant", "content": None, "tool_calls": [{"id": "c", "function": {"name": "f"}}]},
    {"messages": [{"role": "user", "content": PARTS}], "session_id": "t"},
]
TALK = {
    "name": "ada",
    "turns": [{"id": "1", "session": 1, "speaker": "Ada", "text": "hot", "time": "2026-01-02"}],
    "documents": [{"id": "d", "title": "Kiln", "text": "hot", "entities": ["kiln"]}],
}
SAMPLES: dict[str, Any] = {"chatgpt": GPT, "claude": CLAUDE, "openai": OPENAI, "conversation": TALK}
READERS: dict[str, Format] = {reader.name: reader for reader in (ChatGPT(), Claude(), OpenAI(), Plain())}
FORMS: dict[str, Callable[[Any], bytes]] = {
    "one line": lambda value: json.dumps(value, ensure_ascii=False).encode(),
    "lines": lambda value: json.dumps(value, indent=1).encode(),
    "utf-16": lambda value: json.dumps(value, ensure_ascii=False).encode("utf-16"),
}
WHOLE = {(name, form): write(value) for name, value in SAMPLES.items() for form, write in FORMS.items()}


def taken(path: Path, format: str) -> int:
    """How much of a file is read; every message is one that add takes or refuses by its field."""
    count = 0
    with Source(path) as source:
        detected = any(reader.recognises(source) for reader in READERS.values())
        for item in READERS[format].read(source):
            assert isinstance(item, Incoming | Skipped)
            assert str(path) in item.place
            if isinstance(item, Incoming):
                take(item)
            count += 1
    return count + detected


def take(item: Incoming) -> None:
    """What add makes of a message."""
    with suppress(InvalidInput):
        scope = Scope.of(run_id=item.run_id, user_id=item.user_id or "u")
        assert draft(item.message, scope, NOW, item.kind).record.role


def check(path: Path, format: str) -> None:
    """It is read, or refused with the path."""
    said = str(path)
    try:
        taken(path, format)
    except InvalidInput as error:
        said = str(error)
    assert str(path) in said


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("broken")


@given(st.sampled_from(sorted(WHOLE)), st.data())
def test_a_truncated_file(folder: Path, which: tuple[str, str], data: st.DataObject) -> None:
    whole = WHOLE[which]
    path = folder / "conversations.json"
    path.write_bytes(whole[: data.draw(st.integers(0, len(whole) - 1))])
    with pytest.raises(InvalidInput) as caught:
        taken(path, which[0])
    assert str(caught.value).startswith(f"{path}:"), "the line follows"


@given(st.sampled_from(sorted(WHOLE)), st.data())
def test_flipped_inserted_and_lost_bytes(folder: Path, which: tuple[str, str], data: st.DataObject) -> None:
    broken = bytearray(WHOLE[which])
    for _ in range(data.draw(st.integers(1, 3))):
        at = data.draw(st.integers(0, len(broken) - 1))
        broken[at : at + data.draw(st.integers(0, 2))] = data.draw(st.binary(max_size=2))
    path = folder / "conversations.json"
    path.write_bytes(broken)
    check(path, which[0])


def places(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """Every place in a JSON value."""
    pairs = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return [path, *(place for key, inner in pairs for place in places(inner, (*path, key)))]


ODD = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.just(10**300)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(max_size=8)
    | st.sampled_from(["\0", "\ud83d", "a\nb", " ", "user", "ask", "x" * 600, "\ue200cite\ue201"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=6,
)


@pytest.mark.parametrize("format", sorted(SAMPLES))
@given(data=st.data())
def test_any_value_where_another_belongs(folder: Path, format: str, data: st.DataObject) -> None:
    value = copy.deepcopy(SAMPLES[format])
    for _ in range(data.draw(st.integers(1, 4))):
        *before, last = data.draw(st.sampled_from([place for place in places(value) if place]))
        inner = value
        for key in before:
            inner = inner[key]
        inner[last] = data.draw(ODD)
    path = folder / "conversations.json"
    path.write_text(json.dumps(value), encoding="utf-8")
    assert taken(path, format) >= 0


@pytest.mark.parametrize("format", sorted(SAMPLES))
@given(value=ODD)
def test_any_json_at_all(folder: Path, format: str, value: Any) -> None:
    path = folder / "conversations.json"
    path.write_text(json.dumps(value), encoding="utf-8")
    assert taken(path, format) >= 0


@pytest.fixture(scope="module")
def packed(folder: Path) -> bytes:
    members = {"conversations.json": GPT, "user.json": {}, "conversations-001.json.gz": gzip.compress(b"[]")}
    return archive(folder / "whole.zip", members).read_bytes()


@given(st.data())
def test_a_damaged_archive(folder: Path, packed: bytes, data: st.DataObject) -> None:
    broken = bytearray(packed)
    for _ in range(data.draw(st.integers(1, 3))):
        at = data.draw(st.integers(0, len(broken) - 1))
        broken[at] ^= data.draw(st.integers(1, 255))
    path = folder / "broken.zip"
    path.write_bytes(broken if data.draw(st.booleans()) else broken[: data.draw(st.integers(4, len(broken)))])
    check(path, "chatgpt")


def test_the_samples_are_read_whole(folder: Path, packed: bytes) -> None:
    for (format, _), whole in WHOLE.items():
        path = folder / "conversations.json"
        path.write_bytes(whole)
        assert taken(path, format) >= 2
        with Source(path) as source:
            assert detect(source).name == format
    (folder / "fine.zip").write_bytes(packed)
    assert taken(folder / "fine.zip", "chatgpt") == 7
