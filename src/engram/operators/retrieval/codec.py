"""What the index keeps of a text, as bytes: its terms and flags, and its vector in int8."""

from __future__ import annotations

import struct
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from engram.kernel.errors import NeedsMigration
from engram.operators.analysis import Words, analyse
from engram.operators.retrieval.flags import flags_of
from engram.operators.retrieval.pairs import ordered, pairs, telling

__all__ = ["WordColumns", "encode", "pack_vectors", "pack_words", "unpack_vectors", "unpack_words"]

VERSION = 1
HEADER = np.dtype([("version", "u1"), ("spare", "u1"), ("flags", "<u2"), ("length", "<u4")])
TERM = np.dtype([("hash", "<u4"), ("count", "u1")])
MOST = 255
NONE = np.zeros(0, np.uint32)
_HEAD = struct.Struct("<BBHI")


class WordColumns(NamedTuple):
    """The words of n texts, unpacked.

    `length` (tokens) and `flags` have shape [n]; `text` (which of the n), `hash` and `times` are parallel,
    one for each term of each text.
    """

    length: NDArray[np.uint32]
    flags: NDArray[np.uint16]
    text: NDArray[np.int64]
    hash: NDArray[np.uint32]
    times: NDArray[np.uint8]


def pack_words(words: Words, flags: int, near: NDArray[np.uint32] = NONE) -> bytes:
    """A text's terms, length in tokens and flags. A count above 255 is kept as 255.

    `near` are hashes of neighbouring words (`pairs`); they are kept as terms with count 0.
    """
    near = np.sort(near)
    near = np.concatenate((near[:1], near[1:][near[1:] != near[:-1]]))
    size = len(words.hashes)
    terms = np.zeros(size + len(near), TERM)
    terms["hash"][:size] = words.hashes
    terms["hash"][size:] = near
    terms["count"][:size] = np.minimum(words.counts, MOST)
    return _HEAD.pack(VERSION, 0, flags, words.length) + terms.tobytes()


def unpack_words(blobs: Sequence[bytes]) -> WordColumns:
    """What `pack_words` packed, for many texts at once; `b""` is a text without words.

    Raises `NeedsMigration` for bytes that another version wrote.
    """
    size = HEADER.itemsize
    empty = bytes([VERSION]) + bytes(size - 1)
    heads = np.frombuffer(
        b"".join([blob[:size].ljust(size, b"\0") if blob else empty for blob in blobs]), HEADER
    )
    joined = b"".join([blob[size:] for blob in blobs])
    broken = any(len(blob) < size or (len(blob) - size) % TERM.itemsize for blob in blobs if blob)
    if broken or (heads["version"] != VERSION).any():
        raise NeedsMigration(
            "the words in this store are of another format: run `engram repair` to rebuild them"
        )
    terms = np.frombuffer(joined, TERM)
    counts = [max(0, len(blob) - size) // TERM.itemsize for blob in blobs]
    text = np.repeat(np.arange(len(blobs)), counts)
    return WordColumns(heads["length"], heads["flags"], text, terms["hash"], terms["count"])


def pack_vectors(vectors: NDArray[np.float32]) -> list[bytes]:
    """Each row of a [n, d] array as a float32 scale and d int8; `b""` for a row of zeros."""
    peaks = np.abs(vectors).max(axis=1, initial=0.0).astype("<f4")
    scales = peaks / np.float32(127)
    codes = np.rint(vectors / np.where(peaks > 0, scales, 1)[:, None]).astype(np.int8)
    return [
        scale.tobytes() + row.tobytes() if scale > 0 else b""
        for scale, row in zip(scales, codes, strict=True)
    ]


def unpack_vectors(blobs: Sequence[bytes | None], dimensions: int) -> NDArray[np.float32]:
    """Unit rows, shape [n, dimensions]; zeros for `b""` and for a vector still to come (`None`).

    Raises `NeedsMigration` where a vector has another number of dimensions.
    """
    present = [index for index, blob in enumerate(blobs) if blob]
    if dimensions == 0 or not present:
        return np.zeros((len(blobs), dimensions), np.float32)
    joined = b"".join([blob for blob in blobs if blob])
    if len(joined) != len(present) * (4 + dimensions):
        raise NeedsMigration(
            f"this store has vectors that are not of {dimensions} dimensions: "
            "open it with the embedder it was made with, or run `engram repair`"
        )
    packed = np.frombuffer(joined, np.dtype([("scale", "<f4"), ("code", "i1", (dimensions,))]))
    units = packed["code"].astype(np.float32)
    units /= np.sqrt(np.einsum("ij,ij->i", units, units))[:, None]
    if len(present) == len(blobs):
        return units
    rows = np.zeros((len(blobs), dimensions), np.float32)
    rows[present] = units
    return rows


def encode(texts: Sequence[str], vectors: NDArray[Any] | None = None) -> list[tuple[bytes, bytes | None]]:
    """The index entry (words, vector) of each text; the vector is `None`, still to come, without `vectors`.

    `vectors` has shape [len(texts), dimensions]. A blank text has no vector to wait for.
    """
    words = [_words(text) if text.strip() else b"" for text in texts]
    if vectors is None:
        return [(packed, None if packed else b"") for packed in words]
    return list(zip(words, pack_vectors(np.asarray(vectors, np.float32)), strict=True))


def _words(text: str) -> bytes:
    hashes = ordered(text)
    return pack_words(analyse(text), flags_of(text), pairs(hashes[telling(hashes)]))
