"""A-MEM: each turn becomes a note with keywords, tags and context, is linked to others, and lets them evolve.

Paper: Xu, Liang, Mei, Gao, Tan and Zhang, "A-MEM: Agentic Memory for LLM Agents", arXiv:2502.12110; and the
authors' code (WujiangXu/A-mem for the evaluation, agiresearch/A-mem as a library).

Taken: note construction (3.1: content, time, keywords, tags, context; found by all of them together), link
generation among the `k` nearest (3.2), evolution of their context and tags (3.3), retrieval of the nearest
notes with those linked to them (3.4).

Differs: the notes of one `add` share their two questions, `together` of them at most; nothing is asked where
no note is near. Evolution is a new version, shown in the receipt, which `undo` takes back, and the note then
stands on what it was written of. A reply touches only what it was shown, by small numbers. A search ranks by
cosine and words; a linked note is lifted by its neighbour instead of standing behind it whatever it says.
Turns stay, and are found where they have no note. Without a model, turns with facts have notes made by rules.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

from engram.kernel.changes import Changes
from engram.kernel.effects import Model, Neighbours, Read, Wanted
from engram.kernel.errors import ConfigError
from engram.kernel.policy import Policy, Query, Recall
from engram.kernel.record import Record
from engram.operators.notes.construct import Construct, Draft
from engram.operators.notes.note import NOTE_OF, noted_by_rules, turn_of
from engram.operators.notes.search import nearest_notes
from engram.operators.notes.weave import Weave, noted

__all__ = ["AMem"]

_BY_RULES = "by rules: no model is configured"


@dataclass(frozen=True)
class AMem(Policy):
    """Notes with keywords, tags and context, linked to each other and evolving; by rules without a model.

    A new note is shown with the `k` nearest of those kept, as similar as `near` at least; `together` new ones
    share a question. In a search, words count `words` beside the cosine's 1, and a note lifts those linked to
    it to `share` of its own rank. `instructions` go to the model with each turn to be noted.
    """

    name: ClassVar[str] = "a_mem"
    reading: ClassVar[tuple[str, ...]] = ("words", "share")

    k: int = 5
    near: float = 0.2
    together: int = 10
    words: float = 0.3
    share: float = 0.5
    instructions: str = ""

    def __post_init__(self) -> None:
        low = min(self.k, self.together) < 1 or self.words < 0
        if low or not (0 <= self.near <= 1 and 0 <= self.share <= 1):
            raise ConfigError("a_mem: k and together are 1 or more, words 0 or more, near and share 0 to 1")

    async def write(self, episodes: Sequence[Record]) -> Changes:
        """A note of each turn, its links, and what evolves by it."""
        turns = await self._unnoted([turn for turn in episodes if turn.text.strip()])
        if not turns:
            return Changes()
        schema = await Wanted()
        if await Model() is None:
            notes = noted_by_rules(turns, schema)
            held = [turn for turn in turns if turn.id in notes]
            return noted([Draft(turn, notes[turn.id], (turn.id,), _BY_RULES) for turn in held])
        instructions = " ".join(filter(None, (self.instructions, schema.instructions)))
        drafts = await Construct(self.together, instructions=instructions).drafts(turns)
        return await Weave(self.k, self.near, self.together).changes(drafts)

    async def _unnoted(self, turns: Sequence[Record]) -> list[Record]:
        """Those without a note that stays: deriving anew ends the notes that stand on its turns alone."""
        ids = {turn.id for turn in turns}
        edges = await Neighbours(tuple(sorted(ids)), (NOTE_OF,))
        notes = await Read(tuple(edge.source for edge in edges))
        has = {turn_of(note) for note in notes if not ids.issuperset(note.sources)}
        return [turn for turn in turns if turn.id not in has]

    async def read(self, query: Query) -> Recall:
        """The nearest notes and those linked to them; turns where there is no note of them."""
        return await nearest_notes(query, self.words, self.share)
