"""Two stores under the same commits: what the rules of `engram.testing.machine` stand on."""

from __future__ import annotations

from hypothesis.stateful import RuleBasedStateMachine

from engram.kernel.errors import Conflict
from engram.kernel.protocols import Batch, Committed, Op, Select, Store
from engram.kernel.record import Record
from engram.testing.builders import Timeline

__all__ = ["Driven"]


class Driven(RuleBasedStateMachine):
    """Two stores, and the ids that they gave out."""

    def __init__(self) -> None:
        super().__init__()
        self.clock = Timeline()
        self.ids: list[str] = []
        self.edge_ids: list[str] = []
        self.job_ids: list[str] = []
        self.tested, self.plain = self.make()

    def make(self) -> tuple[Store, Store]:
        """The store under test and a plain one, both empty, on `self.clock`."""
        raise NotImplementedError("give make(): the store under test and a plain one")

    def teardown(self) -> None:
        """Close both stores."""
        self.tested.close()
        self.plain.close()

    def commit(self, *ops: Op) -> Committed | None:
        """Apply the operations to both; `None` where both refuse."""
        outcomes = [_outcome(store, Batch(ops)) for store in (self.tested, self.plain)]
        assert outcomes[0] == outcomes[1], f"{ops!r}: {outcomes[0]!r} is not {outcomes[1]!r}"
        done = outcomes[0]
        if isinstance(done, str):
            return None
        self.ids += [id for id in done.ids if id not in self.ids]
        self.job_ids += done.jobs
        return done

    def pick(self, number: int) -> str:
        """An id that was given out once, or one that never was."""
        return self.ids[number % len(self.ids)] if self.ids else "nowhere"

    def latest(self, number: int) -> Record | None:
        """The latest version of some record, closed or not."""
        found = self.plain.select(Select(ids=(self.pick(number),), closed=True))
        return found[0] if found else None


def _outcome(store: Store, batch: Batch) -> Committed | str:
    try:
        return store.commit(batch)
    except Conflict as refusal:
        return str(refusal)
