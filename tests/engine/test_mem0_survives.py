"""`mem0` under faults at every effect, from seeds, and when what its facts stand on is erased."""

from __future__ import annotations

import json
import re
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from engine.conftest import Open
from engine.struck import survived
from engram import Memory, Record
from engram.kernel.chat import ChatRequest
from engram.policies.mem0 import Mem0

SEEDS = range(3)
DAYS = (3, 1, 4, 2, 6, 5)


def understanding(request: ChatRequest) -> Any:
    """What a sensible model makes of "My favourite tea is …" and of the comparison."""
    prompt = request.messages[-1].text
    if "What becomes of them?" in prompt:
        new = prompt.split("New facts")[1].count('{"fact"')
        return {"decisions": [{"fact": n + 1, "action": "ADD"} for n in range(new)]}
    turns = [json.loads(line) for line in prompt.splitlines() if line.startswith('{"turn"')]
    found = [(turn["turn"], match[1]) for turn in turns if (match := re.search(r"is (\w+)", turn["text"]))]
    return {
        "facts": [
            {"turn": turn, "subject": "Ana", "relation": "favourite tea", "object": value}
            for turn, value in found
        ]
    }


def said(day: int) -> dict[str, str]:
    text = f"My favourite tea is Kind{day}."
    return {"content": text, "id": str(day), "name": "Ana", "time": f"2026-02-0{day}T09:00:00Z"}


def facts(memory: Memory, **asked: Any) -> list[Record]:
    view = memory.as_of(**asked) if asked else memory
    return [record for record in view.get_all(user_id="u") if record.kind == "fact"]


@pytest.mark.parametrize("model", [True, False], ids=["model", "rules"])
def test_faults_at_any_effect_lose_and_double_nothing(tmp_path: Path, model: bool) -> None:
    struck = Counter[str]()
    for seed in SEEDS:
        answers = understanding if model else None
        messages = [said(day) for day in DAYS]
        with survived(tmp_path / f"{seed}.db", messages, Mem0(), answers, struck, seed=seed) as memory:
            texts = [record.text for record in memory.get_all(user_id="u") if record.kind == "episode"]
            assert sorted(texts) == [said(day)["content"] for day in sorted(DAYS)]
            for day in DAYS:
                held = facts(memory, valid=f"2026-02-0{day}T12:00:00Z")
                assert [record.metadata["object"] for record in held] == [f"Kind{day}"]
    assert struck["crash"] >= 2


def test_what_ended_a_fact_is_erased_and_the_fact_holds_again(open_memory: Open) -> None:
    memory = open_memory(policy="mem0")
    first = memory.add(said(1), user_id="u")
    second = memory.add(said(2), user_id="u")
    assert [record.sources for record in facts(memory)] == [(second.ids[0],)]
    memory.forget([second.ids[0]], user_id="u")
    assert [record.sources for record in facts(memory)] == [(first.ids[0],)]
    memory.forget([first.ids[0]], user_id="u")
    assert facts(memory) == []
    assert memory.verify().problems == ()


def test_erasing_one_of_two_sources_keeps_what_the_other_says(open_memory: Open) -> None:
    memory = open_memory(policy="mem0")
    first = memory.add(said(1), user_id="u")
    again = memory.add({**said(1), "id": "again", "time": "2026-02-05T09:00:00Z"}, user_id="u")
    memory.forget([first.ids[0]], user_id="u")
    memory.wait()
    assert [record.sources for record in facts(memory)] == [(again.ids[0],)]
    memory.add(said(3), user_id="u")
    assert [record.metadata["object"] for record in facts(memory, valid="2026-02-03T12:00Z")] == ["Kind3"]
