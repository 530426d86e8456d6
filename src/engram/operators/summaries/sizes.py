"""How much room texts take in a prompt, and cutting them to it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from engram.kernel.record import Record

__all__ = ["AROUND", "groups_within", "last_within", "shortened", "tokens"]

CUT = " […]"
AROUND = 16
"""Tokens of a quoted message beside its text: speaker, time, and signs."""


def tokens(text: str) -> int:
    """An estimate without a tokenizer: a token for every four bytes of UTF-8, rounded up."""
    return -(-len(text.encode("utf-8", "replace")) // 4)


def shortened(text: str, most: int) -> str:
    """The text on one line, of at most `most` tokens; a longer one is cut at a space, with a mark."""
    words = " ".join(text.split())
    if tokens(words) <= most:
        return words
    raw = words.encode("utf-8", "replace")[: max(0, 4 * most - len(CUT.encode()))]
    kept = raw.decode("utf-8", "ignore")
    return (kept.rsplit(" ", 1)[0] or kept) + CUT


def last_within(turns: Sequence[Record], most: int) -> tuple[Record, ...]:
    """The last of the turns that take `most` tokens together, oldest first; none where the last is longer."""
    room, count = most, 0
    for turn in reversed(turns):
        room -= tokens(turn.text)
        if room < 0:
            break
        count += 1
    return tuple(turns[len(turns) - count :])


def groups_within(turns: Sequence[Record], most: int) -> Iterator[list[Record]]:
    """The turns in order, in groups that take at most `most` tokens quoted, but at least a turn each."""
    group: list[Record] = []
    used = 0
    for turn in turns:
        size = AROUND + tokens(turn.text)
        if group and used + size > most:
            yield group
            group, used = [], 0
        group.append(turn)
        used += size
    if group:
        yield group
