"""The default policy: what it finds, in large memories and in very small ones."""

from __future__ import annotations

from datetime import timedelta

import pytest

from engine.helpers import START
from engram import Hit, Memory

FACTS = ("I moved to Lisbon in May.", "My dog is called Rex and he is two.", "I work at a bakery.")


@pytest.mark.parametrize(
    ("question", "answer"),
    [
        ("What is the dog's name?", 1),
        ("Where do I work?", 2),
        ("Did I visit Lisbon?", 0),
        ("Which bakery?", 2),
    ],
)
def test_among_a_handful_of_turns_the_one_that_matches_comes_first(question: str, answer: int) -> None:
    with Memory("ram:") as memory:
        memory.add(list(FACTS), user_id="ana")
        hits = memory.search(question, user_id="ana")
        assert hits[0].text == FACTS[answer]
        assert hits[0].score > memory.search("Who won the chess final?", user_id="ana")[0].score


def test_who_speaks_what_was_asked_and_when_it_was_said_count() -> None:
    with Memory("ram:") as memory:
        for week in range(40):
            said = [("Ana", f"I baked bread number {week}"), ("Ben", f"I mended fence number {week}")]
            if week == 20:
                said += [("Ben", "And which song did you sing?"), ("Ana", "The old one about the harbour.")]
            memory.add(
                [
                    {"content": text, "name": name, "time": START + timedelta(weeks=week, minutes=place)}
                    for place, (name, text) in enumerate(said)
                ],
                user_id="u",
                run_id=f"week {week}",
            )
        end = START + timedelta(weeks=40)

        def found(question: str) -> list[Hit]:
            return memory.search(question, user_id="u", at=end, k=2, explain=True)

        assert "The old one about the harbour." in [hit.text for hit in found("Which song did Ana sing?")]
        assert found("What did Ben mend?")[0].text.startswith("I mended")
        dated = found("What bread did Ana bake in June 2026?")[0]
        assert dated.record.time.month == 6
        assert dated.why["date"] > 0
        assert dated.why["named"] > 0


def test_a_question_may_name_a_session() -> None:
    with Memory("ram:") as memory:
        for number in range(1, 31):
            said = [f"Today's password is {number * 7}", "We had soup again", "See you tomorrow"]
            memory.add(said, user_id="u", run_id=str(number))
        for asked in ("session 12", "conversation number 12", "chat #12"):
            found = memory.search(f"What was the password in {asked}?", user_id="u", k=1, explain=True)[0]
            assert found.text == "Today's password is 84"
            assert found.why["session_named"] > 0
        assert (
            "session_named" not in memory.search("What was the password?", user_id="u", explain=True)[0].why
        )
