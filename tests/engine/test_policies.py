"""What a policy derives: commits, conflicts, jobs that survive anything, state, tending, undo."""

from __future__ import annotations

import asyncio
import threading
from typing import Any

import pytest

from engine.conftest import Open
from engine.helpers import Broken, Counting, Digest, Facts, ScriptedModel, Ticking, down
from engram import AsyncMemory, Conflict, Memory, NotFound
from engram.kernel.changes import Add, Changes
from engram.kernel.policy import Query, Recall
from engram.kernel.protocols import Select


def facts(memory: Memory, user: str = "u", **asked: Any) -> dict[str, str]:
    found = memory.get_all(user_id=user, filters={"kind": {"ne": "episode"}, **asked})
    return {record.id: record.text for record in found}


def owed(memory: Memory) -> dict[str, int]:
    return dict(memory.stats()["jobs"])


def test_what_is_derived_names_its_sources_and_maker(open_memory: Open) -> None:
    memory = open_memory(policy=Facts())
    receipt = memory.add(["the sky is blue", "nothing here"], user_id="u", run_id="r")
    assert [item.event for item in receipt.items] == ["stored", "stored", "stored"]
    fact = memory.get(receipt.ids[2])
    assert (fact.kind, fact.level, fact.sources) == ("fact", None, (receipt.ids[0],))
    assert fact.made_by == Facts().made_by
    assert fact.scope.run_id == "r"
    hits = memory.search("sky", user_id="u", k=2)
    assert {hit.record.kind for hit in hits} == {"fact", "episode"}
    assert owed(memory) == {"pending": 0, "parked": 0}


def test_a_fact_over_two_runs_belongs_to_neither(open_memory: Open) -> None:
    memory = open_memory(policy=Facts())
    memory.add("the sky is blue", user_id="u", run_id="one")
    receipt = memory.add("the sky is blue", user_id="u", run_id="two")
    assert [item.event for item in receipt.items] == ["stored", "superseded"]
    assert len(facts(memory)) == 1


def test_a_changed_fact_is_current_and_the_old_one_is_history(open_memory: Open, clock: Ticking) -> None:
    memory = open_memory(policy=Facts())
    memory.add({"content": "home is Porto", "time": "2026-01-01T00:00:00Z"}, user_id="u")
    between = clock.skip(minutes=1)
    clock.skip(minutes=1)
    memory.add({"content": "home is Lisbon", "time": "2026-02-01T00:00:00Z"}, user_id="u")
    only = {"kind": "fact"}
    now = [hit.text for hit in memory.search("home", user_id="u", filters=only)]
    assert now == ["home is Lisbon"]
    was = memory.as_of(valid="2026-01-15").search("home", user_id="u", filters=only)
    assert [hit.text for hit in was] == ["home is Porto"]
    believed = memory.as_of(known=between).search("home", user_id="u", filters=only)
    assert [hit.text for hit in believed] == ["home is Porto"]
    both = memory.as_of(valid="2026-03-01", known=between).search("home", user_id="u", filters=only)
    assert [hit.text for hit in both] == ["home is Porto"]


def test_another_policys_records_stay_hidden(open_memory: Open, url: str) -> None:
    if url == "ram:":
        pytest.skip("one store must be opened twice")
    writer = open_memory(policy=Facts())
    writer.add("the sky is blue", user_id="u")
    reader = open_memory(policy="rrf")
    assert {record.kind for record in reader.get_all(user_id="u")} == {"episode"}
    assert {hit.record.kind for hit in reader.search("sky", user_id="u")} == {"episode"}


def test_infer_false_derives_nothing(open_memory: Open) -> None:
    memory = open_memory(policy=Facts())
    assert len(memory.add("the sky is blue", user_id="u", infer=False).items) == 1
    assert facts(memory) == {}


def test_a_model_out_of_reach_leaves_the_text_and_a_pending_job(open_memory: Open, clock: Ticking) -> None:
    model = ScriptedModel(down)
    memory = open_memory(policy=Digest(), model=model)
    receipt = memory.add("remember this", user_id="u")
    assert [item.event for item in receipt.items] == ["stored", "pending"]
    assert "no answer" in receipt.items[1].reason
    assert receipt.job is not None
    assert memory.search("remember", user_id="u")
    assert owed(memory) == {"pending": 1, "parked": 0}
    model.answer = lambda prompt: "S"
    clock.skip(hours=1)
    assert memory.wait()
    assert list(facts(memory).values()) == ["S: S"]
    assert memory.verify().ok


def test_a_reply_that_cannot_be_used_parks_the_job(open_memory: Open) -> None:
    class Garbled(Digest):
        async def write(self, episodes: Any) -> Any:
            from engram.kernel.effects import Ask

            await Ask("list please", list)

    model = ScriptedModel(lambda prompt: "not json")
    memory = open_memory(policy=Garbled(), model=model)
    receipt = memory.add("remember this", user_id="u")
    assert [item.event for item in receipt.items] == ["stored", "failed"]
    assert "BadReply" in receipt.items[1].reason
    assert not receipt.ok
    assert len(model.prompts) == 2
    assert "could not be used" in model.prompts[1]
    assert owed(memory) == {"pending": 0, "parked": 1}
    assert memory.wait() is False


def test_a_rerun_does_not_pay_twice(open_memory: Open, clock: Ticking) -> None:
    def fails_on_the_title(prompt: str) -> str:
        return down(prompt) if prompt.startswith("Title") else "the summary"

    model = ScriptedModel(fails_on_the_title)
    memory = open_memory(policy=Digest(), model=model)
    memory.add("remember this", user_id="u")
    assert [prompt.split()[0] for prompt in model.prompts] == ["Summarise:", "Title"]
    model.answer = lambda prompt: "T" if prompt.startswith("Title") else "another summary"
    clock.skip(hours=1)
    assert memory.wait()
    assert [prompt.split()[0] for prompt in model.prompts] == ["Summarise:", "Title", "Title"]
    assert list(facts(memory).values()) == ["T: the summary"]


def test_a_bug_in_a_policy_surfaces_and_loses_nothing(open_memory: Open) -> None:
    memory = open_memory(policy=Broken())
    with pytest.raises(ZeroDivisionError, match="a bug"):
        memory.add("remember this", user_id="u")
    assert [record.text for record in memory.get_all(user_id="u")] == ["remember this"]
    assert owed(memory) == {"pending": 0, "parked": 1}
    assert "ZeroDivisionError: a bug" in str(memory._bound.core.store.jobs()[0].error)
    healthy = memory._bound.core
    healthy.policy = Digest()
    healthy.model = ScriptedModel(lambda prompt: "S")
    assert memory.add("and this", user_id="u").ok


def test_without_a_model_the_error_says_what_to_give(open_memory: Open) -> None:
    memory = open_memory(policy=Digest())
    receipt = memory.add("remember this", user_id="u")
    assert "Memory(model=" in receipt.items[1].reason


def test_wait_false_leaves_a_job_that_another_process_finishes(open_memory: Open, url: str) -> None:
    memory = open_memory(policy=Facts())
    receipt = memory.add("the sky is blue", user_id="u", wait=False)
    assert receipt.items[-1].event == "pending"
    assert receipt.job is not None
    assert facts(memory) == {}
    other = memory if url == "ram:" else open_memory(policy=Facts())
    assert other.wait()
    assert list(facts(memory).values()) == ["the sky is blue"]


def test_an_add_finishes_what_is_owed_in_its_lane_first(open_memory: Open) -> None:
    memory = open_memory(policy=Facts())
    memory.add("the sky is blue", user_id="u", wait=False)
    memory.add("the sky is blue", user_id="other", wait=False)
    memory.add("the sky is grey", user_id="u")
    assert list(facts(memory).values()) == ["the sky is grey"]
    assert owed(memory) == {"pending": 1, "parked": 0}


def test_an_erase_during_a_model_call_cannot_be_undone_by_its_commit(open_memory: Open) -> None:
    memory = open_memory(policy=Digest(), model=ScriptedModel(lambda prompt: "S"))
    target = memory.add("secret plan", user_id="u", infer=False).ids[0]

    def erases_meanwhile(prompt: str) -> str:
        if "mixed" in prompt and prompt.startswith("Summarise"):
            for record in memory.get_all(user_id="u", filters={"text": "mixed one"}):
                memory.forget(record.id)
        return f"about {prompt}"

    memory._bound.core.model = ScriptedModel(erases_meanwhile)
    receipt = memory.add(["mixed one", "mixed two"], user_id="u")
    assert "mixed one" not in str([record.to_dict() for record in memory.get_all(user_id="u")])
    assert receipt.items
    memory.wait()
    assert "mixed one" not in str([record.to_dict() for record in memory.get_all(user_id="u")])
    assert memory.get(target).text == "secret plan"


def test_state_counters_and_randomness(open_memory: Open) -> None:
    memory = open_memory(policy=Counting(), seed=3)
    memory.add(["a", "b"], user_id="u")
    memory.add("c", user_id="u")
    rows = memory._bound.core.store.states(memory._bound.scope({"user_id": "u"}))
    assert [(row.name, row.value, row.version) for row in rows] == [("count", 3, 2)]
    notes = list(facts(memory).values())
    assert len(set(notes)) == 3
    found = memory.search("note", user_id="u", k=1)[0]
    assert memory.get(found.id).strength == pytest.approx(0.75)
    assert len(memory.history(found.id)) == 1
    view = memory.as_of(known=memory._bound.core.now())
    view.search("note", user_id="u", k=1)
    assert memory.get(found.id).strength == pytest.approx(0.75)


def test_tending_merges_and_can_be_undone(open_memory: Open) -> None:
    memory = open_memory(policy=Counting())
    memory.add(["a", "b"], user_id="u")
    before = facts(memory)
    memory.add([f"filler {index}" for index in range(4)], user_id="u", infer=False)
    receipt = memory.tend(user_id="u")
    assert sorted(item.event for item in receipt.items) == ["merged", "superseded"]
    assert len(facts(memory)) == 1
    assert len(memory.get(next(iter(facts(memory)))).sources) == 2
    undone = memory.undo(str(receipt.change_set))
    assert len(undone.items) == 2
    assert facts(memory) == before
    assert memory.verify().ok


def test_tending_stops_before_it_takes_too_much(open_memory: Open) -> None:
    memory = open_memory(policy=Counting())
    memory.add([f"x{index}" for index in range(30)], user_id="u")
    memory.forget(
        [record.id for record in memory.get_all(user_id="u", filters={"kind": "episode"})][:0] or None,
        user_id="nobody",
    )
    before = facts(memory)

    class Greedy(Counting):
        async def tend(self, scope: Any) -> Any:
            from engram.kernel.changes import Changes, Retire
            from engram.kernel.effects import Find

            hits = await Find("note", k=100)
            return Changes(
                tuple(Retire(h.id, h.record.version) for h in hits if h.record.kind == "fact")
            ) + Changes(tuple(Retire(h.id, h.record.version) for h in hits if h.record.kind == "fact"))

    memory._bound.core.policy = Greedy()
    object.__setattr__(memory._bound.core.policy, "__dict__", {})
    with pytest.raises(Conflict, match="tend stopped"):
        memory.tend(user_id="u")
    assert facts(memory) == before


def test_undo_takes_an_add_back_and_refuses_what_is_built_upon(open_memory: Open) -> None:
    memory = open_memory(policy=Facts())
    receipt = memory.add("the sky is blue", user_id="u")
    with pytest.raises(Conflict, match="later change sets stand on it"):
        memory.undo(str(receipt.change_set))
    plain = memory.add("just text", user_id="u")
    with pytest.raises(NotFound):
        memory.undo(str(plain.change_set), user_id="other")
    assert memory.undo(str(plain.change_set)).items[0].id == plain.ids[0]
    with pytest.raises(NotFound):
        memory.get(plain.ids[0])
    with pytest.raises(NotFound):
        memory.undo(999_999)


def test_undo_of_an_edit_brings_the_text_back(memory: Memory) -> None:
    id = memory.add("first", user_id="u").ids[0]
    edit = memory.edit(id, text="second")
    memory.undo(str(edit.change_set))
    assert memory.get(id).text == "first"
    assert [version.text for version in memory.history(id)] == ["first", "second", "first"]
    with pytest.raises(Conflict, match="later change sets"):
        memory.undo(str(edit.change_set))


def test_an_edit_makes_what_stood_on_it_stale_and_derives_it_again(open_memory: Open) -> None:
    memory = open_memory(policy=Facts())
    receipt = memory.add("the sky is blue", user_id="u")
    edited = memory.edit(receipt.ids[0], text="the sky is green")
    assert [item.event for item in edited.items] == ["superseded", "superseded"]
    assert facts(memory) == {}
    assert memory.wait()
    assert list(facts(memory).values()) == ["the sky is green"]


def test_a_policy_touches_only_its_own(open_memory: Open) -> None:
    class Meddler(Facts):
        async def write(self, episodes: Any) -> Any:
            from engram.kernel.changes import Changes, Revise

            return Changes.of(Revise(episodes[0].id, 1, text="rewritten"))

    memory = open_memory(policy=Meddler())
    receipt = memory.add("the sky is blue", user_id="u")
    assert "changes its own only" in receipt.items[1].reason
    assert memory.get(receipt.ids[0]).text == "the sky is blue"


def test_cancelling_an_add_leaves_a_pending_job(url: str, clock: Ticking) -> None:
    entered, leave = threading.Event(), threading.Event()

    def slow(prompt: str) -> str:
        entered.set()
        leave.wait(60)
        return "S"

    async def main() -> None:
        async with AsyncMemory(url, policy=Digest(), model=ScriptedModel(slow), clock=clock) as memory:
            task = asyncio.create_task(memory.add("remember this", user_id="u"))
            await asyncio.to_thread(entered.wait, 60)
            task.cancel()
            leave.set()
            with pytest.raises(asyncio.CancelledError):
                await task
            assert (await memory.stats())["jobs"] == {"pending": 1, "parked": 0}
            assert len(await memory.get_all(user_id="u")) == 1
            assert await memory.wait()
            assert len(await memory.get_all(user_id="u")) == 2

    asyncio.run(main())


def test_the_ids_of_what_is_derived_are_the_same_in_a_rerun(open_memory: Open) -> None:
    class Twice(Digest):
        async def write(self, episodes: Any) -> Any:
            changes = await super().write(episodes)
            ids.append(changes)
            if len(ids) == 1:
                core = memory._bound.core
                held = core.store.select(Select(ids=(episodes[0].id,)))[0]
                memory.edit(held.id, metadata={"touched": True})
            return changes

    ids: list[Any] = []
    model = ScriptedModel(lambda prompt: "S")
    memory = open_memory(policy=Twice(), model=model)
    receipt = memory.add("remember this", user_id="u")
    assert [item.event for item in receipt.items] == ["stored", "stored"]
    assert len(ids) == 2
    assert len(model.prompts) == 2


def test_a_read_that_looks_deeper_reinforces_once(open_memory: Open) -> None:
    memory = open_memory(policy=Counting())
    memory.add([f"hello number {number}" for number in range(300)], user_id="u", infer=False)
    memory.search("hello", user_id="u", filters={"text": "hello number 7"})
    assert [x.strength for x in memory.get_all(user_id="u", limit=1000) if x.strength < 1] == [0.75]


def test_a_read_may_note_something_each_time(open_memory: Open) -> None:
    class Noting(Facts):
        async def read(self, query: Query) -> Recall:
            hits = (await super().read(query)).hits
            return Recall(hits, Changes.of(Add(f"asked: {query.text}", "lesson", (hits[-1].id,))))

    memory = open_memory(policy=Noting())
    memory.add("hello world", user_id="u")
    memory.search("hello", user_id="u")
    memory.search("hello you", user_id="u")
    assert sorted(facts(memory).values()) == ["asked: hello", "asked: hello you"]
    memory.as_of(known=memory.get_all(user_id="u").items[-1].known.start).search("world", user_id="u")
    assert len(facts(memory)) == 2
