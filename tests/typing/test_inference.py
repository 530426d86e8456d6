"""What `await` gives, as type checkers see it; mypy and pyright read this file, pytest runs it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, assert_type

from engram.kernel.changes import Changes
from engram.kernel.drive import replay
from engram.kernel.effects import (
    Ask,
    Columns,
    Effect,
    Find,
    Now,
    Random,
    Read,
    Score,
    State,
    StateValue,
    each,
)
from engram.kernel.policy import Policy
from engram.kernel.record import Hit, Record


@dataclass(frozen=True)
class Verdict:
    """A reply."""

    word: str


class Typed(Policy):
    """A policy whose awaits are all checked."""

    async def write(self, episodes: Sequence[Record]) -> Changes:
        assert_type(await Now(), datetime)
        assert_type(await Random(), float)
        assert_type(await Read(("a",)), list[Record])
        assert_type(await Find("x"), list[Hit])
        assert_type(await State("s"), StateValue)
        assert_type(await Score("q"), Columns)
        assert_type(await Ask("?", Verdict), Verdict)
        assert_type(await each(Find(text) for text in ("a", "b")), list[list[Hit]])
        assert_type(await each([self.one(), self.one()]), list[float])
        return Changes()

    async def one(self) -> float:
        return await Random()


def test_the_same_program_runs() -> None:
    script: list[tuple[Effect[Any], Any]] = [
        (Now(), datetime(2026, 1, 1, tzinfo=UTC)),
        (Random(), 0.5),
        (Read(("a",)), []),
        (Find("x"), []),
        (State("s"), StateValue(None, 0)),
        (Score("q"), None),
        (Ask("?", Verdict), Verdict("yes")),
        (Find("a"), []),
        (Find("b"), []),
        (Random(), 0.1),
        (Random(), 0.2),
    ]
    assert replay(Typed().write([]), script) == Changes()
