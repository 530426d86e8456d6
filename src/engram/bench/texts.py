"""Made-up conversations of any length, the same on every run: Zipf's law over 20,000 words, two people."""

from __future__ import annotations

import random
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from functools import cache
from itertools import accumulate, product
from typing import Any

__all__ = ["COMMON", "NAMES", "questions", "turns", "vocabulary"]

NAMES = ("Ottilie", "Barnaby")
WORDS = 20_000
SESSION = 20
_START = datetime(2020, 1, 1, 9, tzinfo=UTC)
_COMMON_TEXT = (
    "the to and a of in it is you that was for on with have my at be this but not are we so just they what "
    "there out up about like get one can all from had going me time good then when know think really got she "
    "he her his an been by were day would some home back work more now did if as or last see go how too week "
    "new morning night friend house garden train book river school letter winter summer kitchen music doctor "
    "bread market window dog bicycle holiday mountain evening paint money story village dinner road weather"
)
_SYLLABLE_TEXT = (
    "ba bel cor da den el fa gar hol in jo ka kel la lam mi mor na nel or pa pel qui ra rav ri sa sol ta tam "
    "te u un va vel wa wic yor ze dle fer gan let mer pet ric son ter ver wold"
)
COMMON, _SYLLABLES = _COMMON_TEXT.split(), _SYLLABLE_TEXT.split()


@cache
def vocabulary() -> tuple[str, ...]:
    """Common English words first, then words of two and three made-up syllables, shorter ones more common."""
    dice = random.Random(7)  # noqa: S311 - the same on every run
    made: list[str] = []
    for length in (2, 3):
        words = ["".join(parts) for parts in product(_SYLLABLES, repeat=length)]
        dice.shuffle(words)
        made += words
    return tuple(dict.fromkeys([*COMMON, *made]))[:WORDS]


@cache
def _weights() -> tuple[float, ...]:
    return tuple(accumulate(1 / rank**1.05 for rank in range(1, WORDS + 1)))


def turns(count: int, *, start: int = 0) -> Iterator[dict[str, Any]]:
    """`count` messages of 10 to 60 words in sessions of 20, an hour and more apart.

    `start` is the number of the first; the same number is always the same message.
    """
    words, weights = vocabulary(), _weights()
    for number in range(start, start + count):
        dice = random.Random(number)  # noqa: S311
        said = dice.choices(words, cum_weights=weights, k=dice.randint(10, 60))
        session, place = divmod(number, SESSION)
        yield {
            "role": "user",
            "name": NAMES[number % 2],
            "content": " ".join(said).capitalize() + ".",
            "time": (_START + timedelta(hours=2 * session, minutes=place)).isoformat(),
        }


def questions(count: int, among: int) -> list[str]:
    """Questions about the first `among` turns: a name and some rarer words of one of them."""
    dice = random.Random(among)  # noqa: S311
    found: list[str] = []
    for _ in range(count):
        number = dice.randrange(among)
        turn = next(turns(1, start=number))
        rare = [word for word in turn["content"].lower().strip(".").split() if word not in COMMON]
        picked = dice.sample(rare, min(4, len(rare))) or ["garden"]
        found.append(f"What did {turn['name']} say about {' '.join(picked)}?")
    return found
