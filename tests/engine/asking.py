"""A policy that asks typed questions, and a memory whose model is behind a scripted server."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar

from engram import Chat
from engram.kernel.changes import Add, Changes
from engram.kernel.effects import Ask, each
from engram.kernel.record import Record
from engram.policies.rrf import RRF
from engram.testing.server import ScriptedServer

GOOD = '{"facts": ["tea is warm"]}'


@dataclass(frozen=True)
class Found:
    """What the model finds in a text."""

    facts: list[str]
    mood: str | None = None
    sure: float = 0.5
    tags: tuple[str, ...] = field(default=())


@dataclass(frozen=True)
class Finder(RRF):
    """Asks for the facts of each episode; all episodes at once."""

    name: ClassVar[str] = "finder"
    max_tokens: int | None = None

    async def write(self, episodes: Sequence[Record]) -> Changes:
        """One fact record for each fact found."""
        asked = [
            Ask(f"Facts in: {episode.text}", Found, "You find facts.", self.max_tokens)
            for episode in episodes
        ]
        found = await each(asked)
        return Changes(
            tuple(
                Add(fact, "fact", (episode.id,))
                for episode, reply in zip(episodes, found, strict=True)
                for fact in reply.facts
            )
        )


def at(server: ScriptedServer | str, **settings: Any) -> Chat:
    """The model behind a server, asked with little patience."""
    url = server if isinstance(server, str) else server.url
    given = {"timeout": 0.5, "retries": 0, **settings}
    return Chat("openai:small", {"base_url": url, "api_key": "k"}, **given)
