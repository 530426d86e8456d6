"""Facts by rule, where no model is configured: statements in the first person, resolved to the speaker.

What is taken is what the patterns below say plainly: names, homes, work, people, possessions, likes, habits,
plans and events, with the day where one is named. Questions, wishes, conditions, hearsay and quotations give
nothing; neither does what the closed word lists (`lexicon`) do not know. Precision goes before reach: a fact
that is not taken is still in the turn, a wrong one misleads. English only.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import date, datetime

from engram.operators.extraction.clauses import clauses
from engram.operators.extraction.fact import Fact
from engram.operators.extraction.lexicon import KIN
from engram.operators.extraction.patterns import RULES, plain_object
from engram.operators.extraction.when import Named, named_days

__all__ = ["extract_by_rules"]

_NAME = r"(?:(?:Mr|Mrs|Ms|Dr|St)\.? )?[A-Z][\w'\u2019-]+(?: [A-Z][\w'\u2019-]+){0,2}"
_KIN = "|".join(sorted(KIN, key=len, reverse=True))
_MY = r"(?:[Mm]y|[Oo]ur)"
_THEIRS = re.compile(rf"^{_MY} (?P<kin>{_KIN})'s (?P<rest>(?:favou?rite|birthday|name|e-?mail|number)\b.+)$")
_TONGUE = re.compile(rf"^{_MY} (?:native language|mother tongue|first language) is (?P<object>[A-Z]\w+)$")
_ANIMAL = r"(?:cat|dog|puppy|kitten|rabbit|horse|parrot|pony|hamster|tortoise)"
_SELF = re.compile(r"^(?:I|we|We)\s+(?P<rest>.+)$")
_PERSON = re.compile(
    rf"^{_MY}\s+(?:(?:older|younger|elder|little|big|best|new|old|late|dear|good|twin)\s+)*"
    rf"(?P<kin>{_KIN})(?:,?\s+(?P<who>{_NAME}),?)?\s+(?P<rest>(?!and\b)[a-z].+)$"
)
_THING = re.compile(
    rf"^{_MY} (?P<thing>[a-z][\w-]*(?: [a-z][\w-]*)?) (?P<rest>(?:is|was|are|weighs|turned|has)\b.+)$"
)
_IS_MY = re.compile(rf"^(?P<who>{_NAME})\s+is\s+(?:my|our)\s+(?:\w+\s+)?(?P<kin>{_KIN})$")
_CALL_ME = re.compile(
    rf"^(?!(?:[Nn]obody|[Nn]o one|[Nn]ever)\b)(?:(?:[\w ]+ )?[Cc]alls? me|{_MY} (?:full )?name is) "
    rf"(?P<object>{_NAME})$"
)
_FAVOURITE = re.compile(
    rf"^{_MY} (?:all-time )?favou?rite (?P<what>[\w-]+(?: [\w-]+)?) "
    r"(?:is|are|has always been)(?: now| still)? (?P<object>.+)$"
)
_OWN = re.compile(
    rf"^{_MY} (?P<what>birthday|e-?mail(?: address)?|(?:phone |mobile )?number) is (?P<object>.+)$"
)
_CALLED = re.compile(rf"^(?:is|are)\s+(?:called|named)\s+(?P<object>{_NAME})$")
_IS_NAME = re.compile(rf"^is\s+(?:called\s+|named\s+)?(?P<object>{_NAME})$")

_NAMED = re.compile(rf"^name is (?P<object>{_NAME})(?:,.*)?$")
_OF_SELF = (
    (_CALL_ME, "name"),
    (_FAVOURITE, "favourite"),
    (_OWN, "own"),
    (_IS_MY, "kin"),
    (_TONGUE, "speaks"),
)


def extract_by_rules(text: str, speaker: str, said: datetime) -> list[Fact]:
    """The facts that `speaker` states in `text`, said at `said`, in their order and without repeats."""
    found = dict.fromkeys(
        fact for clause in clauses(text) for fact in _from_clause(clause, speaker, said.date())
    )
    return list(found)


def _from_clause(quote: str, speaker: str, at: date) -> Iterator[Fact]:
    """The facts of one clause: whom it is about, what it says, when."""
    named = named_days(quote, at)
    clause = quote
    if named and named[0].first == 0:  # "last week we …": the day goes to the end
        clause = f"{quote[named[0].last :].lstrip(' ,')} {quote[: named[0].last]}"
    for subject, rest, facts in _subjects(clause, speaker):
        yield from facts
        if rest:
            yield from _from_rest(subject, rest, quote, at)


def _subjects(clause: str, speaker: str) -> Iterator[tuple[str, str, list[Fact]]]:
    """Whom a clause is about, the rest of it, and what its subject alone says ("my sister Ines")."""
    if match := _THEIRS.match(clause):
        kin, name = KIN[match["kin"]], _NAMED.match(match["rest"])
        if name:
            yield speaker, "", [Fact(speaker, kin, name["object"], confidence=0.9, quote=clause)]
        else:
            yield from _subjects(f"my {match['rest']}", f"{speaker}'s {kin}")
        return
    for pattern, relation in _OF_SELF:
        if match := pattern.match(clause):
            yield speaker, "", [_said_of_self(match, relation, speaker, clause)]
            return
    if match := _SELF.match(clause):
        yield speaker, match["rest"], []
    elif match := _PERSON.match(clause):
        yield _person(match, speaker, clause)
    elif match := _THING.match(clause):
        thing = f"{speaker}'s {match['thing'].split()[-1]}"
        if called := _CALLED.match(match["rest"]):
            yield thing, "", [Fact(thing, "name", called["object"], confidence=0.9, quote=clause)]
        elif re.search(_ANIMAL, match["thing"]):
            yield thing, match["rest"], []


def _person(match: re.Match[str], speaker: str, clause: str) -> tuple[str, str, list[Fact]]:
    """Somebody who stands in a relation to the speaker: by name where it is said, and that they do."""
    kin, rest, named = KIN[match["kin"]], match["rest"], match["who"]
    if not named and (called := _IS_NAME.match(rest)):
        return speaker, "", [Fact(speaker, kin, called["object"], confidence=0.9, quote=clause)]
    facts = [Fact(speaker, kin, named, confidence=0.9, quote=clause)] if named else []
    return named or f"{speaker}'s {kin}", rest, facts


def _said_of_self(match: re.Match[str], relation: str, speaker: str, clause: str) -> Fact:
    groups = match.groupdict()
    value = groups.get("object") or groups.get("who") or ""
    if relation == "favourite":
        relation = f"favourite {match['what']}".replace("color", "colour")
    elif relation == "kin":
        relation = KIN[match["kin"]]
    elif relation == "own":
        what = match["what"].lower()
        relation = "birthday" if what == "birthday" else "email" if "mail" in what else "phone"
        value = re.sub(r"^(?:on|the)\s+|,.*$", "", value)
    return Fact(speaker, relation, plain_object(value, count=False), confidence=0.95, quote=clause)


_ENDED = (
    (re.compile(r"^(?:no longer|not any ?more) (?P<rest>.+)$"), False),
    (re.compile(r"^(?:am|is|are) no longer (?P<rest>.+)$"), True),
    (re.compile(r"^do(?:es)? not (?P<rest>.+?) (?:any ?more|any longer)$"), False),
    (re.compile(r"^used to (?P<rest>.+)$"), False),
)
_PAST = re.compile(
    r"^(?:(?:was|were) (?P<be>living|working|studying)|(?P<verb>lived|worked|studied))(?P<rest> .+)$"
)
_PRESENT = {
    "living": "live",
    "working": "work",
    "studying": "study",
    "lived": "live",
    "worked": "work",
    "studied": "study",
}
_UNTIL = re.compile(r"\b(?:until|till)\b")
_LEFT = re.compile(
    r"^(?:have |has )?(?:(?:left|quit|lost|resigned from) (?:my|our|his|her) job (?:at|with) (?P<firm>.+)"
    r"|left (?P<object>(?:the )?[A-Z]\w+(?: [A-Z]\w+)*|the (?:firm|company|bank|embassy|agency|museum"
    r"|hospital)))$"
)
_ADVERB = re.compile(
    r"\b(?:really|just|currently|now|also|still|recently|actually|always|already|finally|absolutely"
    r"|totally|originally|mostly|usually|simply|truly|even|officially|definitely|certainly|both|temporarily|soon)\b\s*"
)
_NEGATED = re.compile(r"\b(?:not|never|no|none|nothing|neither|hardly|without)\b")
_LEAVES_EMPTY = re.compile(r"\s+(?:in|on|at|since|from|by|until|around|for|of|back)$")


def _from_rest(subject: str, rest: str, quote: str, at: date) -> Iterator[Fact]:
    bare, behind, ahead = _undated(rest, at)
    bare = " ".join(_ADVERB.sub("", bare).split())
    bare, ended = _ended(bare)
    if past := _PAST.match(bare):
        if behind is not None and not _UNTIL.search(rest):
            return  # "we lived there in 2019" says neither since when nor until when
        bare, ended = f"{_PRESENT[past['be'] or past['verb']]}{past['rest']}", True
    if match := _LEFT.match(bare):
        yield Fact(
            subject,
            "works_at",
            plain_object(match["firm"] or match["object"]),
            when=_days(behind),
            ended=True,
            confidence=0.9,
            quote=quote,
        )
        return
    taken: set[str] = set()
    for rule in RULES:
        match = rule.pattern.match(bare)
        if match is None or (rule.dated and not _to_come(ahead, at)) or rule.relation in taken:
            continue
        if rule.relation != "dislikes" and _NEGATED.search(bare):
            continue
        days = ahead if rule.lasting == "plan" else behind
        for value in rule.objects(match["object"]):
            if value:
                taken.add(rule.relation)
                yield Fact(
                    subject, rule.relation, value, rule.lasting, _days(days), ended, rule.confidence, quote
                )
        if taken and not taken <= {"works_at", "works_as", "studies", "studies_at"}:
            return


def _undated(text: str, at: date) -> tuple[str, Named | None, Named | None]:
    """The text without the days that it names, and the first of them: looking back, and looking ahead."""
    behind, ahead = named_days(text, at), named_days(text, at, ahead=True)
    bare, end = "", 0
    for named in behind:
        bare, end = f"{bare}{text[end : named.first]}", named.last
    bare = f"{bare}{text[end:]}".strip(" ,.")
    return _LEAVES_EMPTY.sub("", bare), behind[0] if behind else None, ahead[0] if ahead else None


def _ended(text: str) -> tuple[str, bool]:
    for pattern, with_be in _ENDED:
        if match := pattern.match(text):
            return f"am {match['rest']}" if with_be else match["rest"], True
    return text, False


def _days(named: Named | None) -> tuple[date, date] | None:
    return None if named is None else (named.start, named.end)


def _to_come(named: Named | None, at: date) -> bool:
    return named is not None and not named.lasting and named.end > at
