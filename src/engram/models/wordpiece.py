"""BERT's uncased WordPiece tokeniser, exact, with a memo of the words it has seen."""

import unicodedata
from bisect import bisect_right
from collections.abc import Callable, Iterator, Mapping, Sequence
from re import compile as regex
from typing import Final

import numpy as np
from numpy.typing import NDArray

__all__ = ["WordPiece"]

# Python's split() takes these for white space, the reference tokeniser drops them.
_NOT_SPACE = regex("[\x0b\x0c\x1c-\x1f\x85]")
_SPACE = regex("[\t\n\r \xa0\u1680\u2000-\u200a\u2028\u2029\u202f\u205f\u3000]")
_ASCII_CONTROL = dict.fromkeys((*range(9), 11, 12, *range(14, 32), 127))
_ASCII_WORDS = regex("[a-z0-9]+|[^a-z0-9]")

_LONGEST_WORD = 100  # as in BERT: longer ones are unknown
_MEMO_ENTRIES = 50_000  # about 12 MB
_MEMO_CHARS = 64
_SLICE = 1 << 16
_CALM, _MARKS = 256, 30


class _Memo(dict[str, bytes]):
    """Token ids by white-space-delimited chunk; starts again when full, so that it stays bounded."""

    def __init__(self, encode: Callable[[str], bytes]) -> None:
        super().__init__()
        self._encode = encode

    def __missing__(self, chunk: str) -> bytes:
        ids = self._encode(chunk)
        if len(chunk) <= _MEMO_CHARS:
            if len(self) >= _MEMO_ENTRIES:
                self.clear()
            self[chunk] = ids
        return ids


class _Translation(dict[int, str | None]):
    """A `str.translate` table that works out each character when it first occurs."""

    def __init__(self, rule: Callable[[int], str | None]) -> None:
        super().__init__()
        self._rule = rule

    def __missing__(self, code: int) -> str | None:
        if len(self) >= _MEMO_ENTRIES:
            self.clear()
        value = self[code] = self._rule(code)
        return value


def _membership(spans: Sequence[Sequence[int]]) -> Callable[[int], bool]:
    """Whether a code point lies in one of the closed, ascending ranges."""
    edges = [edge for first, last in spans for edge in (first, last + 1)]
    return lambda code: bisect_right(edges, code) % 2 == 1


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


class WordPiece:
    """A tokeniser that gives the very ids of BERT's uncased one (Devlin et al. 2019; Wu et al. 2016).

    `tokens` are the vocabulary in order of id, `[PAD]` first. `classes` holds ranges of code points under
    `dropped`, `accents`, `alone` and `punctuation`, as the reference sees them. Special tokens have no
    meaning in a text: "[SEP]" is three tokens. Safe to use from several threads.
    """

    PAD: Final = 0

    def __init__(self, tokens: Sequence[str], classes: Mapping[str, Sequence[Sequence[int]]]) -> None:
        self._heads = dict(zip(tokens, range(len(tokens)), strict=True))
        self._tails = {token[2:]: id_ for token, id_ in self._heads.items() if token[:2] == "##"}
        self.vocabulary: Final = tuple(tokens)
        self._longest = max(map(len, tokens))
        self._unknown = self._heads["[UNK]"]
        self._memo = _Memo(self._encode_chunk)
        dropped, accents = _membership(classes["dropped"]), _membership(classes["accents"])
        alone, punctuation = _membership(classes["alone"]), _membership(classes["punctuation"])
        self._drop = _Translation(lambda code: None if dropped(code) else chr(code))

        def fold(code: int) -> str | None:
            if accents(code):
                return None
            char = chr(code)
            return f" {char} " if alone(code) or punctuation(code) else char.lower()

        self._fold = _Translation(fold)

    def padded(self, text: str) -> bytes:
        """The text's ids as native uint16.

        A word that is not in the vocabulary gives `[UNK]`, followed by as many `PAD` as make one token of
        every two of its characters: what such a word costs in a prompt.
        """
        if len(text) <= _SLICE:
            return self._encode_slice(text)
        blocks: list[bytes] = []
        start = 0
        while start < len(text):
            space = _SPACE.search(text, start + _SLICE)
            end = space.start() if space else len(text)
            blocks.append(self._encode_slice(text[start:end]))
            start = end
        return b"".join(blocks)

    def encode(self, text: str) -> NDArray[np.uint16]:
        """The text's token ids, without `[CLS]` and `[SEP]`."""
        ids: NDArray[np.uint16] = np.frombuffer(self.padded(text), np.uint16)
        known: NDArray[np.uint16] = ids[ids != self.PAD]
        return known

    def count(self, text: str) -> int:
        """How many tokens the text has; unknown words count a token for every two characters."""
        return len(self.padded(text)) // 2 or int(bool(text) and not text.isspace())

    def _encode_slice(self, text: str) -> bytes:
        if _NOT_SPACE.search(text):
            text = _NOT_SPACE.sub("", text)
        return b"".join(map(self._memo.__getitem__, text.split()))

    def _encode_chunk(self, chunk: str) -> bytes:
        ids: list[int] = []
        for word in self._words(chunk):
            known = self._heads.get(word)
            if known is None:
                ids += self._pieces(word)
            else:
                ids.append(known)
        return np.array(ids, np.uint16).tobytes()

    def _words(self, chunk: str) -> Iterator[str]:
        """The normalised words of a chunk; a long chunk is normalised slice by slice."""
        if len(chunk) <= _SLICE:
            yield from self._normalise(chunk)[0]
            return
        pending: list[str] = []  # the parts of a word that goes on from slice to slice
        for start in range(0, len(chunk), _SLICE):
            words, joins, open_ = self._normalise(chunk[start : start + _SLICE])
            if not words:
                continue
            if pending and not joins:
                yield "".join(pending)
                pending = []
            if len(words) > 1 or not open_:
                pending.append(words[0])
                yield "".join(pending)
                pending = []
                yield from words[1:-1]
            if open_:
                pending.append(words[-1])
            elif len(words) > 1:
                yield words[-1]
        if pending:
            yield "".join(pending)

    def _normalise(self, chunk: str) -> tuple[list[str], bool, bool]:
        """The words of a chunk, and whether the first and the last could be parts of longer ones."""
        if chunk.isascii():
            chunk = chunk.lower()
            if not chunk.isprintable():
                chunk = chunk.translate(_ASCII_CONTROL)
            return _ASCII_WORDS.findall(chunk), chunk[:1].isalnum(), chunk[-1:].isalnum()
        kept = _stream_safe(chunk.translate(self._drop))
        folded = unicodedata.normalize("NFD", kept).translate(self._fold)
        return folded.split(), not folded[:1].isspace(), not folded[-1:].isspace()

    def _pieces(self, word: str) -> list[int]:
        """The longest vocabulary entries, left to right, that make up a word."""
        size = len(word)
        table, start, ids = self._heads, 0, list[int]()
        while start < size <= _LONGEST_WORD:
            for end in range(min(size, start + self._longest), start, -1):
                piece = table.get(word[start:end])
                if piece is not None:
                    ids.append(piece)
                    break
            else:
                break
            table, start = self._tails, end
        if start < size:
            return [self._unknown] + [self.PAD] * ((size + 1) // 2 - 1)
        return ids
