"""What a subject's clause may say, as patterns: each gives a relation and its objects."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from engram.operators.extraction.fact import Lasting
from engram.operators.extraction.lexicon import (
    ADJECTIVES,
    EVENTS,
    FEELINGS,
    NOT_JOBS,
    OCCUPATION_ENDINGS,
    OCCUPATIONS,
    POSSESSIONS,
    UNPLANNED,
)
from engram.operators.extraction.when import number

__all__ = ["RULES", "Rule", "base_form", "plain_object"]

_WORDS = {
    "name": r"(?:[A-Z][\w'&.-]*|\d+\w*)(?:,? (?:of |de |da |do |del |van )?[A-Z][\w'&.-]*){0,4}",
    "some": r"(?:an?|the|my|our) (?:[\w-]+ ){0,2}",
    "home": "(?:flat|apartment|house|cottage|cabin|farm|village|town|city|suburbs?|countryside|mountains"
    "|island|studio)",
    "firm": "(?:bank|hospital|school|university|library|bakery|startup|start-up|restaurant|company|clinic"
    "|museum|agency|cafe|café|hotel|factory|farm|shop|post office|council|studio|lab)s?",
    "place": "(?P<object><name>|<some><home>)",
    "employer": "(?P<object>(?:the )?<name>|<some><firm>)",
    "object": "(?P<object>.+)",
    "phrase": r"(?P<object>[\w -]+?)",
    "be": "(?:am|is|are|was|were|have been|has been)",
    "is": "(?:am|is|are)",
    "on": "(?:(?:am|is|are|have been|has been) )",
    "had": "(?:have |has )?",
    "count": "one|two|three|four|five|six|seven|eight|nine|ten|eleven|twelve",
    "rest": r"(?:,? (?:with|near|by|together|for|as|on|in|from|outside|right|just|alone)\b.*)?",
    "often": r"(?:every(?: (?:single|other|second))? (?:day|morning|evening|night|week|weekend|month|year"
    r"|summer|winter|\w+day)|each (?:day|morning|evening|week|month)|daily|weekly"
    r"|(?:once|twice|\w+ times) an? (?:day|week|month|year)"
    r"|on (?:\w+day)s(?: and \w+days)?|on weekends|at weekends|on weekdays)",
    "not-auxiliary": "(?!(?:am|is|are|was|have|has|had|will|do|can|did|love|like|hate|enjoy|prefer|want|need"
    "|play|work|live) )",
    "like": "(?:(?:have |has )?loved|loves?|likes?|enjoys?|adores?|<is> (?:into|fond of|crazy about|keen on"
    "|a (?:big |huge )?fan of))",
    "hate": "(?:hates?|dislikes?|detests?|loathes?|can not (?:stand|bear)|do(?:es)? not (?:like|enjoy))",
}
_ARTICLE = re.compile(r"^(?:an?|the|my|our|some|her|his)\s+", re.IGNORECASE)
_LOOSE_END = re.compile(
    r"(?:[\s,]+(?:now|too|as well|a lot|so much|very much|these days|right now|again|at the moment|here"
    r"|though|already|more than anything|the most|and all|anyway|in general|at all|to bits|for now"
    r"|currently|myself|ourselves|since then|since|with|for|on|in|at|from|by|about|in total|altogether))+$",
    re.IGNORECASE,
)
_COUNT = re.compile(rf"^({_WORDS['count']})(?![\w-])", re.IGNORECASE)
_INNER_COUNT = re.compile(rf"(?<=\s)({_WORDS['count'].removeprefix('one|')})(?![\w-])")
_CIRCUMSTANCE = re.compile(r"(?:,.*|\s+(?:at|from|in|on|after|during|through|with|for|by)\b.*)$")
_LIST = re.compile(r",\s*(?:and\s+)?|\s+and\s+")
_AFTER_JOB = re.compile(r"\s+(?:at|for|with|in|by|from|who|and)\b.*$")
_AFTER_THING = re.compile(r"\s+(?:who|that|which|with|from|in|at|at home)\b.*$|\s+(?:called|named) [A-Z]\w*")


def plain_object(text: str, *, count: bool = True) -> str:
    """An object without article, loose ends and punctuation, its leading count in digits."""
    plain = _LOOSE_END.sub("", text.strip(" ,.;:!"))
    plain = _ARTICLE.sub("", plain)
    if count and (found := _COUNT.match(plain)):
        plain = f"{number(found.group())}{plain[found.end() :]}"
    plain = _INNER_COUNT.sub(lambda match: str(number(match.group())), plain)
    return plain.strip(" ,.;:!")


def _single(text: str) -> list[str]:
    return [plain_object(text)]


def _done(text: str) -> list[str]:
    """The thing itself, without where, from whom or after what."""
    return _single(_CIRCUMSTANCE.sub("", text))


def _several(text: str) -> list[str]:
    """Each part of a short enumeration, or the whole where a part is long."""
    parts = [plain_object(part) for part in _LIST.split(text) if part.strip()]
    return parts if all(0 < len(part.split()) <= 3 for part in parts) else _single(text)


def _liked(text: str) -> list[str]:
    first = text.lower().split()[0]
    return [] if first in FEELINGS else _several(text)


def _job(text: str) -> list[str]:
    """A profession, by its last word; anything else that somebody may be gives nothing."""
    plain = _AFTER_JOB.sub("", plain_object(text))
    last = plain.lower().split()[-1] if plain else ""
    known = last in OCCUPATIONS or (last not in NOT_JOBS and last.endswith(OCCUPATION_ENDINGS))
    return [plain] if known and len(plain.split()) <= 4 else []


def _owned(text: str) -> list[str]:
    """What lasts, each part of an enumeration by itself; of them only what is known."""
    found = []
    for part in _LIST.split(_AFTER_THING.sub("", text)):
        plain = plain_object(part)
        if plain and plain.lower().split()[-1] in POSSESSIONS and len(plain.split()) <= 4:
            found.append(plain)
    return found


def _adjective(text: str) -> list[str]:
    word = plain_object(text).lower().split(" to ")[0].replace("color-blind", "colour-blind")
    return [word] if word in ADJECTIVES else []


def _intention(text: str) -> list[str]:
    """What is planned, in its base form; thoughts and idioms are no plans."""
    plain = _LOOSE_END.sub("", text.strip(" ,.;:!"))
    words = plain.split()
    return [plain] if len(words) >= 2 and words[0].lower() not in UNPLANNED else []


def _doing(text: str) -> list[str]:
    """As `_intention`, from the -ing form."""
    verb, _, rest = text.partition(" ")
    return _intention(f"{base_form(verb)} {rest}")


def base_form(verb: str) -> str:
    """The base form of an -ing form: flying → fly, moving → move, running → run."""
    stem = verb.removesuffix("ing")
    if stem == verb or len(stem) < 2:
        return verb
    if stem in _IRREGULAR:
        return _IRREGULAR[stem]
    if len(stem) > 2 and stem[-1] == stem[-2] and stem[-1] not in "lsz" and stem[-1] not in "aeiou":
        return stem[:-1]
    return f"{stem}e" if _WANTS_E.search(stem) and not _NO_E.search(stem) else stem


_IRREGULAR = {
    "ly": "lie",
    "dy": "die",
    "ty": "tie",
    "travell": "travel",
    "cancell": "cancel",
    "com": "come",
    "writ": "write",
    "s": "sing",
    "liv": "live",
    "becom": "become",
    "shar": "share",
}
_WANTS_E = re.compile(r"(?:[aeiou][vczk]|[^aeiou][aeiou]r|nc|dg|ng|iv|us|ot|ut|os|id|at|is|yz|as)$")
_NO_E = re.compile(r"(?:[aeiou][aeiou]t|sing|bring|visit|wait|eat|meet|cook|look|book|treat|beat|speak|bak)$")


@dataclass(frozen=True, slots=True)
class Rule:
    """A pattern over what follows the subject, and what its match says."""

    relation: str
    pattern: re.Pattern[str]
    lasting: Lasting = "state"
    objects: Callable[[str], Sequence[str]] = _single
    confidence: float = 0.9
    dated: bool = False


def _rule(
    relation: str,
    pattern: str,
    objects: Callable[[str], Sequence[str]] = _single,
    lasting: Lasting = "state",
    confidence: float = 0.9,
    *,
    dated: bool = False,
) -> Rule:
    """A rule whose pattern holds `<words>` of `_WORDS`, theirs included."""
    while names := re.findall(r"(?<!\?P)<([a-z-]+)>", pattern):
        for name in names:
            pattern = re.sub(rf"(?<!\?P)<{name}>", _WORDS[name].replace("\\", r"\\"), pattern)
    return Rule(relation, re.compile(f"^{pattern}$"), lasting, objects, confidence, dated)


RULES: tuple[Rule, ...] = (
    _rule("lives_in", "(?:lives?|<on>living|(?:have|has) lived) (?:over )?(?:in|on) <place><rest>"),
    _rule("lives_in", "<had>(?:moved|relocated)(?: back| over)?(?: from <name>)? (?:to|into) <place><rest>"),
    _rule("born_in", "(?:was|were) born(?: and raised| and grew up)? in <place><rest>", lasting="event"),
    _rule("from", "(?:comes?|hails?|<is>)(?: originally)? from (?P<object><name>)<rest>"),
    _rule(
        "works_at",
        r"(?:works?|<on>working|(?:have|has) worked|<be> employed)(?: part-time| full-time| remotely)?"
        r"(?: as an? [\w -]+?)? (?:at|for|with|by) <employer><rest>",
    ),
    _rule(
        "works_at",
        "<had>(?:joined|started(?: working| work| (?:a|my) new job| a job)? (?:at|with|for)"
        "|got (?:a|the) (?:new )?job (?:at|with)|got hired (?:by|at)) <employer><rest>",
    ),
    _rule("works_at", r"<be> an? (?P<job>[\w -]+?) (?:at|for) <employer><rest>"),
    _rule(
        "works_as",
        r"(?:works?|<on>working|(?:have|has) worked|started(?: working| work)?|got a job"
        r"|earns? (?:my|our|a|his|her) living) as "
        r"(?P<object>an? [\w -]+?)(?: (?:at|for|with|in) .*)?",
        _job,
    ),
    _rule(
        "works_as",
        r"(?:<be>|became|<had>become|qualified as|retrained as) (?P<object>an? [\w -]+?)"
        r"(?: (?:at|for|with|in) .*)?",
        _job,
    ),
    _rule(
        "studies_at",
        r"(?:(?:study|studies|<on>studying|have studied)(?: [\w ]+?)? at|am a student at"
        r"|go to university (?:in|at)) (?P<object>(?:the )?<name>)<rest>",
    ),
    _rule(
        "studies",
        r"(?:study|studies|<on>studying|am majoring in|major in|<on>doing a degree in) "
        r"(?!for\b|at\b|in\b|hard\b|a lot)<phrase>(?: (?:at|in) (?:the )?<name>.*)?",
        _several,
    ),
    _rule(
        "speaks",
        r"(?:can )?speaks?(?: fluent| some| a (?:little|bit of))? "
        r"(?P<object>[A-Z]\w+(?:(?:,| and|, and) [A-Z]\w+)*)"
        r"(?: (?:fluently|at home|at work|with .*))?",
        _several,
    ),
    _rule("speaks", r"<is> fluent in (?P<object>[A-Z]\w+(?:(?:,| and|, and) [A-Z]\w+)*)", _several),
    _rule(
        "age",
        r"(?:am|is|(?:have |has |just )?turned)(?: only)? (?P<object>\d{1,3}|<count>)"
        "(?: years (?:old|of age))?",
    ),
    _rule(
        "height",
        r"(?:am|is) (?P<object>\d[\d.,]*\s?(?:m|cm|metres|meters|feet|ft|foot)(?:\s?\d+)?"
        r"(?:\s?(?:inches|in))?) tall",
    ),
    _rule(
        "weight",
        r"weighs? (?:about |around )?(?P<object>\d[\d.,]*\s?(?:kg|kilos?|kilograms?|lbs?|pounds|stone))",
    ),
    _rule("allergic_to", "<is> (?:very |badly |severely |highly )?allergic to <object>", _several),
    _rule("is", r"(?:<be>|got|went|became|<had>become) (?P<object>[\w-]+(?: to [A-Z]\w+)?)", _adjective),
    _rule("has", "(?:have got|has got|have|has) <object>", _owned),
    _rule("has", "owns? <object>"),
    _rule("prefers", "prefers? <object>"),
    _rule("likes", "<like> <object>", _liked),
    _rule("dislikes", "<hate> <object>", _liked),
    _rule("habit", "(?P<object><not-auxiliary>[a-z]+(?<!ed) (?:.+ )?<often>(?: .+)?)"),
    _rule(
        "plays",
        r"(?:plays?|<on>playing|(?:have|has) played) (?:the )?(?!with\b|in\b|a role|it\b)<phrase>"
        r"(?: (?:on|every|for|in|at|with|since|once|twice) .*)?",
        _several,
    ),
    _rule(
        "plans",
        "(?:<is> (?:planning|hoping|going|aiming)|plans?|hopes?|intends?|wants?|aims?|<had>decided) to "
        "(?P<object>[a-z]+ .+|retire|emigrate|marry)",
        _intention,
        "plan",
    ),
    _rule("plans", "will be <object>", _doing, "plan", 0.8, dated=True),
    _rule("plans", "will <object>", _intention, "plan", 0.8, dated=True),
    _rule("plans", "<is> (?P<object>[a-z]+ing(?: .+)?)", _doing, "plan", 0.8, dated=True),
    *(
        _rule(
            relation,
            f"<had>{verb} (?!at |with |working |work )<object>",
            _single if relation in ("visited", "quit", "started") else _done,
            "event",
            0.8,
        )
        for verb, relation in EVENTS.items()
    ),
)
