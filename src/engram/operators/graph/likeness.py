"""Whether two mentions are of one thing: by their names, and by what is known of each."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from engram.operators.graph import wordlists as words
from engram.operators.graph.alike import name_likeness, word_likeness
from engram.operators.graph.names import Name, coarse, folded_name, parsed

__all__ = ["SAME_FROM", "UNSURE_FROM", "Known", "Likeness", "Mention", "likeness", "names_of"]

SAME_FROM, UNSURE_FROM = 0.7, 0.3

_IDENTITY = re.compile(
    r"\b(?:formerly|previously|renamed|rebranded|aka|alias|also (?:known|called)|nickname|born as|nee|called"
    r"|(?:full|real|maiden|birth|stage|pen|nick|new|old) ?name|known as"
    r"|changed (?:its|his|her|their) name)\b|^name$|^name of$"
)
_SOFT = {
    frozenset(pair)
    for pair in (
        ("place", "organisation"),
        ("organisation", "team"),
        ("organisation", "group"),
        ("organisation", "product"),
        ("product", "work"),
        ("product", "project"),
        ("organisation", "project"),
        ("event", "project"),
        ("team", "group"),
    )
}
_KNOWN_TYPES = frozenset(words.TYPES.values())
_GIVEN = {"first name": 0, "given name": 0, "surname": -1, "last name": -1, "family name": -1}
_WHOLE = frozenset(words.phrases("name;full name;real name;legal name"))
_IN = frozenset(words.phrases("in;located in;country;state;part of country;based in"))
_MAKES = frozenset(words.phrases("makes;sells;produces;publishes;runs;is;is a;is an"))
_TOLD = frozenset(words.phrases("is;is a;is an;made by;maker;in;type;kind"))
_OTHER = {"email": 0.6, "phone": 0.6, "works as": 0.8, "studies": 0.8}
_SHARED, _CONFLICT, _MILD, _SOFT_CLASH = 0.42, 0.4, 0.6, 0.6
_WEAK, _NOTHING_SHARED = 0.8, 0.85  # of initials and abbreviations, where facts are told of both
_NEAR = 0.5
_YEAR = re.compile(r"\b(?:1[0-9]|20)\d\d\b")


@dataclass(frozen=True, slots=True)
class Known:
    """A fact about something: relation, object, and the year it is of, where one is known."""

    relation: str
    object: str
    year: int | None = None


@dataclass(frozen=True, slots=True)
class Mention:
    """What is known of something that is named: its name, other names, type and facts.

    A relation such as "sister of" has the thing as its subject. `near` are other names
    that stand beside it.
    """

    name: str
    type: str = ""
    aliases: tuple[str, ...] = ()
    facts: tuple[Known, ...] = ()
    near: tuple[str, ...] = field(default=())


@dataclass(frozen=True, slots=True)
class Likeness:
    """How much speaks for one thing, in [0, 1], and why."""

    score: float
    why: str

    @property
    def same(self) -> bool:
        """Whether they are taken for one without asking."""
        return self.score >= SAME_FROM

    @property
    def unsure(self) -> bool:
        """Whether it is worth asking."""
        return UNSURE_FROM <= self.score < SAME_FROM


def likeness(one: Mention, other: Mention, cosine: float = 0.0) -> Likeness:
    """How much speaks for one thing; `cosine` is that of the names' embeddings, where there is one.

    What one thing cannot be (two types, two birthdays, its own mother) is 0 whatever the names are. Where
    the names have nothing in common, a `cosine` of 0.5 on is a doubt at most.
    """
    kinds = coarse(one.type), coarse(other.type)
    clash = _clash(*kinds)
    if clash == 0.0:
        return Likeness(0.0, f"{one.type} and {other.type}")
    kind = kinds[0] or kinds[1]
    facts, others = list(_facts(one)), list(_facts(other))
    if why := _apart(one, other, facts, others, kind):
        return Likeness(0.0, why)
    score, why = _named(one, other, facts, others, kind)
    if score == 0.0:
        strange = cosine >= _NEAR and not _words(one) & _words(other) and _digits(one) == _digits(other)
        return Likeness(UNSURE_FROM, "near by embedding") if strange else Likeness(score, why)
    shared = _shared(one, other, facts, others)
    if score < _WEAK and facts and others and not shared:
        score *= _NOTHING_SHARED
    score = 1 - (1 - score) * _SHARED ** len(shared)
    weight, doubt = _doubts(facts, others, kind)
    return Likeness(score * weight * clash, "; ".join(filter(None, (why, ", ".join(sorted(shared)), doubt))))


def _words(mention: Mention) -> set[str]:
    return set(folded_name(mention.name).split())


def _digits(mention: Mention) -> list[str]:
    return re.findall(r"\d+", mention.name)


def _clash(one: str, other: str) -> float:
    """1 where two types may be of one thing, 0 where they cannot."""
    if not one or not other or one == other:
        return 1.0
    if frozenset((one, other)) in _SOFT:
        return _SOFT_CLASH
    return 0.0 if one in _KNOWN_TYPES and other in _KNOWN_TYPES else _SOFT_CLASH


def _facts(mention: Mention) -> Iterator[Known]:
    for known in mention.facts:
        yield Known(folded_name(known.relation.replace("_", " ")), known.object, known.year)
    if coarse(mention.type) == "place":
        for qualifier in parsed(mention.name, "place").qualifiers:
            yield Known("in", qualifier)


def names_of(mention: Mention) -> list[str]:
    """Every name that it is told to have, its own first."""
    return _names(mention, list(_facts(mention)))


def _names(mention: Mention, facts: Sequence[Known]) -> list[str]:
    told = [known.object for known in facts if _IDENTITY.search(known.relation)]
    return [mention.name, *mention.aliases, *told]


def _named(
    one: Mention, other: Mention, facts: Sequence[Known], others: Sequence[Known], kind: str
) -> tuple[float, str]:
    """The likeness of the names that are most alike."""
    best = (0.0, "other names")
    about = [known.object for known in (*facts, *others) if known.relation in _TOLD]
    told = frozenset(token for text in about for token in folded_name(text).split())
    for first in _names(one, facts):
        for second in _names(other, others):
            ours, theirs = _both(first, second, kind)
            score = max(
                (name_likeness(a, b, kind, told) for a, b in zip(ours, theirs, strict=True)), default=0.0
            )
            best = max(best, (score, f"{first} ~ {second}"))
    return best


def _both(one: str, other: str, kind: str) -> tuple[list[Name], list[Name]]:
    """The names as those of their type are read; without a type as a person's and as a thing's."""
    kinds = [kind] if kind else ["person", "thing"]
    return [parsed(one, kind) for kind in kinds], [parsed(other, kind) for kind in kinds]


def _apart(one: Mention, other: Mention, facts: Sequence[Known], others: Sequence[Known], kind: str) -> str:
    """Why they cannot be one; empty where nothing says so."""
    for first, second, told in ((one, other, facts), (other, one, others)):
        for known in told:
            if known.relation in _GIVEN and not _has_word(second, known):
                return f"{known.relation} {known.object}"
            if not _IDENTITY.search(known.relation) and _is_name_of(known.object, second):
                return f"{first.name}: {known.relation} {known.object}"
    for known in facts:
        for there in others:
            if why := _exclude(known, there):
                return why
    for mine, theirs in ((facts, others), (others, facts)):
        if why := _too_young(mine, theirs) or _too_late(mine, theirs):
            return why
    if kind in ("person", ""):
        genders = _genders(one, facts), _genders(other, others)
        if genders[0] and genders[1] and not genders[0] & genders[1]:
            return "he and she"
    return ""


def _has_word(mention: Mention, known: Known) -> bool:
    """Whether a person's whole name may have a first or last name."""
    tokens = parsed(mention.name, "person").tokens
    word = folded_name(known.object)
    return len(tokens) < 2 or word_likeness(word, tokens[_GIVEN[known.relation]]) > 0


def _is_name_of(text: str, mention: Mention) -> bool:
    return folded_name(text) in {folded_name(name) for name in (mention.name, *mention.aliases)}


def _exclude(one: Known, other: Known) -> str:
    """Why two facts are not of one thing; empty where they may be."""
    if {one.relation, other.relation} <= _WHOLE and not _same_name(one.object, other.object):
        return f"{one.relation} {one.object}, {other.object}"
    roles = words.ROLES.get(one.relation), words.ROLES.get(other.relation)
    if roles[0] != roles[1] and None not in roles and _same(one.object, other.object):
        return f"{one.relation} and {other.relation} {other.object}"
    if one.relation == other.relation == "age":
        return _ages_apart(one, other)
    if one.relation == other.relation and one.relation in words.FIXED and not _same(one.object, other.object):
        return f"{one.relation} {one.object}, {other.object}"
    for born, age in ((one, other), (other, one)):
        if born.relation.startswith("born") and age.relation == "age" and age.year:
            year, years = _year(born.object), _number(age.object)
            if year and years is not None and abs(age.year - year - years) > 2:
                return f"born {born.object}, aged {age.object}"
    return ""


def _ages_apart(one: Known, other: Known) -> str:
    """Why two ages are not of one person; by when they are told, where that is known."""
    first, second = _number(one.object), _number(other.object)
    if first is None or second is None:
        return ""
    years = abs(one.year - other.year) if one.year and other.year else 3
    return f"aged {one.object} and {other.object}" if abs(first - second) > years + 2 else ""


def _too_young(facts: Sequence[Known], others: Sequence[Known]) -> str:
    ages = [age for known in facts if known.relation == "age" and (age := _number(known.object)) is not None]
    adult = next((known for known in others if known.relation in words.ADULT), None)
    if ages and max(ages) < 13 and adult:
        return f"aged {max(ages)}, and {adult.relation} {adult.object}"
    return ""


def _too_late(facts: Sequence[Known], others: Sequence[Known]) -> str:
    """Somebody who died does nothing later, and is not of an age that says otherwise."""
    died = next((year for known in facts if known.relation == "died" and (year := _year(known.object))), None)
    if died is None:
        return ""
    for known in others:
        year = known.year or (_year(known.object) if known.relation.startswith("born") else None)
        if year and year > died:
            return f"died {died}, and {known.relation} {known.object} {year}"
    return ""


def _genders(mention: Mention, facts: Sequence[Known]) -> set[str]:
    """What titles and relations say; nothing where they say both."""
    name = parsed(mention.name, "person")
    told = set(name.titles)
    for known in facts:
        if known.relation in ("gender", "sex"):
            told.add(folded_name(known.object))
        elif known.relation.endswith(" of"):
            told.update(known.relation.split())
    found = {"he"} if told & words.MALE else set[str]()
    if told & words.FEMALE:
        found.add("she")
    return found if len(found) == 1 else set()


def _shared(one: Mention, other: Mention, facts: Sequence[Known], others: Sequence[Known]) -> set[str]:
    """What both are told to have to do with."""
    here = {
        folded_name(known.object): known.object for known in facts if not _IDENTITY.search(known.relation)
    }
    there = {folded_name(known.object) for known in others if not _IDENTITY.search(known.relation)}
    here |= {folded_name(name): name for name in one.near}
    there |= {folded_name(name) for name in other.near}
    own = {folded_name(name) for mention in (one, other) for name in (mention.name, *mention.aliases)}
    return {here[key] for key in here.keys() & there if len(key) > 1 and key not in own}


def _doubts(facts: Sequence[Known], others: Sequence[Known], kind: str) -> tuple[float, str]:
    """What speaks against it without ruling it out."""
    weight, why = 1.0, []
    rules = (
        (words.PARTNER, _CONFLICT, False),
        (_IN, _CONFLICT, True),
        (_MAKES, _MILD, True),
        *((frozenset((relation,)), factor, False) for relation, factor in _OTHER.items()),
    )
    for relations, factor, things in rules:
        ours = [known for known in facts if known.relation in relations]
        theirs = [known for known in others if known.relation in relations]
        if things and kind == "person":
            continue
        if ours and theirs and not any(_same(a.object, b.object) for a in ours for b in theirs):
            weight *= factor
            why.append(f"{ours[0].relation} {ours[0].object}, not {theirs[0].object}")
    return weight, ", ".join(why)


def _same_name(one: str, other: str) -> bool:
    return name_likeness(parsed(one, "person"), parsed(other, "person"), "person") >= UNSURE_FROM


def _same(one: str, other: str) -> bool:
    """Whether two objects may be the same: as far as both say something."""
    ours, theirs = set(folded_name(one).split()), set(folded_name(other).split())
    return ours <= theirs or theirs <= ours


def _number(text: str) -> int | None:
    found = re.search(r"\d{1,3}\b", text)
    return int(found[0]) if found else None


def _year(text: str) -> int | None:
    found = _YEAR.search(text)
    return int(found[0]) if found else None
