"""A memory's life under faults: it is written to, read, tended and changed, and killed again and again.

`live` leads one life, decided by a seed, and raises `Violation` where a promise is broken. It knows nothing
of any policy: whatever is registered goes through it, without a model, with one that says anything of the
right form, and with a sensible one where `SENSIBLE` has it.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, cast

from engine.helpers import Ticking
from engine.sensible import CHECKS, SENSIBLE
from engram import Memory, Receipt, Record
from engram.config import load_policy, policy_names
from engram.engine import queue
from engram.kernel.chat import ChatModel
from engram.kernel.drive import Perform
from engram.kernel.effects import Effect
from engram.kernel.errors import Conflict, EngramError, ModelError, NotFound
from engram.kernel.policy import Policy
from engram.kernel.protocols import Select, Store
from engram.policies.mem0 import Mem0
from engram.testing.doubles import HashEmbedder, ScriptedModel
from engram.testing.faults import KINDS as FAULTS
from engram.testing.faults import Crash, Faulty
from engram.testing.plausible import PlausibleModel

__all__ = ["KINDS", "OTHERS", "Case", "Lived", "Violation", "cases", "live"]

KINDS = (*FAULTS, "crash at a commit")
"""The kinds of faults that a life meets."""
BUGS = (AssertionError, AttributeError, ArithmeticError, LookupError, RuntimeError, TypeError, ValueError)
"""What a mistake in the code raises; `Violation` is one of the first."""
CANARY = "Zanzibar"
SECRET = f"I once lived in {CANARY} with Berta."
EDITED = "My favourite fruit is quince."
EMBEDDER = HashEmbedder(32)
_TRIES = 400
_GIVES_UP = 0.2  # how often a caller whose process was killed does not come back

OTHERS: dict[str, Policy] = {"mem0+add": Mem0(form="add")}
"""Policies with other parameters than their own defaults."""


class Violation(AssertionError):
    """A promise was broken."""


@dataclass(frozen=True)
class Case:
    """A policy and how it is answered: `none` (it has no model), `any` or `sensible`."""

    name: str
    policy: Policy
    replies: str

    def __str__(self) -> str:
        return f"{self.name}/{self.replies}"

    def model(self, seed: int) -> ChatModel | None:
        """The model of a life."""
        if self.replies == "none":
            return None
        return PlausibleModel(seed) if self.replies == "any" else ScriptedModel(SENSIBLE[self.policy.name])


@dataclass
class Lived:
    """What befell a memory in one life, and how many effects were performed."""

    struck: Counter[str] = field(default_factory=Counter)
    effects: int = 0
    processes: int = 0


def cases(names: list[str] | None = None) -> list[Case]:
    """Every registered policy, in each way of being answered."""
    found: list[Case] = []
    for name in [*policy_names(), *OTHERS]:
        if names and name not in names:
            continue
        policy = OTHERS.get(name) or load_policy(name)
        asks = policy.writes or policy.tends
        ways = ["none", *(["any"] if asks else []), *(["sensible"] if policy.name in SENSIBLE else [])]
        found += [Case(name, policy, way) for way in ways]
    return found


def live(case: Case, seed: int, folder: Path, rate: float = 0.04, url: str | None = None) -> Lived:
    """Lead the life of that seed in an empty folder, or in the store at `url`, which is not there yet.

    Raises `Violation`, naming case and seed.
    """
    life = _Life(case, seed, url or f"sqlite:///{folder / 'm.db'}", rate)
    try:
        life.lead()
        life.finish()
        _no_trace(folder)
    except (EngramError, *BUGS) as error:
        raise Violation(f"{case}, seed {seed}: {type(error).__name__}: {error}") from error
    return life.lived


class _Mortal:
    """A store as a process has it: out of reach once that is killed, which may happen at any commit."""

    def __init__(self, store: Store, fate: Callable[[], float], killed: Callable[[], None]) -> None:
        self.store, self.dead, self._fate, self.killed = store, False, fate, killed

    def __getattr__(self, name: str) -> Any:
        method = getattr(self.store, name)

        def call(*arguments: Any, **named: Any) -> Any:
            if self.dead:
                raise Crash("the process is dead")
            fate = self._fate() if name == "commit" else 1.0
            if fate < 1.0:
                self.killed()
            if fate < 0.5:
                self.dead = True
                raise Crash("killed before a commit")
            done = method(*arguments, **named)
            if fate < 1.0:
                self.dead = True
                raise Crash("killed after a commit")
            return done

        return call


class _Life:
    def __init__(self, case: Case, seed: int, url: str, rate: float) -> None:
        self.case, self.seed, self.url, self.rate = case, seed, url, rate
        self.clock = Ticking()
        self.model = case.model(seed)
        self.lived = Lived()
        self.draws = 0
        self.said: dict[str, str] = {}  # the texts that must be there, by the caller's id
        self.perhaps: dict[str, str] = {}  # those whose caller never heard that they were stored
        self.undoing: str | None = None

    def lead(self) -> None:
        """Take every step, however often it is struck."""
        steps = self._steps()
        tries = 0
        while steps:
            with self._process() as memory:
                while steps:
                    tries += 1
                    if tries > _TRIES:
                        raise Violation(f"{len(steps)} steps are left after {_TRIES} tries: {steps[0]}")
                    try:
                        steps[0][1](memory)
                    except ModelError:
                        self.clock.skip(minutes=10)
                        continue
                    except Crash:
                        if steps[0][0] == "add" and self._draw("gives up") < _GIVES_UP:
                            steps.pop(0)
                        break
                    steps.pop(0)
            self.clock.skip(seconds=30)

    def finish(self) -> None:
        """Let an operator see to what is owed, with a model that is well again; then look at everything."""
        with self._opened() as memory:
            core = memory._bound.core
            for _ in range(3):
                self.clock.skip(days=1)
                for job in core.store.jobs():
                    queue.retry(core, job.id, None)
                if memory.wait(20):
                    break
            memory.tend()
            if left := core.store.jobs():
                raise Violation(f"stuck: {[(job.kind, job.status, job.error) for job in left]}")
            if memory.stats()["purge"] != "done":
                raise Violation("a purge is owed")
            if problems := memory.verify().problems:
                raise Violation(f"verify: {[str(problem) for problem in problems]}")
            self._look(memory)

    def _steps(self) -> list[tuple[str, Callable[[Memory], object]]]:
        def add(
            *messages: dict[str, Any], user: str = "u", run: str | None = "one", wait: bool = True
        ) -> Any:
            return "add", lambda memory: self._add(memory, list(messages), user, run, wait=wait)

        def search(query: str) -> Any:
            return "search", lambda memory: memory.search(query, user_id="u", k=5)

        return [
            add(_message("a", 1, "My favourite tea is sencha."), _message("b", 1, "I live in Porto.")),
            search("Which tea does Ana like?"),
            add(_message("c", 2, SECRET)),
            add(_message("d", 3, "My sister Berta works at Acme.", triples=[["Berta", "works at", "Acme"]])),
            ("context", lambda memory: memory.context("Where does Ana live?", user_id="u", budget=300)),
            add(_message("e", 4, "My favourite tea is assam.", role="user"), run="two"),
            ("tend", self._tend),
            add(_message("f", 5, "I moved to Oslo."), user="v"),
            ("edit", self._edit),
            add(_message("g", 5, "I moved to Oslo. My favourite fruit is plum."), run="two", wait=False),
            ("wait", lambda memory: memory.wait(5)),
            ("forget", self._forget),
            search("Berta"),
            add(
                _message("h", 6, "She left Acme last week."),
                _message("i", 6, "Fine, thanks.", role="assistant"),
            ),
            ("undo", self._undo),
            ("days", lambda memory: self.clock.skip(days=40)),
            ("tend", self._tend),
            search("Where does Ana live?"),
            add(_message("j", 2, "My favourite tea is oolong."), run=None),
        ]

    def _add(
        self, memory: Memory, messages: list[dict[str, Any]], user: str, run: str | None, *, wait: bool
    ) -> None:
        texts = {f"{user}/{message['id']}": message["content"] for message in messages}
        self.perhaps |= texts
        ids = {"user_id": user, **({"run_id": run} if run else {})}
        receipt: Receipt = memory.add(messages, wait=wait, **cast("Any", ids))
        if not {item.event for item in receipt.items[: len(messages)]} <= {"stored", "duplicate"}:
            raise Violation(f"not stored: {receipt}")
        self.said |= texts
        for id in texts:
            del self.perhaps[id]

    def _turn(self, memory: Memory, origin: str) -> Record | None:
        found = memory.get_all(user_id="u", filters={"origin": origin}, limit=100)
        return next((record for record in found if record.kind == "episode"), None)

    def _edit(self, memory: Memory) -> None:
        turn = self._turn(memory, "b")
        if turn is None:
            return
        memory.edit(turn.id, text=EDITED, user_id="u")
        (self.said if "u/b" in self.said else self.perhaps)["u/b"] = EDITED

    def _forget(self, memory: Memory) -> None:
        self.said.pop("u/c", None)
        self.perhaps.pop("u/c", None)
        turn = self._turn(memory, "c")
        if turn is not None:
            memory.forget([turn.id], user_id="u")

    def _undo(self, memory: Memory) -> None:
        """Take back what was derived last; not where something later stands on it, or it is taken back."""
        if self.undoing is None:
            made = [record for record in memory.get_all(user_id="u", limit=1000) if record.made_by]
            if not made:
                return
            self.undoing = str(max(record.opened for record in made))
        try:
            memory.undo(self.undoing, user_id="u")
        except (Conflict, NotFound):
            return

    def _tend(self, memory: Memory) -> None:
        try:
            memory.tend(user_id="u")
        except Conflict as refusal:  # it would end too much at once
            if "tend stopped" not in str(refusal):
                raise

    def _look(self, memory: Memory) -> None:
        """Whether every text is there once, and what is derived stands on something and is there once."""
        records: list[Record] = []
        for user in ("u", "v"):
            records += memory.get_all(user_id=user, limit=1000).items
        episodes = [record for record in records if record.kind == "episode"]
        found = Counter(f"{record.scope.user_id}/{record.origin}" for record in episodes)
        expected = Counter(self.said.keys())
        if found - expected - Counter(self.perhaps.keys()) or expected - found:
            raise Violation(f"episodes {sorted(found.elements())}, acknowledged {sorted(expected)}")
        for record in episodes:
            key = f"{record.scope.user_id}/{record.origin}"
            if record.text not in (self.said.get(key), self.perhaps.get(key)):
                raise Violation(f"{key} says {record.text!r}")
        stood_on = tuple({source for record in records for source in record.sources})
        there = memory._bound.core.store.select(Select(ids=stood_on, closed=True))
        _check_derived(records, {record.id for record in there})
        check = CHECKS.get(str(self.case))
        if check is not None and (wrong := check(memory)):
            raise Violation(wrong)

    @contextmanager
    def _process(self) -> Iterator[Memory]:
        """A process with the memory open, in which everything may fail; it may be killed inside."""
        self.lived.processes += 1
        with self._opened() as memory:
            core = memory._bound.core
            mortal = _Mortal(core.store, self._fate, lambda: self.lived.struck.update(["crash at a commit"]))

            def around(perform: Perform) -> Perform:
                self.draws += 1
                number = self.seed * 100_000 + self.draws
                unwell = Faulty(perform, number, rate=4 * self.rate, kinds=("timeout", "garble", "refuse"))
                killed = Faulty(unwell, number, rate=self.rate, kinds=("crash",))

                def performing(effect: Effect[Any], path: str) -> Any:
                    self.lived.effects += 1
                    places = len(unwell.log), len(killed.log)
                    try:
                        return killed(effect, path)
                    except Crash:
                        mortal.dead = True
                        raise
                    finally:
                        new = (*unwell.log[places[0] :], *killed.log[places[1] :])
                        self.lived.struck.update(kind for _, kind, _ in new)

                return performing

            core.store, core.around = cast("Store", mortal), around
            try:
                yield memory
            finally:
                core.store = mortal.store

    @contextmanager
    def _opened(self) -> Iterator[Memory]:
        memory = Memory(
            self.url,
            policy=self.case.policy,
            model=self.model,
            embedder=EMBEDDER,
            clock=self.clock,
            seed=self.seed,
        )
        with memory:
            yield memory

    def _fate(self) -> float:
        """What becomes of a commit: below 0.5 the process is killed before it, below 1 after it."""
        return min(1.0, self._draw("commit") / (self.rate / 4 or 1e-9))

    def _draw(self, what: str) -> float:
        self.draws += 1
        digest = hashlib.blake2b(f"{self.seed}/{self.draws}/{what}".encode(), digest_size=8).digest()
        return int.from_bytes(digest, "big") / 2**64


def _message(id: str, day: int, text: str, **more: Any) -> dict[str, Any]:
    return {"id": id, "content": text, "time": f"2026-02-{day:02}T09:00:00Z", "name": "Ana", **more}


def _check_derived(records: list[Record], there: set[str]) -> None:
    derived = [record for record in records if record.made_by is not None]
    for record in derived:
        if not record.sources or not set(record.sources) <= there:
            raise Violation(f"{record.kind} {record.text!r} stands on {record.sources}")
    same = Counter(
        (record.scope, record.kind, record.metadata.get("block"), record.text, record.sources, record.valid)
        for record in derived
    )
    doubled = [key for key, count in same.items() if count > 1]
    if doubled:
        raise Violation(f"doubled: {doubled[:3]}")


def _no_trace(folder: Path) -> None:
    """No file holds the word that was erased."""
    for path in folder.iterdir():
        data = path.read_bytes()
        for word in (CANARY, CANARY.lower(), CANARY.upper()):
            if word.encode() in data:
                place = data.index(word.encode())
                raise Violation(f"{path.name} holds {data[max(0, place - 80) : place + 40]!r}")
