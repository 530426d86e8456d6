"""`engram bench`: recall on conversations with known evidence, and speed."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from enum import Enum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, TypeVar

import typer

from engram.cli.group import DefaultGroup
from engram.cli.options import Json, Paths, PolicyName, PolicyNames

if TYPE_CHECKING:
    from engram.bench.run import Measured

__all__ = ["Depths", "bench", "numbers"]

T = TypeVar("T")

bench = typer.Typer(
    cls=DefaultGroup,
    no_args_is_help=True,
    help="Measure recall (bench PATH…), speed (bench speed) or large scopes (bench ann).",
    epilog="Example: [bold]engram bench conversations/ --policy rrf --k 5,10[/bold]",
)


class Layout(Enum):
    """How the vectors of a large scope are laid out."""

    graph = "graph"
    lists = "lists"


def numbers(text: str) -> list[int]:
    """Whole numbers of at least 1, ascending."""
    try:
        found = sorted({int(part.replace("_", "")) for part in text.split(",")})
    except ValueError:
        raise typer.BadParameter(f"expected whole numbers such as 5,10,20, got {text!r}") from None
    if found[0] < 1:
        raise typer.BadParameter(f"expected numbers of at least 1, got {found[0]}")
    return found


def _told(measured: Measured) -> Measured:
    """The measurement itself, its notes told."""
    for note in measured.notes:
        print(f"{measured.policy}: {note}", file=sys.stderr)
    return measured


def _show(measured: Sequence[Measured]) -> None:
    """What was measured on one set of conversations, as tables."""
    from engram.bench import report
    from engram.cli.output import output

    console = output()
    tables = report.category_tables(measured, console.width)
    console.print(report.recall_table(measured), *tables, sep="\n")


def _draw(draw: Callable[[Sequence[T], Path], None], found: Sequence[T], path: Path, *, quiet: bool) -> None:
    """Draw what was found, and say where."""
    from engram.cli.output import output

    draw(found, path)
    if not quiet:
        output().print(f"drawn to {path}", markup=False, soft_wrap=True)


Depths = Annotated[str, typer.Option("--k", metavar="K,K…", help="Depths at which recall is taken.")]
Svg = Annotated[
    Path | None,
    typer.Option("--svg", metavar="FILE", help="Draw a picture, .svg or .png (needs engram\\[plots])."),
]


@bench.command(epilog="Example: [bold]engram bench recall conversations/ --policy rrf --k 5,10[/bold]")
def recall(
    paths: Paths,
    policy: PolicyNames = None,
    k: Depths = "5,10,20,50",
    bare: Annotated[
        bool, typer.Option("--bare", help="Leave out the entities and triples that documents bring.")
    ] = False,
    url: Annotated[
        str | None,
        typer.Option(metavar="URL", help="Measure on this store, in tenants that are forgotten again."),
    ] = None,
    svg: Svg = None,
    json: Json = False,
) -> None:
    """Recall of the evidence turns, next to BM25, dense and their fusion.

    Each conversation goes into a store of its own, one session an add, and
    every question is asked at its last time. Entities and triples that
    documents bring are given along, and policies make use of them.
    """
    from engram.bench import load, plots, plots_recall, report, run
    from engram.cli.output import progress

    plots.ready(svg)
    ks, policies = numbers(k), run.chosen_policies(policy or [])
    data = load.data_sets(paths)
    data = [load.bare(item) for item in data] if bare else data
    found: list[run.Measured] = []
    with progress(sum(len(item.conversations) for item in data) * len(policies), "measuring") as step:
        for item in data:
            measured: list[run.Measured] = []
            for name in policies:
                measured.append(_told(run.evaluate(item, name, ks, step, url)))
                if json:
                    print(report.json_line(measured[-1].to_dict()), flush=True)
            if not json:
                _show(measured)
            found += measured
    if svg is not None:
        _draw(plots_recall.draw_recall, found, svg, quiet=json)


@bench.command(epilog="Example: [bold]engram bench speed --n 1000,10000 --json[/bold]")
def speed(
    n: Annotated[
        str, typer.Option("--n", metavar="N,N…", help="Sizes of store to measure.")
    ] = "1000,10000,100000",
    policy: PolicyName = None,
    svg: Svg = None,
    json: Json = False,
) -> None:
    """Speed and memory, against floors measured in the same run.

    The floors are a bare SQLite insert-and-commit of the same rows, and a
    numpy dot product with top-k over the same matrix, with one BLAS thread.
    """
    from engram.bench import plots, plots_speed, report
    from engram.bench.speed import measure
    from engram.cli.output import output, status

    plots.ready(svg)
    found = []
    with status() as say:
        for figure in measure(numbers(n), policy, say):
            found.append(figure)
            if json:
                print(report.json_line(figure.to_dict()), flush=True)
    if not json:
        console = output()
        console.print(report.speed_table(found, console.width))
    if svg is not None:
        _draw(plots_speed.draw_speed, found, svg, quiet=json)


@bench.command(epilog="Example: [bold]engram bench ann --n 10000,100000 --json[/bold]")
def ann(
    n: Annotated[str, typer.Option("--n", metavar="N,N…", help="Records in the scope.")] = "10000,100000",
    keep: Annotated[
        Path | None,
        typer.Option(metavar="FOLDER", help="Keep the stores there, and use those that are there."),
    ] = None,
    layout: Annotated[
        Layout, typer.Option(help="How vectors are laid out: usearch's graph, or lists on disk.")
    ] = Layout.graph,
    url: Annotated[
        str | None,
        typer.Option(metavar="URL", help="On this PostgreSQL, in schemas engram_bench_N, which stay there."),
    ] = None,
    json: Json = False,
) -> None:
    """Search in large scopes: exact, approximate, and the bare index library.

    Made-up turns go into a SQLite file, the index into a file beside it;
    it needs the extra ann. With --url both are in that database, with
    pgvector. Recall is the share of what exact search finds. Times are of
    the processor: other programs do not lengthen them.
    """
    from engram.bench import report
    from engram.bench.ann import measure
    from engram.cli.output import output, status

    found = []
    with status() as say:
        for figure in measure(numbers(n), keep, say, layout=layout.value, url=url):
            found.append(figure)
            if json:
                print(report.json_line(figure.to_dict()), flush=True)
    if not json:
        console = output()
        console.print(report.speed_table(found, console.width, "Large scopes"))


@bench.command(epilog="Example: [bold]engram bench plot results.jsonl --svg recall.svg[/bold]")
def plot(
    results: Annotated[
        Path, typer.Argument(metavar="RESULTS", help="What --json of the measuring command printed.")
    ],
    svg: Annotated[Path, typer.Option("--svg", metavar="FILE", help="The picture, .svg or .png.")],
    json: Json = False,
) -> None:
    """Draw a picture of saved measurements again, without measuring."""
    from engram.bench import plots
    from engram.bench.saved import draw_saved
    from engram.cli.output import emit, output

    plots.ready(svg)
    count = draw_saved(results, svg)
    if json:
        emit({"picture": str(svg), "measurements": count})
    else:
        output().print(f"{count:,} measurements drawn to {svg}", markup=False, soft_wrap=True)
