"""What a comparison says: means with intervals, differences that hold, and who is best at what."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from statistics import fmean, median
from typing import Any

from engram.bench.compare import Asked, Outcome
from engram.bench.run import auroc
from engram.bench.statistics import holm, interval, paired
from engram.kernel.errors import InvalidInput

__all__ = ["Compared", "Mean", "Winner", "compared", "winners"]

_SAME = 1e-9


@dataclass(frozen=True)
class Mean:
    """A mean over questions, and its 95 % bootstrap interval."""

    value: float
    low: float
    high: float


@dataclass(frozen=True)
class Compared:
    """One policy on one data set.

    `recall` by k is a mean over questions with evidence; `f1` and `correct` (a judge's) are over those
    without as well, where they are right if the reader abstains. `p` is that of a recall at the largest k
    equal to that of `against` over the same questions, corrected for all such tests of the comparison; `None`
    for that policy itself. `calls`, `tokens` and `cost` (US dollars, where prices are known) are those of one
    `add` of a session, that of tending shared out; `reading_…` those of one question. `add_ms` is the mean of
    a turn, tending shared out, `search_ms` the median. `kept` and `kept_bytes` are records and bytes a turn.
    `shown` are the tokens of memory that one question shows a reader. `by_category` has the recall at the
    largest k, with its interval, and where answers are marked the judge's mark; `best_in` names the
    categories in which no other policy of the comparison has a higher recall.
    """

    data: str
    policy: str
    against: str
    questions: int
    recall: Mapping[str, Mean]
    p: float | None
    auroc: float | None
    f1: Mean | None
    correct: Mean | None
    calls: float
    tokens: float
    cost: float
    reading_calls: float
    reading_tokens: float
    reading_cost: float
    add_ms: float
    search_ms: float
    kept: float
    kept_bytes: float
    shown: float
    notes: tuple[str, ...]
    by_category: Mapping[str, Mapping[str, Any]]
    best_in: tuple[str, ...] = ()

    def to_dict(self) -> dict[str, Any]:
        """The fields as JSON values, rounded to six digits."""
        whole: dict[str, Any] = _rounded(asdict(self))
        return whole


@dataclass(frozen=True)
class Winner:
    """Who is best in one category: the highest recall at the largest k, and that of `against`."""

    data: str
    category: str
    questions: int
    policies: tuple[str, ...]
    recall: Mean
    against: float


def compared(outcomes: Sequence[Outcome], against: str, seed: int = 0) -> list[Compared]:
    """The comparison of all outcomes, a data set after the other, policies in the order given.

    Raises `InvalidInput` where no question has evidence.
    """
    groups: dict[tuple[str, str], list[Outcome]] = {}
    for outcome in outcomes:
        groups.setdefault((outcome.data, outcome.policy), []).append(outcome)
    scores = {name: _scores(group) for name, group in groups.items()}
    for (data, _), values in scores.items():
        if not values:
            raise InvalidInput(f"{data}: no question has evidence; give each question the ids of its turns")
    tests = {
        name: paired(values, scores[name[0], against], seed)
        for name, values in scores.items()
        if name[1] != against and (name[0], against) in scores
    }
    corrected = holm(tests)
    found = [_one(group, against, corrected.get(name), seed) for name, group in groups.items()]
    best = winners(found)
    return [
        replace(
            item,
            best_in=tuple(
                win.category for win in best if win.data == item.data and item.policy in win.policies
            ),
        )
        for item in found
    ]


def winners(found: Sequence[Compared]) -> list[Winner]:
    """Who is best at what, a line for each category of each data set."""
    best: list[Winner] = []
    for data in dict.fromkeys(item.data for item in found):
        those = [item for item in found if item.data == data]
        for category, first in those[0].by_category.items():
            value = {item.policy: float(item.by_category[category]["recall"]) for item in those}
            highest = max(value.values())
            names = tuple(name for name, reached in value.items() if reached >= highest - _SAME)
            own = value.get(those[0].against, float("nan"))
            its = next(item for item in those if item.policy == names[0]).by_category[category]
            top = Mean(highest, float(its["low"]), float(its["high"]))
            best.append(Winner(data, category, int(first["questions"]), names, top, own))
    return best


def _scores(group: Iterable[Outcome]) -> list[float]:
    """Recall at the largest k of each question that has evidence, in their order."""
    return [max(_by_k(asked).items())[1] for asked in _questions(group) if asked.recall]


def _by_k(asked: Asked) -> dict[int, float]:
    return {int(k): value for k, value in asked.recall.items()}


def _questions(group: Iterable[Outcome]) -> Iterator[Asked]:
    for outcome in group:
        yield from outcome.asked


def _one(group: Sequence[Outcome], against: str, p: float | None, seed: int) -> Compared:
    first, every = group[0], list(_questions(group))
    scored = [asked for asked in every if asked.recall]
    labels = [outcome.conversation for outcome in group for asked in outcome.asked if asked.recall]
    turns, adds = sum(outcome.turns for outcome in group), sum(outcome.adds for outcome in group)
    written = _spent([*(outcome.add for outcome in group), *(outcome.tend for outcome in group)])
    reading = _spent(usage for asked in every for usage in (asked.usage, asked.reading))
    categories = dict.fromkeys(asked.category for asked in scored)
    return Compared(
        data=first.data,
        policy=first.policy,
        against=against,
        questions=len(scored),
        recall={k: _mean([asked.recall[k] for asked in scored], labels, seed) for k in scored[0].recall},
        p=p,
        auroc=auroc([asked.top for asked in scored], [asked.top for asked in every if not asked.recall]),
        f1=_marks(group, "f1", seed),
        correct=_marks(group, "correct", seed),
        calls=written["model_calls"] / adds,
        tokens=(written["tokens_in"] + written["tokens_out"]) / adds,
        cost=written["cost"] / adds,
        reading_calls=reading["model_calls"] / len(every),
        reading_tokens=(reading["tokens_in"] + reading["tokens_out"]) / len(every),
        reading_cost=reading["cost"] / len(every),
        add_ms=1000 * written["seconds"] / turns,
        search_ms=1000 * median(asked.seconds for asked in every),
        kept=sum(outcome.records for outcome in group) / turns,
        kept_bytes=sum(outcome.bytes for outcome in group) / turns,
        shown=sum(outcome.shown * len(outcome.asked) for outcome in group) / len(every),
        notes=tuple(sorted({note for outcome in group for note in outcome.notes})),
        by_category={name: _category(group, name, seed) for name in sorted(categories)},
    )


def _category(group: Sequence[Outcome], name: str, seed: int) -> dict[str, Any]:
    those = [
        (asked, outcome.conversation)
        for outcome in group
        for asked in outcome.asked
        if asked.recall and asked.category == name
    ]
    mean = _mean([max(_by_k(asked).items())[1] for asked, _ in those], [label for _, label in those], seed)
    marks = [float(asked.correct) for asked, _ in those if asked.correct is not None]
    return {
        "questions": len(those),
        "recall": mean.value,
        "low": mean.low,
        "high": mean.high,
        "correct": fmean(marks) if marks else None,
    }


def _mean(values: Sequence[float], labels: Sequence[str], seed: int) -> Mean:
    return Mean(fmean(values), *interval(values, labels, seed))


def _marks(group: Sequence[Outcome], field: str, seed: int) -> Mean | None:
    pairs = [
        (float(mark), outcome.conversation)
        for outcome in group
        for asked in outcome.asked
        if (mark := getattr(asked, field)) is not None
    ]
    return _mean([mark for mark, _ in pairs], [label for _, label in pairs], seed) if pairs else None


def _spent(usages: Iterable[Mapping[str, float]]) -> defaultdict[str, float]:
    spent: defaultdict[str, float] = defaultdict(float)
    for usage in usages:
        for name, value in usage.items():
            spent[name] += value
    return spent


def _rounded(value: Any) -> Any:
    if isinstance(value, float):
        return round(value, 6)
    if isinstance(value, Mapping):
        return {name: _rounded(item) for name, item in value.items()}
    return [_rounded(item) for item in value] if isinstance(value, list | tuple) else value
