"""Sensible models for the policies that ask one, and what a memory must look like after a life with them."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

from engine.helpers import START
from engine.managing import calling as keeping
from engine.managing import sorting, useful
from engine.replies import diary, filing, outlining, remembering, thinking
from engine.sessioning import topics, units
from engine.shelving import profiling, shelving
from engine.summing import calling, controlling, running
from engram import Memory
from engram.kernel.chat import ChatRequest
from engram.operators.extraction.rules import extract_by_rules

__all__ = ["CHECKS", "SENSIBLE"]


def taking_facts(request: ChatRequest) -> dict[str, Any]:
    """What a model says to `mem0`, `memory_r1` and `zep` that takes facts by rule, and adds what is new."""
    prompt = request.messages[-1].text
    if "Which names mean which entity?" in prompt:
        return {"same": []}
    if "Which memories help to answer it?" in prompt:
        return useful(request)
    lines = [json.loads(line) for line in prompt.splitlines() if line.startswith("{")]
    if "What becomes of them?" in prompt:
        return {"decisions": [{"fact": line["fact"], "action": "ADD"} for line in lines if "fact" in line]}
    said = [
        (line["turn"], fact)
        for line in lines
        for fact in extract_by_rules(line["text"], line["speaker"], START)
    ]
    names = ("subject", "relation", "object", "lasting")
    return {
        "facts": [{"turn": turn, **{name: getattr(fact, name) for name in names}} for turn, fact in said],
        "entities": sorted({fact.subject for _, fact in said}),
    }


def _one_tea(memory: Memory) -> str:
    """Whether at some time two favourite teas held."""
    for day in range(1, 8):
        view = memory.as_of(valid=f"2026-02-{day:02}T12:00:00Z")
        held = [record for record in view.get_all(user_id="u", limit=1000) if record.kind == "fact"]
        teas = [record.text for record in held if record.metadata.get("relation") == "favourite tea"]
        if len(teas) > 1:
            return f"on day {day}: {teas}"
    return ""


SENSIBLE: dict[str, Callable[[ChatRequest], Any]] = {
    "mem0": taking_facts,
    "a_mem": filing,
    "hema": running,
    "memgpt": calling,
    "mem_alpha": keeping,
    "memgas": units,
    "memory_r1": taking_facts,
    "caim": remembering,
    "memorybank": diary,
    "memos": lambda request: shelving(request, taking_facts),
    "structured": outlining,
    "rmm": topics,
    "tim": lambda request: thinking(request, taking_facts),
    "mirix": sorting,
    "scm": controlling,
    "second_me": profiling,
    "zep": taking_facts,
}
"""What a sensible model replies to a policy's questions, by the policy's name."""
CHECKS: dict[str, Callable[[Memory], str]] = {
    f"{policy}/{way}": _one_tea for policy in ("mem0", "memory_r1", "zep") for way in ("none", "sensible")
}
"""What is wrong with a memory after a life, by case: a sentence, or nothing."""
