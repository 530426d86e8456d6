"""`engram demo`: months of conversation remembered and asked about, before your eyes."""

from __future__ import annotations

from importlib.resources import as_file, files
from itertools import groupby
from statistics import median
from tempfile import TemporaryDirectory
from textwrap import fill
from time import perf_counter
from typing import TYPE_CHECKING

import typer
from rich.console import Console
from rich.panel import Panel
from rich.text import Text

from engram.cli.options import Opening
from engram.cli.output import cut, output, printable, reasons, status, who

if TYPE_CHECKING:
    from engram.bench.load import Conversation, Question
    from engram.kernel.record import Hit
    from engram.memory import Memory

__all__ = ["demo"]

TOP = 3
BUDGET = 400
TEXT, LINES = 71, 4
_LEGEND = """✓ marks a right turn; the number is the estimated probability that a turn answers.
why is what each signal gave to the first turn: bm25, coverage and pairs for its words, focus for
its meaning, _w3 with three turns on each side; named, when and date: it fits who or when is asked.
The first search, and the first with a date, load what they need and take longer.
"""
_NEXT = """
Next: [bold]engram add "I moved to Lisbon in May." --user ana[/bold]
      [bold]engram search "Where does she live?" --user ana --explain[/bold]
      [bold]engram import chatgpt-export.zip --user ana[/bold]; engram import --help says what else.
"""


def demo(context: typer.Context) -> None:
    """Remember seven months of conversation, then ask about it.

    Nothing is downloaded, no model is called, and your own memory is left alone:
    the demo works on a file of its own, which is gone when it ends.
    """
    from engram.bench.load import read_conversation
    from engram.memory import Memory

    opening: Opening = context.obj
    console = output()
    with as_file(files("engram.cli").joinpath("demo", "conversation.json")) as path:
        conversation = read_conversation(path)
    with TemporaryDirectory() as folder:
        with status("loading the embedder"):
            opened = Memory(f"sqlite:///{folder}/demo.db", policy=opening.policy, embedder=opening.embedder)
        with opened as memory:
            seconds = _remember(console, memory, conversation)
            ranks, milliseconds = _ask_all(console, memory, conversation)
            _pack(console, memory, conversation)
    answerable = sum(bool(question.evidence) for question in conversation.questions)
    console.print(
        f"[bold]{sum(rank <= TOP for rank in ranks)} of {answerable}[/bold] found in the first {TOP}, "
        f"[bold]{len(ranks)}[/bold] in the first 10 · "
        f"[bold]{milliseconds:.1f} ms[/bold] a search · "
        f"{conversation.turns} turns added in {seconds:.2f} s\n[dim]no network, no model[/dim]"
    )
    console.print(_NEXT)


def _remember(console: Console, memory: Memory, conversation: Conversation) -> float:
    """Add the conversation a session at a time, telling of each month; gives the seconds spent in `add`."""
    console.print(
        "\n[bold]Noor and Wendell write to each other. engram remembers, a session at a time.[/bold]\n"
    )
    spent = 0.0
    for month, sessions in groupby(
        conversation.sessions, key=lambda session: session.messages[0]["time"][:7]
    ):
        turns, first = 0, ""
        for session in sessions:
            start = perf_counter()
            memory.add(list(session.messages), user_id=conversation.name, run_id=session.run_id)
            spent += perf_counter() - start
            turns += len(session.messages)
            first = first or f"{session.messages[0]['name']}: {session.messages[0]['content']}"
        bar = Text("▪" * (turns // 4), style="green")
        console.print(
            Text.assemble(f"  {month} {turns:4} turns  ", bar.append(" " * max(0, 18 - len(bar)))), end=" "
        )
        console.print(Text(cut(first, 54), style="dim"))
    return spent


def _ask_all(console: Console, memory: Memory, conversation: Conversation) -> tuple[list[int], float]:
    """Ask every question; gives the rank of the first right turn of each that has one, and the median ms."""
    spent: list[float] = []
    ranks: list[int] = []
    console.print(
        f"\n[bold]Then it is asked, on {(conversation.last or '')[:10]}.[/bold]\n[dim]{_LEGEND}[/dim]"
    )
    for question in conversation.questions:
        start = perf_counter()
        hits = memory.search(question.text, user_id=conversation.name, at=conversation.last, explain=True)
        spent.append(1000 * (perf_counter() - start))
        console.print(Text.assemble((question.text, "bold"), (f"  {spent[-1]:.1f} ms", "dim cyan")))
        _show(console, question, hits)
        ranks += _right(question, hits)[:1]
    return ranks, median(spent)


def _right(question: Question, hits: list[Hit]) -> list[int]:
    """The ranks of the hits that answer a question."""
    return [rank for rank, hit in enumerate(hits, 1) if hit.record.origin in question.evidence]


def _show(console: Console, question: Question, hits: list[Hit]) -> None:
    """The first hits on a line each, but the first right one with more of its text."""
    told = False
    width = min(TEXT, max(20, console.width - 29))
    for place, hit in enumerate(hits[:TOP]):
        right = hit.record.origin in question.evidence
        text = cut(hit.text, width * LINES if right and not told else width)
        console.print(
            Text.assemble(
                (" ✓ " if right else "   ", "bold green"),
                (f"{hit.score:.2f} ", "green" if right else "dim"),
                (f"{hit.record.time:%Y-%m-%d}  {who(hit.record):<8}", "dim"),
                (fill(text, width).replace("\n", "\n" + " " * 28), "" if right else "dim"),
            )
        )
        told |= right
        if place == 0 and hit.why:
            console.print(Text(f"        why: {reasons(hit)}", style="dim italic"))
    console.print(Text(_verdict(question, hits), style="yellow"))


def _verdict(question: Question, hits: list[Hit]) -> str:
    """What the first hits do not tell: nothing where they hold a right turn."""
    ranks = _right(question, hits)
    if not question.evidence:
        return f"   never said in these months: the best score is {hits[0].score if hits else 0:.2f}\n"
    if not ranks:
        return f"   not among the first {len(hits)}: {cut(question.answer, TEXT)}\n"
    return "" if ranks[0] <= TOP else f"   a right turn is number {ranks[0]}\n"


def _pack(console: Console, memory: Memory, conversation: Conversation) -> None:
    """One question's context, as it would go into a prompt."""
    question = max(conversation.questions, key=lambda question: len(question.evidence))
    packed = memory.context(question.text, user_id=conversation.name, at=conversation.last, budget=BUDGET)
    title = f"context for a prompt: {cut(question.text, 50)} {packed.tokens} of at most {BUDGET} tokens"
    console.print(Panel(Text(printable(packed.text)), title=title, title_align="left", border_style="dim"))
