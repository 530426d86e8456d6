"""Names as they are compared: folded, in parts, without what may be left out; and keys to find likes by."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable
from dataclasses import dataclass, field
from functools import lru_cache

from engram.operators.graph import wordlists as words
from engram.operators.graph.given_names import NICKNAMES

__all__ = ["Name", "coarse", "folded_name", "keys_of", "parsed", "sound"]

_LETTERS = {"æ": "ae", "œ": "oe", "ø": "o", "ß": "ss", "đ": "d", "ð": "d", "þ": "th", "ł": "l"}
_CYRILLIC = {
    **dict(zip("абвгдезийклмнопрстуфыэіїґ", "abvgdeziiklmnoprstufyeiig", strict=True)),
    "ж": "zh",
    "\u0445": "kh",
    "ц": "ts",
    "ч": "ch",
    "ш": "sh",
    "щ": "shch",
    "ю": "yu",
    "я": "ya",
    "ё": "e",
    "ъ": "",
    "ь": "",
    "є": "ye",
}
_GREEK = {
    **dict(zip("αβγδεζηικλμνξοπρσςτυφωχ", "avgdeziiklmnxoprsstyfoh", strict=True)),
    "θ": "th",
    "ψ": "ps",
}
_LONGEST = 300
_TABLE = str.maketrans(_LETTERS | _CYRILLIC | _GREEK)
_SOUNDS = (
    (re.compile(r"tch|tsch|cz|ch"), "c"),
    (re.compile(r"sch|sh|sz"), "s"),
    (re.compile(r"ph|ff|v|w"), "f"),
    (re.compile(r"ck|q|k|c(?=[aoulrtkn])"), "k"),
    (re.compile(r"z"), "s"),
    (re.compile(r"ae|oe|ue"), "@"),
    (re.compile(r"^y(?=[eaou])"), ""),
    (re.compile(r"ie|ij|ei|ey|y|j"), "i"),
    (re.compile(r"ou|oo"), "u"),
    (re.compile(r"th|dh"), "t"),
    (re.compile(r"(?<=[a-z])h"), ""),
    (re.compile(r"tre$"), "ter"),
    (re.compile(r"our$"), "or"),
    (re.compile(r"isat"), "izat"),
)
_UMLAUT = {"ae": "a", "oe": "o", "ue": "u"}
_VERSION = re.compile(r"^v(?=\d)")
_GENERATIONS = {
    "jr": "jr",
    "junior": "jr",
    "sr": "sr",
    "senior": "sr",
    "young": "jr",
    "younger": "jr",
    "elder": "sr",
}
_ROMAN = re.compile(r"^(?:xc|xl|l?x{0,3})(?:ix|iv|v?i{0,3})$")
_REGNAL = re.compile(r"^(?:i{1,3}|i?v|vi{0,3}|i?x)$")
_SIGNS = re.compile(r"(?<=\w)(?:\+\+|\+|#)(?!\w)")
_OF = re.compile(r"^(?P<owner>.+?)['\u2019]s?\s+(?P<what>[a-z].*)$")
_INSIDE = re.compile(r"\(([^)]*)\)")


def folded_name(text: str) -> str:
    """Letters, digits and spaces: without case, marks and full stops; Cyrillic and Greek by letter.

    Of the first 300 characters.
    """
    lower = unicodedata.normalize("NFKC", text[:_LONGEST]).casefold().translate(_TABLE)
    bare = "".join(sign for sign in unicodedata.normalize("NFKD", lower) if not unicodedata.combining(sign))
    bare = re.sub(r"(?<=\b\w)\.(?=\s?\w\b)", " " if " " in bare else "", bare)
    bare = re.sub(r"(?<=\d)\.(?=\d)", "_", bare)
    bare = _SIGNS.sub(lambda sign: f" {words.SIGNS[sign[0]]} ", bare)
    bare = re.sub(r"['\u2019`\u02bc]", "", bare.replace("&", " and "))
    return " ".join(re.sub(r"[^\w]+", " ", bare).split())


def coarse(type: str) -> str:
    """A type as types are compared; what is not known stands for itself."""
    plain = folded_name(type)
    return words.TYPES.get(plain.replace(" ", ""), words.TYPES.get(plain.rpartition(" ")[2], plain))


@dataclass(frozen=True, slots=True)
class Name:
    """A name in parts.

    `tokens` are its words without titles, company forms and generations, in the usual order; `plain` all of
    them in one string. `numbers` are the numbers that it has, `qualifiers` what stands behind a comma or in
    brackets of a place, `capitals` its letters where it may be an abbreviation. `owner` is whose it is in
    "Ana's mother".
    """

    text: str
    plain: str
    tokens: tuple[str, ...]
    titles: frozenset[str] = frozenset()
    generation: str = ""
    numbers: tuple[str, ...] = ()
    qualifiers: frozenset[str] = frozenset()
    capitals: str = ""
    owner: str = ""
    person: bool = field(default=False)

    @property
    def joined(self) -> str:
        """The words as one."""
        return "".join(self.tokens)

    @property
    def initials(self) -> str:
        """The first letters of the words that count."""
        return "".join(token[0] for token in self.tokens if token not in _SMALL)


_SMALL = frozenset(
    [
        "of",
        "the",
        "and",
        "for",
        "de",
        "du",
        "la",
        "le",
        "der",
        "die",
        "das",
        "und",
        "et",
        "y",
        "in",
        "on",
        "at",
        "a",
        "an",
    ]
)


@lru_cache(maxsize=50_000)
def parsed(text: str, type: str = "") -> Name:
    """The name in parts, as names of its type are taken apart; without a type, as both would be."""
    person = coarse(type) in ("person", "")
    place = coarse(type) == "place"
    text = text[:_LONGEST]
    owner = ""
    if owned := _OF.match(text.strip()):
        owner = folded_name(owned["owner"])
    bare, qualifiers = _qualified(text, place=place)
    first, comma, behind = bare.partition(",")
    if comma and person and len(behind.split()) <= 3 and not _only_form(behind):
        bare = f"{behind} {first}"
    plain = folded_name(bare)
    tokens = plain.split()
    titles = (
        frozenset(token for token in tokens[:-1] if token in words.TITLES) if person else frozenset[str]()
    )
    generation = ""
    if person:
        generation, tokens = _generation(tokens)
        tokens = _without(tokens, words.TITLES, front=True)
    else:
        tokens = [_VERSION.sub("", token) for token in tokens]
        tokens = [expanded for token in tokens for expanded in words.KNOWN.get(token, token).split()]
        tokens = _without(_without(tokens, words.COMPANY, front=False), words.GENERIC, front=True)
    capitals = re.sub(r"[^A-Za-z0-9]", "", re.sub(r"^[Tt]he ", "", text))
    return Name(
        text=text,
        plain=plain,
        tokens=tuple(tokens),
        titles=titles,
        generation=generation,
        numbers=() if person else _numbers(tokens),
        qualifiers=qualifiers,
        capitals=capitals if _abbreviates(text, capitals) else "",
        owner=owner,
        person=person,
    )


def _qualified(text: str, *, place: bool) -> tuple[str, frozenset[str]]:
    inside = [folded_name(part) for part in _INSIDE.findall(text)]
    bare = _INSIDE.sub(" ", text)
    if place and "," in bare:
        bare, _, behind = bare.partition(",")
        inside.append(folded_name(behind))
    return (bare if bare.strip() else text), frozenset(filter(None, inside))


def _only_form(text: str) -> bool:
    return all(token in words.COMPANY or token in _GENERATIONS for token in folded_name(text).split())


def _generation(tokens: list[str]) -> tuple[str, list[str]]:
    """Jr, senior, III: which of those with the name; and the name without."""
    kept, generation = [], ""
    for place, token in enumerate(tokens):
        last = place == len(tokens) - 1
        if len(tokens) > 1 and token in _GENERATIONS:
            generation = _GENERATIONS[token]
        elif place > 0 and last and _REGNAL.match(token):
            generation = token
        else:
            kept.append(token)
    return (generation, kept) if kept else ("", tokens)


def _without(tokens: list[str], dropped: frozenset[str], *, front: bool) -> list[str]:
    """The words without those that may be left out, at the front or at the end; never none."""
    kept = list(tokens)
    while len(kept) > 1 and kept[0 if front else -1] in dropped:
        kept.pop(0 if front else -1)
        if front and len(kept) > 1 and kept[0] == "of":
            kept.pop(0)
    return kept


def _numbers(tokens: Iterable[str]) -> tuple[str, ...]:
    found = []
    for token in tokens:
        if any(sign.isdigit() for sign in token):
            found.append(token)
        elif token in words.NUMBERS:
            found.append(words.NUMBERS[token])
        elif len(token) > 1 and _ROMAN.match(token):
            found.append(token)
    return tuple(found)


def _abbreviates(text: str, capitals: str) -> bool:
    upper = sum(sign.isupper() for sign in capitals)
    return (
        2 <= len(capitals) <= 6
        and upper >= len(capitals) - 1
        and " " not in re.sub(r"^[Tt]he ", "", text).strip()
    )


def _umlaut(match: re.Match[str]) -> str:
    return _UMLAUT[match[0]]


@lru_cache(maxsize=50_000)
def sound(token: str) -> str:
    """A word as it roughly sounds, the same for spellings such as ph and f, double letters, ö and oe."""
    for pattern, sign in _SOUNDS:
        token = pattern.sub(_umlaut if sign == "@" else sign, token)
    return re.sub(r"(.)\1+", r"\1", token)


def keys_of(text: str) -> frozenset[str]:
    """Keys of which two names of one thing share at least one, if names alone may tell: for looking up.

    Sounds of words, given names for their short forms, English names of places, abbreviations and
    consonants; far more share one than are the same.
    """
    found: set[str] = set()
    for name in (parsed(text, "person"), parsed(text, "place")):
        found.add(f"j:{sound(name.joined)}")
        for token in name.tokens:
            if len(token) > 2 and token not in _SMALL:
                found.add(f"t:{sound(token)}")
                found.update(f"g:{head}" for head in NICKNAMES.get(token, ()))
            if meant := words.TRANSLATED.get(token):
                found.add(f"t:{sound(meant)}")
            if len(token) > 4:
                found.add(f"c:{re.sub('[aeiou]', '', sound(token))}")
            if place := words.EXONYMS.get(token):
                found.add(f"p:{place}")
        if place := words.EXONYMS.get(name.joined):
            found.add(f"p:{place}")
        if (
            len(name.tokens) == 1 and 4 < len(name.joined) <= 20
        ):  # a word with a slip has a letter less or more
            word = name.joined
            found.update(f"d:{word[:at]}{word[at + 1 :]}" for at in range(len(word)))
            found.add(f"d:{word}")
        if len(name.initials) > 1:
            found.add(f"a:{name.initials}")
        if name.capitals:
            found.add(f"a:{name.capitals.casefold()}")
        if len(name.joined) > 4:
            found.add(f"a:{name.joined[0]}{len(name.joined) - 2}{name.joined[-1]}")
    if len(capitals := re.sub(r"[^A-Z0-9]", "", text[:_LONGEST])) > 1:
        found.add(f"a:{capitals.casefold()}")
    return frozenset(found)
