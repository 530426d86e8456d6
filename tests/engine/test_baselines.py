"""The baselines that rank by no word of the question: what was said last, nearest chunks, everything."""

from __future__ import annotations

import pytest

from engine.conftest import Open
from engram import Memory
from engram.kernel.chat import ChatRequest
from engram.kernel.errors import ConfigError, InvalidInput
from engram.policies.full_context import FullContext
from engram.testing.doubles import ScriptedModel

WORDS = ("tea", "boats", "chess", "rain", "Lisbon", "cats", "jazz", "ice", "bread", "trains")


def test_recency_is_the_last_turns_of_the_scope_newest_first(open_memory: Open) -> None:
    memory = open_memory(policy="recency")
    for run in ("one", "two"):
        memory.add([f"{run}: {word}" for word in WORDS], user_id="ana", run_id=run)
    memory.add("mine", user_id="bo")
    found = memory.search("tea", user_id="ana", k=12)
    assert [hit.text for hit in found] == [
        *(f"two: {word}" for word in reversed(WORDS)), "one: trains", "one: bread",
    ]  # fmt: skip
    assert [hit.score for hit in found[:3]] == [1.0, 1 / 2, 1 / 3]
    assert [hit.text for hit in memory.search("tea", user_id="ana", run_id="one", k=1)] == ["one: trains"]


def test_rag_gives_whole_chunks_in_order_and_no_turn_twice(open_memory: Open) -> None:
    memory = open_memory(policy="rag")
    memory.add([f"We talked about {word} for a while" for word in WORDS], user_id="ana", run_id="one")
    memory.add([f"Nothing was said of {number}" for number in range(20)], user_id="ana", run_id="two")
    found = memory.search("trains and bread", user_id="ana", k=30)
    texts = [hit.text for hit in found]
    assert len(texts) == len(set(texts))
    first = [text for text in texts if found[texts.index(text)].score == found[0].score]
    assert first == [f"We talked about {word} for a while" for word in WORDS[-len(first) :]]
    assert 4 <= len(first) <= 7
    assert [hit.text for hit in memory.search("trains and bread", user_id="ana", k=2)] == first[:2]


def test_baselines_of_an_empty_scope_find_nothing(open_memory: Open) -> None:
    for policy in ("recency", "rag", "full_context"):
        assert open_memory(policy=policy).search("anything", user_id="nobody") == []


def talked(memory: Memory, turns: int = 200) -> list[str]:
    """Two sessions, told in the wrong order; what was said, in order of time."""
    half = turns // 2
    texts = [f"Turn {number}: we talked about {WORDS[number % 10]}." for number in range(turns)]
    for first in (half, 0):
        said = [
            {
                "content": texts[first + place],
                "time": f"2024-0{1 + bool(first)}-01T{place // 60:02}:{place % 60:02}",
            }
            for place in range(half)
        ]
        memory.add(said, user_id="ana", run_id=str(first))
    return texts


def test_full_context_is_everything_in_order_of_time(open_memory: Open) -> None:
    memory = open_memory(policy="full_context")
    texts = talked(memory)
    memory.add("mine", user_id="bo")
    context = memory.context("chess", user_id="ana", k=3)
    lines = context.text.splitlines()[1:-1]
    assert [line.partition(": ")[2] for line in lines] == texts
    assert len(context.citations) == 200
    assert context.notes == ()
    assert context.tokens > 1500
    found = memory.search("chess", user_id="ana", k=4)
    assert [(hit.text, hit.score) for hit in found] == [(text, 1.0) for text in texts[:4]]


@pytest.mark.parametrize(("window", "budget"), [(900, None), (128_000, 900)])
def test_full_context_within_its_window_is_the_end_of_the_talk_without_a_gap(
    open_memory: Open, window: int, budget: int | None
) -> None:
    memory = open_memory(policy=FullContext(window=window))
    texts = talked(memory)
    context = memory.context("chess", user_id="ana", budget=budget)
    shown = [line.partition(": ")[2] for line in context.text.splitlines()[1:-1]]
    assert shown == texts[-len(shown) :]
    assert 860 < context.tokens <= 900
    assert context.notes == (f"{200 - len(shown)} earlier of 200 records had no room in 900 tokens",)


def test_full_context_shows_the_reader_everything(open_memory: Open) -> None:
    def first_and_last(request: ChatRequest) -> dict[str, object]:
        return {"cited": [1, 200], "answer": "tea, then trains", "answered": True}

    model = ScriptedModel(first_and_last)
    memory = open_memory(policy="full_context", model=model)
    texts = talked(memory)
    answer = memory.ask("What was first, and what last?", user_id="ana")
    assert all(text in model.asked[0] for text in texts)
    assert [item.number for item in answer.citations] == [1, 200]
    few = memory.ask("What was last?", user_id="ana", budget=300)
    assert texts[-1] in model.asked[1]
    assert texts[0] not in model.asked[1]
    assert any("had no room in 300 tokens" in note for note in few.notes)


def test_full_context_without_a_model_quotes_everything(open_memory: Open) -> None:
    memory = open_memory(policy="full_context")
    texts = talked(memory, 20)
    answer = memory.ask("What was first?", user_id="ana")
    assert answer.kind == "extract"
    assert [line.partition(": ")[2] for line in answer.text.splitlines()] == texts


def test_full_context_of_one_long_turn_is_its_beginning(open_memory: Open) -> None:
    memory = open_memory(policy="full_context")
    memory.add("tea " * 500, user_id="ana")
    context = memory.context("tea", user_id="ana", budget=120)
    assert 100 < context.tokens <= 120
    assert memory.context("tea", user_id="ana", budget=20).text == ""


def test_full_context_leaves_out_what_was_erased(open_memory: Open) -> None:
    memory = open_memory(policy="full_context")
    talked(memory, 20)
    gone = memory.search("first", user_id="ana", k=1)[0]
    memory.forget([gone.id], user_id="ana")
    assert len(memory.context("tea", user_id="ana").citations) == 19


def test_full_context_needs_a_window(open_memory: Open) -> None:
    with pytest.raises(ConfigError, match="window is 1 token or more"):
        FullContext(window=0)
    with pytest.raises(InvalidInput, match="budget: expected a whole number from 1"):
        open_memory(policy="full_context").context("tea", user_id="ana", budget=0)
