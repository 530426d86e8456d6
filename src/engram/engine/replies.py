"""Asking a chat model: replies are journaled, checked, and asked for again once when malformed."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping
from dataclasses import fields, is_dataclass
from typing import Any, Protocol

from engram.kernel.effects import Ask
from engram.kernel.errors import BadReply

__all__ = ["ChatModel", "ask", "parse"]


class ChatModel(Protocol):
    """A chat model as the engine uses it: text in, text out. Raises `ModelUnavailable` when out of reach."""

    def complete(self, prompt: str, *, system: str = "") -> str: ...


def ask(
    model: ChatModel,
    effect: Ask[Any],
    path: str,
    journal: dict[str, Any],
    usage: dict[str, int],
    save: Callable[[], None] | None,
) -> Any:
    """The validated reply to `effect`, from the journal where it was paid for already.

    A reply that does not validate is asked for again once, with the error; then `BadReply`.
    """
    digest = hashlib.blake2b(f"{effect.system}\0{effect.prompt}".encode(), digest_size=8).hexdigest()
    prompt, error, place = effect.prompt, None, ""
    for attempt in range(2):
        place = f"{path}:{digest}:{attempt}"
        if place not in journal:
            reply = model.complete(prompt, system=effect.system)
            usage["model_calls"] = usage.get("model_calls", 0) + 1
            journal[place] = reply
            if save is not None:
                save()
        try:
            return parse(journal[place], effect.reply)
        except ValueError as wrong:
            error = wrong
            prompt = f"{effect.prompt}\n\nYour last reply could not be used ({wrong}). Reply again."
    raise BadReply(
        f"the model's reply is no {effect.reply.__name__}: {error}",
        prompt=effect.prompt,
        reply=str(journal[place]),
    ) from error


def parse(reply: str, wanted: type[Any]) -> Any:
    """`reply` as text, JSON, or a dataclass made from a JSON object; `ValueError` if it is not."""
    if wanted is str:
        return reply
    value = json.loads(reply)
    if is_dataclass(wanted):
        if not isinstance(value, Mapping):
            raise ValueError(f"expected a JSON object, got {type(value).__name__}")
        names = {item.name for item in fields(wanted)}
        unknown = sorted(set(value) - names)
        if unknown:
            raise ValueError(f"unknown fields {unknown}; expected {sorted(names)}")
        try:
            return wanted(**value)
        except TypeError as error:
            raise ValueError(str(error)) from error
    if not isinstance(value, wanted):
        raise ValueError(f"expected {wanted.__name__}, got {type(value).__name__}")  # noqa: TRY004 - a bad reply
    return value
