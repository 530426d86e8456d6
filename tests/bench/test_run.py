"""Recall arithmetic, by hand and against brute force, on conversations made up here."""

import random
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from io import StringIO
from pathlib import Path
from typing import ClassVar

import pytest
from rich.console import Console

from engram.bench.load import Conversation, DataSet, Question, Session
from engram.bench.report import category_tables, recall_table
from engram.bench.run import auroc, chosen_policies, evaluate, expand, recall
from engram.kernel.errors import ConfigError, InvalidInput
from engram.kernel.policy import Policy, Query, Recall
from engram.kernel.record import Hit, Interval, Record
from engram.kernel.scope import Scope
from engram.memory import Memory

MOMENT = datetime(2024, 1, 1, tzinfo=UTC)
WORDS = ["amber", "birch", "cedar", "dahlia", "elder", "fern", "gorse", "hazel", "iris", "juniper"]


def hit(id: str, *sources: str) -> Hit:
    record = Record(id, "episode", id, Scope(), MOMENT, Interval(MOMENT), Interval(MOMENT), sources=sources)
    return Hit(record, 0.5)


def test_a_hit_stands_for_its_turns_in_rank_order_without_repeats() -> None:
    origins = {"R1": "a", "R2": "b", "R3": "c", "R4": "d"}
    below = {"fact": ["R3", "R1"], "loop": ["loop", "R4"]}
    hits = [hit("R2"), hit("summary", "fact", "R2"), hit("R1"), hit("loop", "loop", "R4")]
    assert expand(hits, origins, below.__getitem__) == ["b", "c", "a", "d"]


def test_recall_is_the_share_of_the_evidence_among_the_first() -> None:
    found = ["a", "b", "c", "d"]
    assert recall(found, frozenset("c"), 2) == 0
    assert recall(found, frozenset("c"), 3) == 1
    assert recall(found, frozenset("bdx"), 2) == pytest.approx(1 / 3)
    assert recall(found, frozenset("bdx"), 10) == pytest.approx(2 / 3)


def test_auroc_against_all_pairs() -> None:
    assert auroc([0.9, 0.8], [0.1]) == 1
    assert auroc([0.1], [0.9]) == 0
    assert auroc([0.5, 0.9], [0.5, 0.1]) == pytest.approx((0.5 + 1 + 1 + 1) / 4)
    assert auroc([], [0.1]) is None


def talk(questions: Sequence[Question]) -> DataSet:
    """Twenty turns of which each names one tree once and another one twice."""
    dice = random.Random(3)
    messages = [
        {
            "role": "user",
            "content": f"The {WORDS[number % 10]} stood by the {dice.choice(WORDS)} in row {number}",
            "id": f"t{number}",
            "time": f"2024-03-{number + 1:02}T10:00:00",
        }
        for number in range(20)
    ]
    sessions = (Session("1", tuple(messages[:10])), Session("2", tuple(messages[10:])))
    return DataSet("trees", (Conversation("talk", sessions, tuple(questions), "2024-03-20T10:00:00"),))


QUESTIONS = [
    Question(
        f"Where did the {word} stand?",
        frozenset({f"t{place}", f"t{place + 10}"}),
        "even" if place % 2 == 0 else "odd",
    )
    for place, word in enumerate(WORDS)
]


def test_the_measured_recall_is_what_a_plain_loop_gives() -> None:
    data = talk([*QUESTIONS, Question("Who sang?", frozenset(), "never said")])
    measured = evaluate(data, "bm25", (1, 5))
    wanted: dict[int, list[float]] = {1: [], 5: []}
    with Memory("ram:", policy="bm25") as memory:
        for session in data.conversations[0].sessions:
            memory.add(list(session.messages), user_id="talk", run_id=session.run_id)
        for question in QUESTIONS:
            hits = memory.search(question.text, user_id="talk", k=5, at="2024-03-20T10:00:00")
            for k, shares in wanted.items():
                right = [
                    found.record.origin for found in hits[:k] if found.record.origin in question.evidence
                ]
                shares.append(len(right) / 2)
    assert measured.questions == 10
    assert measured.recall == {k: pytest.approx(sum(shares) / 10) for k, shares in wanted.items()}
    assert {name: count for name, (count, _) in measured.by_category.items()} == {"even": 5, "odd": 5}
    halves = [recall[5] for _, recall in measured.by_category.values()]
    assert sum(halves) / 2 == pytest.approx(measured.recall[5])
    assert 0 < measured.recall[1] <= 0.5
    assert measured.auroc is not None
    assert 0 < measured.context_tokens <= 1500


@pytest.mark.parametrize("policy", ["fusion", "bm25"])
def test_a_store_that_is_named_gives_the_same_and_keeps_nothing(tmp_path: Path, policy: str) -> None:
    data, url = (
        talk([*QUESTIONS, Question("Who sang?", frozenset(), "never said")]),
        f"sqlite:///{tmp_path}/m.db",
    )
    with Memory(url) as memory:
        memory.add("mine", user_id="talk")
        own, named = (evaluate(data, policy, (1, 5), url=where) for where in (None, url))
        assert (own.recall, own.auroc, own.by_category) == (named.recall, named.auroc, named.by_category)
        assert [scope.tenant for scope, _ in memory._bound.core.store.scopes()] == ["default"]


def test_the_line_has_the_published_keys() -> None:
    line = evaluate(talk(QUESTIONS[:2]), "rrf", (5, 10)).to_dict()
    assert list(line) == [
        "data", "policy", "questions", "recall", "by_category", "context_tokens", "ms_per_query",
    ]  # fmt: skip
    assert line["data"] == "trees"
    assert set(line["recall"]) == {"5", "10"}
    assert line["by_category"]["odd"] == {"questions": 1, "recall": {"5": 1.0, "10": 1.0}}
    assert evaluate(talk([*QUESTIONS, Question("?!", frozenset(), "")]), "rrf", (5,)).to_dict()["auroc"] == 1


@pytest.mark.parametrize("policy", ["mem0", "a_mem"])
def test_a_policy_that_does_without_a_model_says_so(policy: str) -> None:
    home = {"role": "user", "name": "Ana", "content": "I live in Porto.", "id": "home"}
    asked = Question("Where does Ana live?", frozenset({"home"}), "home")
    data = DataSet("homes", (Conversation("ana", (Session("one", (home,)),), (asked,), None),))
    measured = evaluate(data, policy, (1,))
    assert measured.notes == ("by rules: no model is configured",)
    assert measured.recall == {1: 1.0}
    assert evaluate(data, "rrf", (1,)).notes == ()


def test_all_k_see_the_same_ranking() -> None:
    narrow, wide = (evaluate(talk(QUESTIONS), "rrf", ks).recall for ks in ((2,), (2, 15)))
    assert narrow[2] == wide[2] <= wide[15]


def test_a_data_set_without_evidence_is_refused() -> None:
    with pytest.raises(InvalidInput, match="trees: no question has evidence"):
        evaluate(talk([Question("Who?", frozenset(), "x")]), "bm25", (5,))


def test_named_policies_come_first_and_baselines_once() -> None:
    assert chosen_policies(["rrf"]) == ["rrf", "bm25", "dense"]
    assert chosen_policies([]) == ["fusion", "bm25", "dense", "rrf"]
    with pytest.raises(ConfigError, match="'nope' is not one of a_mem, bm25, "):
        chosen_policies(["nope"])


@dataclass(frozen=True)
class Silent(Policy):
    """A policy that finds nothing."""

    name: ClassVar[str] = "silent"

    async def read(self, query: Query) -> Recall:
        return Recall()


def test_a_policy_that_finds_nothing_scores_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("engram.config.load_policy", lambda name: Silent())
    measured = evaluate(talk(QUESTIONS), "silent", (10,))
    assert measured.recall == {10: 0}
    assert measured.context_tokens == 0


def test_tables_fit_their_width_and_take_names_as_they_stand() -> None:
    question = replace(QUESTIONS[0], category="[/bold] odd \x1b[31m")
    data = replace(talk([question, *QUESTIONS[1:]]), name="[red]trees")
    measured = [evaluate(data, policy, (5, 10, 20, 50)) for policy in ("rrf", "bm25", "dense")]
    for width, tables in ((120, 1), (72, 2)):
        found = category_tables(measured, width)
        assert len(found) == tables
        shown = StringIO()
        Console(file=shown, width=width).print(recall_table(measured), *found, sep="\n")
        text = shown.getvalue()
        assert max(map(len, text.splitlines())) <= width
        assert "[red]trees" in text
        assert "[/bold] odd \ufffd[31m" in text
        assert "…" not in text
