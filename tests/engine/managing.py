"""Sensible models for the policies whose memory is managed by calls."""

from __future__ import annotations

import json
from typing import Any

from engram.kernel.chat import ChatRequest

__all__ = ["calling", "numbered", "useful"]


def numbered(prompt: str, name: str) -> list[dict[str, Any]]:
    """The lines of a question that are quoted as JSON and have that key."""
    lines = [json.loads(line) for line in prompt.splitlines() if line.startswith("{")]
    return [line for line in lines if name in line]


def useful(request: ChatRequest) -> dict[str, Any]:
    """All memories that were found for a question."""
    return {"memories": [line["memory"] for line in numbered(request.messages[-1].text, "memory")]}


def calling(request: ChatRequest) -> dict[str, Any]:
    """What `mem_alpha` is told: each turn is knowledge, the first an event; of older knowledge two stay."""
    prompt = request.messages[-1].text
    if "Which of them are fit" in prompt:
        return {"fit": [line["item"] for line in numbered(prompt, "item")]}
    turns, entries = numbered(prompt, "turn"), numbered(prompt, "number")
    calls: list[dict[str, Any]] = [
        {"action": "semantic_insert", "content": turn["text"], "turns": [turn["turn"]]} for turn in turns
    ]
    first = turns[0]
    event = {
        "action": "episodic_insert",
        "content": f"On {first['time'][:10]}: {first['text']}",
        "turns": [1],
    }
    core = {"action": "core_update", "content": f"Ana, who said {len(turns)} things.", "turns": [1]}
    old = [entry["number"] for entry in entries if entry["memory"] == "semantic"]
    ends = [{"action": "semantic_delete", "number": number, "turns": [1]} for number in old[:-2]]
    return {"calls": [*calls, event, core, *ends]}
