"""Opening a memory from settings. This is the only module that reads the environment."""

from __future__ import annotations

import os
from datetime import datetime
from difflib import get_close_matches
from importlib.metadata import entry_points
from pathlib import Path

from engram.engine.chat import Chat
from engram.engine.core import Core
from engram.kernel.chat import ChatModel
from engram.kernel.clock import Clock, utc_now
from engram.kernel.errors import ConfigError
from engram.kernel.policy import Policy
from engram.kernel.protocols import AskingReranker, Embedder, Reranker
from engram.kernel.schema import Schema
from engram.models import load_embedder
from engram.stores import open_store

__all__ = [
    "DEFAULT_POLICY",
    "VARIABLES",
    "admin_key",
    "api_key",
    "base_url",
    "chat_model",
    "chosen_embedder",
    "default_url",
    "editor",
    "home_folder",
    "load_policy",
    "open_core",
    "policy_names",
    "remote_session",
    "service_key",
    "telemetry",
    "unknown_variables",
]

DEFAULT_POLICY = "fusion"
VARIABLES = (
    "ENGRAM_URL",
    "ENGRAM_URL_FILE",
    "ENGRAM_HOME",
    "ENGRAM_MODEL",
    "ENGRAM_API_KEY",
    "ENGRAM_API_KEY_FILE",
    "ENGRAM_BASE_URL",
    "ENGRAM_KEY",
    "ENGRAM_ADMIN_KEY_FILE",
)
"""The environment variables of engram's own that are read; those in `_FILE` name a file with the value."""
_LONGEST_FILE = 64 << 10
_MIN_CACHE_MB = 1
_KEYS = {
    "anthropic": ("ANTHROPIC_API_KEY",),
    "google": ("GEMINI_API_KEY", "GOOGLE_API_KEY"),
    "openrouter": ("OPENROUTER_API_KEY",),
}


def default_url() -> str:
    """`ENGRAM_URL`, or one file under the platform's data folder (`ENGRAM_HOME` moves it), which is made.

    The url may lie in a file that `ENGRAM_URL_FILE` names. Raises `ConfigError` where that cannot be read, or
    the folder cannot be made.
    """
    url = _held("ENGRAM_URL")
    return url or f"sqlite:///{home_folder() / 'memory.db'}"


def home_folder() -> Path:
    """The platform's data folder for engram (`ENGRAM_HOME` moves it), which is made. Raises `ConfigError`."""
    from platformdirs import user_data_path

    home = os.environ.get("ENGRAM_HOME")
    folder = Path(home) if home else user_data_path("engram", appauthor=False)
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as error:
        raise ConfigError(
            f"the data folder {folder} cannot be made ({error.strerror}); set ENGRAM_HOME"
        ) from error
    return folder


def api_key() -> str | None:
    """The key for an OpenAI-compatible endpoint: `ENGRAM_API_KEY` (or its file), else `OPENAI_API_KEY`."""
    return _held("ENGRAM_API_KEY") or os.environ.get("OPENAI_API_KEY") or None


def admin_key() -> str | None:
    """The admin key that whoever runs a service has chosen, in the file of `ENGRAM_ADMIN_KEY_FILE`."""
    return _from_file("ENGRAM_ADMIN_KEY_FILE")


def _held(name: str) -> str | None:
    """What a variable holds, or the file that its other one, with `_FILE` behind it, names."""
    value, other = os.environ.get(name) or None, _from_file(f"{name}_FILE")
    if value and other:
        raise ConfigError(f"{name} and {name}_FILE are both set; set one of them")
    return value or other


def _from_file(name: str) -> str | None:
    """What lies in the file that a variable names. Raises `ConfigError` where nothing does."""
    path = os.environ.get(name)
    if not path:
        return None
    try:
        with Path(path).open(encoding="utf-8") as file:
            found = file.read(_LONGEST_FILE).strip()
    except (OSError, UnicodeDecodeError) as error:
        why = error.strerror if isinstance(error, OSError) else "it is no text"
        raise ConfigError(f"{name}: {path} cannot be read ({why}); name a file that can") from error
    if not found:
        raise ConfigError(f"{name}: {path} is empty; write the value into it")
    return found


def base_url() -> str | None:
    """The address of an OpenAI-compatible endpoint: `ENGRAM_BASE_URL`, else `OPENAI_BASE_URL`."""
    return os.environ.get("ENGRAM_BASE_URL") or os.environ.get("OPENAI_BASE_URL") or None


def service_key() -> str | None:
    """The key for a service that a memory is opened on: `ENGRAM_KEY`."""
    return os.environ.get("ENGRAM_KEY") or None


def telemetry() -> dict[str, str]:
    """OpenTelemetry's own variables, `OTEL_…`."""
    return {name: value for name, value in os.environ.items() if name.startswith("OTEL_")}


def editor() -> str:
    """The command of a text editor: `VISUAL`, else `EDITOR`, else one that the system has."""
    asked = os.environ.get("VISUAL") or os.environ.get("EDITOR")
    return asked or ("notepad" if os.name == "nt" else "vi")


def remote_session() -> bool:
    """Whether whoever types sits at another machine (ssh)."""
    return bool(os.environ.get("SSH_CONNECTION") or os.environ.get("SSH_TTY"))


def policy_names() -> list[str]:
    """The installed policies, built in or from other packages."""
    return sorted({entry.name for entry in entry_points(group="engram.policies")})


def load_policy(policy: Policy | str | None) -> Policy:
    """A policy as given, or by its name; raises `ConfigError` naming those that there are."""
    if isinstance(policy, Policy):
        return policy
    name = policy or DEFAULT_POLICY
    for entry in entry_points(group="engram.policies", name=name):
        found: Policy = entry.load()()
        return found
    raise ConfigError(f"policy: {name!r} is not one of {', '.join(policy_names())}")


def chosen_embedder(embedder: Embedder | str | None) -> Embedder:
    """The embedder that a spec names, with address and key from the environment. Raises `ConfigError`."""
    return load_embedder(embedder, **_endpoint(embedder))


def unknown_variables() -> dict[str, str | None]:
    """Variables that are set and look like engram's but are none, with the name that may be meant."""
    unknown = sorted(name for name in os.environ if name.startswith("ENGRAM_") and name not in VARIABLES)
    return {name: next(iter(get_close_matches(name, VARIABLES, n=1)), None) for name in unknown}


def _endpoint(embedder: Embedder | str | None) -> dict[str, str]:
    """Address and key for an embedder behind an endpoint, where the environment has them."""
    if not isinstance(embedder, str) or not embedder.startswith("openai:"):
        return {}
    found = {"api_key": api_key(), "base_url": base_url()}
    return {name: value for name, value in found.items() if value}


def _chat(model: Chat | ChatModel | str | None, seed: int) -> tuple[ChatModel | None, Chat | None]:
    """The chat model with its layers, and its settings; `ENGRAM_MODEL` where none is given.

    A chat model that is given bare is taken as it is, without limits or retries around it.
    """
    from engram.models.chat import layered, load_chat_model

    given = model or os.environ.get("ENGRAM_MODEL") or None
    if given is None:
        return None, None
    if not isinstance(given, Chat | str):
        return load_chat_model(given), Chat(given)
    chat = given if isinstance(given, Chat) else Chat(given)
    options = {**_model_endpoint(chat.model), **chat.options} if isinstance(chat.model, str) else {}
    bare = load_chat_model(chat.model, options)
    wrapped = layered(
        bare,
        timeout=chat.timeout,
        retries=chat.retries,
        patience=chat.patience,
        calls=chat.calls,
        seed=seed,
    )
    return wrapped, chat


def _model_endpoint(spec: str) -> dict[str, str]:
    """Address and key for a chat model of that kind, where the environment has them."""
    kind = spec.partition(":")[0]
    if kind == "openai":
        found = {"api_key": api_key(), "base_url": base_url()}
    elif kind == "ollama":
        found = {"base_url": _ollama(os.environ.get("OLLAMA_HOST"))}
    else:
        names = _KEYS.get(kind, ())
        found = {"api_key": next((key for name in names if (key := os.environ.get(name))), None)}
    return {name: value for name, value in found.items() if value}


def _ollama(host: str | None) -> str | None:
    """The address that Ollama's own `OLLAMA_HOST` names; it may lack the scheme and the port."""
    if not host:
        return None
    scheme, _, rest = host.rpartition("://")
    place, _, port = rest.rstrip("/").partition(":")
    return f"{scheme or 'http'}://{'127.0.0.1' if place == '0.0.0.0' else place}:{port or 11434}/v1"  # noqa: S104 - compared


def chat_model(spec: str) -> ChatModel:
    """The chat model that a spec names, with address and key from the environment. Raises `ConfigError`."""
    from engram.models.chat import load_chat_model

    return load_chat_model(spec, _model_endpoint(spec))


def _reranker(reranker: Reranker | AskingReranker | str) -> Reranker | AskingReranker:
    from engram.models.rerankers import load_reranker

    return load_reranker(reranker)


def _aware(clock: Clock) -> Clock:
    """The clock, held to times with a zone."""

    def checked() -> datetime:
        moment = clock()
        if moment.tzinfo is None:
            raise ConfigError("clock: gave a time without a zone; use datetime.now(UTC)")
        return moment

    return checked


def _check(durability: object, cache_mb: object, schema: object) -> None:
    if not isinstance(schema, Schema | None):
        raise ConfigError(f"schema: expected Schema(…), got {type(schema).__name__}")
    if durability not in ("process", "power"):
        raise ConfigError(f"durability: {durability!r} is neither 'process' nor 'power'")
    if not isinstance(cache_mb, int) or cache_mb < _MIN_CACHE_MB:
        raise ConfigError(f"cache_mb: expected at least {_MIN_CACHE_MB}, got {cache_mb!r}")


def open_core(
    url: str | None,
    *,
    policy: Policy | str | None = None,
    embedder: Embedder | str | None = None,
    model: Chat | ChatModel | str | None = None,
    reranker: Reranker | AskingReranker | str | None = None,
    schema: Schema | None = None,
    durability: str = "process",
    cache_mb: int = 512,
    clock: Clock | None = None,
    seed: int = 0,
    mend: bool = False,
) -> Core:
    """Open a store and join it with its models and policy.

    Raises `ConfigError`, `StoreError`, and for another embedder's store `NeedsMigration`, unless `mend`.
    """
    _check(durability, cache_mb, schema)
    chosen, vectors = load_policy(policy), chosen_embedder(embedder)
    asked, chat = _chat(model, seed)
    again = None if reranker is None else _reranker(reranker)
    aware, address = utc_now if clock is None else _aware(clock), url or default_url()
    core = Core(
        store=open_store(address, durability=durability, clock=aware, seed=seed),
        policy=chosen,
        embedder=vectors,
        clock=aware,
        model=asked,
        chat=chat,
        reranker=again,
        schema=schema or Schema(),
        seed=seed,
        cache_bytes=cache_mb << 20,
        url=address,
    )
    if not mend:
        core.check_identity()
    return core
