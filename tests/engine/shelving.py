"""What a sensible model replies where memories are filed under topics, and a profile is made of these."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

from engram.kernel.chat import ChatRequest

__all__ = ["profiling", "shelving"]

_NAMES = {"tea": "Tea", "dog": "Pets", "cat": "Pets", "works": "Work", "lives": "Home", "moved": "Home"}


def shelving(request: ChatRequest, other: Callable[[ChatRequest], Any]) -> Any:
    """Topics of the memories shown, by a word of each, "Life" where it has none; else what `other` says."""
    prompt = request.messages[-1].text
    if "Under which topics do they belong?" not in prompt:
        return other(request)
    lines = [json.loads(line) for line in prompt.splitlines() if line.startswith('{"memory"')]
    topics: dict[str, list[int]] = {}
    texts: dict[str, list[str]] = {}
    for line in lines:
        said = str(line["text"]).casefold()
        name = next((topic for word, topic in _NAMES.items() if word in said), "Life")
        topics.setdefault(name, []).append(line["memory"])
        texts.setdefault(name, []).append(str(line["text"]))
    return {
        "topics": [
            {"name": name, "description": "; ".join(texts[name]), "memories": numbers}
            for name, numbers in topics.items()
        ]
    }


def profiling(request: ChatRequest) -> Any:
    """What a sensible model makes of any question of `second_me`: it says again what it is shown."""
    return shelving(request, _profile)


def _profile(request: ChatRequest) -> dict[str, Any]:
    prompt = request.messages[-1].text
    lines = [json.loads(line) for line in prompt.splitlines() if line.startswith('{"topic"')]
    names = [str(line["name"]) for line in lines]
    return {
        "biography": f"Ana, of whom {len(names)} topics are known: {', '.join(names)}.",
        "status": f"Speaks of {names[-1]}.",
        "preferences": [f"Likes to speak of {name}." for name in names],
        "shades": [
            {
                "name": f"{name} friend",
                "aspect": "a friend",
                "description": str(line["about"]),
                "topics": [line["topic"]],
            }
            for name, line in zip(names, lines, strict=True)
        ],
    }
