"""Several facts of one batch change each record once, each decision knowing of those before it."""

from dataclasses import replace
from datetime import date, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engram.kernel.changes import Add, Changes, Connect, Retire, Revise
from engram.kernel.drive import replay
from engram.kernel.effects import Facts
from engram.kernel.record import Interval, Record
from engram.operators.consolidation.ledger import Ledger
from engram.operators.consolidation.reconcile import reconcile_by_rules
from engram.operators.extraction.fact import Fact
from engram.operators.extraction.turns import Said, by_rules
from engram.testing.builders import START, a_record, day


def lives(where: str, year: int | None = None) -> Fact:
    when = None if year is None else (date(year, 1, 1), date(year, 1, 2))
    return Fact("Ana", "lives_in", where, when=when)


def known(where: str, id: str = "old", start: int = 0, version: int = 3) -> Record:
    fact = lives(where)
    return a_record(
        fact.text,
        id=id,
        kind="fact",
        version=version,
        valid=Interval(day(start)),
        metadata=fact.metadata(),
        made_by="m",
    )


def placed(ledger: Ledger, *facts: Fact, said: float = 10) -> Changes:
    for number, fact in enumerate(facts):
        ledger.place(fact, day(said + number), (f"turn {number}",))
    return ledger.changes()


def test_two_values_in_one_batch_follow_each_other() -> None:
    first, second, third = placed(Ledger([known("Rome")]), lives("Porto"), lives("Lisbon"))
    assert isinstance(first, Add)
    assert isinstance(second, Add)
    assert isinstance(third, Retire)
    assert (first.metadata["object"], first.valid_start, first.valid_end) == ("Porto", day(10), day(11))
    assert (second.metadata["object"], second.valid_start, second.valid_end) == ("Lisbon", day(11), None)
    assert (third.id, third.version, third.end) == ("old", 3, day(10))


def test_the_same_fact_forty_times_is_one_with_every_source() -> None:
    (only,) = placed(Ledger([]), *[lives("Rome")] * 40)
    assert isinstance(only, Add)
    assert only.sources == tuple(f"turn {number}" for number in range(40))


def test_a_known_fact_said_twice_is_revised_once() -> None:
    changes = placed(Ledger([known("Rome")]), lives("Rome"), lives("rome"))
    (change,) = changes
    assert isinstance(change, Revise)
    assert (change.id, change.version, change.sources) == ("old", 3, ("turn 0", "turn 1"))
    assert change.metadata is not None
    assert [source for _, source in change.metadata["said"]] == ["turn 0", "turn 1"]


@given(st.permutations(range(6)))
def test_values_come_back_within_a_batch_too(order: list[int]) -> None:
    values = ["Rome", "Porto", "Rome", "Rome", "Oslo", "Porto"]
    ledger = Ledger([])
    for number in order:
        ledger.place(lives(values[number], 2010 + number), START, (f"turn {number}",))
    adds = [change for change in ledger.changes() if isinstance(change, Add)]
    for number, value in enumerate(values):
        moment = START.replace(year=2010 + number, month=6)
        holding = [add for add in adds if moment in Interval(add.valid_start, add.valid_end)]
        assert [add.metadata["object"] for add in holding] == [value]


def test_what_is_said_again_and_then_ended_is_changed_once() -> None:
    (add, retire) = placed(Ledger([known("Rome")]), lives("Rome"), lives("Porto"))
    assert isinstance(add, Add)
    assert isinstance(retire, Retire)
    assert retire.end == day(11)


def test_rewording_keeps_what_else_is_decided() -> None:
    ledger = Ledger([known("Rome")])
    ledger.confirm("old", lives("Rome"), ("a",), "said again")
    ledger.reword("old", lives("Rome, near the Tiber"), ("b",), "more of it")
    ledger.confirm("old", lives("Rome, near the Tiber"), ("c",), "said again")
    (change,) = ledger.changes()
    assert isinstance(change, Revise)
    assert (change.text, change.sources) == ("Ana lives in Rome, near the Tiber", ("a", "b", "c"))


def test_what_is_told_in_other_words_supports_a_fact_together_with_its_own_sources() -> None:
    ledger = Ledger([replace(known("Rome"), sources=("a", "b"))])
    ledger.confirm("old", lives("Italy"), ("c",), "follows from it")
    (change,) = ledger.changes()
    assert isinstance(change, Revise)
    assert change.sources == ("c", "a", "b")


@pytest.mark.parametrize("at, ends", [(0, False), (-1, False), (5, True)])
def test_nothing_ends_before_it_began(at: int, ends: bool) -> None:
    ledger = Ledger([known("Rome")])
    assert ledger.end("old", day(at), ("turn",), "moved") is ends
    assert len(ledger.changes()) == ends


def test_what_has_ended_is_not_ended_later() -> None:
    ledger = Ledger([known("Rome")])
    assert ledger.end("old", day(5), ("turn",), "moved")
    assert not ledger.end("old", day(7), ("turn",), "moved")


def test_a_ledger_takes_no_other_changes() -> None:
    with pytest.raises(TypeError, match="Connect"):
        Ledger([])._apply([Connect("a", "b", "c")], "")


@given(st.permutations(range(6)))
def test_a_batch_in_any_order_gives_the_same_timeline(order: list[int]) -> None:
    facts = [lives(f"city {number}", 2010 + number) for number in order]
    together = Ledger([])
    for fact in facts:
        together.place(fact, START, ("turn",))
    spans = {
        add.metadata["object"]: (add.valid_start, add.valid_end)
        for add in together.changes()
        if isinstance(add, Add)
    }
    starts = {f"city {n}": START.replace(year=2010 + n, month=1, day=1) for n in range(6)}
    assert spans == {name: (start, starts.get(f"city {int(name[-1]) + 1}")) for name, start in starts.items()}


def test_reconciling_asks_once_for_each_subject_and_relation() -> None:
    turns = [
        a_record(text, id=str(number), role="user", name="Ana", time=START + timedelta(days=number))
        for number, text in enumerate(("I live in Rome.", "I moved to Porto.", "I live in Porto."))
    ]
    said = by_rules(turns)
    assert {item.fact.relation for item in said} == {"lives_in"}
    changes = replay(reconcile_by_rules(said, "why"), [(Facts("Ana", "lives_in"), [])])
    adds = [change for change in changes if isinstance(change, Add)]
    assert len(adds) == len(changes)
    assert [(add.metadata["object"], add.reason) for add in adds] == [("Rome", "why"), ("Porto", "why")]


def test_what_an_assistant_says_of_itself_is_no_fact() -> None:
    turn = a_record("I live in Rome.", role="assistant")
    assert by_rules([turn]) == []
    assert [item.fact.subject for item in by_rules([replace(turn, role="user")])] == ["User"]
    assert by_rules([replace(turn, role="user")])[0].fact.importance == 0.9
    assert Said(lives("Rome"), turn).note == ""
