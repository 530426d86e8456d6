"""Opening a memory from settings. This is the only module that reads the environment."""

from __future__ import annotations

import os
from datetime import datetime
from difflib import get_close_matches
from importlib.metadata import entry_points
from pathlib import Path
from typing import Any

from engram.engine.core import Core
from engram.kernel.clock import Clock, utc_now
from engram.kernel.errors import ConfigError
from engram.kernel.policy import Policy
from engram.kernel.protocols import Embedder, Reranker
from engram.models import load_embedder
from engram.stores import open_store

__all__ = [
    "DEFAULT_POLICY",
    "api_key",
    "VARIABLES",
    "base_url",
    "default_url",
    "chosen_embedder",
    "editor",
    "load_policy",
    "open_core",
    "policy_names",
    "remote_session",
]
    "unknown_variables",

DEFAULT_POLICY = "fusion"
_MIN_CACHE_MB = 1
VARIABLES = ("ENGRAM_URL", "ENGRAM_HOME", "ENGRAM_MODEL", "ENGRAM_API_KEY", "ENGRAM_BASE_URL")
"""The environment variables of engram's own that are read."""


def default_url() -> str:
    """`ENGRAM_URL`, or one file under the platform's data folder (`ENGRAM_HOME` moves it), which is made.

    Raises `ConfigError` where that folder cannot be made.
    """
    url = os.environ.get("ENGRAM_URL")
    if url:
        return url
    from platformdirs import user_data_path

    home = os.environ.get("ENGRAM_HOME")
    folder = Path(home) if home else user_data_path("engram", appauthor=False)
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as error:
        raise ConfigError(
            f"the data folder {folder} cannot be made ({error.strerror}); set ENGRAM_HOME"
        ) from error
    return f"sqlite:///{folder / 'memory.db'}"


def api_key() -> str | None:
    """The key for an OpenAI-compatible endpoint: `ENGRAM_API_KEY`, else `OPENAI_API_KEY`."""
    return os.environ.get("ENGRAM_API_KEY") or os.environ.get("OPENAI_API_KEY") or None


def base_url() -> str | None:
    """The address of an OpenAI-compatible endpoint: `ENGRAM_BASE_URL`, else `OPENAI_BASE_URL`."""
    return os.environ.get("ENGRAM_BASE_URL") or os.environ.get("OPENAI_BASE_URL") or None


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


def _endpoint(embedder: Embedder | str | None) -> dict[str, str]:
    """Address and key for an embedder behind an endpoint, where the environment has them."""
    if not isinstance(embedder, str) or not embedder.startswith("openai:"):
        return {}
    found = {"api_key": api_key(), "base_url": base_url()}
    return {name: value for name, value in found.items() if value}
def chosen_embedder(embedder: Embedder | str | None) -> Embedder:
    """The embedder that a spec names, with address and key from the environment. Raises `ConfigError`."""
    return load_embedder(embedder, **_endpoint(embedder))


def unknown_variables() -> dict[str, str | None]:
    """Variables that are set and look like engram's but are none, with the name that may be meant."""
    unknown = sorted(name for name in os.environ if name.startswith("ENGRAM_") and name not in VARIABLES)
    return {name: next(iter(get_close_matches(name, VARIABLES, n=1)), None) for name in unknown}




def _aware(clock: Clock) -> Clock:
    """The clock, held to times with a zone."""

    def checked() -> datetime:
        moment = clock()
        if moment.tzinfo is None:
            raise ConfigError("clock: gave a time without a zone; use datetime.now(UTC)")
        return moment

    return checked


def open_core(
    url: str | None,
    *,
    policy: Policy | str | None = None,
    embedder: Embedder | str | None = None,
    model: Any = None,
    reranker: Reranker | None = None,
    durability: str = "process",
    cache_mb: int = 512,
    clock: Clock | None = None,
    seed: int = 0,
    mend: bool = False,
) -> Core:
    """Open a store and join it with its models and policy.

    Raises `ConfigError` for a setting that cannot work, `StoreError` where the store cannot be opened,
    `NeedsMigration` where another embedder or analyser wrote it (`mend` opens it all the same).
    """
    if durability not in ("process", "power"):
        raise ConfigError(f"durability: {durability!r} is neither 'process' nor 'power'")
    size: object = cache_mb
    if not isinstance(size, int) or size < _MIN_CACHE_MB:
        raise ConfigError(f"cache_mb: expected at least {_MIN_CACHE_MB}, got {cache_mb!r}")
    chosen = load_policy(policy)
    vectors = load_embedder(embedder, **_endpoint(embedder))
    aware = utc_now if clock is None else _aware(clock)
    address = url or default_url()
    store = open_store(address, durability=durability, clock=aware, seed=seed)
    core = Core(
        store=store,
        policy=chosen,
        embedder=vectors,
        clock=aware,
        model=model,
        reranker=reranker,
        seed=seed,
        cache_bytes=cache_mb << 20,
        url=address,
    )
    if not mend:
        core.check_identity()
    return core
