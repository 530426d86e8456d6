"""Every registered policy completes a comparison, and asks its model as often as its page says."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from engine.sensible import SENSIBLE
from engram.bench.compare import Outcome, Settings, Unit, measure
from engram.bench.compared import compared
from engram.bench.load import Conversation, Question, Session
from engram.config import DEFAULT_POLICY, load_policy, policy_names
from engram.kernel.chat import ChatRequest
from engram.testing.doubles import ScriptedModel

PAGES = Path(__file__).resolve().parents[2] / "docs" / "policies"
BASELINES = {"bm25", "dense", "full_context", "rag", "recency", "rrf", DEFAULT_POLICY}
ROW = re.compile(
    r"^\| the talk of three days \| (\d+) adding, (\d+) tending, (\d+) a search \|", re.MULTILINE
)
ANSWERING: dict[str, Callable[[ChatRequest], Any]] = {
    "hipporag": lambda _: [{"passage": 1, "entities": ["Ana"], "triples": []}],
    **SENSIBLE,
}
TALK = (
    ("2026-01-05", "My favourite tea is sencha.", "I live in Porto."),
    ("2026-01-06", "My sister Berta works at Acme.", "I have a dog called Rex."),
    ("2026-01-07", "I moved to Oslo.", "My favourite tea is assam."),
)
QUESTIONS = (
    Question("Where does Ana live?", frozenset({"2-0"}), "now", "Oslo"),
    Question("Which tea does Ana like?", frozenset({"2-1"}), "now", "assam"),
)


def talk() -> Conversation:
    """Ana says two things on each of three days; two questions."""
    sessions = [
        Session(
            f"day {day}",
            tuple(
                {
                    "role": "user",
                    "name": "Ana",
                    "content": text,
                    "id": f"{day}-{place}",
                    "time": f"{date}T09:0{place}:00Z",
                }
                for place, text in enumerate(said)
            ),
        )
        for day, (date, *said) in enumerate(TALK)
    ]
    return Conversation("ana", tuple(sessions), QUESTIONS, "2026-01-07T09:01:00Z")


def said_by_its_page(name: str) -> tuple[int, int, int]:
    """The calls of the talk: adding, tending, of each search."""
    if name in BASELINES:
        return 0, 0, 0
    page = PAGES / f"{name}.md"
    found = ROW.findall(page.read_text(encoding="utf-8"))
    assert len(found) == 1, (
        f"{page}: one row '| the talk of three days | …', as docs/writing-a-policy.md says"
    )
    adding, tending, searching = map(int, found[0])
    return adding, tending, searching


def scripted(name: str) -> ScriptedModel:
    """A model that reads and judges for everyone, and answers the policy's questions sensibly."""
    own = ANSWERING.get(name)

    def reply(request: ChatRequest) -> Any:
        fields = (request.schema or {}).get("properties", {}).keys()
        if fields == {"cited", "answer", "answered"}:
            return {"cited": [1], "answer": "Oslo", "answered": True}
        if fields == {"correct", "reason"}:
            return {"correct": "Oslo" in request.messages[-1].text.partition("<reference>")[2], "reason": ""}
        assert own is not None, f"{name} asks a model: give tests/engine/sensible.py its sensible replies"
        return own(request)

    return ScriptedModel(reply)


def calls(outcome: Outcome) -> tuple[int, int, set[int]]:
    """What was asked adding, tending, and in each search."""
    searching = {int(asked.usage.get("model_calls", 0)) for asked in outcome.asked}
    return int(outcome.add.get("model_calls", 0)), int(outcome.tend.get("model_calls", 0)), searching


@pytest.mark.parametrize("name", policy_names())
def test_with_the_scripted_model_it_completes_and_asks_as_often_as_its_page_says(name: str) -> None:
    model = scripted(name)
    outcome = measure(Unit("days", name, talk(), Settings(ks=(5,), model=model)))
    adding, tending, searching = said_by_its_page(name)
    assert calls(outcome) == (adding, tending, {searching})
    assert all(asked.correct is not None for asked in outcome.asked)
    readings = sum(int(asked.reading.get("model_calls", 0)) for asked in outcome.asked)
    judged = sum(not asked.abstained for asked in outcome.asked)
    shown = 2 * searching  # what a context has is looked at besides, for its tokens
    assert len(model.requests) == adding + tending + 2 * searching + shown + readings + judged
    (found,) = compared([outcome], name)
    assert found.calls == (adding + tending) / 3


@pytest.mark.parametrize("name", policy_names())
def test_without_a_model_it_completes_and_asks_nobody(name: str) -> None:
    outcome = measure(Unit("days", name, talk(), Settings(ks=(5,))))
    assert calls(outcome) == (0, 0, {0})
    assert [asked.recall.keys() for asked in outcome.asked] == [{"5"}, {"5"}]
    policy = load_policy(name)
    says_so = name != "scm"  # nothing is derived of turns as short as these
    if (policy.writes or policy.tends) and name in SENSIBLE and says_so:
        assert outcome.notes != ()
