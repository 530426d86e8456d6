"""Two levels of summary: a running sentence of the present turns, and one over those of the turns before."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from engram.kernel.changes import Add, Change, Retire, Revise
from engram.kernel.effects import Now, Read, Told
from engram.kernel.record import Record
from engram.kernel.scope import Scope
from engram.operators.consolidation.days import own
from engram.operators.consolidation.diary import BLOCK
from engram.operators.summaries.backlog import blocks_of, in_order
from engram.operators.summaries.running import Running

__all__ = ["COMPACT", "EARLIER", "STRETCH", "Hierarchy"]

COMPACT, EARLIER = "compact", "earlier"
"""The names of the blocks: the running sentence, and the summary of summaries."""
STRETCH = "stretch"
"""The key of a summary's metadata that holds how many turns it covers."""


@dataclass
class _Desk:
    """What is there, and what became of it."""

    compact: Record | None
    earlier: Record | None
    stretches: list[Record]
    made: list[Change] = field(default_factory=list)
    new: list[str] = field(default_factory=list)  # what the new stretches are called in `made`

    @property
    def added(self) -> int:
        return sum(isinstance(change, Add) for change in self.made)


@dataclass(frozen=True)
class Hierarchy:
    """Keeps compact memory (HEMA, arXiv:2504.16754, section 3.2), over `every` turns a stretch.

    The running sentence is a core block that stands on the turns of the present stretch: S_t =
    Summarizer(S_{t-1}, u_t), where u_t are the turns of one `add`. When the stretch is full, it becomes a
    record of kind `summary`, and the other block is made of all of these again, so that no mistake is handed
    on from summary to summary.
    """

    running: Running
    every: int = 100

    async def changes(self, lane: Scope, turns: Sequence[Record], note: str = "") -> list[Change]:
        """What the turns change; `note` is what the receipt says of each. Raises what `Ask` raises."""
        ids = {turn.id for turn in turns}
        blocks = {
            record.metadata.get(BLOCK): record for record in own(await blocks_of(lane, ids), lane, BLOCK)
        }
        told = await Told(kinds=("summary",))
        known = own(await Read(tuple(id for _, id in told)) if told else [], lane, STRETCH)
        stretches = [record for record in known if not ids.issuperset(record.sources)]
        desk = _Desk(blocks.get(COMPACT), blocks.get(EARLIER), stretches)
        held = set(desk.compact.sources) if desk.compact else set[str]()
        new = in_order([turn for turn in turns if turn.id not in held])
        before = [
            turn for turn in new if desk.compact and turn.time < (desk.compact.valid.start or turn.time)
        ]
        if 2 * len(before) >= self.every:  # made anew: they were a stretch of their own
            for first in range(0, len(before), self.every):
                part = before[first : first + self.every]
                sentence = await self.running.told("", part)
                self._close(desk, replace(part[0], text=sentence), [turn.id for turn in part], note)
            new = [turn for turn in new if turn not in before]
        if new:
            await self._run_on(desk, new, note)
        if desk.new or (desk.earlier is None and desk.stretches):
            await self._sum_up(desk, note)
        return desk.made

    async def _run_on(self, desk: _Desk, new: Sequence[Record], note: str) -> None:
        """Bring the running sentence up to date, and close each stretch that is full."""
        compact = desk.compact
        covered = list(compact.sources) if compact else []
        sentence, fresh = compact.text if compact else "", list(new)
        while fresh:
            room = max(1, self.every - len(covered))
            group, fresh = fresh[:room], fresh[room:]
            sentence = await self.running.told(sentence, group)
            covered += [turn.id for turn in group]
            if len(covered) < self.every:
                break
            self._close(desk, replace(group[0], text=sentence), covered, note)
            if compact is not None:
                desk.made.append(Retire(compact.id, compact.version, reason="its stretch is full"))
            compact, covered, sentence = None, [], ""
        if not covered:
            return
        ids = tuple(covered)
        if compact is not None:
            desk.made.append(Revise(compact.id, compact.version, sentence, sources=ids, reason=note))
            return
        start = min([await Now(), *(turn.time for turn in new if turn.id in set(ids))])
        block = Add(sentence, "core", ids, valid_start=start, metadata={BLOCK: COMPACT}, reason=note)
        desk.made.append(block)

    def _close(self, desk: _Desk, stretch: Record, ids: Sequence[str], note: str) -> None:
        """A record for a stretch that is full; `stretch` has its sentence as the text."""
        reason = "; ".join(filter(None, (f"a stretch of {len(ids)} turns", note)))
        added = Add(stretch.text, "summary", tuple(ids), metadata={STRETCH: len(ids)}, reason=reason)
        desk.new.append(f"#{desk.added}")
        desk.made.append(added)
        desk.stretches.append(replace(stretch, id=""))

    async def _sum_up(self, desk: _Desk, note: str) -> None:
        """The summary of summaries, made of all stretches."""
        parts = [replace(record, name=f"part {number}") for number, record in enumerate(desk.stretches, 1)]
        text = parts[0].text if len(parts) == 1 else await self.running.told("", parts)
        known = [record.id for record in desk.stretches if record.id]
        old = desk.earlier
        if old is not None:
            sources = tuple(desk.new)
            desk.made.append(Revise(old.id, old.version, text, sources=sources, reason=note))
            return
        sources = (*known, *desk.new)
        desk.made.append(Add(text, "core", sources, metadata={BLOCK: EARLIER}, reason=note))
