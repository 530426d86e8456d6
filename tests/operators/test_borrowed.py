"""Which texts lent words to another one."""

from __future__ import annotations

from engram.operators.extraction.borrowed import lent

OTHERS = [("Berta rows a boat", ("1",)), ("Carl rows", ("2", "3")), ("rain", ("4",))]


def test_a_word_is_lent_by_the_last_that_has_it() -> None:
    assert lent("Ana rows", "Ana said so", OTHERS) == ("2", "3")
    assert set(lent("Berta rows", "", OTHERS)) == {"1", "2", "3"}


def test_own_words_are_borrowed_from_nobody() -> None:
    assert lent("Berta rows", "berta ROWS", OTHERS) == ()
    assert lent("", "", OTHERS) == ()
    assert lent("snow", "", OTHERS) == ()
