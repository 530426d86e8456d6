"""Sensible models for the policies whose memory is managed by calls."""

from __future__ import annotations

import json
from typing import Any

from engram.kernel.chat import ChatRequest

__all__ = ["numbered", "useful"]


def numbered(prompt: str, name: str) -> list[dict[str, Any]]:
    """The lines of a question that are quoted as JSON and have that key."""
    lines = [json.loads(line) for line in prompt.splitlines() if line.startswith("{")]
    return [line for line in lines if name in line]


def useful(request: ChatRequest) -> dict[str, Any]:
    """All memories that were found for a question."""
    return {"memories": [line["memory"] for line in numbered(request.messages[-1].text, "memory")]}
