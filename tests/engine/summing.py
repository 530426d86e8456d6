"""What sensible models reply to the policies that keep running summaries, and what their questions show."""

from __future__ import annotations

import json
from typing import Any

from engram.kernel.chat import ChatRequest


def part(prompt: str, title: str) -> list[dict[str, Any]]:
    """The quoted lines of a part of a question."""
    _, found, rest = prompt.partition(f"{title}, quoted:\n")
    lines = rest.split("\n\n")[0].splitlines() if found else []
    return [json.loads(line) for line in lines if line.startswith("{")]


def running(request: ChatRequest) -> dict[str, Any]:
    """A running summary that strings together what it is shown."""
    prompt = request.messages[-1].text
    before = [str(item["summary"]) for item in part(prompt, "The summary so far")]
    return {"summary": " / ".join([*before, *(str(item["text"]) for item in part(prompt, "What is new"))])}


def controlling(request: ChatRequest) -> dict[str, Any]:
    """What a sensible model says to `scm`: all is needed, and a summary is enough."""
    prompt = request.messages[-1].text
    if "(`activate`)" in prompt:
        return {"activate": True}
    if "(`enough`)" in prompt:
        return {"enough": True}
    said = part(prompt, "The messages")
    return {
        "summaries": [{"turn": item["turn"], "summary": f"In short: {item['text'][:60]}"} for item in said]
    }


def calling(request: ChatRequest) -> dict[str, Any]:
    """What a sensible model does with `memgpt`'s questions: it takes down what is new, and archives it."""
    prompt = request.messages[-1].text
    if "What do you call?" not in prompt:
        return running(request)
    calls: list[dict[str, Any]] = []
    blocks = {item["block"]: item["lines"] for item in part(prompt, "The working context")}
    full = sum(map(len, blocks["human"])) > 1_000
    for item in part(prompt, "New messages"):
        said = f"{item['speaker']} said: {item['text']}"
        if not full:
            calls.append({"action": "append", "block": "human", "content": said[:100]})
        calls.append({"action": "archive", "content": f"On {item['time']}, {said}"})
    return {"calls": calls, "heartbeat": False}
