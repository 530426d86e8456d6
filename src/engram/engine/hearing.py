"""What answers stood on, told to the policy: it may learn from that, once and in one transaction."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass

from engram.engine.core import Core
from engram.engine.ingest import id_text
from engram.engine.performer import Performer
from engram.engine.read import SearchRequest, checked, commit_changes, get, wordless
from engram.engine.results import Item, Receipt
from engram.kernel.changes import Changes
from engram.kernel.effects import Task, Under
from engram.kernel.errors import InvalidInput
from engram.kernel.policy import Cited

__all__ = ["CitedRequest", "cited", "hear"]

_TRIES = 5


@dataclass(frozen=True, slots=True)
class CitedRequest:
    """The arguments of one `cited`."""

    search: SearchRequest
    cited: str | Sequence[str]
    shown: Sequence[str] | None


async def cited(core: Core, request: CitedRequest) -> Receipt:
    """Tell the policy what an answer stood on. Raises `NotFound` for an id that is not in the scope."""
    wanted = [request.cited] if isinstance(request.cited, str) else request.cited
    named = await _known(core, request.search, wanted, "cited")
    shown = None if request.shown is None else await _known(core, request.search, request.shown, "shown")
    if await hear(core, request.search, named, None if shown is None else shown | named):
        return Receipt((Item("stored", None, reason=f"{core.policy.name} has learned from the answer"),))
    return Receipt()


async def hear(
    core: Core, request: SearchRequest, named: Collection[str], shown: Collection[str] | None
) -> bool:
    """Have the policy learn from an answer; whether that changed anything.

    Where the memory moved on meanwhile, the policy hears it again. Raises `Conflict` where it always did.
    """
    query, _ = checked(request, core.policy.aside)
    if not core.policy.hears or wordless(query.text):
        return False
    told = Cited(query, frozenset(named), None if shown is None else frozenset(shown))
    for left in reversed(range(_TRIES)):
        performer = Performer(core, core.policy, query.scope, core.present)
        changes: Changes = await Under(core.policy.heard(told), core.driven(performer))
        if not changes:
            return False
        if await Task.of(commit_changes, core, query.scope, changes, performer, left == 0):
            break
    return True


async def _known(core: Core, request: SearchRequest, ids: object, place: str) -> frozenset[str]:
    if not isinstance(ids, Collection) or isinstance(ids, str | bytes):
        raise InvalidInput(f"{place}: expected ids of records, got {type(ids).__name__}")
    for id in ids:
        await Task.of(get, core, core.present, id_text(id), request.scope)
    return frozenset(ids)
