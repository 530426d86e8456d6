"""What an erasure leaves of facts, of their intervals, and of what is derived at the same moment."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from engine.conftest import Open
from engine.helpers import Counting, Facts, Ticking
from engram import Memory
from engram.kernel.changes import Changes, SetState
from engram.kernel.effects import Read
from engram.kernel.protocols import Batch, Close, Committed, Expunge, Put, Store
from engram.kernel.record import Record


def facts(memory: Memory) -> list[tuple[str, bool]]:
    found = memory.get_all(user_id="u", filters={"kind": "fact"})
    return [(record.text, record.valid.end is None) for record in found]


def test_a_fact_that_was_closed_does_not_come_back(open_memory: Open) -> None:
    memory = open_memory(policy=Facts())
    said = memory.add("home is Porto", user_id="u")
    memory.add("home is Porto", user_id="u")
    fact, core = memory.get(said.ids[1]), memory._bound.core
    core.store.commit(Batch((Close(fact.id, fact.version, core.now()),)))
    memory.forget(said.ids[0])
    assert facts(memory) == []


def test_a_fact_that_stays_keeps_when_it_was_known(open_memory: Open, clock: Ticking) -> None:
    memory = open_memory(policy=Facts())
    said = memory.add("home is Porto", user_id="u")
    memory.add("home is Porto", user_id="u")
    then = clock.skip(minutes=1)
    clock.skip(minutes=1)
    memory.forget(said.ids[0])
    seen = memory.as_of(known=then).get_all(user_id="u", filters={"kind": "fact"})
    assert [record.text for record in seen] == ["home is Porto"]


def test_the_interval_opens_again_where_a_source_goes_with_the_cause(open_memory: Open) -> None:
    memory = open_memory(policy=Facts())
    first = memory.add("home is Porto", user_id="u")
    memory.add("home is Porto", user_id="u")
    cause = memory.add("home is Lisbon", user_id="u")
    memory.forget([first.ids[0], cause.ids[0]])
    assert facts(memory) == [("home is Porto", True)]
    assert memory.verify().ok


def test_the_interval_stays_closed_while_another_cause_stands(open_memory: Open) -> None:
    memory = open_memory(policy=Facts())
    old = memory.add("home is Porto", user_id="u").ids[1]
    one = memory.add("home is Lisbon", user_id="u")
    other = memory.add("home is Rome", user_id="u")
    memory.forget(other.ids[0])
    assert memory.get(old).valid.end is not None
    memory.forget(one.ids[0])
    assert memory.get(old).valid.end is None


@dataclass
class Meddling:
    """A store where something is derived from a record just before that record is erased."""

    inner: Store
    meddle: Any

    def commit(self, batch: Batch) -> Committed:
        """As the store's, but first the meddling."""
        if any(isinstance(op, Expunge) for op in batch.ops) and self.meddle is not None:
            meddle, self.meddle = self.meddle, None
            meddle()
        return self.inner.commit(batch)

    def __getattr__(self, name: str) -> Any:
        return getattr(self.inner, name)


def test_what_is_derived_while_its_source_is_erased_goes_too(open_memory: Open) -> None:
    memory = open_memory(policy=Facts())
    said = memory.add("home is Porto", user_id="u")
    fact, core = memory.get(said.ids[1]), memory._bound.core
    inner: Any = core.store

    def derive() -> None:
        late = replace(fact, id="late", text="home is a secret")
        inner.commit(Batch((Put(late),)))

    core.store = Meddling(inner, derive)
    receipt = memory.forget(said.ids[0])
    assert {item.id for item in receipt.items} == {*said.ids, "late"}
    assert memory.get_all(user_id="u").items == ()
    assert memory.verify().ok


def test_tending_several_lanes_is_one_change_set(open_memory: Open) -> None:
    memory = open_memory(policy=Counting())
    for user in ("a", "b"):
        memory.add([f"hello {number}" for number in range(3)], user_id=user)
    tended = memory.tend()
    assert tended.purge is None
    assert tended.change_set is not None
    left = [len(memory.get_all(user_id=user, filters={"kind": "fact"})) for user in ("a", "b")]
    assert left == [1, 1]
    memory.undo(tended.change_set)
    left = [len(memory.get_all(user_id=user, filters={"kind": "fact"})) for user in ("a", "b")]
    assert left == [3, 3]


def test_a_state_made_from_a_session_goes_with_any_of_its_turns(open_memory: Open) -> None:
    class Sessions(Counting):
        async def write(self, episodes: Sequence[Record]) -> Changes:
            first = episodes[0].id
            views = await Read((f"s~{first}~{episodes[-1].id}",))
            return Changes.of(SetState("session", views[0].text))

    memory = open_memory(policy=Sessions())
    ids = memory.add(["a secret", "in the middle", "at the end"], user_id="u").ids
    store, scope = memory._bound.core.store, memory._bound.scope({"user_id": "u"})
    assert len(store.states(scope)) == 1
    memory.forget(ids[1])
    assert store.states(scope) == []
