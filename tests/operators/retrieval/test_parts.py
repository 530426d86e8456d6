"""The index's parts by themselves: bytes, postings, tables, queries, the best few."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from numpy.typing import NDArray

from engram.operators.analysis import analyse
from engram.operators.retrieval import flags
from engram.operators.retrieval.codec import (
    encode,
    pack_vectors,
    pack_words,
    unpack_vectors,
    unpack_words,
)
from engram.operators.retrieval.flags import flags_of
from engram.operators.retrieval.growing import CHUNK, Table, Vectors
from engram.operators.retrieval.pairs import ordered, pairs, telling
from engram.operators.retrieval.postings import Postings
from engram.operators.retrieval.query import ask, read
from engram.operators.retrieval.speakers import Speakers
from engram.operators.retrieval.top import top


@given(st.lists(st.text(max_size=60), max_size=6))
def test_words_survive_packing(texts: list[str]) -> None:
    got = unpack_words(pack_words(texts))
    assert got.length.tolist() == [analyse(text).length for text in texts]
    assert got.flags.tolist() == [flags_of(text) for text in texts]
    for number, text in enumerate(texts):
        mine, plain = got.text == number, got.times > 0
        assert got.hash[mine & plain].tolist() == analyse(text).hashes.tolist()
        assert got.times[mine & plain].tolist() == analyse(text).counts.tolist()
        said = ordered(text)
        near = np.unique(pairs(said[telling(said)]))
        assert got.hash[mine & ~plain].tolist() == near.tolist()
    assert [pack_words([text])[0] for text in texts] == pack_words(texts)
    assert unpack_words(pack_words(["kettle " * 1000])).times.tolist() == [255, 0]


def test_blank_texts_have_no_entry_and_vectors_may_come_later() -> None:
    (_, later), blank = encode(["kettle", " \n"])
    assert later is None
    assert blank == (b"", b"")
    assert unpack_words([b""]).length.tolist() == [0]
    assert encode(["???"], np.zeros((1, 3)))[0][1] == b""


FINITE = st.floats(-1e3, 1e3, width=32)


@given(arrays.arrays(np.float32, (5, 8), elements=FINITE))
def test_vectors_come_back_as_unit_rows_or_zeros(vectors: np.ndarray) -> None:
    vectors[np.abs(vectors).max(axis=1) < 1e-3] = 0
    got = unpack_vectors([*pack_vectors(vectors), None], 8)
    norms = np.linalg.norm(vectors, axis=1, keepdims=True)
    wanted = np.vstack([vectors / np.where(norms > 0, norms, 1), np.zeros((1, 8))])
    np.testing.assert_allclose(got, wanted, atol=0.01)
    np.testing.assert_allclose(np.linalg.norm(got, axis=1), [*(norms[:, 0] > 0), 0], atol=1e-6)


@pytest.mark.parametrize(
    "text, wanted",
    [
        ("really?", flags.QUESTION),
        ("真的吗？", flags.QUESTION),  # noqa: RUF001 - the full-width mark is the point
        ("route 66", 0),
        ("We met LAST May", flags.TIME),
        ("in 1999?", flags.QUESTION | flags.TIME),
        ("maybe", 0),
    ],
)
def test_flags(text: str, wanted: int) -> None:
    assert flags.flags_of(text) == wanted


@given(
    st.lists(st.tuples(st.integers(0, 6), st.integers(0, 40), st.integers(1, 255)), max_size=60), st.data()
)
def test_postings_find_what_was_added(added: list[tuple[int, int, int]], data: st.DataObject) -> None:
    unique = list({(term, row): (term, row, count) for term, row, count in added}.values())
    postings = Postings()
    while unique:
        part = unique[: data.draw(st.integers(1, 10))]
        unique = unique[len(part) :]
        terms, rows, counts = np.array(part).T
        postings.add(rows, terms.astype(np.uint32) * 0x2A2A2A2A, counts.astype(np.uint8))
    new = np.where(np.arange(41) % 3 == 0, -1, np.cumsum(np.arange(41) % 3 > 0) - 1)
    wanted = {(term, row): count for term, row, count in added}
    for renumbered in (False, True):
        found = postings.find(np.arange(8, dtype=np.uint32) * np.uint32(0x2A2A2A2A))
        got = dict(
            zip(zip(found.term.tolist(), found.row.tolist(), strict=True), found.times.tolist(), strict=True)
        )
        if renumbered:
            wanted = {(t, int(new[row])): count for (t, row), count in wanted.items() if new[row] >= 0}
        assert got == wanted
        postings.renumber(new)


def test_tables_open_and_close_gaps() -> None:
    table = Table(2, np.int32)
    for at in (0, 0, 1):
        table.open(at, 10)
        table[0][at : at + 10] = np.arange(10) + 100 * at
    assert table[0].tolist() == [0, *range(100, 110), *range(1, 10), *range(10)]
    table.close(1, 10)
    assert table[0].tolist() == [*range(10), *range(10)]
    assert table[1].tolist() == [0] * 20


def test_vectors_grow_over_chunks() -> None:
    vectors, wanted = Vectors(2), np.arange(2 * (CHUNK + 5), dtype=np.float32).reshape(-1, 2)
    vectors.append(wanted[:3])
    vectors.append(wanted[3:])
    out = np.empty(len(wanted), np.float32)
    query = np.array([1, 2], np.float32)
    vectors.dot(query, out)
    np.testing.assert_allclose(out, wanted @ query, rtol=0.01)
    rows = np.array([CHUNK + 4, -1, 0, CHUNK])
    picked = np.array([wanted[-1], [0, 0], wanted[0], wanted[CHUNK]])
    np.testing.assert_allclose(vectors.gather(rows), picked, rtol=0.005, atol=0.005)
    vectors.keep(np.array([1, CHUNK + 1]))
    np.testing.assert_allclose(vectors.gather(np.arange(2)), wanted[[1, CHUNK + 1]], rtol=0.005, atol=0.005)


@given(arrays.arrays(np.float32, (5, 8), elements=st.floats(-1, 1, width=32)))
def test_products_are_those_of_the_codes_and_taking_codes_again_changes_nothing(
    rows: NDArray[np.float32],
) -> None:
    vectors, again = Vectors(8), Vectors(8)
    vectors.append(rows)
    kept = vectors.gather(np.arange(5))
    again.append(kept)
    np.testing.assert_allclose(again.gather(np.arange(5)), kept, rtol=1e-6)
    out, query = np.empty(5, np.float32), kept[0]
    vectors.dot(query, out)
    np.testing.assert_allclose(out, kept @ query, atol=1e-5)
    assert (vectors.gather(np.array([-1])) == 0).all()
    np.testing.assert_allclose(kept, rows, atol=float(np.abs(rows).max()) / 200 + 1e-7)


def test_a_query_leaves_out_common_words_and_speakers_as_far_as_it_can() -> None:
    def terms(text: str) -> list[int]:
        found: list[int] = read(ask(text), speakers, 2).terms.tolist()
        return found

    ada, bob, kettle = (analyse(word).hashes.tolist() for word in ("Ada", "Bob", "kettle"))
    speakers = Speakers()
    speakers.come([0, 1, 1], ["Ada", "Bob"])
    assert terms("When did Ada buy the kettle?") == sorted(kettle + analyse("buy").hashes.tolist())
    assert terms("Who is Ada?") == ada
    assert terms("Who was she?") == analyse("who was she").hashes.tolist()
    assert terms("") == terms("?!") == []
    assert read(ask("Bob's kettle"), speakers, 2).named.tolist() == [False, True]
    speakers.go([1])
    assert read(ask("Bob's kettle"), speakers, 2).named.tolist() == [False, True]
    speakers.go([1])
    assert terms("Bob's kettle") == sorted(bob + kettle)
    assert read(ask("kettle, kettle, Ada"), speakers, 2).weights.tolist() == [2.0]


@given(st.lists(st.integers(-3, 3), max_size=30), st.integers(0, 35))
def test_the_best_few_are_those_of_a_full_sort(scores: list[int], k: int) -> None:
    got = top(np.array(scores, np.float32), k, lambda places: [f"{99 - place:02d}" for place in places])
    assert got == sorted(range(len(scores)), key=lambda place: (-scores[place], -place))[:k]


def test_what_is_no_number_is_not_found() -> None:
    scores = np.array([np.nan, 1.0, -np.inf, 1.0 + 1e-9], np.float64)
    assert top(scores, 4, lambda places: [str(place) for place in places]) == [1, 3]
