"""Embedders: the static default, and adapters that are imported when they are asked for."""

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final

from engram.kernel.errors import ConfigError
from engram.kernel.protocols import Embedder

if TYPE_CHECKING:
    from importlib.metadata import EntryPoint

__all__ = ["ENTRY_POINTS", "load_embedder"]

ENTRY_POINTS: Final = "engram.embedders"
"""The group of entry points in which embedders are found."""


def load_embedder(spec: str | Embedder | None = None, **options: Any) -> Embedder:
    """The embedder that `spec` names: `None` or "static" is the default; an embedder is itself.

    Otherwise "KIND:MODEL", such as "sentence-transformers:all-MiniLM-L6-v2" or
    "openai:text-embedding-3-small", where KIND is an entry point of the group `engram.embedders`: a
    callable that takes the model's name, if one is given, and `options` by keyword.
    Raises `ConfigError` for an unknown kind or options that it does not take, and `MissingExtra` where its
    package is not installed.
    """
    if spec is not None and not isinstance(spec, str):
        if isinstance(spec, Embedder):
            return spec
        raise ConfigError(
            f"an embedder has name, dimensions, local, embed and count; a {type(spec).__name__} has not"
        )
    if spec is None and not options:  # the common case spares itself the search for plug-ins
        from engram.models.static import StaticEmbedder

        return StaticEmbedder()
    kind, _, model = (spec or "static").partition(":")
    make = _entry(kind).load()
    arguments = (model,) if model else ()
    _check(make, kind, arguments, options)
    made = make(*arguments, **options)
    if not isinstance(made, Embedder):
        raise ConfigError(f"the plug-in for {kind!r} made a {type(made).__name__}, which is no Embedder")
    return made


def _entry(kind: str) -> "EntryPoint":
    from importlib.metadata import entry_points

    found = {entry.name: entry for entry in entry_points(group=ENTRY_POINTS)}
    if kind not in found:
        known = ", ".join(sorted(name if name == "static" else f"{name}:MODEL" for name in found))
        raise ConfigError(f"no embedder {kind!r}: embedder may be {known or 'static'}, or an Embedder")
    return found[kind]


def _check(make: Callable[..., Any], kind: str, arguments: tuple[str, ...], options: dict[str, Any]) -> None:
    """Refuse arguments that the factory does not take, before it starts to load anything."""
    from inspect import signature

    try:
        signature(make).bind(*arguments, **options)
    except TypeError as error:
        raise ConfigError(
            f"embedder {kind!r} cannot be made of this ({error}): it is {kind}{signature(make)}"
        ) from error
