"""Policies that ask the model at a search: one that fails for now is done without, a limit is told."""

from __future__ import annotations

from typing import Any

import pytest

from engine.conftest import Open
from engine.sensible import SENSIBLE
from engram.kernel.chat import ChatRequest
from engram.kernel.errors import BudgetExceeded, ModelUnavailable
from engram.kernel.policy import Policy
from engram.policies.caim import CAIM
from engram.policies.memgas import MemGAS
from engram.policies.memory_r1 import MemoryR1
from engram.policies.mirix import Mirix
from engram.policies.scm import SCM
from engram.testing.doubles import ScriptedModel

ASKING = [SCM(), CAIM(controller="model"), MemGAS(sift=True), MemoryR1(), Mirix()]
SAID = "Ana likes green tea with honey."


def asked_late(policy: Policy, error: Exception) -> ScriptedModel:
    """A model that is sensible until `policy` has stored what was said, and then fails."""
    sensible = SENSIBLE[policy.name]

    def reply(request: ChatRequest) -> Any:
        if "What does Ana drink?" in request.messages[-1].text:
            raise error
        return sensible(request)

    return ScriptedModel(reply)


@pytest.mark.parametrize("policy", ASKING, ids=lambda policy: policy.name)
def test_a_model_that_is_away_is_done_without_and_that_is_said(open_memory: Open, policy: Policy) -> None:
    memory = open_memory(policy=policy, model=asked_late(policy, ModelUnavailable("timed out")))
    memory.add({"content": SAID, "name": "Ana"}, user_id="ana")
    hits = memory.search("What does Ana drink?", user_id="ana", explain=True)
    assert SAID in [hit.text for hit in hits]
    assert {hit.why["by_model"] for hit in hits} == {0.0}
    assert memory.search("What does Ana drink?", user_id="ana") != []


@pytest.mark.parametrize("policy", ASKING, ids=lambda policy: policy.name)
def test_a_limit_that_was_set_is_told(open_memory: Open, policy: Policy) -> None:
    spent = BudgetExceeded("spent", spent=1.0, limit=1.0)
    memory = open_memory(policy=policy, model=asked_late(policy, spent))
    memory.add({"content": SAID, "name": "Ana"}, user_id="ana")
    with pytest.raises(BudgetExceeded):
        memory.search("What does Ana drink?", user_id="ana")


@pytest.mark.parametrize("policy", [MemoryR1(), Mirix()], ids=lambda policy: policy.name)
def test_of_a_long_question_the_model_is_shown_the_beginning(open_memory: Open, policy: Policy) -> None:
    model = ScriptedModel(SENSIBLE[policy.name])
    memory = open_memory(policy=policy, model=model)
    memory.add({"content": SAID, "name": "Ana"}, user_id="ana")
    before = len(model.asked)
    memory.search("What does Ana drink? " * 2000, user_id="ana")
    assert len(model.asked) == before + 1
    assert max(map(len, model.asked[before:])) < 10_000
