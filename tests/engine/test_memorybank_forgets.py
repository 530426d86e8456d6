"""Forgetting in `memorybank`: the curve as the store has it, what is hidden, and what brings it back."""

from __future__ import annotations

import json
import math
import random
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timedelta
from pathlib import Path

import pytest

from engine.conftest import Open
from engine.helpers import START, Ticking
from engine.replies import held
from engram import Memory
from engram.kernel.protocols import SelectEdges
from engram.kernel.record import Edge
from engram.operators.forgetting import RECALLED, retention
from engram.policies.memorybank import MemoryBank

TOPICS: tuple[str, ...] = ("harpsichord", "glacier", "lighthouse", "beetroot", "telescope", "marmalade")


def about(topic: str) -> str:
    return f"{topic.capitalize()} {topic}."


def marks(memory: Memory) -> dict[str, Edge]:
    """The edges that keep S and the last recall, by memory."""
    found = memory._bound.core.store.edges(SelectEdges(types=(RECALLED,)))
    assert len(found) == len({edge.source for edge in found})
    return {edge.source: edge for edge in found}


class Still(Ticking):
    """A clock that moves when it is told to: no second between reckoning and looking."""

    def __call__(self) -> datetime:
        return self.now


def test_the_curve_over_months_as_the_store_has_it_is_the_formula_within_a_millionth(tmp_path: Path) -> None:
    """Six memories, recalled at random over 200 days, the file opened anew each time: R = e^(-t/S)."""
    url, clock, draw = f"sqlite:///{tmp_path / 'm.db'}", Still(), random.Random(7)
    policy = MemoryBank(forget="never", recalled=1)
    with Memory(url, policy=policy, clock=clock) as memory:
        id_of = {topic: memory.add(about(topic), user_id="u").ids[0] for topic in TOPICS}
    strength, since = dict.fromkeys(TOPICS, 1), dict.fromkeys(TOPICS, clock.now)
    rounds = 0
    while clock.now < START + timedelta(days=200):
        clock.skip(hours=draw.uniform(20, 300))
        rounds += 1
        with Memory(url, policy=policy, clock=clock) as memory:
            for topic in draw.sample(TOPICS, 2):
                assert memory.search(about(topic), user_id="u", k=1)[0].id == id_of[topic]
                strength[topic], since[topic] = strength[topic] + 1, clock.now
                clock.skip(hours=draw.uniform(0, 40))
            memory.tend(user_id="u")
        with Memory(url, policy=policy, clock=clock) as memory:
            kept = marks(memory)
            for topic, id in id_of.items():
                days = (clock.now - since[topic]) / timedelta(days=1)
                formula = math.exp(-days / strength[topic])
                assert abs(memory.get(id, user_id="u").strength - formula) <= 1e-6
                assert id not in kept or kept[id].weight == strength[topic]
                assert id not in kept or kept[id].valid.start == since[topic]
    assert rounds > 20
    assert max(strength.values()) > 8


def test_what_is_forgotten_is_hidden_and_nothing_is_lost(
    open_memory: Open, clock: Ticking, tmp_path: Path
) -> None:
    memory = open_memory(policy="memorybank")
    kept, gone = (memory.add(about(topic), user_id="u").ids[0] for topic in TOPICS[:2])
    for _ in range(4):
        clock.skip(days=3)
        assert memory.search(about(TOPICS[0]), user_id="u", k=1)[0].id == kept
    found = [hit.id for hit in memory.search(about(TOPICS[1]), user_id="u")]
    assert kept in found
    assert gone not in found
    assert memory.get(gone, user_id="u").text == about(TOPICS[1])
    assert {kept, gone} <= {record.id for record in memory.get_all(user_id="u")}
    faded = memory.get_all(user_id="u", filters={"strength": {"lt": 0.01}}).items
    assert [record.id for record in faded if record.kind == "episode"] == [gone]
    memory.export(str(tmp_path / "out.jsonl"), user_id="u")
    lines = [json.loads(line) for line in (tmp_path / "out.jsonl").read_text().splitlines()]
    assert gone in [line.get("id") for line in lines]
    past = memory.as_of(known=clock()).search(about(TOPICS[1]), user_id="u", k=1)
    assert [hit.id for hit in past] == [gone]
    assert memory.verify().problems == ()


def test_forgetting_is_taken_back_by_recalling_without_it(tmp_path: Path, clock: Ticking) -> None:
    url = f"sqlite:///{tmp_path / 'm.db'}"
    with Memory(url, policy="memorybank", clock=clock) as memory:
        memory.add(about("glacier"), user_id="u")
        clock.skip(days=9)
        assert memory.search("glacier", user_id="u") == []
        memory.tend(user_id="u")
        assert [hit.record.kind for hit in memory.search("glacier", user_id="u")] == ["summary"]
    with Memory(url, policy=MemoryBank(forget="never"), clock=clock) as memory:
        assert len(memory.search("glacier", user_id="u")) == 2
    with Memory(url, policy="memorybank", clock=clock) as memory:
        assert len(memory.search("glacier", user_id="u")) == 2
        clock.skip(days=8)
        assert len(memory.search("glacier", user_id="u")) == 2


def test_a_recall_counts_for_the_first_hits_alone_and_adds_one_edge_a_memory(open_memory: Open) -> None:
    memory = open_memory(policy=MemoryBank(recalled=2))
    for topic in TOPICS:
        memory.add(about(topic), user_id="u")
    first: list[str] = []
    for count in range(1, 10):
        first = [hit.id for hit in memory.search("glacier lighthouse", user_id="u", k=5)][:2]
        assert {id: mark.weight for id, mark in marks(memory).items()} == dict.fromkeys(first, 1 + count)
    assert memory.search("glacier", user_id="u", k=1)
    memory.forget([first[0]], user_id="u")
    assert first[0] not in marks(memory)


def test_a_view_forgets_nothing_and_writes_nothing(open_memory: Open, clock: Ticking) -> None:
    memory = open_memory(policy="memorybank")
    memory.add(about("glacier"), user_id="u")
    clock.skip(days=30)
    before = memory._bound.core.store.sequence()
    assert len(memory.as_of(known=clock()).search("glacier", user_id="u")) == 1
    assert memory._bound.core.store.sequence() == before
    assert memory.search("glacier", user_id="u") == []
    assert marks(memory) == {}


def test_a_search_marks_what_it_finds_forgotten_so_that_the_next_need_not_look(
    open_memory: Open, clock: Ticking
) -> None:
    memory = open_memory(policy="memorybank")
    memory.add([f"Glacier number {n}." for n in range(60)], user_id="u")
    clock.skip(days=20)
    memory.add("A new glacier was seen, far away in the north.", user_id="u")
    hits = memory.search("glacier number", user_id="u", k=3)
    assert [hit.text for hit in hits if hit.record.kind == "episode"] == [
        "A new glacier was seen, far away in the north."
    ]
    strengths = sorted(record.strength for record in held(memory, "u", "episode"))
    assert strengths[-2] < 0.01 < strengths[-1]


def test_what_is_added_today_is_new_today_whatever_its_date(open_memory: Open) -> None:
    memory = open_memory(policy="memorybank")
    memory.add({"content": about("glacier"), "time": "2019-01-01"}, user_id="u")
    assert len(memory.search("glacier", user_id="u")) == 1


def test_by_chance_a_draw_decides_at_each_tending_the_same_for_the_same_seed(clock: Ticking) -> None:
    def left(seed: int) -> list[bool]:
        now = Ticking()
        memory = Memory("ram:", policy=MemoryBank(forget="chance"), clock=now, seed=seed)
        texts = [f"Glacier number {n}." for n in range(120)]
        ids = memory.add(texts, user_id="u").ids
        now.skip(days=1)
        memory.tend(user_id="u")
        found = {hit.id for hit in memory.search("glacier", user_id="u", k=300)}
        assert {memory.get(id, user_id="u").text for id in ids} == set(texts)
        memory.close()
        return [id in found for id in ids]

    first = left(3)
    assert left(3) == first
    assert left(4) != first
    assert 0.22 < sum(first) / len(first) < 0.52  # e^-1 is 0.37


def test_many_search_at_once_and_none_fails(open_memory: Open) -> None:
    memory = open_memory(policy="memorybank")
    memory.add([about(topic) for topic in TOPICS], user_id="u")

    def search() -> int:
        return sum(len(memory.search(topic, user_id="u", k=3)) for topic in TOPICS)

    with ThreadPoolExecutor(6) as pool:
        found = [pool.submit(search) for _ in range(6)]
        assert {each.result() for each in found} == {3 * len(TOPICS)}
    assert all(2 <= mark.weight <= 37 for mark in marks(memory).values())
    assert memory.verify().problems == ()


def test_units_and_floors_are_as_they_are_set(open_memory: Open, clock: Ticking) -> None:
    memory = open_memory(policy=MemoryBank(unit=30, floor=0.5))
    memory.add(about("glacier"), user_id="u")
    clock.skip(days=20)
    (hit,) = memory.search("glacier", user_id="u", explain=True, k=1)
    assert hit.why["retention"] == pytest.approx(math.exp(-20 / 30), abs=1e-4)
    clock.skip(days=40)
    assert len(memory.search("glacier", user_id="u")) == 1
    clock.skip(days=70)
    assert memory.search("glacier", user_id="u") == []


def test_the_curve_begins_at_one_and_a_clock_that_runs_back_does_no_harm() -> None:
    assert retention(0, 1) == retention(-5, 1) == 1.0
    assert retention(7, 7) == pytest.approx(math.exp(-1))
    assert retention(1e9, 1) == 0.0


def test_an_export_takes_along_what_was_recalled_and_when(
    open_memory: Open, clock: Ticking, tmp_path: Path
) -> None:
    memory = open_memory(policy=MemoryBank(recalled=1))
    kept = memory.add(about("glacier"), user_id="u").ids[0]
    memory.add(about("beetroot"), user_id="u")
    for _ in range(3):
        clock.skip(days=1)
        assert memory.search("glacier", user_id="u", k=1)
    memory.export(str(tmp_path / "out.jsonl"), user_id="u")
    clock.skip(days=6)
    copy = Memory("ram:", policy=MemoryBank(recalled=1), clock=clock)
    copy.import_(str(tmp_path / "out.jsonl"))
    assert marks(copy)[kept].weight == 4
    assert [hit.id for hit in copy.search("glacier and beetroot", user_id="u")] == [kept]
    copy.close()
