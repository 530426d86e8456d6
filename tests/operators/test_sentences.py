"""Leading sentences: what most turns bear out is chosen, in order, within bounds."""

from __future__ import annotations

from dataclasses import replace

from hypothesis import given, settings
from hypothesis import strategies as st

from engram.kernel.record import Record
from engram.operators.consolidation.sentences import leading
from engram.testing.builders import a_record


def turns(*texts: str) -> list[Record]:
    return [replace(a_record(text), id=str(number)) for number, text in enumerate(texts)]


def chosen(*texts: str, most: int = 5, longest: int = 600) -> list[str]:
    return [sentence.text for sentence in leading(turns(*texts), most, longest)]


def test_what_several_turns_speak_of_goes_before_what_one_does() -> None:
    found = chosen(
        "The harbour was closed because of the storm. My uncle sells umbrellas near Basel.",
        "So the storm closed the harbour for two days.",
        "After the storm the harbour opened again. A parrot learned seven Latin proverbs.",
        most=2,
    )
    assert all("harbour" in text and "storm" in text for text in found)


def test_sentences_stand_in_the_order_of_the_turns_with_the_turn_that_says_them() -> None:
    said = turns("Plum trees bloom in April here.", "The bees like plum trees in bloom.")
    found = leading(said)
    assert [(item.text, item.turn.id) for item in found] == [(said[0].text, "0"), (said[1].text, "1")]


def test_what_is_said_twice_is_chosen_once_before_something_else() -> None:
    found = chosen(*["The boiler rattles all night long."] * 3, "Marek fixed the boiler with screws.", most=2)
    assert "Marek fixed the boiler with screws." in found


def test_questions_and_asides_are_passed_over_but_never_all_of_a_day() -> None:
    assert chosen("Where did the heron build its nest?", "The heron nests behind the mill.") == [
        "The heron nests behind the mill."
    ]
    assert chosen("Hm?", "Yes.") == ["Hm?"]
    assert chosen() == []
    assert chosen("word " * 900) != []


def test_scripts_without_spaces_are_cut_at_their_own_full_stops() -> None:
    found = chosen("我住在里斯本的老城区。猫在屋顶上睡觉。", "里斯本的老城区很安静。", most=2)
    assert "我住在里斯本的老城区。" in found


@settings(max_examples=60, deadline=None)
@given(st.lists(st.text(max_size=200), max_size=8), st.integers(1, 6), st.integers(0, 400))
def test_there_are_never_more_nor_longer_ones_than_wanted(texts: list[str], most: int, longest: int) -> None:
    found = leading(turns(*texts), most, longest)
    assert len(found) <= most
    assert len(found) == 1 or sum(len(item.text) for item in found) <= longest
    assert [int(item.turn.id) for item in found] == sorted(int(item.turn.id) for item in found)
