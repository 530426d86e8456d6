"""Asking: what is remembered about a question, and what the model or an extract makes of it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

from engram.engine.core import Core
from engram.engine.hearing import hear
from engram.engine.lens import AsOf, Lens
from engram.engine.performer import Performer
from engram.engine.read import (
    SearchRequest,
    beside,
    blocks,
    joined,
    packed,
    room,
    search,
    unit_score,
    wordless,
)
from engram.engine.views import is_view
from engram.kernel.clock import parse_time
from engram.kernel.effects import Under
from engram.kernel.errors import Conflict
from engram.kernel.record import Hit
from engram.operators import answering
from engram.operators.answering import Answer

__all__ = ["AskRequest", "ask"]

_BUDGET = 3000


@dataclass(frozen=True, slots=True)
class AskRequest:
    """The arguments of one `ask`.

    `least` is the score that a hit needs, `None` for what is calibrated. Without a `budget` it is 3,000
    tokens, or the window of a policy that gives everything.
    """

    search: SearchRequest
    budget: int | None
    count: Callable[[str], int] | None
    least: float | None


async def ask(core: Core, lens: Lens, request: AskRequest) -> Answer:
    """An answer that stands on records of the scope, or none.

    Without a chat model it is an extract. With one, its cached replies are erased with what it was shown.
    """
    _tokens(core, request)
    usage: dict[str, float] = {}
    if request.least is not None:
        unit_score(request.least)
    hits = await search(core, lens, request.search, usage, to_pack=True)
    made = await (
        _extract(core, request, hits) if core.model is None else _asked(core, lens, request, hits, usage)
    )
    return replace(made, usage=usage)


async def _extract(core: Core, request: AskRequest, hits: list[Hit]) -> Answer:
    least = answering.EXTRACTED_FROM if request.least is None else request.least
    best = [hit for hit in hits if hit.score >= least]
    if core.policy.whole is None:
        best = best[: answering.EXTRACTED]
    if not best:
        return answering.abstained("extract", _nothing(hits, least))
    context = await packed(core, best, _tokens(core, request), request.count)
    if not context.text:
        return answering.abstained("extract", _no_room(core, request))
    return answering.extracted(context)


async def _asked(
    core: Core, lens: Lens, request: AskRequest, hits: list[Hit], usage: dict[str, float]
) -> Answer:
    least = answering.ASKED_FROM if request.least is None else request.least
    pinned = await blocks(core, lens, request.search.scope)
    near = await beside(core, lens, request.search)
    if all(hit.score < least for hit in hits) and (not (pinned or near) or wordless(request.search.query)):
        return answering.abstained("answer", _nothing(hits, least))
    if request.least is not None:
        hits = [hit for hit in hits if hit.score >= least]
    hits = joined(near, hits)
    context = await packed(core, hits, _tokens(core, request), request.count, pinned)
    if not context.text:
        return answering.abstained("answer", _no_room(core, request), *context.notes)
    performer = Performer(core, core.policy, request.search.scope, lens, usage=usage)
    shown = {citation.id for citation in context.citations}
    for record in [hit.record for hit in hits] + pinned:
        if record.id in shown:  # a view's words are those of its turns
            performer.reads.update(record.sources if is_view(record.id) else (record.id,))
    day = lens.moment if request.search.at is None else parse_time(request.search.at, "at")[0]
    program = answering.answered(request.search.query, context, day)
    answer: Answer = await Under(program, core.driven(performer))
    return await _heard(core, lens, request, answer, shown)


async def _heard(core: Core, lens: Lens, request: AskRequest, answer: Answer, shown: set[str]) -> Answer:
    """The answer, after the policy has learned what it stands on; a view of the past teaches nothing."""
    if answer.abstained or isinstance(lens, AsOf):
        return answer
    try:
        await hear(core, request.search, {citation.id for citation in answer.citations}, shown)
    except Conflict as conflict:  # the answer stands, and was paid for
        return replace(answer, notes=(*answer.notes, f"the policy has not learned from it: {conflict}"))
    return answer


def _nothing(hits: list[Hit], least: float) -> str:
    if not hits:
        return "nothing that is remembered has to do with it"
    best = max(hit.score for hit in hits)
    return f"nothing that is remembered answers it: the best score is {best:.2f}, and {least:.2f} is needed"


def _tokens(core: Core, request: AskRequest) -> int:
    """What it may pack; raises `InvalidInput`."""
    return room(core, request.budget, _BUDGET)


def _no_room(core: Core, request: AskRequest) -> str:
    return f"nothing fits into {_tokens(core, request)} tokens; give a larger budget"
