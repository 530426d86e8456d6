"""`engram compare`: which memory method for these conversations, at what cost."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from engram.cli.bench import Depths, numbers
from engram.cli.options import Json, Opening, Paths, PolicyNames, known_policy, policies

if TYPE_CHECKING:
    from engram.bench.compare import Outcome, Settings
    from engram.bench.compared import Compared

__all__ = ["compare"]


Against = Annotated[
    str | None,
    typer.Option(
        "--against", metavar="NAME", help="What p is against. Default: fusion.", callback=known_policy
    ),
]
Judge = Annotated[
    str | None, typer.Option("--judge", metavar="SPEC", help="Who marks answers. Default: --model.")
]
Jobs = Annotated[int, typer.Option("--jobs", "-j", metavar="N", min=0, help="Processes; 0: one a core.")]
Out = Annotated[
    Path | None,
    typer.Option("--out", metavar="FILE", help="Keeps outcomes: a comparison that was stopped goes on."),
]
Svg = Annotated[
    Path | None, typer.Option("--svg", metavar="FILE", help="Draw quality against cost, .svg or .png.")
]


def compare(
    context: typer.Context,
    paths: Paths,
    policy: PolicyNames = None,
    all_: Annotated[bool, typer.Option("--all", help="Every method that is installed.")] = False,
    against: Against = None,
    k: Depths = "5,10",
    judge: Judge = None,
    out: Out = None,
    jobs: Jobs = 0,
    seed: Annotated[int, typer.Option("--seed", metavar="N", help="Of memories, intervals and tests.")] = 0,
    svg: Svg = None,
    json: Json = False,
) -> None:
    """Compare memory methods on the same conversations.

    Recall of the evidence with intervals, and with a model (engram --model
    SPEC compare …) marks of the answers; what adding and searching takes, and
    what is kept. p is of equal recall, corrected for the number of tests.
    """
    from engram.bench import plots
    from engram.bench.compare import Settings
    from engram.bench.compared import compared
    from engram.config import DEFAULT_POLICY

    if bool(policy) == all_:
        raise typer.BadParameter("name methods with --policy, or give --all")
    plots.ready(svg)
    reference = against or DEFAULT_POLICY
    chosen = policies() if all_ else policy or []
    named = [reference, *(name for name in dict.fromkeys(chosen) if name != reference)]
    opening: Opening = context.obj
    replies = None if out is None or opening.model is None else out.with_name(out.name + ".replies")
    settings = Settings(tuple(numbers(k)), opening.model, judge, seed=seed, replies=replies)
    outcomes = _outcomes(paths, named, settings, out, jobs or os.cpu_count() or 1)
    found = compared(outcomes, reference, seed)
    _shown(found, as_json=json)
    if svg is not None:
        _drawn(found, svg, quiet=json)


def _drawn(found: list[Compared], path: Path, *, quiet: bool) -> None:
    from engram.bench.plots_compare import draw_compared

    draw_compared(found, path)
    if not quiet:
        print(path)


def _outcomes(
    paths: list[Path], named: list[str], settings: Settings, out: Path | None, jobs: int
) -> list[Outcome]:
    """Measure what the file does not have yet, and keep it there."""
    from engram.bench import load
    from engram.bench.compare import compare as measured
    from engram.bench.compare import kept, units
    from engram.bench.report import json_line
    from engram.cli.output import progress

    wanted = units(load.data_sets(paths), named, settings)
    done = {} if out is None else kept(out)
    left = sum(unit.key not in done for unit in wanted)
    with progress(left, "comparing") as step:

        def keep(outcome: Outcome) -> None:
            if out is not None:
                with out.open("a", encoding="utf-8") as file:
                    file.write(json_line(outcome.to_dict()) + "\n")
            step()

        return measured(wanted, done, jobs, keep)


def _shown(found: list[Compared], *, as_json: bool) -> None:
    from engram.bench.compared import winners
    from engram.bench.report_compare import category_table, compare_tables, winner_table
    from engram.cli.output import emit, output

    for note in sorted({f"{item.policy}: {note}" for item in found for note in item.notes}):
        print(note, file=sys.stderr)
    if as_json:
        for item in found:
            emit(item.to_dict())
        return
    console = output()
    for data in dict.fromkeys(item.data for item in found):
        those = [item for item in found if item.data == data]
        console.print(*compare_tables(those), sep="\n")
        if len(those[0].by_category) > 1:
            console.print(category_table(those))
    console.print(winner_table(winners(found)))
