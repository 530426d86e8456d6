"""Replies of scripted models that tests of several policies share, and how these tests talk to a memory."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from typing import Any

from engram import Memory, Receipt, Record
from engram.kernel.chat import ChatReply, ChatRequest


def unusable(whole: Any, other: Any) -> dict[str, Any]:
    """Replies of no use where a model should say `whole`: that one cut off, `other` of another shape, …."""
    return {
        "not JSON": "She owns a cat, I think.",
        "cut off": json.dumps(whole)[:-9],
        "another shape": other,
        "a list": [1, 2, 3],
        "an empty list": [],
        "nothing": "",
        "refused": ChatReply("I cannot help with that.", finish="refused"),
    }


def say(memory: Memory, text: str, day: str = "2026-01-01", **scope: str) -> Receipt:
    """Ana says something at noon of a day."""
    message = {"content": text, "time": f"{day}T12:00:00Z", "name": "Ana"}
    ids: dict[str, Any] = {
        "user_id": scope.get("user", "ana"),
        **({"run_id": scope["run"]} if "run" in scope else {}),
    }
    return memory.add(message, **ids)


def held(memory: Memory, user: str = "ana", kind: str = "fact") -> list[Record]:
    """The records of a kind that a user has."""
    return [record for record in memory.get_all(user_id=user, limit=1000) if record.kind == kind]


def reasons(receipt: Receipt) -> list[str]:
    """What the receipt of an `add` of one message says of all that was derived."""
    return [item.reason for item in receipt.items[1:]]


def filing(request: ChatRequest) -> dict[str, Any]:
    """What a sensible model makes of any question of `a_mem`.

    A turn's longest words are its keywords. Of notes kept, the first is linked, and evolves by saying so.
    """
    prompt = request.messages[-1].text
    if "What is to be noted" in prompt:
        turns = [json.loads(line) for line in prompt.splitlines() if line.startswith('{"turn"')]
        return {"notes": [_filed(turn["turn"], turn["text"]) for turn in turns]}
    new = prompt.split("Notes kept")[0].count('{"note"')
    kept = prompt.split("Notes kept")[1].count('{"note"')
    if not kept:
        return {"links": [{"note": new, "to": 1}] if new > 1 else [], "updates": []}
    update = {"note": new + 1, "context": f"one of {kept} like it", "tags": ["seen", "again"], "reason": "so"}
    return {"links": [{"note": n, "to": new + 1} for n in range(1, new + 1)], "updates": [update]}


def _filed(turn: int, text: str) -> dict[str, Any]:
    words = sorted(re.findall(r"\w+", text), key=lambda word: (-len(word), word))[:3]
    return {"turn": turn, "keywords": words, "tags": ["talk"], "context": f"About {words[0]}."}


def diary(request: ChatRequest) -> dict[str, Any]:
    """What a sensible model makes of any question of `memorybank`: it says again what it is shown."""
    prompt = request.messages[-1].text
    shown = [json.loads(line) for line in prompt.splitlines() if line.startswith("{")]
    if "New days" in prompt:
        events = [str(item["events"]) for item in shown]
        return {"summary": " | ".join(events), "portrait": f"Ana, seen on {len(shown)} pages"}
    texts = [str(item.get("text", item.get("summary"))) for item in shown]
    return {"summary": " / ".join(texts), "person": f"says {len(texts)} things"}


def thinking(request: ChatRequest, take: Callable[[ChatRequest], dict[str, Any]]) -> dict[str, Any]:
    """What a sensible model makes of any question of `tim`: of what begins alike, the last one holds."""
    prompt = request.messages[-1].text
    if "Which are to be forgotten" not in prompt:
        return take(request)
    forget: list[dict[str, Any]] = []
    for part in prompt.split("Group ")[1:]:
        last: dict[str, int] = {}
        for line in (json.loads(line) for line in part.splitlines() if line.startswith("{")):
            begins = line["text"].rsplit(" ", 1)[0]
            if begins in last:
                forget.append({"thought": last[begins], "reason": "it is another one now"})
            last[begins] = line["thought"]
    return {"forget": forget, "merge": []}


def remembering(request: ChatRequest) -> dict[str, Any]:
    """What a sensible model makes of any question of `caim`: it keeps what is said; nothing is the same."""
    prompt = request.messages[-1].text
    if "Which become one?" in prompt:
        return {"merge": []}
    turns = [json.loads(line) for line in prompt.splitlines() if line.startswith('{"turn"')]
    return {
        "memories": [
            {
                "turn": turn["turn"],
                "thought": f"{turn['speaker']} said: {turn['text']}",
                "tags": ["habits", "tea"],
            }
            for turn in turns
        ],
        "new": [{"category": "food", "tag": "tea"}],
    }


def outlining(request: ChatRequest) -> dict[str, Any]:
    """What a sensible model makes of any question of `structured`: an aspect a piece, all of one topic."""
    prompt = request.messages[-1].text
    shown = [json.loads(line) for line in prompt.splitlines() if line.startswith("{")]
    if "Where do they belong?" in prompt:
        return {"filed": [{"claim": claim["claim"], "path": ["life", "talk"]} for claim in shown]}
    told = [{"aspect": piece["text"][:20], "piece": piece["piece"], "text": piece["text"]} for piece in shown]
    return {"scope": "what was said", "descriptions": told}
