"""`memorybank` under faults at every effect, from seeds: days close once, and nothing said is lost."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from engine.helpers import Ticking
from engine.replies import diary, held
from engine.struck import survived
from engram import Memory
from engram.kernel.chat import ChatRequest
from engram.policies.memorybank import MemoryBank
from engram.testing.doubles import ScriptedModel

SEEDS = range(2)
SAID = [(day, f"Tea number {day * 10 + number}.") for day in (1, 2, 4, 3) for number in range(2)]


def message(place: int) -> dict[str, str]:
    day, text = SAID[place]
    return {"content": text, "id": str(place), "name": "Ana", "time": f"2026-02-0{day}T09:00:00Z"}


@pytest.mark.parametrize("model", [True, False], ids=["model", "rules"])
def test_faults_at_any_effect_lose_and_double_nothing(tmp_path: Path, model: bool) -> None:
    struck = Counter[str]()
    for seed in SEEDS:
        messages = [message(place) for place in range(len(SAID))]
        answers, path = diary if model else None, tmp_path / f"{seed}.db"
        settings: dict[str, Any] = {"seed": seed, "rate": 0.08, "tending": True}
        with survived(path, messages, MemoryBank(), answers, struck, **settings) as memory:
            turns = held(memory, "u", "episode")
            assert sorted(turn.text for turn in turns) == sorted(text for _, text in SAID)
            days = held(memory, "u", "summary")
            assert len({day.metadata["day"] for day in days}) == len(days)
            assert Counter(id for day in days for id in day.sources) == Counter(turn.id for turn in turns)
            names = [block.metadata["block"] for block in held(memory, "u", "core")]
            assert sorted(names) == (["events", "portrait"] if model else ["events"])
            assert memory.stats()["jobs"] == {"pending": 0, "parked": 0}
    assert struck["crash"] >= 2


def test_two_who_close_the_same_day_at_once_make_one_summary(tmp_path: Path) -> None:
    url, clock = f"sqlite:///{tmp_path / 'm.db'}", Ticking()
    with Memory(url, policy="memorybank", clock=clock, model=ScriptedModel(diary)) as other:

        def meanwhile(request: ChatRequest) -> Any:
            if not held(other, "u", "summary"):
                other.tend(user_id="u")
            return diary(request)

        with Memory(url, policy="memorybank", clock=clock, model=ScriptedModel(meanwhile)) as memory:
            memory.add("It rains.", user_id="u")
            clock.skip(days=1)
            memory.tend(user_id="u")
            assert [day.text for day in held(memory, "u", "summary")] == ["2026-03-01: It rains."]
            assert len(held(memory, "u", "core")) == 2
