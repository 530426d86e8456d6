"""The baselines that rank by no word of the question: what was said last, and the nearest chunks."""

from __future__ import annotations

from engine.conftest import Open

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
    for policy in ("recency", "rag"):
        assert open_memory(policy=policy).search("anything", user_id="nobody") == []
