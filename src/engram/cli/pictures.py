"""Drawing what a store holds: `engram stats --plot`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from engram.cli.options import opened_core
from engram.cli.output import progress

if TYPE_CHECKING:
    import typer

    from engram.bound import ScopeIds

__all__ = ["plot_growth"]


def plot_growth(context: typer.Context, url: str | None, ids: ScopeIds, path: Path) -> None:
    """Draw the records of a scope over time (no ids: of everyone). Raises `MissingExtra`, `NotFound`."""
    from engram.bench.growth import growth
    from engram.bench.plots import ready
    from engram.bench.plots_growth import draw_growth
    from engram.kernel.scope import Scope
    from engram.kernel.show import listed

    ready(path)
    pattern = Scope.of(**ids) if ids else None
    core = opened_core(context, url)
    try:
        total = sum(count for _, count in core.store.scopes(pattern))
        with progress(total, "counting") as step:
            found = growth(core.store, pattern, step)
    finally:
        core.close()
    draw_growth(found, path, listed(ids))
