"""Chat models by name, and the layers that every one of them gets."""

from collections.abc import Mapping
from importlib.metadata import entry_points
from inspect import signature
from typing import Any, Final

from engram.kernel.chat import ChatModel
from engram.kernel.errors import ConfigError
from engram.models.layers import Bounded, Retried, Timed

__all__ = ["CHAT_MODELS", "layered", "load_chat_model"]

CHAT_MODELS: Final = "engram.models"


def load_chat_model(spec: str | ChatModel, options: Mapping[str, Any] | None = None) -> ChatModel:
    """The chat model that `spec` names; a chat model is itself.

    "KIND:MODEL", such as "openai:gpt-5-mini" or "ollama:qwen3", where KIND is an entry point of the group
    `engram.models`: a callable that takes the model's name, and `options` by keyword. Raises `ConfigError`
    for an unknown kind or options that it does not take, `MissingExtra` where its package is not installed.
    """
    if not isinstance(spec, str):
        if isinstance(spec, ChatModel):
            return spec
        raise ConfigError(f"a chat model has name and reply; a {type(spec).__name__} has not")
    kind, _, model = spec.partition(":")
    found = {entry.name: entry for entry in entry_points(group=CHAT_MODELS)}
    if kind not in found or not model:
        known = ", ".join(f"{name}:MODEL" for name in sorted(found))
        raise ConfigError(f"no chat model {spec!r}: it may be {known}, or a ChatModel")
    make = found[kind].load()
    given = dict(options or {})
    try:
        signature(make).bind(model, **given)
    except TypeError as error:
        raise ConfigError(f"chat model {kind!r} cannot be made of this ({error})") from error
    made = make(model, **given)
    if not isinstance(made, ChatModel):
        raise ConfigError(f"the plug-in for {kind!r} made a {type(made).__name__}, which is no ChatModel")
    return made


def layered(
    model: ChatModel, *, timeout: float, retries: int, patience: float, calls: int, seed: int
) -> ChatModel:
    """The model with a time limit, a bound on calls at once, and retries around both."""
    return Retried(Bounded(Timed(model, timeout), calls), retries=retries, patience=patience, seed=seed)
