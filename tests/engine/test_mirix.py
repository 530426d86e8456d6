"""The policy `mirix` with a scripted model: routing, six memories, a vault, and search by topic."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest

from engine.conftest import Open
from engine.replies import held, reasons, say
from engram import Memory
from engram.kernel.chat import ChatRequest
from engram.kernel.errors import BudgetExceeded, ConfigError, ModelUnavailable
from engram.policies.mirix import Mirix
from engram.testing.doubles import ScriptedModel

PASSWORD = "Rose-1923"  # noqa: S105 - made up
SAID = f"The wifi password is {PASSWORD}. Tea is at five."
Scripted = Callable[..., tuple[Memory, ScriptedModel]]


class Team:
    """A model that answers for each manager by name; `topic` and `memories` as well."""

    def __init__(self, **replies: Any) -> None:
        self.replies, self.asked = replies, list[str]()
        self.model = ScriptedModel(self._reply)

    def _reply(self, request: ChatRequest) -> Any:
        prompt = next(message.text for message in request.messages if message.role == "user")
        if "What is its topic?" in prompt:
            name = "topic"
        elif "Which memories do they concern?" in prompt:
            name = "memories"
        else:
            name = prompt.rsplit("the memory (", 1)[1].split(")")[0].replace("human, persona", "core")
        self.asked.append(name)
        said = self.replies.get(name, "" if name == "topic" else [])
        if isinstance(said, Exception):
            raise said
        return {"calls" if name not in ("topic", "memories") else name: said}


@pytest.fixture
def team(open_memory: Open) -> Callable[..., tuple[Memory, Team]]:
    def open_one(parameters: dict[str, Any] | None = None, **replies: Any) -> tuple[Memory, Team]:
        made = Team(**replies)
        return open_memory(policy=Mirix(**(parameters or {})), model=made.model), made

    return open_one


Opening = Callable[..., tuple[Memory, Team]]
EVENT = {"action": "episodic_insert", "summary": "Ana met Berta.", "details": "At noon, by the lake."}
PERSON = {"action": "semantic_insert", "name": "Berta", "summary": "A friend who rows.", "source": "Ana"}
TEA = {"action": "procedural_insert", "summary": "Making tea", "steps": ["boil water", "wait"]}
PLAN = {"action": "resource_insert", "title": "plan.md", "resource_type": "markdown", "text": "Row at dawn."}
HUMAN = {"action": "human_update", "content": "Ana, who likes short answers."}
SECRET = {
    "action": "vault_insert",
    "caption": "the wifi password",
    "secret": PASSWORD,
    "source": "Ana",
    "sensitivity": "medium",
}


def by_memory(memory: Memory) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for record in memory.get_all(user_id="ana", limit=100):
        if record.made_by:
            found.setdefault(str(record.metadata["memory"]), []).append(record.text)
    return found


def test_the_managers_concerned_are_asked_and_no_others(team: Opening) -> None:
    memory, made = team(memories=["semantic", "episodic"], episodic=[EVENT], semantic=[PERSON])
    receipt = say(memory, "I met Berta by the lake at noon; she rows.")
    assert receipt.usage["model_calls"] == 3
    assert made.asked[0] == "memories"
    assert sorted(made.asked[1:]) == ["episodic", "semantic"]
    assert by_memory(memory) == {
        "episodic": ["Ana met Berta.\nAt noon, by the lake."],
        "semantic": ["Berta: A friend who rows."],
    }
    (event,) = held(memory, kind="summary")
    assert (event.metadata["actor"], event.metadata["event_type"]) == ("user", "event")
    (person,) = held(memory)
    assert (person.metadata["name"], person.metadata["source"]) == ("Berta", "Ana")
    assert person.sources == (receipt.ids[0],)


def test_nothing_worth_keeping_takes_one_question(team: Opening) -> None:
    memory, made = team()
    assert say(memory, "Hello.").usage["model_calls"] == 1
    assert (made.asked, by_memory(memory)) == (["memories"], {})


def test_all_six_memories_have_their_kinds(team: Opening) -> None:
    memory, _ = team(
        memories=["core", "episodic", "semantic", "procedural", "resource", "vault"],
        core=[HUMAN, {"action": "persona_update", "content": "Dry wit."}],
        episodic=[EVENT],
        semantic=[PERSON],
        procedural=[TEA],
        resource=[PLAN],
        vault=[SECRET],
    )
    assert say(memory, SAID).usage["model_calls"] == 7
    kinds = {
        (record.metadata["memory"], record.kind)
        for record in memory.get_all(user_id="ana", limit=100)
        if record.made_by
    }
    assert kinds == {
        ("human", "core"),
        ("persona", "core"),
        ("episodic", "summary"),
        ("semantic", "fact"),
        ("procedural", "procedure"),
        ("resource", "resource"),
        ("vault", "secret"),
        ("vault", "fact"),
    }
    texts = by_memory(memory)
    assert texts["procedural"] == ["Making tea\n1. boil water\n2. wait"]
    assert texts["resource"] == ["plan.md\nRow at dawn."]
    lines = memory.context("tea", user_id="ana").text.splitlines()
    assert "human (always shown): Ana, who likes short answers." in lines[1]
    assert "persona (always shown): Dry wit." in lines[2]


def test_managers_see_their_own_entries_and_change_them(team: Opening) -> None:
    memory, made = team(memories=["semantic"], semantic=[PERSON])
    say(memory, "Berta is a friend who rows.")
    other = {"action": "semantic_update", "number": 1, "name": "Berta", "summary": "A friend who sails."}
    made.replies |= {"semantic": [other, {"action": "semantic_delete", "number": 7}]}
    receipt = say(memory, "Berta sails now, a friend she is.", "2026-01-02")
    assert '"text": "Berta: A friend who rows."' in made.model.asked[-1]
    assert by_memory(memory) == {"semantic": ["Berta: A friend who sails."]}
    assert "1 of 2 calls refused: names no memory shown" in reasons(receipt)
    made.replies |= {"semantic": [{"action": "semantic_delete", "number": 1}]}
    say(memory, "Berta is gone.", "2026-01-03")
    assert by_memory(memory) == {}
    (record,) = memory.as_of(valid="2026-01-02T13:00Z").get_all(user_id="ana", filters={"kind": "fact"})
    assert record.text == "Berta: A friend who sails."


VAULTED: dict[str, Any] = {
    "memories": ["core", "episodic", "vault"],
    "core": [{"action": "human_update", "content": f"Ana, whose wifi password is {PASSWORD.lower()}."}],
    "episodic": [{"action": "episodic_insert", "summary": f"Ana told that {PASSWORD} opens the wifi."}],
    "vault": [SECRET],
}


def test_what_is_in_the_vault_comes_out_by_its_kind_alone(team: Opening) -> None:
    memory, _ = team(**VAULTED, topic="wifi password")
    say(memory, "The lake is cold.")
    receipt = say(memory, SAID, "2026-01-02")
    (secret,) = memory.get_all(user_id="ana", filters={"kind": "secret"})
    assert (secret.text, secret.name) == (PASSWORD, "the wifi password")
    assert secret.metadata["sensitivity"] == "medium"
    hits = memory.search("What is the wifi password?", user_id="ana", k=20)
    assert "the wifi password" in {hit.text for hit in hits}
    everything = json.dumps([hit.to_dict() for hit in hits]) + memory.context(SAID, user_id="ana").text
    assert PASSWORD.casefold() not in everything.casefold()
    assert "[in the vault]" in everything
    caption = next(hit.record for hit in hits if hit.text == "the wifi password")
    assert memory.get(caption.sources[-1], user_id="ana").text == PASSWORD
    for level in (1, 2):
        views = memory.search("wifi password tea", user_id="ana", filters={"level": level})
        assert PASSWORD not in "".join(hit.text for hit in views)
    kinds = {"kind": {"in": ["episode", "secret"]}}
    asked = memory.search("wifi password", user_id="ana", filters=kinds)
    assert SAID in {hit.text for hit in asked}
    assert memory.get(receipt.ids[0], user_id="ana").text == SAID


def test_enough_is_found_though_the_nearest_are_in_the_vault(team: Opening) -> None:
    memory, _ = team(memories=["vault"], vault=[SECRET | {"sensitivity": "high"}])
    turns = [{"content": f"wifi password {n}: {PASSWORD}"} for n in range(40)]
    memory.add(turns, user_id="ana")
    memory.add([{"content": f"Something about wifi {n}."} for n in range(8)], user_id="ana", infer=False)
    hits = memory.search("wifi password", user_id="ana", k=5)
    assert len(hits) == 5
    assert PASSWORD not in "".join(hit.text for hit in hits)


def test_of_what_is_highly_sensitive_not_even_the_caption_is_found(team: Opening) -> None:
    memory, _ = team(memories=["vault"], vault=[SECRET | {"sensitivity": "high"}])
    say(memory, SAID)
    assert held(memory) == []
    (secret,) = memory.get_all(user_id="ana", filters={"kind": "secret"})
    assert secret.metadata["caption"] == "the wifi password"
    assert memory.search("the wifi password", user_id="ana") == []


def test_a_new_value_takes_the_captions_lead(team: Opening) -> None:
    memory, made = team(memories=["vault"], vault=[SECRET])
    say(memory, SAID)
    made.replies |= {"vault": [SECRET | {"action": "vault_update", "number": 1, "secret": "Lily-2000"}]}
    say(memory, "The wifi password is Lily-2000 now.", "2026-01-02")
    (caption,) = held(memory)
    leads = [id for id in caption.sources if memory.get(id, user_id="ana").kind == "secret"]
    assert {memory.get(id, user_id="ana").text for id in leads} == {PASSWORD, "Lily-2000"}
    assert len(held(memory, kind="secret")) == 2
    assert "Lily" not in memory.context("wifi password", user_id="ana").text


def test_what_nobody_said_does_not_go_into_the_vault(team: Opening) -> None:
    memory, _ = team(memories=["vault"], vault=[SECRET, SECRET | {"secret": " - "}])
    receipt = say(memory, "The wifi is slow.")
    assert by_memory(memory) == {}
    assert memory.search("wifi", user_id="ana")[0].id == receipt.ids[0]


def test_a_value_counts_as_said_whatever_its_punctuation(team: Opening) -> None:
    memory, _ = team(memories=["vault"], vault=[SECRET | {"secret": "rose 1923"}])
    say(memory, SAID)
    assert [record.text for record in held(memory, kind="secret")] == ["rose 1923"]


def test_what_was_not_shown_whole_is_not_written_over(team: Opening) -> None:
    book = PLAN | {"text": "Row at dawn. " * 100}
    memory, made = team(memories=["resource"], resource=[book])
    say(memory, "Row at dawn. " * 100)
    new = PLAN | {"title": "later.md", "text": "Row at dusk."}
    over = book | {"action": "resource_update", "number": 1, "text": "Row at dusk."}
    made.replies |= {"resource": [over, new]}
    receipt = say(memory, "No, row at dusk.", "2026-01-02")
    assert any("1 of 2 calls refused: was not shown whole" in item.reason for item in receipt.items)
    ((text, _),) = by_memory(memory).values()
    assert text.count("Row at dawn.") == 100
    assert " […]" in made.model.asked[-1]
    made.replies |= {"resource": [{"action": "resource_delete", "number": number} for number in (1, 2)]}
    say(memory, "Throw it away.", "2026-01-03")
    assert by_memory(memory) == {}


@pytest.mark.parametrize("written", ["rose 1923", "ROSE_1923", "Rose1923", "R-o-s-e 1 9 2 3"])
def test_no_manager_writes_a_value_in_whatever_form(team: Opening, written: str) -> None:
    event = {"action": "episodic_insert", "summary": f"Told: {written}."}
    memory, _ = team(memories=["episodic", "vault"], vault=[SECRET], episodic=[event])
    say(memory, SAID)
    assert [record.text for record in held(memory, kind="summary")] == ["Told: [in the vault]."]


def test_erasing_the_turn_empties_the_vault_of_it(team: Opening) -> None:
    memory, _ = team(**VAULTED)
    receipt = say(memory, SAID)
    memory.forget([receipt.ids[0]], user_id="ana")
    assert memory.wait()
    assert memory.get_all(user_id="ana").items == ()
    assert memory.verify().problems == ()


def test_undo_opens_the_vault_again(team: Opening) -> None:
    memory, _ = team(memories=["vault"], vault=[SECRET])
    receipt = say(memory, SAID)
    memory.undo(receipt.derived or "", user_id="ana")
    assert held(memory, kind="secret") == []
    assert memory.search("wifi password", user_id="ana")[0].text == SAID


def test_a_topic_is_searched_for_in_each_memory(team: Opening) -> None:
    memory, made = team(
        memories=["semantic", "procedural"], semantic=[PERSON], procedural=[TEA], topic="making tea"
    )
    say(memory, "Berta is a friend who rows. For tea, boil water and wait.")
    hits = memory.search("How do I go about it?", user_id="ana")
    assert made.asked[-1] == "topic"
    tea = next(hit for hit in hits if hit.record.kind == "procedure")
    assert hits.index(tea) == 0
    assert tea.score == tea.why["topic"]


@pytest.mark.parametrize("topic", [ModelUnavailable("timed out"), "", {"no": "text"}], ids=str)
def test_without_a_topic_the_question_is_searched_for(team: Opening, topic: Any) -> None:
    memory, _ = team(memories=["semantic"], semantic=[PERSON], topic=topic)
    say(memory, "Berta is a friend who rows.")
    hits = memory.search("Who is Berta?", user_id="ana")
    assert {hit.text for hit in hits} == {"Berta is a friend who rows.", "Berta: A friend who rows."}
    assert all("topic" not in hit.why for hit in hits)
    told = memory.search("Who is Berta?", user_id="ana", explain=True)
    assert {hit.why["by_model"] for hit in told} == {float(topic == "")}


def test_calls_of_reading(team: Opening) -> None:
    memory, made = team(memories=["semantic"], semantic=[PERSON], topic="Berta")
    say(memory, "Berta is a friend who rows.")
    made.asked.clear()
    memory.search("Who is Berta?", user_id="ana")
    memory.context("Who is Berta?", user_id="ana")
    memory.search("Who is Berta?", user_id="ana", filters={"level": 2})
    assert made.asked == ["topic", "topic"]
    quiet, other = team({"active": False}, memories=["semantic"], semantic=[PERSON])
    say(quiet, "Berta is a friend who rows.")
    quiet.search("Who is Berta?", user_id="ana")
    assert other.asked == ["memories", "semantic"]


def test_a_budget_that_is_spent_is_said(team: Opening) -> None:
    memory, made = team()
    say(memory, "The boat is red.")
    made.replies |= {"topic": BudgetExceeded("spent", spent=1.0, limit=1.0)}
    with pytest.raises(BudgetExceeded):
        memory.search("the boat", user_id="ana")


def test_without_a_model_facts_are_semantic_memory_and_the_receipt_says_so(open_memory: Open) -> None:
    memory = open_memory(policy="mirix")
    receipt = say(memory, "I live in Porto.")
    assert reasons(receipt) == ["by rules: no model is configured"]
    say(memory, "I moved to Oslo.", "2026-02-01")
    assert memory.search("Where does Ana live?", user_id="ana")[0].text == "Ana lives in Oslo"


@pytest.mark.parametrize("wrong", [{"recent": -1}, {"near": -1}, {"chunk": 10}, {"k": 0}])
def test_parameters_that_make_no_sense_are_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(ConfigError, match="mirix: recent and near"):
        Mirix(**wrong)
