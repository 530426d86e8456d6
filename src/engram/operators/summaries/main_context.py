"""A main context during one `add`: events for the model, a queue, and a summary of what has left it."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass, field, replace

from engram.kernel.changes import Add, Change, Retire
from engram.kernel.effects import Ask, Now, Wanted
from engram.kernel.record import Record
from engram.kernel.scope import Scope
from engram.operators.consolidation.diary import BLOCK
from engram.operators.consolidation.timeline import holds_one
from engram.operators.extraction.turns import by_rules
from engram.operators.summaries.backlog import blocks_of, covers, in_order, until_of, waiting
from engram.operators.summaries.calls import SYSTEM, Calls, asked
from engram.operators.summaries.desk import Desk
from engram.operators.summaries.pressure import Window
from engram.operators.summaries.quoting import line
from engram.operators.summaries.running import Running
from engram.operators.summaries.sizes import AROUND, tokens

__all__ = ["SUMMARY", "MainContext"]

SUMMARY = "summary"
"""The name of the block that holds the recursive summary."""
_MANY = 20  # calls of a reply that count
_MATTERS = 0.9  # from which importance on a fact is taken down by rule
_QUARTER = 4  # of the window is what one message may take


@dataclass
class MainContext:
    """Working context, queue and recursive summary of a lane, as the events of one `add` leave them.

    The summary is a core block whose record stands on the one before and on the messages that it took in; the
    one before ends. So the erasure of a message opens the summary again that did not know it.
    """

    window: Window
    desk: Desk
    queue: list[Record]
    kept: Record | None = None
    summary: str = ""
    evicted: list[Record] = field(default_factory=list)

    @classmethod
    async def of(cls, window: Window, limit: int, lane: Scope, new: Collection[str]) -> MainContext:
        """The context of a lane without the `new` messages, and without what stands on these alone."""
        blocks = await blocks_of(lane, new)
        mine = [item for item in blocks if item.made_by is not None and item.metadata.get(BLOCK) == SUMMARY]
        kept = mine[-1] if mine else None
        queue = await waiting(lane, kept, new)
        others = [item for item in blocks if item not in mine]
        desk = Desk.of(limit, others, *mine[-1:], *queue)
        return cls(window, desk, queue, kept, kept.text if kept else "")

    def taken(self, *more: Record) -> int:
        """The tokens of the context, with `more` messages."""
        longest = self.window.size // _QUARTER
        messages = sum(AROUND + min(longest, tokens(turn.text)) for turn in [*self.queue, *more])
        return tokens("\n".join(self.desk.quoted())) + tokens(self.summary) + messages

    def pressure(self, new: Sequence[Record]) -> bool:
        """Whether the new messages bring it over the warning, which it was not before."""
        return self.window.pressed(self.taken(*new)) and not self.window.pressed(self.taken())

    async def event(self, new: Sequence[Record], steps: int, *, pressure: bool) -> None:
        """Let the model act on the new messages: at most `steps` questions. Raises what `Ask` raises."""
        self.desk.new = new
        results: list[str] = []
        for _ in range(steps):
            prompt = asked(
                self.desk.quoted(),
                self.summary,
                self.queue,
                new,
                results,
                pressure=pressure,
                longest=self.window.size // _QUARTER,
            )
            reply = await Ask(prompt, Calls, SYSTEM)
            done = [await self.desk.do(call) for call in reply.calls[:_MANY]]
            if len(reply.calls) > _MANY:
                done.append((line(gave=f"only the first {_MANY} calls were carried out"), True))
            results = [gave for gave, _ in done]
            if not reply.heartbeat and all(well for _, well in done):
                break

    async def event_by_rules(self, new: Sequence[Record]) -> None:
        """Take down who the user is, as far as rules find it in the new messages."""
        for said in by_rules(new, await Wanted()):
            if (said.fact.importance or 0) >= _MATTERS:
                self.desk.note(said.fact, said.turn, single=holds_one(said.fact))

    async def take(self, new: Sequence[Record], running: Running) -> None:
        """Put messages into the queue, and flush it where it is full: by one summary for each flush."""
        until = until_of(self.kept)
        self.queue = in_order([*self.queue, *(turn for turn in new if until is None or turn.time >= until)])
        self.desk.shown += new
        while self.queue and self.window.full(self.taken()):
            count = self.window.front(self.queue)
            gone, self.queue = self.queue[:count], self.queue[count:]
            self.summary = await running.told(self.summary, gone)
            self.evicted += gone
            self.desk.shown.append(replace(gone[0], text=self.summary, made_by="", sources=self._stands_on))

    async def changes(self, note: str) -> list[Change]:
        """What became of it; `note` is what the receipt says of each."""
        now = await Now()
        made = self.desk.changes(now, note)
        if not self.evicted:
            return made
        number = sum(isinstance(change, Add) for change in made)
        before = [] if self.kept is None else [self.kept.valid.start or now]
        start = min([now, *before, *(turn.time for turn in self.evicted)])
        known = self.kept.metadata.get("turns") if self.kept is not None else 0
        turns = len(self.evicted) + (known if isinstance(known, int) else 0)
        metadata = {BLOCK: SUMMARY, "turns": turns, **covers(self.evicted)}
        reason = "; ".join(filter(None, (f"{len(self.evicted)} messages left the queue", note)))
        made.append(
            Add(
                self.summary,
                "core",
                self._stands_on,
                valid_start=start,
                metadata=metadata,
                reason=reason,
            )
        )
        if self.kept is not None:
            again = Retire(
                self.kept.id, self.kept.version, sources=(f"#{number}",), reason="taken into the next"
            )
            made.append(again)
        return made

    @property
    def _stands_on(self) -> tuple[str, ...]:
        before = () if self.kept is None else (self.kept.id,)
        return (*before, *(turn.id for turn in self.evicted))
