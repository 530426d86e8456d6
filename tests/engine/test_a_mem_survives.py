"""`a_mem` under faults at every effect, from seeds, and when what its notes stand on is erased."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from engine.conftest import Open
from engine.replies import filing, held, say
from engine.struck import survived
from engram import Memory
from engram.kernel.chat import ChatRequest
from engram.kernel.protocols import SelectEdges
from engram.operators.notes.note import turn_of
from engram.policies.a_mem import AMem
from engram.testing.doubles import ScriptedModel

SEEDS = range(3)
SAID = [f"I like green tea of kind {n}." for n in range(5)]


@pytest.mark.parametrize("model", [True, False], ids=["model", "rules"])
def test_faults_at_any_effect_lose_and_double_nothing(tmp_path: Path, model: bool) -> None:
    struck = Counter[str]()
    for seed in SEEDS:
        said = [{"content": text, "id": text, "name": "Ana"} for text in SAID]
        answers = filing if model else None
        with survived(
            tmp_path / f"{seed}.db", said, AMem(), answers, struck, user="ana", seed=seed
        ) as memory:
            turns = held(memory, kind="episode")
            assert sorted(turn.text for turn in turns) == SAID
            notes = held(memory, kind="summary")
            assert Counter(turn_of(note) for note in notes) == Counter(turn.id for turn in turns)
    assert struck["crash"] >= 2


def settled(memory: Memory) -> dict[str, str]:
    """The notes' texts by their turns, all owed work done; each turn has one note at most."""
    assert memory.wait()
    assert memory.verify().problems == ()
    notes = held(memory, kind="summary")
    found = {str(turn_of(note)): note.text for note in notes}
    assert len(found) == len(notes)
    return found


def test_erasing_a_turn_takes_what_it_taught_other_notes(open_memory: Open, tmp_path: Path) -> None:
    memory = open_memory(policy=AMem(), model=ScriptedModel(gossiping))
    ids = [say(memory, text).ids[0] for text in (*SAID[:2], f"{SAID[2]} The code is xyzzy.", SAID[3])]
    assert sum("xyzzy" in text for text in settled(memory).values()) > 1
    memory.forget([ids[2]], user_id="ana")
    found = settled(memory)
    assert not any("xyzzy" in text for text in found.values())
    assert set(found) == {ids[0], ids[1], ids[3]}
    core = memory._bound.core
    assert not any("xyzzy" in note.text for id in found for note in memory.history(id, user_id="ana"))
    edges = core.store.edges(SelectEdges(scope=memory._bound.scope({"user_id": "ana"})))
    assert {edge.source for edge in edges} <= {note.id for note in held(memory, kind="summary")}


def test_a_note_stands_on_the_other_turns_of_its_question_that_lent_it_words(open_memory: Open) -> None:
    def notes(*found: tuple[str, str]) -> dict[str, Any]:
        return {
            "notes": [
                {"turn": n, "keywords": [word], "tags": [], "context": text}
                for n, (word, text) in enumerate(found, 1)
            ]
        }

    first = notes(("tea", "The code of the tea is xyzzy."), ("code", "A code."))
    model = ScriptedModel([first, notes(("tea", "Green tea."))])
    memory = open_memory(policy=AMem(near=1.0), model=model)
    ids = memory.add([SAID[0], "The code is xyzzy."], user_id="ana").ids
    assert [note.sources for note in held(memory, kind="summary")] == [(ids[0], ids[1]), (ids[1],)]
    memory.forget([ids[1]], user_id="ana")
    assert settled(memory) == {ids[0]: f"{SAID[0]}\n(Green tea.)\n[tea]"}


def gossiping(request: ChatRequest) -> Any:
    """As `filing`, but what any note shown says of a code goes into every other."""
    reply = filing(request)
    prompt = request.messages[-1].text
    if "Notes kept" in prompt:
        told = "The code is xyzzy." if "xyzzy" in prompt else "Tea again."
        shown = prompt.count('{"note"')
        updates = [{"note": n, "context": f"{told} Of {shown}."} for n in range(1, shown + 1)]
        reply = {**reply, "updates": updates}
    return reply


def test_erasing_a_notes_own_turn_leaves_each_other_turn_one_note(open_memory: Open) -> None:
    memory = open_memory(policy=AMem(), model=ScriptedModel(filing))
    ids = [say(memory, text).ids[0] for text in SAID]
    assert len(settled(memory)) == 5
    memory.forget([ids[0]], user_id="ana")
    assert set(settled(memory)) == {*ids[1:]}
    memory.forget([ids[4]], user_id="ana")
    assert set(settled(memory)) == {*ids[1:4]}


def test_a_note_is_derived_anew_without_a_model_too(open_memory: Open) -> None:
    memory = open_memory(policy=AMem())
    first, second = say(memory, "I live in Porto."), say(memory, "I am allergic to nuts.")
    memory.edit(first.ids[0], text="I live in Oslo.", user_id="ana")
    assert "Oslo" in settled(memory)[first.ids[0]]
    memory.forget([second.ids[0]], user_id="ana")
    assert set(settled(memory)) == {first.ids[0]}


def test_what_another_run_taught_is_erased_with_that_run(open_memory: Open) -> None:
    memory = open_memory(policy=AMem(), model=ScriptedModel(gossiping))
    say(memory, SAID[0], run="one")
    say(memory, f"{SAID[1]} The code is xyzzy.", run="two")
    assert any("xyzzy" in hit.text for hit in memory.search("tea", user_id="ana"))
    memory.forget(user_id="ana", run_id="two")
    settled(memory)
    assert not any("xyzzy" in hit.text for hit in memory.search("tea code", user_id="ana"))
