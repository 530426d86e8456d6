"""The command `ask`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.text import Text

from engram.cli.filtering import filtered
from engram.cli.group import complain
from engram.cli.options import (
    Agent,
    At,
    Everyone,
    Filters,
    Json,
    Known,
    Run,
    Tenant,
    Url,
    User,
    Valid,
    asked,
    moment_of,
    opened,
)
from engram.cli.output import INDENT, cut, emit, moment, one_line, output, padded, printable, status
from engram.cli.reading import nothing, seen

if TYPE_CHECKING:
    from engram.operators.answering import Answer

__all__ = ["ask"]

Question = Annotated[str, typer.Argument(metavar="QUESTION", help="In plain words.")]
Budget = Annotated[
    int | None,
    typer.Option(metavar="TOKENS", min=1, help="The most tokens to be shown to the model. Default: 3000."),
]
Shown = Annotated[
    int, typer.Option("--limit", "-k", metavar="K", min=1, help="The most hits to be shown to the model.")
]
Needed = Annotated[
    float | None, typer.Option(metavar="SCORE", min=0, max=1, help="What a hit needs. Default: calibrated.")
]


def ask(
    context: typer.Context,
    question: Question,
    budget: Budget = None,
    k: Shown = 60,
    at: At = None,
    min_score: Needed = None,
    filters: Filters = None,
    valid: Valid = None,
    known: Known = None,
    user: User = None,
    agent: Agent = None,
    run: Run = None,
    tenant: Tenant = None,
    everyone: Everyone = False,
    url: Url = None,
    json: Json = False,
) -> None:
    """Answer a question from what is remembered, with the records it stands on.

    With a chat model (--model, ENGRAM_MODEL) it is the model's answer; without
    one, the best records are quoted. Where nothing answers, it says so.
    """
    ids = asked(user, agent, run, tenant, everyone=everyone)
    given: dict[str, Any] = {"at": moment_of(at, "--at"), "filters": filtered(filters), "everyone": everyone}
    with status("asking"), opened(context, url) as memory:
        view = seen(memory, valid, known)
        answer = view.ask(question, k=k, budget=budget, min_score=min_score, **given, **ids)
        words = {item.id: view.get(item.id, **ids).text for item in answer.citations}
        advice = nothing(memory, ids) if answer.abstained and not answer.usage else ""
    if json:
        emit(answer.to_dict())
    else:
        _show(answer, words)
        notes = (*answer.notes, *([advice] if advice.startswith("nothing is stored") else []))
        for note in notes:
            complain(note)


def _show(answer: Answer, words: dict[str, str]) -> None:
    """The answer, and behind it who said when what it stands on."""
    console = output()
    if answer.kind == "answer" and answer.text:
        console.print(Text(printable(answer.text)), soft_wrap=not console.is_terminal)
    for item in answer.citations:
        head = Text.assemble(
            (f"{f'[{item.number}]':>5}", "bold green"),
            f"  {moment(item.time)}  ",
            (one_line(item.who), "bold"),
        )
        console.print(head.append(f"  {item.id}", style="dim"), soft_wrap=True)
        console.print(padded(cut(words[item.id]), INDENT))
