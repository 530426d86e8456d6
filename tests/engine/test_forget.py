"""Erasure: it reaches versions, what was derived, jobs, states, caches, and every byte."""

from __future__ import annotations

import sqlite3
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.conftest import Open
from engine.helpers import Counting, Digest, Facts, ScriptedModel, Ticking
from engram import Memory, NotFound

CANARY = "xylograph4711"


def derived(memory: Memory) -> list[str]:
    return [record.text for record in memory.get_all(user_id="u", filters={"kind": {"ne": "episode"}})]


def bytes_left(folder: Path, word: str = CANARY) -> list[str]:
    return [
        path.name
        for path in folder.rglob("*")
        if path.is_file() and word.encode() in path.read_bytes().lower()
    ]


def test_a_dry_run_tells_and_touches_nothing(open_memory: Open) -> None:
    memory = open_memory(policy=Facts())
    receipt = memory.add("the sky is blue", user_id="u")
    plan = memory.forget(receipt.ids[0], dry_run=True)
    assert plan.dry_run
    assert [item.event for item in plan.items] == ["erased", "erased"]
    assert plan.ids == receipt.ids
    assert derived(memory) == ["the sky is blue"]


def test_what_stood_on_it_goes_and_the_receipt_holds_no_content(open_memory: Open) -> None:
    memory = open_memory(policy=Facts())
    receipt = memory.add(f"{CANARY} is blue", user_id="u")
    erased = memory.forget(receipt.ids[0], user_id="u")
    assert set(erased.ids) == set(receipt.ids)
    assert CANARY not in str(erased.to_dict())
    assert erased.purge == "done"
    assert list(memory.get_all(user_id="u")) == []
    for id in receipt.ids:
        with pytest.raises(NotFound):
            memory.history(id)
    assert memory.search(CANARY, user_id="u") == []
    assert memory.verify().ok


def test_a_fact_stays_where_another_source_says_the_same(open_memory: Open) -> None:
    memory = open_memory(policy=Facts())
    first = memory.add("the sky is blue", user_id="u").ids[0]
    second = memory.add("the sky is blue", user_id="u").ids[0]
    kept = memory.forget(first)
    assert [item.event for item in kept.items] == ["erased", "superseded"]
    assert derived(memory) == ["the sky is blue"]
    fact = memory.get_all(user_id="u", filters={"kind": "fact"}).items[0]
    assert fact.sources == (second,)
    memory.forget(second)
    assert derived(memory) == []


def test_what_stood_on_several_is_rebuilt_from_the_rest(open_memory: Open) -> None:
    memory = open_memory(policy=Digest(), model=ScriptedModel(lambda prompt: prompt.rsplit(": ", 1)[1]))
    receipt = memory.add([f"about {CANARY}", "about tea"], user_id="u")
    assert CANARY in derived(memory)[0]
    erased = memory.forget(receipt.ids[0])
    assert erased.job is not None
    assert derived(memory) == []
    assert memory.wait()
    assert derived(memory) == ["about tea: about tea"]


def test_erasing_the_cause_opens_the_interval_again(open_memory: Open) -> None:
    memory = open_memory(policy=Facts())
    memory.add("home is Porto", user_id="u")
    cause = memory.add("home is Lisbon", user_id="u").ids[0]
    assert derived(memory) == ["home is Lisbon"]
    memory.forget(cause)
    assert derived(memory) == ["home is Porto"]
    assert memory.verify().ok


def test_states_and_jobs_that_read_it_go_too(open_memory: Open) -> None:
    memory = open_memory(policy=Counting())
    id = memory.add(f"about {CANARY}", user_id="u").ids[0]
    memory.add(f"later {CANARY}", user_id="u", wait=False)
    memory.forget(id)
    store = memory._bound.core.store
    assert store.states(memory._bound.scope({"user_id": "u"})) == []
    memory.forget(user_id="u")
    assert store.jobs() == []


def test_a_scope_goes_whole_and_alone(memory: Memory) -> None:
    memory.add(["one", "two"], user_id="u", run_id="r")
    memory.add("three", user_id="u")
    memory.add("four", user_id="v")
    memory.add("five", user_id="u", tenant="t")
    assert len(memory.forget(user_id="u", run_id="r").items) == 2
    assert len(memory.forget(user_id="u").items) == 1
    assert memory.forget(user_id="u").items == ()
    assert [record.text for record in memory.get_all(everyone=True)] == ["four"]
    assert [record.text for record in memory.get_all(everyone=True, tenant="t")] == ["five"]
    with pytest.raises(NotFound):
        memory.forget(memory.get_all(everyone=True).items[0].id, user_id="u")


def test_closed_and_edited_versions_go_too(memory: Memory) -> None:
    id = memory.add("first", user_id="u").ids[0]
    memory.edit(id, text=f"second {CANARY}")
    memory.edit(id, text="third")
    gone = memory.add("taken back", user_id="u")
    memory.undo(str(gone.change_set))
    memory.forget(gone.ids[0])
    memory.forget(id)
    assert memory._bound.core.store.scopes() == []


def fill(memory: Memory) -> list[str]:
    """Put the canary word in every place that a store has."""
    ids = memory.add(
        [
            {"content": f"{CANARY} is blue", "id": f"id-{CANARY}", "metadata": {"m": CANARY}, "name": CANARY},
            {"content": None, "tool_calls": [{"id": CANARY}]},
            "long " * 3000 + CANARY,
        ],
        user_id=f"user-{CANARY}",
        run_id=CANARY,
    ).ids
    memory.edit(ids[0], text=f"{CANARY} is green")
    memory.add(f"{CANARY} is owed", user_id=f"user-{CANARY}", wait=False)
    return ids


@pytest.mark.parametrize("by", ["ids", "scope"])
def test_no_byte_is_left(tmp_path: Path, by: str) -> None:
    with Memory(f"sqlite:///{tmp_path / 'm.db'}", policy=Facts(), clock=Ticking()) as memory:
        memory.add("home is Porto", user_id="other")
        fill(memory)
        assert bytes_left(tmp_path)
        if by == "ids":
            everything = [record.id for record in memory.get_all(user_id=f"user-{CANARY}", limit=1000)]
            receipt = memory.forget(everything)
        else:
            receipt = memory.forget(user_id=f"user-{CANARY}")
        assert receipt.purge == "done"
        assert bytes_left(tmp_path) == []
        assert len(memory.get_all(user_id="other")) == 2
    assert bytes_left(tmp_path) == []


def test_an_open_reader_makes_it_pending_and_any_process_completes_it(tmp_path: Path) -> None:
    path = tmp_path / "m.db"
    with Memory(f"sqlite:///{path}", policy=Facts()) as memory:
        fill(memory)
        reader = sqlite3.connect(path, isolation_level=None)
        reader.execute("BEGIN")
        reader.execute("SELECT count(*) FROM sqlite_master").fetchone()
        assert memory.forget(user_id=f"user-{CANARY}").purge == "pending"
        assert memory.stats()["purge"] == "pending"
        reader.execute("COMMIT")
        reader.close()
        with Memory(f"sqlite:///{path}", policy=Facts()) as other:
            assert other.tend().purge in ("done", None)
            assert other.stats()["purge"] == "done"
            assert bytes_left(tmp_path) == []


@settings(max_examples=15)
@given(st.lists(st.sampled_from(["sky", "sea", CANARY]), min_size=1, max_size=6), st.data())
def test_whatever_is_forgotten_leaves_no_word_behind(subjects: list[str], data: st.DataObject) -> None:
    with Memory("ram:", policy=Facts()) as memory:
        for number, subject in enumerate(subjects):
            memory.add(f"{subject} is {number % 2}", user_id="u")
        for record in memory.get_all(user_id="u", filters={"kind": "episode"}):
            if CANARY in record.text:
                memory.forget(record.id)
        memory.wait()
        assert CANARY not in str([record.to_dict() for record in memory.get_all(user_id="u")])
        assert memory.verify().ok
