"""Rerankers by name."""

from importlib.metadata import entry_points
from inspect import signature
from typing import Any, Final

from engram.kernel.errors import ConfigError
from engram.kernel.protocols import AskingReranker, Reranker

__all__ = ["RERANKERS", "load_reranker"]

RERANKERS: Final = "engram.rerankers"


def load_reranker(spec: "str | Reranker | AskingReranker") -> "Reranker | AskingReranker":
    """The reranker that `spec` names; a reranker is itself.

    "model" asks the memory's chat model; otherwise "KIND:MODEL", such as
    "cross-encoder:cross-encoder/ms-marco-MiniLM-L6-v2", where KIND is an entry point of the group
    `engram.rerankers`: a callable that takes the model's name, if one is given. Raises `ConfigError` for
    what is none, `MissingExtra` where its package is not installed.
    """
    if not isinstance(spec, str):
        return _checked(spec, f"a {type(spec).__name__}")
    kind, _, model = spec.partition(":")
    found = {entry.name: entry for entry in entry_points(group=RERANKERS)}
    if kind not in found:
        known = ", ".join(sorted(name if name == "model" else f"{name}:MODEL" for name in found))
        raise ConfigError(f"no reranker {spec!r}: it may be {known}, or a Reranker")
    make = found[kind].load()
    arguments = (model,) if model else ()
    try:
        signature(make).bind(*arguments)
    except TypeError as error:
        raise ConfigError(f"reranker {spec!r} cannot be made of this ({error})") from error
    return _checked(make(*arguments), f"the plug-in for {kind!r}")


def _checked(made: Any, what: str) -> Reranker | AskingReranker:
    if isinstance(made, Reranker | AskingReranker):
        return made
    raise ConfigError(f"{what} is no reranker: one has depth, and rank(query, texts)")
