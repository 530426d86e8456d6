"""200 facts that contradict each other, in random order: what `zep` holds, on both axes, against a replay.

The oracle is a plain list of what was told. At a moment of known time it looks at what had been told by
then; the value at a moment of valid time is the one that began last before it.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import pytest

from engine.conftest import Open
from engine.helpers import Ticking
from engine.woven import edges_of
from engram import Memory
from engram.policies.zep import Zep
from engram.view import View

FIRST = datetime(2024, 1, 1, tzinfo=UTC)
THINGS = ("fruit", "colour", "city", "drink", "song", "author", "season", "flower", "cheese", "bird")
STEPS = 20
MANY = 12  # moments of known time that are looked at


@dataclass(frozen=True)
class Claim:
    """What was told: a favourite thing, from a day on; and when the memory had it."""

    thing: str
    step: int
    value: str
    known: datetime | None = None

    @property
    def begins(self) -> datetime:
        return FIRST + timedelta(days=self.step)


def claims(seed: int) -> list[Claim]:
    """Every thing's values, one a day; every seventh comes back; in random order."""
    every = [Claim(thing, step, f"Kind{step % 7}{thing}") for thing in THINGS for step in range(STEPS)]
    random.Random(seed).shuffle(every)
    assert len(every) == 200
    return every


def replayed(told: list[Claim], thing: str, valid: datetime, known: datetime | None = None) -> str | None:
    """The value of a thing, by replaying what was told."""
    heard = [claim for claim in told if claim.thing == thing and claim.begins <= valid]
    if known is not None:
        heard = [claim for claim in heard if claim.known is not None and claim.known <= known]
    return max(heard, key=lambda claim: claim.step).value if heard else None


def by_message(memory: Memory, claim: Claim) -> None:
    text = f"My favourite {claim.thing} is {claim.value}."
    memory.add({"content": text, "time": claim.begins.isoformat(), "name": "Ana"}, user_id="ana")


def by_given_triple(memory: Memory, claim: Claim) -> None:
    triple = {**said(claim), "valid_start": claim.begins.isoformat()}
    memory.add({"content": f"Entry {claim.value}/{claim.step}", "triples": [triple]}, user_id="ana")


def by_triple(memory: Memory, claim: Claim) -> None:
    memory.add_triples([{**said(claim), "valid_start": claim.begins.isoformat()}], user_id="ana")


def said(claim: Claim) -> dict[str, str]:
    return {"subject": "Ana", "relation": f"favourite {claim.thing}", "object": claim.value}


def filled(memory: Memory, clock: Ticking, tell: Callable[[Memory, Claim], None]) -> list[Claim]:
    """Tell every claim; what was told, with when."""
    told: list[Claim] = []
    for claim in claims(seed=7):
        tell(memory, claim)
        told.append(Claim(claim.thing, claim.step, claim.value, clock.now))
        clock.skip(minutes=1)
    return told


def found(memory: Memory | View, thing: str) -> str | None:
    """The value that a search finds first, among facts."""
    hits = memory.search(f"What is Ana's favourite {thing}?", user_id="ana", filters={"kind": "fact"})
    of_it = [hit for hit in hits if hit.record.metadata["relation"] == f"favourite {thing}"]
    values = {hit.record.metadata["object"] for hit in of_it}
    assert len(values) <= 1, f"several values of one thing hold: {values}"
    return of_it[0].record.metadata["object"] if of_it else None


def moments() -> Iterator[datetime]:
    for step in range(STEPS):
        yield FIRST + timedelta(days=step, hours=1)


WAYS = [by_message, by_given_triple, by_triple]


@dataclass(frozen=True)
class Filled:
    """A memory that was told every claim in one way, which the tests only read."""

    memory: Memory
    told: list[Claim]
    now: datetime
    whole: bool


@pytest.fixture(scope="module", params=WAYS, ids=lambda way: str(way.__name__))
def full(request: pytest.FixtureRequest) -> Iterator[Filled]:
    clock = Ticking()
    with Memory("ram:", policy=Zep(), clock=clock) as memory:
        told = filled(memory, clock, request.param)
        # The other ways are settled by the same operators: a few moments do.
        yield Filled(memory, told, clock.now, request.param is by_message)


def test_both_axes_agree_with_a_replay(full: Filled) -> None:
    memory, told = full.memory, full.told
    for thing in THINGS:
        assert found(memory, thing) == replayed(told, thing, full.now)
    for valid in list(moments())[:: 1 if full.whole else 6]:
        view = memory.as_of(valid=valid)
        for thing in THINGS:
            assert found(view, thing) == replayed(told, thing, valid), (thing, valid)
    draw = random.Random(3)
    for _ in range(MANY if full.whole else 3):
        known = draw.choice(told).known or full.now
        valid = draw.choice(list(moments()))
        view = memory.as_of(valid=valid, known=known)
        for thing in THINGS:
            assert found(view, thing) == replayed(told, thing, valid, known), (thing, valid, known)


def test_edges_hold_when_their_facts_do(full: Filled) -> None:
    memory = full.memory
    names = {
        item.id: item.text for item in memory.get_all(user_id="ana", limit=1000) if item.kind == "entity"
    }
    edges = [edge for edge in edges_of(memory) if edge.current]
    for valid in moments():
        held: dict[str, set[str]] = {}
        for edge in edges:
            if valid in edge.valid and edge.type.startswith("favourite"):
                held.setdefault(edge.type.removeprefix("favourite "), set()).add(names[edge.target])
        for thing in THINGS:
            value = replayed(full.told, thing, valid)
            assert held.get(thing, set()) == ({value} if value else set()), (thing, valid)
    assert memory.verify().ok


def test_a_file_holds_the_same(open_memory: Open, clock: Ticking) -> None:
    memory = open_memory(policy=Zep())
    told = []
    for claim in [claim for claim in claims(seed=7) if claim.thing in THINGS[:2]]:
        by_message(memory, claim)
        told.append(claim)
    for valid in moments():
        view = memory.as_of(valid=valid)
        for thing in THINGS[:2]:
            assert found(view, thing) == replayed(told, thing, valid)
    assert memory.verify().ok
