"""Taking back: chains of edits, what was built upon, and taking back a taking back."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from engine.conftest import Open
from engine.helpers import Facts, Ticking
from engram import Conflict, InvalidInput, Memory, NotFound


def test_edits_are_taken_back_one_after_the_other(memory: Memory) -> None:
    id = memory.add("one", user_id="u").ids[0]
    sets = [memory.edit(id, text=text).change_set for text in ("two", "three", "four")]
    for change_set, text in zip(reversed(sets), ("three", "two", "one"), strict=True):
        assert change_set is not None
        memory.undo(change_set)
        assert memory.get(id).text == text
    assert [version.text for version in memory.history(id)][-4:] == ["four", "three", "two", "one"]
    assert memory.verify().ok


def test_an_undo_can_be_taken_back_and_done_again(memory: Memory) -> None:
    added = memory.add("one", user_id="u")
    assert added.change_set is not None
    first = memory.undo(added.change_set)
    with pytest.raises(NotFound):
        memory.get(added.ids[0])
    assert first.change_set is not None
    memory.undo(first.change_set)
    assert memory.get(added.ids[0]).text == "one"
    memory.undo(added.change_set)
    assert memory.get_all(user_id="u").items == ()


def test_an_edit_that_was_derived_from_again_is_not_taken_back_alone(open_memory: Open) -> None:
    memory = open_memory(policy=Facts())
    id = memory.add("sky is blue", user_id="u").ids[0]
    edited = memory.edit(id, text="sky is red")
    assert memory.wait()
    derived = next(record for record in memory.get_all(user_id="u") if record.kind == "fact")
    assert edited.change_set is not None
    with pytest.raises(Conflict, match=rf"stand on it.*: {derived.opened}; undo those"):
        memory.undo(edited.change_set)
    memory.undo(derived.opened)
    memory.undo(edited.change_set)
    assert [record.text for record in memory.get_all(user_id="u")] == ["sky is blue", "sky is blue"]


def test_an_expired_record_is_not_edited(memory: Memory, clock: Ticking) -> None:
    id = memory.add("one", user_id="u", expires=clock.now.replace(hour=10)).ids[0]
    clock.skip(hours=2)
    with pytest.raises(NotFound, match="has expired"):
        memory.edit(id, text="two")


@pytest.mark.parametrize("number", ["x", "-1", 0, 1 << 63, 10**30])
def test_what_is_no_change_set_is_refused(memory: Memory, number: Any, tmp_path: Path) -> None:
    memory.add("one", user_id="u")
    memory.export(tmp_path / "x")
    with Memory("ram:") as other:
        other.import_(tmp_path / "x")
        with pytest.raises(InvalidInput, match=r"change_set: .* is none"):
            other.undo(number)
        assert len(other.get_all(user_id="u")) == 1
    assert memory.get_all(user_id="u", after=str(10**30)).items == ()
