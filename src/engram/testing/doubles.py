"""Stand-ins that one would show a user: small, honest, deterministic."""

from __future__ import annotations

import hashlib
import json
import re
import threading
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, fields, is_dataclass
from datetime import date
from typing import Any

import numpy as np

from engram.kernel.chat import ChatReply, ChatRequest
from engram.kernel.effects import Ask, Effect
from engram.kernel.errors import ModelUnavailable

__all__ = ["HashEmbedder", "PlainColumns", "ScriptedModel"]

_WORD = re.compile(r"\w+")
_OVER = object()


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
    """A chat model that replies from a script: `Memory(model=ScriptedModel(["…", …]))`.

    `script` is replies in order, or a function of the `ChatRequest` that gives one. A reply is text, a
    `ChatReply`, an exception to raise, or anything else, which becomes JSON (dataclasses and pydantic
    models too). `requests` keeps what was asked. Tokens are counted as a quarter of the characters;
    where a text is longer than the request's `max_tokens` it is cut off there, as a real model's is.
    Safe to use from several threads.

    It is also a perform function that answers each `Ask` with the next reply just as it stands in the
    script, to drive a policy's program without a memory.
    """

    def __init__(
        self, script: Iterable[Any] | Callable[[ChatRequest], Any], *, name: str = "scripted:model"
    ) -> None:
        self.name = name
        self.requests: list[ChatRequest] = []
        self.asked: list[str] = []
        self._script = script if callable(script) else iter(script)
        self._lock = threading.Lock()

    def reply(self, request: ChatRequest) -> ChatReply:
        """The next reply. Raises `ModelUnavailable` when the script is over."""
        prompt = request.messages[-1].text
        said = self._next(request, prompt)
        if isinstance(said, ChatReply):
            return said
        text = said if isinstance(said, str) else json.dumps(_plain(said), ensure_ascii=False)
        most = 4 * request.max_tokens if request.max_tokens else len(text)
        read = sum(len(message.text) for message in request.messages)
        return ChatReply(
            text[:most],
            tokens_in=-(-read // 4),
            tokens_out=-(-min(len(text), most) // 4),
            model=self.name,
            finish="length" if len(text) > most else "stop",
        )

    def __call__(self, effect: Effect[Any], path: str) -> Any:
        """The next reply as it stands in the script. Raises `TypeError` for other effects than `Ask`."""
        if not isinstance(effect, Ask):
            raise TypeError(f"a scripted model answers Ask, not {type(effect).__name__}")
        return self._next(None, effect.prompt)

    def _next(self, request: ChatRequest | None, prompt: str) -> Any:
        with self._lock:
            self.asked.append(prompt)
            if request is not None:
                self.requests.append(request)
            said = None if callable(self._script) else next(self._script, _OVER)
        if callable(self._script):
            if request is None:
                raise TypeError("a script that is a function answers requests: give it to Memory(model=…)")
            said = self._script(request)
        if said is _OVER:
            raise ModelUnavailable(f"the script is over, but the model is asked: {prompt[:80]!r}")
        if isinstance(said, BaseException):
            raise said
        return said


def _plain(value: Any) -> Any:
    """The value in what JSON has."""
    if is_dataclass(value) and not isinstance(value, type):
        return {item.name: _plain(getattr(value, item.name)) for item in fields(value)}
    if callable(dump := getattr(value, "model_dump", None)):
        return _plain(dump(mode="json"))
    if isinstance(value, Mapping):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [_plain(item) for item in value]
    return value.isoformat() if isinstance(value, date) else value


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
