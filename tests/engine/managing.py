"""Sensible models for the policies whose memory is managed by calls."""

from __future__ import annotations

import json
from typing import Any

from engram.kernel.chat import ChatRequest

__all__ = ["calling", "numbered", "sorting", "useful"]


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


def sorting(request: ChatRequest) -> dict[str, Any]:
    """What `mirix` is told: all memories keep the first turn, and where one lived is secret."""
    prompt = request.messages[-1].text
    if "What is its topic?" in prompt:
        return {"topic": json.loads(prompt.split("quoted: ")[1].splitlines()[0])}
    if "Which memories do they concern?" in prompt:
        names = ["core", "episodic", "semantic", "procedural", "resource", "vault"]
        return {"memories": names}
    turns, entries = numbered(prompt, "turn"), numbered(prompt, "number")
    text, name = turns[0]["text"], prompt.rsplit("the memory (", 1)[1].split(")")[0]
    given: dict[str, dict[str, Any]] = {
        "human, persona": {"action": "human_update", "content": f"Ana: {text}"},
        "episodic": {"action": "episodic_insert", "summary": text, "details": f"at {turns[0]['time']}"},
        "semantic": {"action": "semantic_insert", "name": "Ana", "summary": text},
        "procedural": {"action": "procedural_insert", "summary": "how", "steps": [text]},
        "resource": {"action": "resource_insert", "title": "note", "text": text},
        "vault": {"action": "vault_insert", "caption": f"a place {len(text)}", "secret": "Zanzibar"},
    }
    if name == "vault" and "Zanzibar" not in text:
        return {"calls": []}
    if name == "episodic" and len(entries) > 1:
        return {"calls": [{"action": "episodic_delete", "number": 1, "turns": [1]}]}
    return {"calls": [{**given[name], "turns": [turns[0]["turn"]]}]}
