"""Looking after a store from outside: what needs it closed to everyone's own settings."""

from __future__ import annotations

from engram.config import open_core
from engram.engine.progress import Progress
from engram.engine.reembed import reembed as rewrite
from engram.engine.results import Report
from engram.kernel.protocols import Embedder

__all__ = ["reembed"]


def reembed(
    url: str | None = None, *, embedder: Embedder | str | None = None, progress: Progress | None = None
) -> Report:
    """Give the store at `url` to another embedder: index entries of all versions are written anew.

    `embedder` is one or a spec such as `sentence-transformers:NAME`; the default is the built-in one.
    Others may search and add meanwhile, with the old embedder; once all entries are there, the store is
    switched to them at once, and whoever has it open with the old one gets `NeedsMigration`. A call that
    was broken off goes on where it stopped when it is made again. `progress` is called with how many
    versions are done and how many there are: as they are written, then again as they are proved.

    The report counts records (`checked`) and versions written (`mended`). Raises `ModelUnavailable` where
    the embedder fails, `Conflict` where another reembed takes over, `ConfigError` and `StoreError` where
    the store cannot be opened.
    """
    core = open_core(url, embedder=embedder, mend=True)
    try:
        return rewrite(core, progress)
    finally:
        core.close()
