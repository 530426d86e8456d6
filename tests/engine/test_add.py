"""`add`: what is taken, what is refused, and that receipts are true."""

from __future__ import annotations

import json
from datetime import datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.conftest import Open
from engine.helpers import Facts, Ticking
from engram import ConfigError, Conflict, Forbidden, InvalidInput, Memory, NotFound


def everything(memory: Memory) -> list[str]:
    return [record.text for record in memory.get_all(everyone=True, limit=1000)]


def test_every_message_has_an_item_and_is_there(memory: Memory) -> None:
    receipt = memory.add(
        [
            "I moved to Lisbon",
            {"role": "assistant", "content": "How nice!", "id": "m2", "metadata": {"mood": "glad"}},
            {"role": "user", "name": "Ana", "content": "Yes", "time": "2026-02-01T10:00:00+01:00"},
        ],
        user_id="ana",
        run_id="one",
        metadata={"source": "chat"},
    )
    assert [item.event for item in receipt.items] == ["stored"] * 3
    assert [item.origin for item in receipt.items] == [None, "m2", None]
    first, second, third = (memory.get(id, user_id="ana") for id in receipt.ids)
    assert (first.role, first.kind, first.level, first.text) == ("user", "episode", 0, "I moved to Lisbon")
    assert dict(second.metadata) == {"source": "chat", "mood": "glad"}
    assert third.time.isoformat() == "2026-02-01T09:00:00+00:00"
    assert third.valid.start == third.time
    assert third.valid.end is None
    assert first.scope.to_dict() == {"tenant": "default", "user_id": "ana", "agent_id": None, "run_id": "one"}
    json.dumps(receipt.to_dict())


@pytest.mark.parametrize(
    "message",
    [
        "plain",
        {"role": "user", "content": "text"},
        {"content": "no role"},
        {"role": "tool", "content": "4", "tool_call_id": "c1"},
        {"role": "assistant", "content": None, "tool_calls": [{"id": "c1", "function": {"name": "f"}}]},
        {
            "role": "user",
            "content": [{"type": "text", "text": "a"}, {"type": "image_url", "image_url": {"url": "u"}}],
        },
        {
            "role": "user",
            "content": "t",
            "time": "2026-02-01T10:00:00",
            "id": "x",
            "name": "Ana",
            "metadata": {"a": 1},
        },
        {"role": "user", "content": "t", "entities": ["A"], "triples": [["A", "is", "B"]], "title": "T"},
        {"role": "user", "content": "t", "$text": True},
        {"role": "user", "content": "😀 café 你好 مرحبا"},
    ],
)
def test_the_original_comes_back_exactly(memory: Memory, message: Any) -> None:
    receipt = memory.add(message, user_id="ana")
    assert memory.get(receipt.ids[0], user_id="ana").original == message


def test_messages_without_text_are_stored_and_not_indexed(memory: Memory) -> None:
    receipt = memory.add({"role": "assistant", "content": None, "tool_calls": []}, user_id="ana")
    assert receipt.items[0].event == "stored"
    assert "not indexed" in receipt.items[0].reason
    assert memory.get(receipt.ids[0]).text == ""
    assert memory.search("tool calls", user_id="ana") == []


@pytest.mark.parametrize(
    ("messages", "complaint"),
    [
        ("", "empty"),
        ("  \n ", "empty"),
        ([], "empty"),
        (None, "expected text"),
        (7, "expected text"),
        (b"bytes", "expected text"),
        ([7], r"messages\[0\]"),
        ({"role": "user"}, "content is missing"),
        ({"role": "robot", "content": "x"}, "not one of user"),
        ({"role": "user", "content": 7}, "content: expected text"),
        ({"role": "user", "content": [{"text": "x"}]}, "a 'type'"),
        ({"role": "user", "content": "x", "tiem": "2026-01-01"}, "did you mean 'time'"),
        ({"role": "user", "content": "x", "time": "yesterday"}, "give ISO 8601"),
        ({"role": "user", "content": "x", "id": 7}, "id: expected text"),
        ({"role": "user", "content": "x", "id": ""}, "1 to 512"),
        ({"role": "user", "content": "x", "metadata": ["a"]}, "expected a mapping"),
        ({"role": "user", "content": "x", "metadata": {"a": float("nan")}}, "no JSON form"),
        ({"role": "user", "content": "x", "metadata": {"a": object()}}, "no JSON form"),
        (
            {"role": "user", "content": "x", "metadata": {"a": "b\0"}},
            r"metadata\.a: a NUL character at position 1",
        ),
        ("a\0b", "NUL character at position 1"),
        ("ab\ud800", r"lone surrogate \(U\+D800\) at position 2"),
        ("x" * (10 * 1024 * 1024 + 1), "over 10 MB"),
    ],
    ids=lambda value: repr(value)[:30],
)
def test_bad_input_is_refused_with_its_place_and_nothing_is_stored(
    memory: Memory, messages: Any, complaint: str
) -> None:
    with pytest.raises(InvalidInput, match=complaint):
        memory.add(messages, user_id="ana")
    whole = (
        [{"role": "user", "content": "good"}, messages] if not isinstance(messages, list) else [*messages, 7]
    )
    with pytest.raises(InvalidInput):
        memory.add(whole, user_id="ana")
    assert everything(memory) == []


def test_ten_megabytes_are_taken(memory: Memory) -> None:
    text = "word " * (2 * 1024 * 1024)
    receipt = memory.add(text, user_id="ana")
    assert memory.get(receipt.ids[0]).text == text
    assert memory.search("word", user_id="ana", k=1)[0].id == receipt.ids[0]


@pytest.mark.parametrize(
    "text", ["你好,我住在里斯本", "أنا أعيش في لشبونة", "🦔🦔 my pet", "Þorbjörg á Íslandi"]
)
def test_every_script_is_found_again(memory: Memory, text: str) -> None:
    memory.add(["Something else entirely", "And a third thing"], user_id="ana")
    memory.add(text, user_id="ana")
    assert memory.search(text, user_id="ana", k=1)[0].text == text


def test_the_same_id_is_a_duplicate_or_a_conflict(memory: Memory) -> None:
    message = {"role": "user", "content": "I like tea", "id": "m1"}
    first = memory.add(message, user_id="ana")
    again = memory.add([message, "and more"], user_id="ana")
    assert [item.event for item in again.items] == ["duplicate", "stored"]
    assert again.items[0].id == first.ids[0]
    assert memory.add(message, user_id="ana").change_set is None
    with pytest.raises(Conflict, match="m1"):
        memory.add(["unrelated", {**message, "content": "I like coffee"}], user_id="ana")
    assert everything(memory) == ["I like tea", "and more"]
    assert memory.add(message, user_id="bob").items[0].event == "stored"
    assert memory.add(message, user_id="ana", run_id="r").items[0].event == "stored"


def test_an_id_is_known_by_what_was_first_said_and_free_after_erasure(memory: Memory) -> None:
    message = {"role": "user", "content": "I like tea", "id": "m1"}
    id = memory.add(message, user_id="ana").ids[0]
    memory.edit(id, text="I like green tea")
    assert memory.add(message, user_id="ana").items[0].event == "duplicate"
    memory.forget(id)
    assert memory.add({**message, "content": "I like coffee"}, user_id="ana").items[0].event == "stored"


def test_equal_text_alone_is_never_a_duplicate(memory: Memory) -> None:
    assert [item.event for item in memory.add(["yes", "yes"], user_id="ana").items] == ["stored", "stored"]
    assert everything(memory) == ["yes", "yes"]


def test_without_ids_it_goes_to_the_default_user(memory: Memory) -> None:
    id = memory.add("hello").ids[0]
    assert memory.get(id).scope.user_id == "default"
    assert memory.add("in a tenant", tenant="acme").ids
    assert memory.search("tenant", tenant="acme", user_id="default")[0].text == "in a tenant"


def test_times_without_a_zone_are_utc_and_the_receipt_says_so(memory: Memory) -> None:
    item = memory.add({"content": "x", "time": "2026-02-01T10:00:00"}, user_id="a").items[0]
    assert "UTC" in item.reason
    assert memory.get(str(item.id)).time.isoformat() == "2026-02-01T10:00:00+00:00"


def test_times_may_come_out_of_order(memory: Memory) -> None:
    for day in (5, 1, 3):
        memory.add({"content": f"day {day}", "time": f"2026-01-0{day}T10:00:00Z"}, user_id="a", run_id="r")
    session = memory.search("day", user_id="a", filters={"level": 2})[0]
    assert [line.split(": ")[1] for line in session.text.splitlines()] == ["day 1", "day 3", "day 5"]


def test_other_kinds_are_stored_directly(memory: Memory) -> None:
    id = memory.add("Ana lives in Lisbon", kind="fact", infer=False, user_id="a").ids[0]
    record = memory.get(id)
    assert (record.kind, record.level) == ("fact", None)
    assert memory.search("Where does Ana live?", user_id="a", filters={"kind": "fact"})[0].id == id
    with pytest.raises(InvalidInput, match="kind: 'facts'"):
        memory.add("x", kind="facts", user_id="a")


def test_expired_records_are_found_no_more_and_erased_by_tend(memory: Memory, clock: Ticking) -> None:
    id = memory.add("the code is 4711", user_id="a", expires=clock.now.replace(hour=12)).ids[0]
    assert memory.search("code", user_id="a")[0].id == id
    clock.skip(hours=6)
    assert memory.search("code", user_id="a") == []
    assert list(memory.get_all(user_id="a")) == []
    with pytest.raises(NotFound):
        memory.get(id)
    assert [item.event for item in memory.tend().items] == ["erased"]
    with pytest.raises(NotFound):
        memory.history(id)


def test_ids_are_checked(memory: Memory) -> None:
    with pytest.raises(InvalidInput, match="user_id"):
        memory.add("x", user_id="")
    with pytest.raises(TypeError, match="user"):
        memory.add("x", user="ana")  # type: ignore[call-arg]
    with pytest.raises(Forbidden, match="everyone=True"):
        memory.search("x")
    with pytest.raises(Forbidden, match="everyone=True"):
        memory.get_all()
    with pytest.raises(Forbidden, match="everyone=True"):
        memory.forget()


def test_the_same_clock_and_seed_give_the_same_memory(open_memory: Open, url: str) -> None:
    if url != "ram:":
        pytest.skip("two fresh stores are needed; ram: opens one each time")
    exports = []
    for _ in range(2):
        memory = open_memory(clock=Ticking(), seed=7)
        memory.add(["one", {"content": "two", "id": "x"}], user_id="a")
        memory.edit(memory.add("three", user_id="b").ids[0], text="four")
        exports.append([record.to_dict() for record in memory.get_all(everyone=True)])
    assert exports[0] == exports[1]


@given(st.lists(st.text(min_size=1, max_size=60), min_size=1, max_size=5))
def test_any_text_is_taken_whole_or_refused_whole(texts: list[str]) -> None:
    with Memory("ram:", policy="rrf") as memory:
        try:
            receipt = memory.add(texts, user_id="a")
        except InvalidInput:
            assert everything(memory) == []
            return
        assert [memory.get(id).text for id in receipt.ids] == texts
        assert memory.verify().ok


def nested(depth: int) -> dict[str, Any]:
    value: dict[str, Any] = {}
    for _ in range(depth):
        value = {"a": value}
    return value


@pytest.mark.parametrize("metadata", [nested(100_000), nested(101), {"a": 10**5000}])
def test_metadata_that_json_readers_would_choke_on_is_refused(memory: Memory, metadata: Any) -> None:
    with pytest.raises(InvalidInput, match=r"metadata.*(nested over|a number of over)"):
        memory.add("x", user_id="u", metadata=metadata)
    with pytest.raises(InvalidInput, match=r"nested over|a number of over"):
        memory.add({"content": "x", "tool_calls": [metadata]}, user_id="u")
    assert memory.scopes() == []


def test_an_expiry_without_a_zone_is_utc_and_the_receipt_says_so(memory: Memory) -> None:
    receipt = memory.add("x", user_id="u", expires="2030-01-01")
    assert receipt.items[0].reason == "expires has no zone: taken as UTC"


def test_a_clock_without_a_zone_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"clock: gave a time without a zone"):
        Memory("ram:", clock=lambda: datetime(2026, 1, 1))  # noqa: DTZ001 - what is to be refused


def test_a_clock_that_goes_back_closes_no_version_before_it_opened(open_memory: Open, clock: Ticking) -> None:
    memory = open_memory(policy=Facts())
    first = memory.add("sky is blue", user_id="u")
    clock.skip(days=-30)
    memory.add("sea is blue", user_id="u")
    memory.edit(first.ids[0], text="sky is green")
    assert memory.wait()
    for id in first.ids:
        for version in memory.history(id):
            assert version.known.start is not None
            assert version.known.end is None or version.known.end >= version.known.start
    assert memory.verify().ok
