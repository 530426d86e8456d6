"""Memory methods side by side: what each finds, answers, takes and keeps, on the same conversations."""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from contextlib import closing
from dataclasses import asdict, dataclass, field, replace
from datetime import datetime
from importlib.metadata import version
from multiprocessing import get_context
from pathlib import Path
from statistics import fmean
from tempfile import TemporaryDirectory
from time import perf_counter
from typing import Any

from engram.bench.answers import Verdict, f1, judged
from engram.bench.load import Conversation, DataSet, Question
from engram.bench.replies import KeptReplies
from engram.bench.run import expand, recall
from engram.config import chat_model, load_policy, open_core
from engram.engine import answer, read, upkeep, write
from engram.engine.chat import Chat
from engram.engine.core import Core
from engram.engine.performer import Performer
from engram.engine.results import Receipt
from engram.kernel.chat import ChatModel
from engram.kernel.clock import parse_time, utc_now
from engram.kernel.drive import run
from engram.kernel.errors import InvalidInput, StoreError
from engram.kernel.record import Hit
from engram.kernel.scope import Scope

__all__ = ["Asked", "Outcome", "Settings", "compare", "kept", "units"]

_FORM = 2  # of what is measured: outcomes of another are measured anew
_MODELLESS = "no model is configured"
_SHOWN = 5  # questions of a conversation whose context is packed to be counted
_WAIT = 3600.0
Usage = dict[str, float]


@dataclass(frozen=True)
class Settings:
    """How policies are compared; the same for all of them.

    `ks` are the depths at which recall is taken. `model` is the chat model that policies and the reader
    ask, `judge` the one that marks answers (default: `model`). The reader is shown `budget` tokens of the
    best `depth` hits; by a policy that gives everything, the whole conversation. `replies` names a file in
    which the models' replies are kept. `seed` is the memories'.
    """

    ks: tuple[int, ...] = (5, 10)
    model: ChatModel | str | None = None
    judge: ChatModel | str | None = None
    depth: int = 60
    budget: int = 3000
    seed: int = 0
    replies: Path | None = None


@dataclass(frozen=True)
class Asked:
    """What came of one question: recall at each k (none without evidence), the best score, marks, costs.

    `f1` and `correct` are `None` where no model answers. Seconds are those of the search alone.
    """

    category: str
    recall: Mapping[str, float]
    top: float
    seconds: float
    f1: float | None = None
    correct: bool | None = None
    abstained: bool | None = None
    usage: Mapping[str, float] = field(default_factory=dict)
    reading: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True)
class Outcome:
    """One policy on one conversation.

    `add` and `tend` are what adding its `turns` and tending took, in `seconds` and model usage, `records`
    and `bytes` what the store held then. `shown` are the tokens of memory that a question shows the reader,
    the mean of a few. `notes` say what the policy did without. `key` stands for all that the outcome
    depends on.
    """

    key: str
    policy: str
    data: str
    conversation: str
    turns: int
    adds: int
    add: Mapping[str, float]
    tend: Mapping[str, float]
    records: int
    bytes: int
    shown: float
    notes: tuple[str, ...]
    asked: tuple[Asked, ...]

    def to_dict(self) -> dict[str, Any]:
        """The fields as JSON values."""
        return asdict(self)

    @classmethod
    def from_dict(cls, line: Mapping[str, Any]) -> Outcome:
        """What `to_dict` wrote. Raises `KeyError` or `TypeError` for anything else."""
        fields: dict[str, Any] = {"shown": 0.0, **line}  # an older file has none: its keys are others, too
        fields["notes"] = tuple(line["notes"])
        fields["asked"] = tuple(Asked(**item) for item in line["asked"])
        return cls(**fields)


@dataclass(frozen=True)
class Unit:
    """A policy and a conversation of a data set, to be measured by one process."""

    data: str
    policy: str
    conversation: Conversation
    settings: Settings

    @property
    def key(self) -> str:
        """A hash of all that the outcome depends on: program, policy, conversation, settings."""
        settings = replace(self.settings, replies=None)
        named = replace(settings, model=_name(settings.model), judge=_name(settings.judge))
        made_by = load_policy(self.policy).made_by
        whole = (_FORM, version("engram"), made_by, self.data, asdict(self.conversation), asdict(named))
        return hashlib.blake2b(json.dumps(whole, default=sorted).encode(), digest_size=12).hexdigest()


def units(data: Sequence[DataSet], policies: Sequence[str], settings: Settings) -> list[Unit]:
    """What there is to measure, policy by policy. Raises `ConfigError` for a policy that there is none of."""
    for name in policies:
        load_policy(name)
    return [
        Unit(found.name, policy, conversation, settings)
        for found in data
        for policy in policies
        for conversation in found.conversations
    ]


def compare(
    wanted: Sequence[Unit], done: Mapping[str, Outcome], jobs: int, keep: Callable[[Outcome], object]
) -> list[Outcome]:
    """The outcomes of all units, in their order; those in `done` (by key) are taken from there.

    Up to `jobs` processes measure at once, one where a model was given as an object. `keep` is told of each
    new outcome. Raises what measuring raises, after the outcomes that came before were kept.
    """
    known = dict(done)
    left = [unit for unit in wanted if unit.key not in known]
    for outcome in _measured(left, jobs):
        known[outcome.key] = outcome
        keep(outcome)
    return [known[unit.key] for unit in wanted]


def kept(path: Path) -> dict[str, Outcome]:
    """The outcomes in a file, a line each, by key; a last line that was cut off is passed over.

    Raises `InvalidInput` naming the line that is no outcome.
    """
    found: dict[str, Outcome] = {}
    lines = path.read_bytes().splitlines(keepends=True) if path.exists() else []
    for number, line in enumerate(lines, 1):
        try:
            outcome = Outcome.from_dict(json.loads(line))
        except (ValueError, KeyError, TypeError) as error:
            if number == len(lines) and not line.endswith(b"\n"):
                break
            raise InvalidInput(
                f"{path}:{number}: no outcome of engram compare; give another file as --out"
            ) from error
        found[outcome.key] = outcome
    return found


def _measured(left: Sequence[Unit], jobs: int) -> Iterator[Outcome]:
    plain = all(isinstance(unit.settings.model, str | None) for unit in left)
    if jobs == 1 or len(left) < 2 or not plain:
        yield from map(measure, left)
        return
    with ProcessPoolExecutor(min(jobs, len(left)), mp_context=get_context("spawn")) as pool:
        under_way = [pool.submit(measure, unit) for unit in left]
        try:
            for future in as_completed(under_way):
                yield future.result()
        finally:
            pool.shutdown(cancel_futures=True)


def measure(unit: Unit) -> Outcome:
    """Remember one conversation in a store of its own, tend it, and ask its questions at its last time.

    The memory's clock follows the conversation, so what fades or is counted by days does so as it would
    have. Raises `StoreError` where a turn is not stored.
    """
    settings, talk = unit.settings, unit.conversation
    clock = _Clock()
    with TemporaryDirectory() as folder:
        core = open_core(
            f"sqlite:///{folder}/compare.db",
            policy=unit.policy,
            model=_keeping(settings.model, settings.replies),
            clock=clock,
            seed=settings.seed,
        )
        with closing(core):
            core.embedder.embed(["loaded before anything is timed"])
            origins, add, notes = _remember(core, talk, clock)
            tend, more = _tended(core, Scope.of(user_id=talk.name))
            held = upkeep.stats(core, None)
            marked = _Marking(core, settings, talk, origins)
            asked = tuple(map(marked.ask, talk.questions))
            shown = marked.shown()
            marked.close()
    return Outcome(
        key=unit.key,
        policy=unit.policy,
        data=unit.data,
        conversation=talk.name,
        turns=talk.turns,
        adds=len(talk.sessions),
        add=add,
        tend=tend,
        records=held["records"],
        bytes=held["bytes"],
        shown=shown,
        notes=tuple(sorted(notes | more)),
        asked=asked,
    )


class _Clock:
    """A clock that stands at the latest time that was said; before any, at the time of day."""

    def __init__(self) -> None:
        self._moment: datetime | None = None

    def reach(self, times: Iterable[str]) -> None:
        """Go on to the latest of these times; never back."""
        for text in times:
            moment = parse_time(text)[0]
            self._moment = moment if self._moment is None else max(moment, self._moment)

    def __call__(self) -> datetime:
        return self._moment or utc_now()


def _remember(core: Core, talk: Conversation, clock: _Clock) -> tuple[dict[str, str], Usage, set[str]]:
    """Add a session at a time; gives the file's ids by record id, what it took, what was done without."""
    origins: dict[str, str] = {}
    notes: set[str] = set()
    usage: Counter[str] = Counter()
    for session in talk.sessions:
        clock.reach(message["time"] for message in session.messages if "time" in message)
        scope = Scope.of(user_id=talk.name, run_id=session.run_id)
        start = perf_counter()
        request = write.AddRequest(list(session.messages), scope)
        receipt: Receipt = run(write.add(core, request), core.performed, concurrency=core.concurrency)
        usage.update({**receipt.usage, "seconds": perf_counter() - start})
        if not receipt.ok:
            failed = next(item for item in receipt.items if item.event == "failed")
            raise StoreError(f"{talk.name}: turn {failed.origin!r} was not stored: {failed.reason}")
        notes |= _modelless(receipt)
        origins |= {item.id: item.origin for item in receipt.items if item.id and item.origin}
    start = perf_counter()
    run(upkeep.wait(core, _WAIT), core.performed, concurrency=core.concurrency)
    usage.update({"seconds": perf_counter() - start})
    return origins, dict(usage), notes


def _tended(core: Core, scope: Scope) -> tuple[Usage, set[str]]:
    start = perf_counter()
    receipt: Receipt = run(upkeep.tend(core, scope), core.performed, concurrency=core.concurrency)
    return {**receipt.usage, "seconds": perf_counter() - start}, _modelless(receipt)


def _modelless(receipt: Receipt) -> set[str]:
    """What a receipt says was done without a model."""
    return {item.reason for item in receipt.items if item.reason.endswith(_MODELLESS)}


class _Marking:
    """Asks the questions of one conversation and marks what comes back."""

    def __init__(
        self, core: Core, settings: Settings, talk: Conversation, origins: Mapping[str, str]
    ) -> None:
        self._core, self._settings, self._origins = core, settings, origins
        self._scope, self._at, self._talk = Scope.of(user_id=talk.name), talk.last, talk
        self._budget = settings.budget if core.policy.whole is None else read.MAX_BUDGET
        judge = _keeping(settings.judge or settings.model, settings.replies)
        self._judge = None if judge is None else open_core("ram:", model=judge, seed=settings.seed)

    def close(self) -> None:
        """Release the judge."""
        if self._judge is not None:
            self._judge.close()

    def shown(self) -> float:
        """The mean tokens of the context of a few questions, spread over all of them."""
        questions, core = self._talk.questions, self._core
        few = questions[:: max(1, len(questions) // _SHOWN)][:_SHOWN]
        packed = [
            run(
                read.context(core, core.present, self._searched(item), self._budget, None),
                core.performed,
                concurrency=core.concurrency,
            )
            for item in few
        ]
        return fmean(item.tokens for item in packed) if packed else 0.0

    def _searched(self, question: Question) -> read.SearchRequest:
        return read.SearchRequest(question.text, self._scope, k=self._settings.depth, at=self._at)

    def ask(self, question: Question) -> Asked:
        """Search, and where there is a model, answer and have the answer judged."""
        core, ks = self._core, self._settings.ks
        usage: Usage = {}
        request = read.SearchRequest(question.text, self._scope, k=max(ks), at=self._at)
        start = perf_counter()
        hits: list[Hit] = run(
            read.search(core, core.present, request, usage), core.performed, concurrency=core.concurrency
        )
        seconds = perf_counter() - start
        found = expand(hits, self._origins, self._sources)
        return self._answered(
            question,
            Asked(
                category=question.category,
                recall={str(k): recall(found, question.evidence, k) for k in ks} if question.evidence else {},
                top=hits[0].score if hits else 0.0,
                seconds=seconds,
                usage=usage,
            ),
        )

    def _sources(self, id: str) -> tuple[str, ...]:
        return read.get(self._core, self._core.present, id, self._scope).sources

    def _answered(self, question: Question, asked: Asked) -> Asked:
        """With the marks of the reader's answer. A question without evidence is right where it abstains."""
        core = self._core
        if core.model is None or self._judge is None:
            return asked
        request = answer.AskRequest(self._searched(question), self._budget, None, None)
        given = run(answer.ask(core, core.present, request), core.performed, concurrency=core.concurrency)
        marked = replace(asked, abstained=given.abstained, reading=given.usage)
        if not question.evidence or given.abstained:
            right = given.abstained and not question.evidence
            return replace(marked, f1=float(right), correct=right)
        verdict = self._verdict(self._judge, question, given.text)
        return replace(marked, f1=f1(given.text, question.answer), correct=verdict.correct)

    def _verdict(self, judge: Core, question: Question, text: str) -> Verdict:
        performer = Performer(judge, judge.policy, Scope(), judge.present)
        return run(judged(question.text, question.answer, text), judge.driven(performer))


def _keeping(model: ChatModel | str | None, path: Path | None) -> ChatModel | Chat | str | None:
    """The model with its replies kept in the file, where one is named."""
    if model is None or path is None:
        return model
    if not isinstance(model, str):
        return KeptReplies(model, path)
    return Chat(KeptReplies(chat_model(model), path))


def _name(model: ChatModel | str | None) -> str | None:
    return model if model is None or isinstance(model, str) else model.name
