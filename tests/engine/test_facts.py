"""Facts of a subject and relation are found for certain, and a policy knows whether there is a model."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

from engine.conftest import Open
from engine.helpers import ScriptedModel
from engram import Memory
from engram.kernel.changes import Add, Changes, Retire, Revise
from engram.kernel.effects import Facts, Model
from engram.kernel.record import Record
from engram.policies.rrf import RRF


@dataclass(frozen=True)
class Noting(RRF):
    """Writes "subject relation object" down; "?subject relation" makes a summary of what is found."""

    name: ClassVar[str] = "noting"

    async def write(self, episodes: Sequence[Record]) -> Changes:
        """A fact, or what is known of one."""
        changes: list[Add | Retire | Revise] = []
        for episode in episodes:
            subject, relation, *rest = episode.text.lstrip("?!").split(" ", 2)
            found = await Facts(subject, relation)
            if episode.text.startswith("?"):
                told = ",".join(str(record.metadata["object"]) for record in found)
                changes.append(Add(f"[{told}] {await Model()}", "summary", (episode.id,)))
            elif episode.text.startswith("!"):
                moved = {"subject": rest[0], "relation": relation, "object": "moved"}
                changes += [Revise(record.id, record.version, metadata=moved) for record in found]
            else:
                about = {"subject": subject, "relation": relation, "object": rest[0]}
                changes += [Retire(record.id, record.version, episode.time) for record in found]
                changes.append(Add(episode.text, "fact", (episode.id,), metadata=about))
        return Changes(tuple(changes))


def told(memory: Memory, asked: str, run: str | None = None) -> str:
    receipt = memory.add(f"?{asked}", user_id="u", run_id=run)
    return memory.get(receipt.ids[-1]).text.split("] ")[0][1:]


def test_all_facts_of_a_subject_and_relation_are_found_ended_ones_too(open_memory: Open) -> None:
    memory = open_memory(policy=Noting())
    for text in ("ana home rome", "ana home porto", "ana work bank", "ben home oslo"):
        memory.add(text, user_id="u")
    assert told(memory, "ana home") == "rome,porto"
    assert told(memory, "ANA Home") == "rome,porto"
    assert told(memory, "ana age") == ""


def test_facts_added_directly_are_among_them_and_other_scopes_stay_hidden(open_memory: Open) -> None:
    memory = open_memory(policy=Noting())
    memory.add("ana home rome", user_id="other")
    memory.add("ana home oslo", tenant="b", user_id="u")
    own = {"subject": "ana", "relation": "home", "object": "given"}
    memory.add({"content": "ana home given", "metadata": own}, kind="fact", user_id="u")
    assert told(memory, "ana home") == "given"
    memory.add("ana home porto", user_id="u", run_id="one")
    assert told(memory, "ana home", "two") == "given,porto"


def test_what_changes_and_what_is_erased_is_followed(open_memory: Open) -> None:
    memory = open_memory(policy=Noting())
    source = memory.add("ana home rome", user_id="u").ids[0]
    memory.add("ben home oslo", user_id="u")
    assert told(memory, "ana home") == "rome"
    memory.add("!ana home eva", user_id="u")
    assert (told(memory, "ana home"), told(memory, "eva home")) == ("", "moved")
    memory.forget([source], user_id="u")
    assert (told(memory, "eva home"), told(memory, "ben home")) == ("", "oslo")


def test_a_policy_knows_the_model_that_would_be_asked(open_memory: Open) -> None:
    for model, name in ((None, "None"), (ScriptedModel(str.upper), "scripted:model")):
        memory = open_memory(policy=Noting(), model=model)
        receipt = memory.add("?ana home", user_id="someone")
        assert memory.get(receipt.ids[-1]).text == f"[] {name}"
