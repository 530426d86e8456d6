"""The policy `memgpt` with a scripted model: its calls, its queue and flushes, what its memory holds then."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from engine.conftest import Open
from engine.helpers import Ticking
from engine.replies import held, reasons, say
from engine.summing import calling, part
from engram import Memory, Record
from engram.kernel.chat import ChatRequest
from engram.kernel.errors import ConfigError, ModelUnavailable
from engram.operators.summaries.pressure import Window
from engram.operators.summaries.sizes import AROUND, shortened, tokens
from engram.policies.memgpt import MemGPT
from engram.testing.builders import a_record
from engram.testing.doubles import ScriptedModel

Scripted = Callable[..., tuple[Memory, ScriptedModel]]
NOTHING: dict[str, Any] = {"calls": []}


def call(action: str, **fields: Any) -> dict[str, Any]:
    return {"action": action, **fields}


def calls(*made: dict[str, Any], heartbeat: bool = False) -> dict[str, Any]:
    return {"calls": list(made), "heartbeat": heartbeat}


@pytest.fixture
def scripted(open_memory: Open) -> Scripted:
    def open_one(*script: Any, **parameters: Any) -> tuple[Memory, ScriptedModel]:
        model = ScriptedModel(script[0] if callable(script[0]) else script)
        return open_memory(policy=MemGPT(**parameters), model=model), model

    return open_one


def lines(memory: Memory, block: str = "human") -> list[str]:
    return [record.text for record in records(memory, block)]


def records(memory: Memory, block: str) -> list[Record]:
    return [record for record in held(memory, kind="core") if record.metadata["block"] == block]


def number(count: int, words: int = 97) -> str:
    """A message of about 100 tokens that names its number."""
    return f"Message {count:04}: " + "word " * (4 * words // 5)


def test_the_model_edits_the_blocks_by_calls_step_by_step(scripted: Scripted) -> None:
    memory, model = scripted(
        calls(
            call("append", block="human", content="Birthday is February 7"),
            call("append", block="human", content="Boyfriend named James"),
            call("append", block="persona", content="Cheerful, speaks to Ana by name"),
        ),
        NOTHING,
        calls(
            call("replace", block="human", old="Boyfriend named James", content="Ex-boyfriend named James")
        ),
        calls(call("replace", block="human", old="February 7", content="February 17")),
        calls(call("replace", block="human", old="Ex-boyfriend named James", content="")),
    )
    first = say(memory, "My boyfriend James baked me a cake: it is my birthday, February 7!", "2026-02-07")
    assert lines(memory) == ["Birthday is February 7", "Boyfriend named James"]
    assert lines(memory, "persona") == ["Cheerful, speaks to Ana by name"]
    assert {record.sources for record in records(memory, "human")} == {(first.ids[0],)}
    say(memory, "We went to a fair.", "2026-02-08")
    say(memory, "James and I broke up.", "2026-02-14")
    assert lines(memory) == ["Birthday is February 7", "Ex-boyfriend named James"]
    assert [item["lines"] for item in part(model.asked[2], "The working context")] == [
        ["Cheerful, speaks to Ana by name"],
        ["Birthday is February 7", "Boyfriend named James"],
    ]
    assert [item["text"] for item in part(model.asked[2], "Earlier messages in the queue")] == [
        "My boyfriend James baked me a cake: it is my birthday, February 7!",
        "We went to a fair.",
    ]
    assert [item["text"] for item in part(model.asked[2], "New messages")] == ["James and I broke up."]
    say(memory, "It is the 17th, by the way.", "2026-02-15")
    assert lines(memory) == ["Birthday is February 17", "Ex-boyfriend named James"]
    birthday = records(memory, "human")[0]
    versions = [item.text for item in memory.history(birthday.id, user_id="ana")]
    assert versions == ["Birthday is February 7", "Birthday is February 17"]
    say(memory, "Never mention him.", "2026-02-16")
    assert lines(memory) == ["Birthday is February 17"]
    assert memory.verify().problems == ()


def test_a_replaced_line_is_there_again_without_what_replaced_it(scripted: Scripted) -> None:
    memory, _ = scripted(
        calls(call("append", block="human", content="Boyfriend named James")),
        calls(call("replace", block="human", old="Boyfriend named James", content="Single now")),
    )
    say(memory, "James is my boyfriend.", "2026-02-07")
    parted = say(memory, "We broke up. Single now.", "2026-02-14")
    assert lines(memory) == ["Single now"]
    memory.forget([parted.ids[0]], user_id="ana")
    assert lines(memory) == ["Boyfriend named James"]
    assert memory.verify().problems == ()


def test_searches_give_pages_and_a_failed_call_another_step(scripted: Scripted) -> None:
    memory, model = scripted(
        *[calls(call("archive", content=f"Ana was in Lisbon in {2000 + count}")) for count in range(7)],
        calls(
            call("search_archive", query="Lisbon"),
            call("search_recall", query="Lisbon", page=1),
            heartbeat=True,
        ),
        calls(call("replace", block="human", old="Porto", content="Lisbon")),
        calls(call("append", block="humans", content="Lives in Lisbon")),
        calls(call("append", block="human", content="Lives in Lisbon")),
    )
    for count in range(7):
        say(memory, f"I was in Lisbon in {2000 + count}.", f"2026-01-0{count + 1}")
    receipt = say(memory, "I live in Lisbon.", "2026-02-01")
    assert receipt.usage["model_calls"] == 4
    archive, recall = (item["gave"] for item in part(model.asked[8], "What your calls gave"))
    assert (len(archive), len(recall)) == (5, 2)
    assert all("Ana was in Lisbon in 200" in item for item in archive)
    assert "no line of that block" in model.asked[9]
    assert "there is no block 'humans'" in model.asked[10]
    assert lines(memory) == ["Lives in Lisbon"]
    assert len([record for record in held(memory) if record.metadata["archival"]]) == 7


def test_steps_are_bounded_and_a_full_block_takes_no_more(scripted: Scripted) -> None:
    memory, model = scripted(
        lambda request: calls(call("append", block="human", content="Likes " + "very " * 20), heartbeat=True),
        steps=3,
        limit=150,
    )
    assert say(memory, "I like it very much.").usage["model_calls"] == len(model.asked) == 3
    assert len(lines(memory)) == 1
    longer, asked = scripted(calls(call("append", block="human", content="x " * 100)), NOTHING, limit=150)
    say(longer, "x", user="ben")
    assert "the block is full (150 characters)" in asked.asked[1]


def test_a_part_that_comes_often_is_replaced_only_where_all_of_it_fits(scripted: Scripted) -> None:
    memory, model = scripted(
        calls(call("append", block="human", content="a b a b a b")),
        calls(call("replace", block="human", old="a", content="x" * 60)),
        NOTHING,
        limit=150,
    )
    say(memory, "a b a b a b")
    say(memory, "x" * 60)
    assert lines(memory) == ["a b a b a b"]
    assert "the block would be too long (150 characters)" in model.asked[2]


def test_a_warning_at_70_percent_and_a_flush_at_100_into_a_recursive_summary(scripted: Scripted) -> None:
    def reply(request: ChatRequest) -> Any:
        if "What do you call?" in request.messages[-1].text:
            return NOTHING
        new = part(request.messages[-1].text, "What is new")
        return {"summary": f"{len(new)} messages, the last of them {new[-1]['text'][:12]}."}

    memory, model = scripted(reply, window=1000)
    usage = [say(memory, number(count), f"2026-01-{count + 1:02}").usage for count in range(16)]
    empty = tokens('{"block": "persona", "characters": "0 of 2000", "lines": []}\n' * 2) - 1
    size = tokens(number(0)) + AROUND
    warned = [count for count, prompt in enumerate(model.asked) if "Memory pressure" in prompt]
    first = next(n for n in range(20) if empty + n * size > 700) - 1
    assert warned[0] == first
    flushed = [n for n, used in enumerate(usage) if used["model_calls"] == 2]
    assert flushed[0] == next(n for n in range(20) if empty + n * size > 1000) - 1
    assert {used["model_calls"] for used in usage} == {1, 2}
    gone = next(n for n in range(20) if n * tokens(number(0)) >= 500)
    (summary,) = records(memory, "summary")
    assert summary.metadata["turns"] == gone * len(flushed)
    questions = [prompt for prompt in model.asked if "Bring the summary up to date" in prompt]
    assert [len(part(prompt, "What is new")) for prompt in questions] == [gone] * len(flushed)
    assert part(questions[1], "The summary so far") == [
        {"summary": f"{gone} messages, the last of them Message {gone - 1:04}."}
    ]
    before = memory.get(summary.sources[0], user_id="ana")
    assert before.text == f"{gone} messages, the last of them Message {gone - 1:04}."
    assert before.valid.end is not None
    queue = part(model.asked[-1], "Earlier messages in the queue")
    assert len(queue) == 15 - gone * len(flushed)
    found = memory.search("Message 0000", user_id="ana")
    assert any(hit.text.startswith("Message 0000") for hit in found)


def test_a_window_says_when_and_how_much_by_the_papers_shares() -> None:
    window = Window(8192)
    assert (window.pressed(5734), window.pressed(5735)) == (False, True)
    assert (window.full(8192), window.full(8193)) == (False, True)
    queue = [a_record("x" * 400)] * 100
    assert window.front(queue) == 41  # 41 * 100 tokens are the first to reach 4,096
    assert window.front(queue[:3]) == 2
    assert window.front(queue[:1]) == 1
    assert window.front(queue[:10]) == 7
    assert [tokens(text) for text in ("", "a", "abcd", "abcde", "里斯本的茶")] == [0, 1, 1, 2, 4]
    assert tokens(shortened("word " * 1000, 60)) <= 60
    assert shortened("x" * 1000, 10).startswith("xx")


def test_asked_under_pressure_alone_it_takes_nothing_before(scripted: Scripted) -> None:
    memory, model = scripted(calling, window=1000, asks="pressure")
    usage = [say(memory, number(count), f"2026-01-{count + 1:02}").usage for count in range(7)]
    assert [bool(used) for used in usage] == [False] * 5 + [True, False]
    assert ["Memory pressure" in prompt for prompt in model.asked] == [True]


def test_one_add_of_many_is_read_in_parts_and_flushed_as_it_goes(scripted: Scripted) -> None:
    memory, model = scripted(calling, window=1000)
    turns = [{"content": number(count), "time": f"2026-01-01T10:{count:02}:00Z"} for count in range(40)]
    receipt = memory.add(turns, user_id="ana")
    events = [prompt for prompt in model.asked if "What do you call?" in prompt]
    assert [item["text"][:12] for prompt in events for item in part(prompt, "New messages")] == [
        f"Message {count:04}" for count in range(40)
    ]
    assert receipt.usage["model_calls"] == len(model.asked)
    assert max(map(tokens, model.asked)) < 3_000
    assert len(records(memory, "summary")) == 1
    assert receipt.ok


def test_a_context_holds_blocks_summary_and_the_last_messages(scripted: Scripted) -> None:
    memory, _ = scripted(calling, window=1000)
    for count in range(12):
        say(memory, number(count), f"2026-01-{count + 1:02}")
    text = memory.context("What is there of Message 0003?", user_id="ana", budget=3000).text
    assert "human (always shown): Ana said: Message 0000" in text
    assert "summary (always shown): Message 0000" in text
    assert all(f"Ana: Message {count:04}" in text for count in (9, 10, 11))
    assert "Ana: Message 0003" in text
    answered = memory.context("nothing of the kind", user_id="ana", filters={"role": "assistant"}).text
    assert "Ana: Message 0011" not in answered


def test_erasing_a_message_takes_what_stands_on_it_and_opens_the_summary_before(scripted: Scripted) -> None:
    memory, model = scripted(calling, window=1000)
    receipts = [say(memory, number(count), f"2026-01-{count + 1:02}") for count in range(18)]
    (summary,) = records(memory, "summary")
    before = memory.get(summary.sources[0], user_id="ana")
    assert before.kind == "core"
    erased = next(n for n, receipt in enumerate(receipts) if receipt.ids[0] == summary.sources[-1])
    memory.forget([receipts[erased].ids[0]], user_id="ana")
    assert memory.wait()
    (now,) = records(memory, "summary")
    assert now.id == before.id or before.id in now.sources
    word = f"Message {erased:04}"
    assert not any(word in item.text for item in memory.get_all(user_id="ana", limit=1000))
    assert any("Message 0000" in item.text for item in records(memory, "human"))
    memory.forget([receipts[0].ids[0]], user_id="ana")
    assert memory.wait()
    assert not any("Message 0000" in item.text for item in memory.get_all(user_id="ana", limit=1000))
    assert "Message 0001" in records(memory, "summary")[0].text
    assert memory.verify().problems == ()
    assert model.asked


def test_everyone_has_a_context_of_their_own(scripted: Scripted) -> None:
    memory, model = scripted(calling)
    say(memory, "One.", user="ana")
    memory.add("Two.", user_id="ana", agent_id="bot")
    say(memory, "Three.", user="ben")
    assert not any("One." in prompt for prompt in model.asked[1:])
    assert not any("Two." in prompt for prompt in model.asked[2:])


def test_what_the_owner_gives_as_a_block_is_shown_and_not_rewritten(scripted: Scripted) -> None:
    memory, model = scripted(calls(call("replace", block="persona", old="Dry", content="Warm")), NOTHING)
    memory.add("Dry, exact.", user_id="ana", kind="core", metadata={"block": "persona"})
    say(memory, "Be warm.")
    assert "Dry, exact." in model.asked[0]
    assert "given by the memory's owner" in model.asked[1]
    assert lines(memory, "persona") == ["Dry, exact."]


def test_without_a_model_the_queue_is_flushed_by_rule_and_the_receipt_says_so(open_memory: Open) -> None:
    memory = open_memory(policy=MemGPT(window=1000))
    assert reasons(say(memory, "I live in Porto. It rains.", "2026-01-01")) == [
        "by rules: no model is configured"
    ]
    say(memory, "I moved to Oslo.", "2026-01-02")
    assert lines(memory) == ["Ana lives in Oslo"]
    said = [
        say(
            memory,
            f"The river number {count} was high, and no boat could sail. " * 6,
            f"2026-02-{count + 1:02}",
        )
        for count in range(14)
    ]
    (flushed,) = [item for receipt in said for item in reasons(receipt)]
    assert flushed.endswith("messages left the queue; by rules: no model is configured")
    assert "no boat could sail" in records(memory, "summary")[0].text
    assert [record.text for record in held(memory, kind="fact")] == []


def test_a_model_that_never_answers_leaves_the_job_pending(open_memory: Open, clock: Ticking) -> None:
    append = calls(call("append", block="human", content="Has a cat"))
    memory = open_memory(policy="memgpt", model=ScriptedModel([ModelUnavailable("timed out"), append]))
    receipt = say(memory, "I found a cat.")
    assert (receipt.items[-1].event, lines(memory)) == ("pending", [])
    clock.skip(hours=1)
    memory.wait()
    assert lines(memory) == ["Has a cat"]


def test_a_turn_of_the_future_and_one_that_comes_late_do_no_harm(scripted: Scripted) -> None:
    memory, model = scripted(calling, window=1000)
    say(memory, "From a broken clock.", "2999-12-31")
    for count in range(14):
        say(memory, number(count), f"2026-01-{count + 1:02}")
    late = say(memory, "This was long ago.", "2025-01-01")
    assert "This was long ago." in model.asked[-1]
    assert any("This was long ago." in record.text for record in held(memory))
    assert late.ok
    say(memory, "And now?", "2026-02-01")
    assert not any(
        "long ago" in item["text"] for item in part(model.asked[-1], "Earlier messages in the queue")
    )
    assert memory.verify().problems == ()


@pytest.mark.parametrize(
    "wrong",
    [{"warning": 0.9, "flush": 0.8}, {"window": 10}, {"asks": "never"}, {"evict": 1.0}, {"steps": 0}],
)
def test_parameters_that_make_no_sense_are_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(ConfigError, match="memgpt: "):
        MemGPT(**wrong)


def test_turns_of_one_moment_leave_the_queue_once(scripted: Scripted) -> None:
    memory, model = scripted(calling, window=1000)
    for count in range(24):
        say(memory, number(count))
    flushed = [prompt for prompt in model.asked if "Bring the summary up to date" in prompt]
    gone = [item["text"][:12] for prompt in flushed for item in part(prompt, "What is new")]
    assert gone == [f"Message {count:04}" for count in range(len(gone))]
    assert records(memory, "summary")[0].metadata["turns"] == len(gone) > 10
