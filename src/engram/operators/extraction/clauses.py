"""What a speaker says, cut into plain clauses: no questions, no quotations, contractions written out."""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import date

from engram.operators.extraction.lexicon import BLOCKERS, KIN
from engram.operators.extraction.when import named_days

__all__ = ["clauses"]

_QUOTED = re.compile(r"[\"\u201c][^\"\u201c\u201d]{,1000}[\"\u201d]|(?<!\w)'[^']{3,1000}'(?!\w)")
_LONGEST = 500  # characters: what runs on is no plain statement, and patterns stay quick
_SPACES = re.compile(r"[^\S\n]+")
_SENTENCE = re.compile(r"(?<=[.!?\u2026])[\"')\]]*\s+(?=[A-Z\"'(\[\d])|\n+|;\s+|\s+[\u2013\u2014-]{1,2}\s+")
_WRITTEN_OUT = tuple(
    (re.compile(pattern, re.IGNORECASE), instead)
    for pattern, instead in (
        ("[\u2018\u2019]", "'"),
        (r"\bcan't\b", "can not"),
        (r"\bcannot\b", "can not"),
        (r"\bwon't\b", "will not"),
        (r"n't\b", " not"),
        (r"\bI'm\b", "I am"),
        (r"\b(we|they|you)'re\b", r"\1 are"),
        (r"\b(I|we|they|you)'ve\b", r"\1 have"),
        (r"\b(I|we|he|she|they|you)'ll\b", r"\1 will"),
        (r"\b(he|she|it|there|that|name|birthday)'s\b", r"\1 is"),
        (
            r"\b([Mm]y \w+)'s (?=(?:an?|called|named|allergic|vegan|vegetarian|from|in)\b|\w+ing\b|\d)",
            r"\1 is ",
        ),
        (r"\b(I|we)'d\b", r"\1 would"),
        (r"\bgonna\b", "going to"),
        (r"\bwanna\b", "want to"),
        (r"\bgotta\b", "got to"),
    )
)
_OPENERS = re.compile(
    r"^(?:(?:well|so|oh|ah|hey|hi|hello|yes|yeah|yep|no|ok|okay|right|anyway|also|actually|honestly"
    r"|by the way|btw|fyi|you know|to be honest|fun fact|and|but|then|now|currently|luckily"
    r"|unfortunately|sadly|happily|finally|guess what|good news|big news|news|thanks|sure"
    r"|for the record|just so you know|in fact"
    r"|of course|as you know|these days|nowadays|at the moment|at last|remember)\b[,:.!]*\s+)+",
    re.IGNORECASE,
)
_KIN = "|".join(sorted(KIN, key=len, reverse=True))
_SUBJECT = r"(?:I|[Ww]e|[Mm]y|[Oo]ur)\b"
_OTHER = r"(?:he|she|they)\b"
_AGAIN = (
    r"(?:lives?|works?|study|studies|speaks?|plays?|loves?|likes?|hates?|prefers?|have|has|am|is|are|was|will"
    r"|bought|sold|adopted|visited|went|started|finished|quit|won|lost|met|broke|moved|joined|left|retired"
    r"|weighs?|runs?|swims?|goes|go|do not|does not|can not)\b"
)
_BETWEEN = (
    r"(?:(?:also|now|then|today|these days|nowadays|currently|at least|(?:last|next|this|in|on) \w+),? )?"
)
_BREAK = re.compile(
    r"(?:,\s*|\s+)(?:and then|and|but|so|yet|though|although|because|while|whereas|plus"
    rf"|since(?=\s+{_SUBJECT}))\s+(?={_BETWEEN}(?:{_SUBJECT}|{_OTHER}))"
    rf"|(?:,\s*|\s+)(?:and|but)\s+(?=(?:(?:also|now|then|currently|recently|still|just)\s+)*{_AGAIN})"
    rf"|,\s+(?=(?:and |but )?(?:{_SUBJECT}|{_OTHER}))|\s*[:()]\s+",
)
_TAIL = re.compile(
    r"(?:,\s*|\s+)(?:because|so that|so|although|though|even though|but|which|who|when|while|whereas"
    r"|as soon as|(?:until|till|after|before)(?= (?:I|we|my|our|the|he|she|they|it)\b)"
    r"|despite|thanks to|due to)\b(?=\s+(?!then\b)).*$|,\s+(?:and|which|who|where|the|actually"
    r"|finally|though|too|like|in case)\b.*$",
)
_OWN = re.compile(rf"^(?:I|[Ww]e|(?:[Mm]y|[Oo]ur) (?:{_KIN})(?:,? [A-Z]\w+,?)?)(?!\w)")
_LED = re.compile(
    r"^(?:after|over|in|on|at|during|since|for|until|by|from|with|somewhere|every|each|last|next|this|not|instead"
    r"|without|today|yesterday|tomorrow|tonight)\b[^,]*?\s+"
    rf"(?=(?:I|we)\b|(?:[Mm]y|[Oo]ur) (?:{_KIN})\b)",
    re.IGNORECASE,
)
_SOMEBODY = re.compile(r"\b(?:I|we|he|she|they|it|you|who|is|are|was|were|am)\b", re.IGNORECASE)
_REPEATED = re.compile(
    r"\b(?:every|each)(?: other| single)? \w+(?: (?:morning|evening|afternoon|night))?", re.IGNORECASE
)
_WORD = re.compile(r"(?!May\b)[A-Za-z]+")
_ANY_DAY = date(2020, 1, 1)


def clauses(text: str) -> Iterator[str]:
    """The statements in `text` that are about the speaker or what is theirs, one clause at a time.

    A clause that goes on with the same subject ("and work at Galp", "and he plays chess") is given that
    subject again; the time that leads a sentence ("Last weekend, instead of resting, I …") goes behind it.
    """
    for sentence in _SENTENCE.split(_QUOTED.sub(" … ", _SPACES.sub(" ", text))):
        plain = sentence.strip()
        if not plain or len(plain) > _LONGEST or plain.endswith("?") or plain.startswith("…"):
            continue
        for pattern, instead in _WRITTEN_OUT:
            plain = pattern.sub(instead, plain)
        yield from _parts(" ".join(plain.split()).rstrip(" .!,…"))


def _parts(sentence: str) -> Iterator[str]:
    subject = person = lead = ""
    blocked = False
    for part in _BREAK.split(sentence):
        led, clause = _led(_OPENERS.sub("", part.strip(" ,.!")))
        lead = led or lead
        if person and re.match(_OTHER, clause):
            clause = re.sub(_OTHER, person, clause, count=1)
        own = _OWN.match(clause)
        if own:
            subject = own.group()
            person = subject if subject[0] in "mMoO" else person
        elif re.match(_AGAIN, _adverbs_off(clause)):
            if not subject or blocked:
                continue
            clause = f"{subject} {clause}"
        elif not re.match(_SUBJECT, clause):
            lead = "" if _SOMEBODY.search(clause) else clause
        blocked = not BLOCKERS.isdisjoint(word.lower() for word in _WORD.findall(f"{led} {_head(clause)}"))
        if clause and not blocked and "…" not in clause:
            yield _timed(_head(clause), lead)
        lead = lead if lead == clause else ""


def _led(clause: str) -> tuple[str, str]:
    """What leads a clause ("in 2015"), and the clause from its subject on."""
    match = None if _OWN.match(clause) else _LED.match(clause)
    if match is None or _SOMEBODY.search(match.group()):
        return "", clause
    return match.group().strip(" ,"), clause[match.end() :]


def _timed(clause: str, lead: str) -> str:
    """The clause with the time that its lead names, if it names none itself."""
    if not lead or lead == clause or named_days(clause, _ANY_DAY):
        return clause
    times = [lead[named.first : named.last] for named in named_days(lead, _ANY_DAY)[:1]]
    times += [match.group().lower() for match in _REPEATED.finditer(lead)]
    return " ".join([clause, *times])


def _adverbs_off(clause: str) -> str:
    return re.sub(r"^(?:(?:also|now|then|currently|recently|still|just)\s+)+", "", clause)


def _head(clause: str) -> str:
    """The clause without what hangs on to it: reasons, contrasts, and relative clauses."""
    return _TAIL.sub("", clause)
