"""The conversation that `engram demo` remembers is well formed."""

import json
from datetime import datetime, timedelta
from importlib import resources
from typing import Any

import pytest


@pytest.fixture(scope="module")
def conversation() -> dict[str, Any]:
    text = resources.files("engram.cli").joinpath("demo", "conversation.json").read_text(encoding="utf-8")
    loaded: dict[str, Any] = json.loads(text)
    return loaded


def test_turns_are_in_order_of_time_and_session(conversation: dict[str, Any]) -> None:
    turns = conversation["turns"]
    assert len({turn["id"] for turn in turns}) == len(turns) >= 300
    assert [turn["session"] for turn in turns] == sorted(turn["session"] for turn in turns)
    times = [datetime.fromisoformat(turn["time"]) for turn in turns]
    assert times == sorted(times)
    assert times[-1] - times[0] > timedelta(days=200)


def test_two_people_talk(conversation: dict[str, Any]) -> None:
    assert {turn["speaker"] for turn in conversation["turns"]} == {"Noor", "Wendell"}
    assert all(turn["text"].strip() for turn in conversation["turns"])


def test_evidence_exists_and_some_questions_have_none(conversation: dict[str, Any]) -> None:
    ids = {turn["id"] for turn in conversation["turns"]}
    questions = conversation["questions"]
    assert 12 <= len(questions) <= 16
    assert all(set(question["evidence"]) <= ids for question in questions)
    assert sum(not question["evidence"] for question in questions) == 2
