"""The one analyser: text to terms, the same for what is stored and for what is asked."""

import unicodedata
from collections.abc import Iterable, Iterator, Sequence
from functools import lru_cache
from hashlib import blake2b
from re import compile as regex
from threading import Lock
from typing import Final, NamedTuple

import numpy as np
import Stemmer
from numpy.typing import NDArray

__all__ = ["ANALYSER", "STOPWORDS", "Words", "analyse", "analyse_many", "term_hash", "terms"]

ANALYSER: Final = "engram-analyser/1"

# Scripts that put no space between words (Han, kana, Hangul, Thai, Lao, Burmese, Khmer) become bigrams.
_UNSPACED = (
    "\u3005-\u3007\u3041-\u3096\u3099-\u309f\u30a1-\u30fa\u30fc-\u30ff\u31f0-\u31ff\u3400-\u4dbf\u4e00-\u9fff"
    "\u1100-\u11ff\uac00-\ud7a3\uf900-\ufaff\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\U00020000-\U000323af"
)
_FLAG = "\U0001f1e6-\U0001f1ff"
_EMOJI = "\u2300-\u23ff\u2600-\u27bf\u2b00-\u2bff\U0001f000-\U0001fbff"
# Vowel signs are no letters to `re`, but words of these scripts cannot do without them.
_SIGNS = "\u0900-\u0963\u0966-\u0dff\u0f00-\u0fff\u0730-\u074a\u07a6-\u07b0"
_ACCENTS = regex("[\u0300-\u036f\u0591-\u05c7\u064b-\u065f\u0670\u06d6-\u06ed\u1dc0-\u1dff]")

_CODE = r"[A-Za-z](?:\+\+|\#(?![A-Za-z0-9]))"  # C++, C#
_NUMBER = r"\d{1,3}(?:,\d{3})+(?:\.\d+)?(?!\w)|\d+(?:\.\d+)+"
_ASCII = regex(rf"{_CODE}|{_NUMBER}|[A-Za-z0-9]+(?:['_]+[A-Za-z0-9]+)*")
_LETTER = rf"(?:[^\W_{_UNSPACED}]|[{_SIGNS}])"
_UNICODE = regex(
    rf"[{_UNSPACED}]+|[{_FLAG}]{{2}}|[{_EMOJI}]|{_CODE}|{_NUMBER}|{_LETTER}+(?:['_]+{_LETTER}+)*"
)
_IS_UNSPACED = regex(f"[{_UNSPACED}]")
_SPACE = regex(r"\s")

_SUFFIX = regex("(?:'(?:s|ll|re|ve|d|m))+$")
_ELISION = regex("^(?:[cdjlmnst]|qu)'(?=..)")
_HUMP = regex("[a-z][A-Z]")
_HUMPS = regex("[A-Z]?[a-z]+|[A-Z]+(?![a-z])")
_SHORTEST_PART = 3

# Joiners, direction marks, variation selectors, skin tones, tags, soft hyphen, keycap, tatweel.
_DROPPED = (
    *(0xAD, 0x20E3, 0x640, 0xFEFF),
    *range(0x200C, 0x2010),
    *range(0x202A, 0x202F),
    *range(0x2060, 0x2070),
    *range(0xFE00, 0xFE10),
    *range(0x1F3FB, 0x1F400),
    *range(0xE0000, 0xE0080),
)
_LIGATURES = {"æ": "ae", "Æ": "AE", "œ": "oe", "Œ": "OE", "þ": "th", "Þ": "TH"}
_BARRED = dict(zip("øØłŁđĐħĦıðÐ", "oOlLdDhHidD", strict=True))
_APOSTROPHES = dict.fromkeys("\u2018\u2019\u02bc\uff07", "'")
_SPACES = dict.fromkeys("\u00a9\u00ae\u2122\u200b\u0964\u0965", " ")
_REPLACED = str.maketrans(_LIGATURES | _BARRED | _APOSTROPHES | _SPACES) | dict.fromkeys(_DROPPED)

_SLICE = 1 << 16
_CALM, _MARKS = 256, 30
_MEMO_ENTRIES = 50_000  # about 10 MB
_MEMO_CHARS = 64

_stemmer = Stemmer.Stemmer("english", 0)
_stemming = Lock()  # a stemmer is not made for several threads


class Words(NamedTuple):
    """A text's terms as the index counts them.

    `hashes` are the ascending, distinct `term_hash`es, [n]; `counts` say how often each occurs (65,535 at
    most), [n]; `length` is the number of terms in all.
    """

    hashes: NDArray[np.uint32]
    counts: NDArray[np.uint16]
    length: int


def terms(text: str) -> list[str]:
    """The text's terms in order, stop words included.

    Words are folded (NFKC, case, accents) and stemmed (English Snowball, for plain Latin words); scripts
    without spaces give overlapping pairs of characters; emoji are terms of their own; an identifier
    (`user_id`, `getName`) gives itself and then its parts.
    """
    return [term for chunk in text.split() for term in _terms(chunk)]


def term_hash(term: str) -> int:
    """The 32 bits that stand for a term, on every platform: the first four bytes of its BLAKE2b."""
    return int.from_bytes(blake2b(term.encode("utf-8", "surrogatepass"), digest_size=4).digest(), "little")


def analyse(text: str) -> Words:
    """The text's terms, hashed and counted. Safe to call from several threads."""
    found: NDArray[np.uint32] = np.frombuffer(ordered_hashes(text), np.uint32)
    size = found.size
    ordered = np.sort(found)
    edge = np.ones(size + 1, np.bool_)
    np.not_equal(ordered[1:], ordered[:-1], out=edge[1:size])
    edges = edge.nonzero()[0]
    if not size:
        return Words(ordered, np.empty(0, np.uint16), 0)
    counts = np.minimum(edges[1:] - edges[:-1], 0xFFFF).astype(np.uint16)
    return Words(ordered[edges[:-1]], counts, size)


def analyse_many(texts: Iterable[str]) -> list[Words]:
    """`analyse` of each text."""
    return [analyse(text) for text in texts]


def ordered_hashes(text: str) -> bytes:
    """The hashes of the text's terms in order, as native uint32; long texts are split slice by slice."""
    if len(text) <= _SLICE:
        return b"".join(map(_memo.__getitem__, text.split()))
    blocks: list[bytes] = []
    start = 0
    while start < len(text):
        space = _SPACE.search(text, start + _SLICE)
        end = space.start() if space else len(text)
        blocks += map(_memo.__getitem__, text[start:end].split())
        start = end
    return b"".join(blocks)


class _Memo(dict[str, bytes]):
    """Term hashes by white-space-delimited chunk; starts again when full, so that it stays bounded."""

    def __missing__(self, chunk: str) -> bytes:
        found = [_term_hash(term) if len(term) <= _MEMO_CHARS else term_hash(term) for term in _terms(chunk)]
        hashes = np.array(found, np.uint32).tobytes()
        if len(chunk) <= _MEMO_CHARS:
            if len(self) >= _MEMO_ENTRIES:
                self.clear()
            self[chunk] = hashes
        return hashes


_memo = _Memo()
_term_hash = lru_cache(maxsize=_MEMO_ENTRIES)(term_hash)


def _terms(chunk: str) -> Iterator[str]:
    """The terms of a chunk; one of unlikely length is cut, wherever that falls."""
    for start in range(0, len(chunk), _SLICE):
        part = chunk[start : start + _SLICE]
        if part.isascii():
            for word in _ASCII.findall(part):
                yield from _spread(word)
            continue
        part = unicodedata.normalize("NFKD", _stream_safe(part.translate(_REPLACED)))
        part = unicodedata.normalize("NFKC", _ACCENTS.sub("", part))
        for word in _UNICODE.findall(part):
            if _IS_UNSPACED.match(word):
                yield from _pairs(word)
            else:
                yield from _spread(word)


def _stream_safe(chunk: str) -> str:
    """The chunk with at most 30 marks in a row (Unicode UAX #15-D4): sorting more takes quadratic time."""
    if len(chunk) <= _CALM or not any(map(unicodedata.combining, chunk)):
        return chunk
    kept: list[str] = []
    run = 0
    for char in chunk:
        run = run + 1 if unicodedata.combining(char) else 0
        if run <= _MARKS:
            kept.append(char)
    return "".join(kept)


def _pairs(run: str) -> Sequence[str]:
    """Overlapping pairs of characters; one alone stands by itself."""
    return [run[at : at + 2] for at in range(len(run) - 1)] or [run]


def _spread(word: str) -> Iterator[str]:
    """The terms of one word: the word, then its parts where it is an identifier or a dotted number."""
    if word.isalpha():
        yield _stem(word)
        if _HUMP.search(word):
            yield from _parts(word)
        return
    if word[0].isdigit() and not word.isalnum() and "'" not in word and "_" not in word:
        whole = word.replace(",", "")
        yield whole
        if whole.count(".") > 1:  # a date or an address, not a decimal fraction
            yield from whole.split(".")
        return
    if "'" in word:
        if len(word) <= _MEMO_CHARS:  # searching for a suffix takes quadratic time
            word = _ELISION.sub("", _SUFFIX.sub("", word.casefold()))
        word = word.replace("'", "")
    yield _stem(word)
    if "_" in word:
        for part in filter(None, word.split("_")):
            yield _stem(part)
            if _HUMP.search(part):
                yield from _parts(part)


def _parts(word: str) -> Iterator[str]:
    """The words inside a camel-cased one; very short ones (the `Mc` of a name) are left out."""
    return (_stem(part) for part in _HUMPS.findall(word) if len(part) >= _SHORTEST_PART)


def _stem(word: str) -> str:
    word = word.casefold()
    if not (word.isascii() and word.isalpha()) or len(word) > _MEMO_CHARS:
        return word
    with _stemming:
        return str(_stemmer.stemWord(word))


_FUNCTION_WORDS = """
a about above after again against ain't all also am an and any anybody anyone anything are aren't as at be
because been before being below between both but by can cannot can't could couldn't did didn't do does
doesn't doing don't done down during each either else ever every everyone everything few for from further
get gets getting go goes going gonna got had hadn't has hasn't have haven't having he her here hers herself
him himself his how however i if in into is isn't it its itself just kind let like made make makes many may
maybe me might mine more most much must mustn't my myself neither no nor not now of off oh ok okay on once
one only onto or other others ought our ours ourselves out over own perhaps please quite rather really said
same say says shall she should shouldn't since so some somebody someone something still such than that the
their theirs them themselves then there these they thing things this those though through thus to too toward
under until up upon us use used very was wasn't we well were weren't what whatever when where whether which
while who whom whose why will with within without won't would wouldn't yeah yes yet you your yours yourself
yourselves
"""
STOPWORDS: Final = frozenset(map(term_hash, terms(_FUNCTION_WORDS)))
