"""The default embedder: a static token table, distilled from all-MiniLM-L6-v2. No torch, no download."""

import json
import re
from collections.abc import Sequence
from functools import lru_cache
from math import sqrt
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from engram.kernel.errors import InvalidInput
from engram.models.wordpiece import WordPiece

__all__ = ["NAME", "StaticEmbedder", "tokeniser"]

NAME: Final = "engram-static-minilm-256/1"
_WORD = re.compile(r"\w+")
_DATA = Path(__file__).parent / "data"
_BLOCK = 1024  # tokens pooled at once: float32 holds their sum exactly, and the cache their rows
_EXACT = 32768  # with more tokens, squares of the sum would not fit float64's 53 bits

Rows = NDArray[np.float32]


@lru_cache(maxsize=1)
def tokeniser() -> WordPiece:
    """The default embedder's tokeniser, one for the process, so that its memo is shared."""
    tokens = (_DATA / "vocab.txt").read_text(encoding="utf-8").splitlines()
    return WordPiece(tokens, json.loads((_DATA / "bert-unicode.json").read_text(encoding="utf-8")))


@lru_cache(maxsize=1)
def _table() -> NDArray[np.int8]:
    """The token table, [vocabulary, 256]; mapped from the file, so that processes share its pages."""
    return np.asarray(np.load(_DATA / "minilm-256.npy", mmap_mode="r"))


class StaticEmbedder:
    """Texts to the sums of their token vectors (model2vec, Tulkens and van Dongen 2024), 256 dimensions.

    The table is int8 with one scale, so sums are exact integers and rows do not depend on the batch, the
    platform or the order of addition. Safe to use from several threads.
    """

    name: str = NAME
    dimensions: int = 256
    local: bool = True

    def __init__(self) -> None:
        self._tokens = tokeniser()
        self._table = _table()
        self._ones = np.ones(_BLOCK, np.float32)

    def embed(self, texts: Sequence[str]) -> Rows:
        """The vectors of the texts, float32 [len(texts), 256].

        Each row has length 1, or is all zeros where the text has no known token. Raises `InvalidInput`
        for a single string in place of a sequence.
        """
        if isinstance(texts, str):
            raise InvalidInput("embed takes a sequence of texts: put the one text into a list")
        sums = np.zeros((len(texts), self.dimensions), np.float32)
        for row, text in zip(sums, texts, strict=True):
            ids = np.frombuffer(self._tokens.padded(text), np.uint16)
            if ids.size <= _BLOCK:
                np.dot(self._ones[: ids.size], self._table.take(ids, axis=0).astype(np.float32), out=row)
            else:
                row[:] = self._long_sum(ids[ids != WordPiece.PAD])
        return _unit(sums)

    def words(self, text: str) -> list[tuple[str, Rows]]:
        """The words of a short text with the sums of their token vectors, float32 [256], not scaled.

        So a caller can weigh words by how rare they are where it looks for them.
        """
        found = []
        for word in _WORD.findall(text):
            ids = np.frombuffer(self._tokens.padded(word), np.uint16)
            found.append((word, self._table.take(ids, axis=0).astype(np.float32).sum(axis=0)))
        return found

    def count(self, text: str) -> int:
        """How many tokens the text has, for prompt budgets; at least 1 unless it is blank."""
        return self._tokens.count(text)

    def _long_sum(self, ids: NDArray[np.uint16]) -> Rows:
        """A long text's sum, [256], halved until `_unit` is exact on it; only its direction matters."""
        total = np.zeros(self.dimensions, np.int64)
        for start in range(0, ids.size, _BLOCK):
            part = self._table.take(ids[start : start + _BLOCK], axis=0).astype(np.float32)
            total += (self._ones[: len(part)] @ part).astype(np.int64)
        while np.abs(total).max() > 127 * _EXACT:
            total >>= 1
        return total.astype(np.float32)


def _unit(sums: Rows) -> Rows:
    """Rows scaled to length 1, in place; rows of zeros stay. The entries are integers below 2 ** 22.

    So every sum of squares is exact, whatever the order of addition, and one row needs no slower way.
    """
    if len(sums) == 1:
        one = sums[0].astype(np.float64)
        sums /= np.float32(sqrt(one.dot(one)) or 1)
        return sums
    wide = sums.astype(np.float64)
    norms = np.sqrt(np.einsum("ij,ij->i", wide, wide)).astype(np.float32)
    norms[norms == 0] = 1
    sums /= norms[:, None]
    return sums
