"""Stand-ins that one would show a user: small, honest, deterministic."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from engram.kernel.effects import Ask, Effect
from engram.kernel.errors import ModelUnavailable

__all__ = ["HashEmbedder", "PlainColumns", "ScriptedModel"]

_WORD = re.compile(r"\w+")


class HashEmbedder:
    """An embedder that adds one pseudo-random direction a word: texts that share words are near.

    `embed` gives float32 of shape [len(texts), dimensions], unit rows, or zeros for a text without words.
    """

    def __init__(self, dimensions: int = 16, *, local: bool = True) -> None:
        self.dimensions = dimensions
        self.local = local
        self.name = f"hash-{dimensions}"

    def embed(self, texts: Sequence[str]) -> Any:
        """The texts' vectors."""
        rows = np.zeros((len(texts), self.dimensions), np.float32)
        for place, text in enumerate(texts):
            for word in _WORD.findall(text.casefold()):
                rows[place] += self._direction(word)
        lengths = np.linalg.norm(rows, axis=1, keepdims=True)
        return np.divide(rows, lengths, out=np.zeros_like(rows), where=lengths > 0)

    def count(self, text: str) -> int:
        """How many words the text has."""
        return len(_WORD.findall(text))

    def _direction(self, word: str) -> Any:
        digest = hashlib.blake2b(word.encode(), digest_size=8).digest()
        return np.random.default_rng(int.from_bytes(digest, "big")).standard_normal(
            self.dimensions, np.float32
        )


class ScriptedModel:
    """A perform function that answers each `Ask` with the next reply of a script; `asked` keeps the prompts.

    A reply that is an exception is raised. Other effects are refused with `TypeError`.
    """

    def __init__(self, replies: Iterable[Any]) -> None:
        self._replies = iter(replies)
        self.asked: list[str] = []

    def __call__(self, effect: Effect[Any], path: str) -> Any:
        """The next reply. Raises `ModelUnavailable` when the script is over."""
        if not isinstance(effect, Ask):
            raise TypeError(f"a scripted model answers Ask, not {type(effect).__name__}")
        self.asked.append(effect.prompt)
        for reply in self._replies:
            if isinstance(reply, BaseException):
                raise reply
            return reply
        raise ModelUnavailable(f"the script is over, but {path} asks: {effect.prompt[:80]!r}")


@dataclass(frozen=True)
class PlainColumns:
    """The reply to a `Score` effect, written down: `ids` of the candidates, and a value for each a signal.

    Every sequence in `table` has the length of `ids`; `context` holds the figures of scope and query.
    """

    ids: Sequence[str]
    table: Mapping[str, Sequence[float]]
    context: Mapping[str, float] = field(default_factory=dict)

    @property
    def names(self) -> Sequence[str]:
        """The names of the signals."""
        return tuple(self.table)

    @property
    def signals(self) -> Mapping[str, Any]:
        """The signals by name, float32 of shape [n]."""
        return {name: np.asarray(values, np.float32) for name, values in self.table.items()}

    @property
    def matrix(self) -> Any:
        """The signals as rows, float32 of shape [len(names), n]."""
        return np.array([list(values) for values in self.table.values()], np.float32)

    def __len__(self) -> int:
        return len(self.ids)

    def rows(self, positions: Sequence[int]) -> list[str]:
        """The ids at the positions."""
        return [self.ids[position] for position in positions]
