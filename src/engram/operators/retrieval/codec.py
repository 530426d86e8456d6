"""What the index keeps of a text, as bytes: its terms and flags, and its vector in int8."""

from __future__ import annotations

import struct
from collections import Counter
from collections.abc import Sequence
from itertools import pairwise
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from engram.kernel.errors import NeedsMigration
from engram.operators.analysis import STOPWORDS, ordered_hashes
from engram.operators.retrieval.flags import flags_of
from engram.operators.retrieval.pairs import pair, pairs, telling

__all__ = ["WordColumns", "encode", "pack_vectors", "pack_words", "unpack_vectors", "unpack_words"]

VERSION = 1
HEADER = np.dtype([("version", "u1"), ("spare", "u1"), ("flags", "<u2"), ("length", "<u4")])
TERM = np.dtype([("hash", "<u4"), ("count", "u1")])
MOST = 255
SHORT = 2000
_HALF, _LOW = np.uint64(32), np.uint64(0xFFFFFFFF)
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


def pack_words(texts: Sequence[str]) -> list[bytes]:
    """Each text's terms, length in tokens and flags; `b""` for a blank one. A count above 255 is kept as 255.

    Pairs of neighbouring words (`pairs`) are kept behind the terms, with count 0.
    """
    if len(texts) == 1 and len(texts[0]) <= SHORT:
        return [_pack_one(texts[0])]
    streams = [ordered_hashes(text) for text in texts]
    lengths = np.array([len(stream) // 4 for stream in streams], np.int64)
    hashes = np.frombuffer(b"".join(streams), np.uint32)
    text_of = np.repeat(np.arange(len(texts), dtype=np.uint64), lengths)
    terms, counts = _distinct(text_of, hashes)
    content = telling(hashes)
    said, by = hashes[content], text_of[content]
    beside = by[1:] == by[:-1]
    near, _ = _distinct(by[:-1][beside], pairs(said)[beside])
    packed = np.zeros(len(terms) + len(near), TERM)
    keys = np.concatenate((terms, near))
    order = np.argsort(keys >> _HALF, kind="stable")
    packed["hash"] = (keys & _LOW)[order]
    packed["count"][: len(terms)] = np.minimum(counts, MOST)
    packed["count"] = packed["count"][order]
    ends = np.searchsorted((keys >> _HALF)[order], np.arange(len(texts) + 1, dtype=np.uint64)) * TERM.itemsize
    body, places = packed.tobytes(), ends.tolist()
    return [
        _HEAD.pack(VERSION, 0, flags_of(text), length) + body[start:end] if text.strip() else b""
        for text, length, start, end in zip(texts, lengths.tolist(), places, places[1:], strict=False)
    ]


def _pack_one(text: str) -> bytes:
    """As `pack_words` of one short text, where plain Python is three times as fast as arrays."""
    if not text.strip():
        return b""
    said = memoryview(ordered_hashes(text)).cast("I").tolist()
    counts = Counter(said)
    content = [word for word in said if word not in STOPWORDS]
    near = {pair(first, second) for first, second in pairwise(content)}
    flat: list[int] = []
    for word in sorted(counts):
        flat += (word, min(counts[word], MOST))
    for together in sorted(near):
        flat += (together, 0)
    terms = struct.pack("<" + "IB" * (len(flat) // 2), *flat)
    return _HEAD.pack(VERSION, 0, flags_of(text), len(said)) + terms


def _distinct(
    text_of: NDArray[np.uint64], hashes: NDArray[np.uint32]
) -> tuple[NDArray[np.uint64], NDArray[Any]]:
    """The different (text, hash) pairs, as text << 32 | hash, ascending, and how often each occurs."""
    keys = text_of << _HALF | hashes
    keys.sort()
    edge = np.ones(len(keys) + 1, np.bool_)
    np.not_equal(keys[1:], keys[:-1], out=edge[1 : len(keys)])
    edges = np.flatnonzero(edge) if len(keys) else np.zeros(1, np.int64)
    return keys[edges[:-1]], np.diff(edges)


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
    words = pack_words(texts)
    if vectors is None:
        return [(packed, None if packed else b"") for packed in words]
    return list(zip(words, pack_vectors(np.asarray(vectors, np.float32)), strict=True))
