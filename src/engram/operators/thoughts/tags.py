"""A tag ontology: what a person's memories are about, and the words by which that is told."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from functools import cache
from typing import Any

from engram.operators.analysis import STOPWORDS, term_hash, terms

__all__ = ["DATES", "ONTOLOGY", "TAGS", "cleaned_tag", "dates_in", "small_talk", "tags_in", "tags_of"]

TAGS, DATES = "tags", "dates"
"""The keys of a thought's metadata that hold its tags, and the days (YYYY-MM-DD) on which it was thought."""
_LONGEST = 30
_TOLD = """
person: name | name called nickname
person: age | age old year birthday born
person: character | shy calm funny honest brave patient curious proud personality introvert ambitious
person: origin | country citizen nationality hometown immigrant roots accent born
person: belief | church faith religion pray vote politics value belief
people: family | family mother father mom dad parent sister brother son daughter child kid aunt uncle cousin
people: partner | wife husband partner girlfriend boyfriend married wedding fiance date divorce love
people: friends | friend neighbour neighbor roommate buddy mate
people: colleagues | colleague boss team manager coworker client
people: pets | pet dog cat puppy kitten bird fish horse rabbit hamster
work: job | job work hire office company career employer shift profession
work: projects | project deadline task meeting launch report presentation startup
work: money | money salary pay budget rent loan bank save invest cost price debt
learning: school | school class teacher grade homework exam kindergarten
learning: studies | study university college degree course lecture thesis research learn
learning: languages | language spanish french english german chinese japanese vocabulary
health: illness | ill sick pain doctor hospital allergy allergic disease medicine surgery symptom injury
health: fitness | run gym yoga exercise workout marathon training walk hike swim
health: mood | stress anxious sad happy lonely tired therapy angry afraid sleep worry
health: diet | diet vegan vegetarian weight calorie sugar gluten
food: cooking | cook bake recipe kitchen oven bread cake soup meal ingredient
food: restaurants | restaurant cafe dinner lunch breakfast menu pizza sushi
food: drinks | tea coffee wine beer juice drink cocktail
leisure: music | music song band concert guitar piano sing album violin drum
leisure: films | film movie cinema series episode actor show television documentary
leisure: books | book novel author read library story poem
leisure: games | game chess board video puzzle play console
leisure: art | art paint draw museum gallery photo photography sculpture pottery craft
leisure: sport | football soccer tennis basketball match ski climb league sport
leisure: travel | travel trip flight hotel vacation holiday visit beach tour abroad passport
leisure: nature | garden plant tree mountain river forest lake camp flower park
home: dwelling | house apartment flat home room live move moved roof
home: household | clean repair furniture laundry sofa tool appliance
home: vehicles | car bike bicycle bus train motorcycle drive license
time: plans | plan intend soon next goal hope want future dream
time: events | party festival anniversary ceremony celebrate conference event
time: habits | always usually every habit routine daily weekly
likes: preferences | like love prefer favourite favorite enjoy hate dislike
likes: recommendations | recommend suggest advice tip idea gift
things: technology | computer phone app software code internet laptop robot program
things: clothes | dress shoe jacket shirt wear fashion coat
things: shopping | buy bought shop store order sale present
"""
_GREETINGS = frozenset(
    {"hi", "hello", "hey", "thank", "thanks", "bye", "goodbye", "ok", "okay", "yes", "no", "pleas", "please"}
    | {"good", "morning", "morn", "even", "evening", "night", "great", "cool", "sure", "welcom", "welcome"}
)


def _read() -> dict[str, tuple[str, tuple[str, ...]]]:
    found: dict[str, tuple[str, tuple[str, ...]]] = {}
    for line in _TOLD.strip().splitlines():
        head, words = line.split(" | ")
        category, tag = head.split(": ")
        found[tag] = (category, tuple(words.split()))
    return found


ONTOLOGY: dict[str, tuple[str, tuple[str, ...]]] = _read()
"""Category and words of each tag: who somebody is, whom they know, what they do, like and plan."""


def tags_of(text: str, more: Iterable[str] = ()) -> tuple[str, ...]:
    """The tags of a text by rule, those that most of its words tell of first.

    Those of the ontology of whose words the text has any, and those of `more` that it names itself. English.
    """
    said = terms(text)
    counts: dict[str, int] = {}
    for word in said:
        for tag in _by_word().get(word, ()):
            counts[tag] = counts.get(tag, 0) + 1
    held = set(said)
    for tag in more:
        if tag not in ONTOLOGY and held.intersection(terms(tag)):
            counts.setdefault(tag, 1)
    return tuple(sorted(counts, key=lambda tag: -counts[tag]))


def tags_in(metadata: Mapping[str, Any]) -> list[str]:
    """The tags of a thought, as its metadata has them; somebody may have edited it."""
    return _texts(metadata.get(TAGS))


def dates_in(metadata: Mapping[str, Any]) -> list[str]:
    """The days on which it was thought, likewise."""
    return _texts(metadata.get(DATES))


def _texts(value: Any) -> list[str]:
    return [item for item in value if isinstance(item, str)] if isinstance(value, list | tuple) else []


def cleaned_tag(text: str) -> str:
    """A tag as it is kept: one word, in lower case; empty for what is none."""
    words = text.casefold().split()
    return words[0] if len(words) == 1 and len(words[0]) <= _LONGEST else ""


def small_talk(text: str) -> bool:
    """Whether a text asks for nothing that is remembered: greetings, thanks, words that tell nothing."""
    said: Sequence[str] = terms(text)
    return all(word in _GREETINGS or term_hash(word) in STOPWORDS for word in said)


@cache
def _by_word() -> dict[str, tuple[str, ...]]:
    """The tags by the words, as the analyser has them."""
    found: dict[str, dict[str, None]] = {}
    for tag, (_, words) in ONTOLOGY.items():
        for word in terms(" ".join((tag, *words))):
            found.setdefault(word, {})[tag] = None
    return {word: tuple(tags) for word, tags in found.items()}
