"""What a sensible model makes of sessions, for the policies that reflect on them."""

from __future__ import annotations

import json
import re
from typing import Any

from engram.kernel.chat import ChatRequest


def lines_of(prompt: str) -> list[dict[str, Any]]:
    """What a prompt quotes, line by line."""
    return [json.loads(line) for line in prompt.splitlines() if line.startswith("{")]


def units(request: ChatRequest) -> dict[str, Any]:
    """What `memgas` is told of a session: its texts again, and their longest words."""
    texts = [str(line["text"]) for line in lines_of(request.messages[-1].text)]
    words = sorted({*re.findall(r"\w+", " ".join(texts))}, key=lambda word: (-len(word), word))
    return {"summary": "Summed up: " + " / ".join(texts), "keywords": words[:3]}


def topics(request: ChatRequest) -> dict[str, Any]:
    """What `rmm` is told: a topic for each turn that says something; those that begin alike are merged."""
    prompt = request.messages[-1].text
    if "New topics, quoted" not in prompt:
        said = lines_of(prompt)
        return {
            "topics": [
                {"summary": f"{line['speaker']} says: {line['text']}", "turns": [line["turn"]]}
                for line in said
            ]
        }
    new, kept = (lines_of(part) for part in prompt.split("Topics kept, quoted"))
    merges = [
        {"new": one["topic"], "into": other["topic"], "summary": f"{other['summary']} Then: {one['summary']}"}
        for one in new
        for other in kept[:1]
        if one["summary"][:24] == other["summary"][:24]
    ]
    return {"merges": merges}
