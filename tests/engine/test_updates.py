"""Values that change, told in any order among other talk: the present one is found, and every earlier one."""

from __future__ import annotations

import os
import random
import re
from datetime import UTC, datetime, timedelta

import pytest

from engram import Memory

FIRST = datetime(2024, 1, 1, tzinfo=UTC)
THINGS = re.findall(
    r"\w+",
    """
    fruit colour city drink film song author season sport flower cheese animal river dish museum soup tea
    bread game poem painter opera shop street park bench cafe walk view bird tree stone lake island fish
    spice cake sauce salad berry nut pasta jam hat scarf coat shoe pen lamp chair
""",
)
TALK = (
    "The tram was late again, number {n}.",
    "My neighbour told me about bus {n}.",
    "Did you see the {n} o'clock news?",
    "We talked for {n} minutes about nothing.",
    "I bought {n} apples.",
    "It rained on platform {n} all day.",
)
SMALL, FULL = (6, 9, 40), (50, 20, 1000)


def moment(step: int) -> datetime:
    return FIRST + timedelta(days=step)


def value(thing: str, step: int) -> str:
    """What a thing is at a step; every seventh value comes back."""
    return f"Kind{step % 7}{thing}"


def filled(memory: Memory, keys: int, updates: int, others: int, seed: int) -> None:
    """Every value of every key, and other talk, each in an `add` of its own, in random order."""
    draw = random.Random(seed)
    told = [
        (f"My favourite {thing} is {value(thing, step)}.", moment(step))
        for thing in THINGS[:keys]
        for step in range(updates)
    ]
    told += [
        (TALK[number % len(TALK)].format(n=number), moment(draw.randrange(updates)))
        for number in range(others)
    ]
    draw.shuffle(told)
    for text, time in told:
        memory.add({"content": text, "time": time.isoformat(), "name": "Ana"}, user_id="ana")


LONG = pytest.mark.skipif("ENGRAM_FULL" not in os.environ, reason="takes a minute")
SIZES = [SMALL, pytest.param(FULL, marks=LONG)]


@pytest.mark.parametrize("size", SIZES)
def test_the_present_value_and_every_earlier_one_are_found(size: tuple[int, int, int]) -> None:
    keys, updates, others = size
    assert len(set(THINGS)) == FULL[0]
    with Memory("ram:", policy="mem0") as memory:
        filled(memory, keys, updates, others, seed=7)
        for thing in THINGS[:keys]:
            hit = memory.search(f"What is Ana's favourite {thing}?", user_id="ana")[0]
            assert hit.record.metadata["object"] == value(thing, updates - 1)
        for step in range(updates):
            then = memory.as_of(valid=moment(step) + timedelta(hours=1))
            for thing in THINGS[:keys]:
                hit = then.search(f"What is Ana's favourite {thing}?", user_id="ana")[0]
                assert hit.record.metadata["object"] == value(thing, step)
