"""What the engine knows of a conversation's questions: their columns, with the file's own ids."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any

from engram import Memory
from engram.bench.load import Conversation, Session
from engram.engine.performer import Performer
from engram.kernel.clock import parse_time
from engram.kernel.effects import Columns, Score
from engram.kernel.scope import Scope


@dataclass(frozen=True)
class Part:
    """Columns over some or all candidates (`engram.kernel.effects.Columns`)."""

    names: tuple[str, ...]
    matrix: Any
    context: Mapping[str, float]
    ids: tuple[str, ...]

    @property
    def signals(self) -> Mapping[str, Any]:
        """Signal name to array."""
        return dict(zip(self.names, self.matrix, strict=True))

    def __len__(self) -> int:
        return len(self.ids)

    def rows(self, positions: Sequence[int]) -> list[str]:
        """Ids of positions."""
        return [self.ids[position] for position in positions]

    def without(self, ids: frozenset[str]) -> Part:
        """The columns over the other candidates."""
        kept = [index for index, id in enumerate(self.ids) if id not in ids]
        return Part(self.names, self.matrix[:, kept], self.context, tuple(self.ids[index] for index in kept))


@dataclass(frozen=True)
class Remembered:
    """A conversation in a memory. `sessions` maps a turn's id in the file to its session."""

    memory: Memory
    conversation: Conversation
    origins: Mapping[str, str]
    sessions: Mapping[str, str | None]

    def columns(self, text: str, signals: Sequence[str]) -> Part:
        """The columns of a query, asked at the conversation's last time as `engram bench` asks."""
        core = self.memory._bound.core  # noqa: SLF001 - columns are no part of the face
        performer = Performer(core, core.policy, Scope(user_id=self.conversation.name), core.present)
        last = self.conversation.last
        at = None if last is None else parse_time(last)[0]
        found: Columns = performer(Score(text, tuple(signals), at=at), "0")
        ids = tuple(self.origins[id] for id in found.rows(range(len(found))))
        return Part(tuple(found.names), found.matrix, found.context, ids)


def few(conversation: Conversation, ids: Collection[str]) -> Conversation:
    """The conversation cut down to some of its turns."""
    kept = (
        Session(session.run_id, tuple(message for message in session.messages if message.get("id") in ids))
        for session in conversation.sessions
    )
    return replace(conversation, sessions=tuple(session for session in kept if session.messages))


@contextmanager
def remembered(conversation: Conversation) -> Iterator[Remembered]:
    """The conversation, added a session at a time."""
    with Memory("ram:", policy="bm25") as memory:
        origins: dict[str, str] = {}
        sessions: dict[str, str | None] = {}
        for session in conversation.sessions:
            receipt = memory.add(list(session.messages), user_id=conversation.name, run_id=session.run_id)
            origins |= {str(item.id): str(item.origin) for item in receipt.items}
            sessions |= {str(item.origin): session.run_id for item in receipt.items}
        yield Remembered(memory, conversation, origins, sessions)
