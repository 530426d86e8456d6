"""Whether two names are of one thing, by the names alone: from 0 to 0.95, which is the same name."""

from __future__ import annotations

import re
from collections.abc import Sequence
from math import prod

from engram.operators.graph import wordlists as words
from engram.operators.graph.given_names import NICKNAMES
from engram.operators.graph.names import Name, sound

__all__ = ["name_likeness", "typo", "word_likeness"]

SAME = 0.95
_SPELLED, _SHORT, _INITIAL = 0.95, 0.86, 0.8  # of two words: as they sound, a short form, an initial
_PART, _TITLED = 0.45, 0.6  # one word of a person's name; with a title
_LEFT_OUT = 0.8  # a middle name that one of them has
_EXONYM, _ABBREVIATED, _TWO_LETTERS = 0.92, 0.74, 0.4
_JOINING, _ARTICLE = ("of", "the", "and"), ("the",)
_LONGER, _MADE = 0.2, 0.76  # words more that may mean another thing; in front of a product's name


def name_likeness(one: Name, other: Name, kind: str = "", told: frozenset[str] = frozenset()) -> float:
    """How much two names speak for one thing of the coarse type `kind`.

    `told` are words that are known of it, such as what it is and who makes it: its name may have them or not.
    """
    if one.owner != other.owner and (one.owner or other.owner):
        return 0.0
    if not one.tokens or not other.tokens:
        return SAME if one.text == other.text else 0.0
    if one.plain == other.plain or one.tokens == other.tokens:
        return 0.0 if _qualified_apart(one, other) else SAME * _generations(one, other)
    if one.person and kind in ("person", ""):
        return _people(one, other)
    return _things(one, other, kind, told)


def _generations(one: Name, other: Name) -> float:
    """1 where both may be of one generation; a numbered king is hardly the one without a number."""
    if one.generation == other.generation:
        return 1.0
    if one.generation and other.generation:
        return 0.0
    return 1.0 if (one.generation or other.generation) in ("jr", "sr") else 0.6


def _qualified_apart(one: Name, other: Name) -> bool:
    return bool(one.qualifiers and other.qualifiers and not one.qualifiers & other.qualifiers)


def _people(one: Name, other: Name) -> float:
    if _generations(one, other) < 1:
        return 0.0
    short, long = sorted((one, other), key=lambda name: len(name.tokens))
    if short.joined == long.joined or sorted(short.tokens) == sorted(long.tokens):
        return 0.9
    if any(
        "".join([*long.tokens[cut:], *long.tokens[:cut]]) == short.joined
        for cut in range(1, len(long.tokens))
    ):
        return 0.85
    if _rotated(short, long):
        return 0.85
    if len(short.tokens) == 1:
        return _one_word(short, long)
    if len(short.tokens) == len(long.tokens):
        return SAME * _words(short.tokens, long.tokens)
    return SAME * _LEFT_OUT * _words(short.tokens, (*long.tokens[: len(short.tokens) - 1], long.tokens[-1]))


def _words(one: Sequence[str], other: Sequence[str]) -> float:
    """How alike the words of two names are, one by one; several initials speak for it no less than one."""
    alike = [word_likeness(first, second) for first, second in zip(one, other, strict=True)]
    return prod(value for value in alike if value != _INITIAL) * (_INITIAL if _INITIAL in alike else 1.0)


def _rotated(short: Name, long: Name) -> bool:
    """The family name in front in one of them, the given name in one word or two."""
    for one, other in ((short, long), (long, short)):
        if len(one.tokens) > 1 and sound("".join([*one.tokens[1:], one.tokens[0]])) == sound(other.joined):
            return True
    return False


def _one_word(short: Name, long: Name) -> float:
    """One word: of a whole name, of another word, or its initials."""
    word = short.tokens[0]
    if len(long.tokens) == 1:
        alike = word_likeness(word, long.tokens[0])
        return 0.9 * alike if alike >= _SPELLED else 0.6 * alike
    if short.capitals and word == long.initials:
        return _TWO_LETTERS
    best = max(word_likeness(word, token) if len(token) > 1 else 0.0 for token in long.tokens)
    if len(word) == 1:
        return 0.3 * best
    return (_TITLED if short.titles and word_likeness(word, long.tokens[-1]) >= _SPELLED else _PART) * best


def word_likeness(one: str, other: str) -> float:
    """How alike two words of a person's name are."""
    if one == other:
        return 1.0
    if len(one) == 1 or len(other) == 1:
        return _INITIAL if one[0] == other[0] else 0.0
    if sound(one) == sound(other):
        return _SPELLED
    mine, theirs = NICKNAMES.get(one, frozenset()), NICKNAMES.get(other, frozenset())
    if one in theirs or other in mine:
        return _SHORT
    if mine & theirs:
        return 0.7
    if mine and theirs:
        return 0.0  # two given names that are known, and apart
    return typo(one, other)


def typo(one: str, other: str) -> float:
    """How likely one word is the other with a slip: letters swapped, doubled, dropped or wrong inside of it.

    The first letter is as it should be, and so are endings: Mario is no slip of Maria.
    """
    short, long = sorted((one, other), key=len)
    if len(short) < 5 or short[0] != long[0] or any(sign.isdigit() for sign in one + other):
        return 0.0
    if len(short) == len(long):
        wrong = [place for place in range(len(short)) if short[place] != long[place]]
        if len(wrong) == 2 and wrong[1] == wrong[0] + 1 and short[wrong[0]] == long[wrong[1]]:
            return 0.92 if short[wrong[1]] == long[wrong[0]] else 0.0
        if len(wrong) == 1 and wrong[0] < len(short) - 1:
            return 0.85 if len(short) >= 9 else 0.55
        return 0.0
    if len(long) == len(short) + 1:
        place = next((n for n in range(len(short)) if short[n] != long[n]), len(short))
        if short[place:] != long[place + 1 :]:
            return 0.0
        if long[place] == long[place - 1]:  # the first of the letters that differ is the second of a pair
            return 0.92
        if place >= len(short):
            return 0.0
        return 0.86 if len(short) >= 7 else 0.6
    return 0.0


def _things(one: Name, other: Name, kind: str, told: frozenset[str]) -> float:
    if _place(one) and _place(one) == _place(other):
        return _EXONYM
    if short := _abbreviation(one, other):
        return _ABBREVIATED if len(short) > 2 else _TWO_LETTERS
    if sorted(one.numbers) != sorted(other.numbers):
        return 0.0
    if _qualified_apart(one, other):
        return 0.0
    if sound(one.joined) == sound(other.joined):
        return 0.92
    ours, theirs = _meant(one), _meant(other)
    if ours and sorted(ours) == sorted(theirs):
        return 0.88
    if len(one.tokens) == len(other.tokens):
        pairs = zip(one.tokens, other.tokens, strict=True)
        return SAME * prod(_slip(first, second) for first, second in pairs)
    return _more_words(one, other, kind, told)


def _slip(one: str, other: str) -> float:
    if one == other:
        return 1.0
    return _SPELLED if sound(one) == sound(other) else typo(one, other)


def _more_words(one: Name, other: Name, kind: str, told: frozenset[str]) -> float:
    """One name has words that the other has not."""
    short, long = sorted((one, other), key=lambda name: len(name.tokens))
    extra = len(long.tokens) - len(short.tokens)
    if long.tokens[extra:] == short.tokens and kind == "product" and extra == 1:
        return _MADE
    rest = list(long.tokens)
    for token in short.tokens:
        if token not in rest:
            return 0.0
        rest.remove(token)
    idle = {*words.GENERIC, *words.COMPANY, *told, "of"}
    return 0.88 if idle.issuperset(rest) else _LONGER


def _place(name: Name) -> str:
    return words.EXONYMS.get(name.joined, "") or words.EXONYMS.get(name.plain.replace(" ", ""), "")


def _meant(name: Name) -> list[str]:
    """The words that count, each as English has it."""
    meant = (words.EXONYMS.get(token) or words.TRANSLATED.get(token, token) for token in name.tokens)
    return [word for word in meant if word not in _JOINING]


def _abbreviation(one: Name, other: Name) -> str:
    """The letters, where one name is the other's first letters, or first and last with a number between."""
    for short, long in ((one, other), (other, one)):
        letters = short.capitals.casefold()
        if not letters or long.capitals:
            continue
        whole = "".join(word[0] for word in long.plain.split() if word not in _ARTICLE)
        if len(long.tokens) > 1 and letters in (long.initials, whole):
            return letters
        numbered = re.fullmatch(r"([a-z])(\d+)([a-z])", letters)
        word = long.joined
        if numbered and (numbered[1], int(numbered[2]), numbered[3]) == (word[0], len(word) - 2, word[-1]):
            return letters
        model = re.fullmatch(r"([a-z]{2,})(\d+)", letters)
        if (
            model
            and long.numbers == (model[2],)
            and len(long.tokens) == 2
            and _letters_of(model[1], long.text)
        ):
            return f"{letters}#"
    return ""


def _letters_of(letters: str, text: str) -> bool:
    """Whether letters are the capitals of a text: PS of PlayStation."""
    return letters == "".join(sign for sign in text if sign.isupper()).casefold()
