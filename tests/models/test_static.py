"""The default embedder: exact tokens, exact sums, never a NaN."""

import hashlib
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
import tokenizers
from hypothesis import given
from hypothesis import strategies as st
from tokenizers.models import WordPiece as ReferenceWordPiece
from tokenizers.normalizers import BertNormalizer
from tokenizers.pre_tokenizers import BertPreTokenizer

import engram.models.static as module
from engram.kernel.errors import InvalidInput
from engram.kernel.protocols import Embedder
from engram.models.static import StaticEmbedder, tokeniser

DATA = Path(module.__file__).parent / "data"
VOCABULARY = (DATA / "vocab.txt").read_text(encoding="utf-8").splitlines()

ODD_TEXTS = [
    "",
    " \t\n ",
    "Hello, world!",
    "don't can't Caroline's O'Brien",
    "Café NAÏVE Ünïcödé Ångström İstanbul ΣΊΣΥΦΟΣ straße",
    "我们昨天去了北京。 東京タワーへ行きました。 がぎぐ ガギグ 안녕하세요 세계",
    "مرحبا بالعالم مَرْحَبًا إلى שָׁלוֹם עולם",
    "हिन्दी में लिखा ไทย ภาษาไทย Привет, йод ёлка Ελληνικά",
    "😀 love it😊 👍🏽 👨‍👩‍👧 🇫🇷 ❤️ ☃",
    "a\x00b\x0bc\x0cd\x1ce\x1ff\x85g\u200bh\u2028i\u2029j\xa0k\u3000l\ufeffm\ufffdn\xado",
    "x" * 100 + " " + "y" * 101 + " " + "q9Z" * 4000,
    "[SEP] [CLS] [UNK] [MASK] [PAD] [unused5] ##ing # ##",
    "snake_case CamelCase foo.bar/baz-qux C++ C# $9.99 50% 3:30 2023-05-07",
    "\u0301 \u0301a e\u0301\u0323 \u0958 \U0001d15e \u302e가 \u1100\u1161\u11a8",
    "ﬁ ① ㎏ \u210c \uff21\uff42\uff43 \uf900\U0002f800 \u1e9b\u0323 ǅ",
    "\u1734 \U00011938 \u1c89 \ua7cb \u07fd \U0001fae0",
]


@pytest.fixture(scope="module")
def reference() -> tokenizers.Tokenizer:
    """The reference tokeniser over the shipped vocabulary, with no special token in texts."""
    built = tokenizers.Tokenizer(
        ReferenceWordPiece({token: id_ for id_, token in enumerate(VOCABULARY)}, unk_token="[UNK]")  # noqa: S106
    )
    built.normalizer = BertNormalizer(lowercase=True)
    built.pre_tokenizer = BertPreTokenizer()
    return built


@pytest.fixture(scope="module")
def embedder() -> StaticEmbedder:
    """The default embedder."""
    return StaticEmbedder()


def same(reference: tokenizers.Tokenizer, text: str) -> bool:
    """Whether both tokenisers give the same ids."""
    expected: list[int] = reference.encode(text, add_special_tokens=False).ids
    found: list[int] = tokeniser().encode(text).tolist()
    return found == expected


@pytest.mark.parametrize("text", ODD_TEXTS)
def test_odd_texts_have_the_reference_tokens(reference: tokenizers.Tokenizer, text: str) -> None:
    assert same(reference, text)
    assert same(reference, f"Before {text} after, and{text}glued. {text}")


@given(st.text(st.characters(exclude_categories=["Cs"]), max_size=60))
def test_any_text_has_the_reference_tokens(reference: tokenizers.Tokenizer, text: str) -> None:
    assert same(reference, text)


@given(st.lists(st.sampled_from(VOCABULARY) | st.sampled_from(ODD_TEXTS[1:10]), max_size=12), st.data())
def test_glued_words_have_the_reference_tokens(
    reference: tokenizers.Tokenizer, words: list[str], data: st.DataObject
) -> None:
    glue = data.draw(st.sampled_from([" ", "", "-", "'", "\u0301", "\u200d", "X", "  \n"]))
    assert same(reference, glue.join(words))


def test_characters_of_all_scripts_have_the_reference_tokens(reference: tokenizers.Tokenizer) -> None:
    """Each between letters; beyond the common scripts every third, of the large blocks every 17th."""
    codes = [*range(0x3400), *range(0x3400, 0xD7B0, 17)]
    codes += [*range(0xE000, 0x20000, 3), *range(0x20000, 0x30000, 17)]
    texts = [f"a{chr(code)}b" for code in codes]
    ours = [tokeniser().encode(text).tolist() for text in texts]
    theirs = [found.ids for found in reference.encode_batch(texts, add_special_tokens=False)]
    assert [hex(code) for code, left, right in zip(codes, ours, theirs, strict=True) if left != right] == []


@pytest.mark.parametrize(
    "text",
    [
        "word " * 40_000,
        "x" * 200_000,
        "é" * 150_000 + "!" + "ab" * 70_000,
        "我们a" * 60_000,
        "a\u0301b," * 70_000,
        "a" + "\u0301\u0323" * 60_000,
    ],
    ids=["words", "one word", "two words", "Chinese", "accents", "piled accents"],
)
def test_texts_longer_than_a_slice_have_the_reference_tokens(
    reference: tokenizers.Tokenizer, text: str
) -> None:
    assert same(reference, text)


def test_it_is_an_embedder(embedder: StaticEmbedder) -> None:
    assert isinstance(embedder, Embedder)
    assert (embedder.name, embedder.dimensions, embedder.local) == ("engram-static-minilm-256/1", 256, True)


def test_the_name_stands_for_these_very_bytes() -> None:
    """A changed table or vocabulary needs another name: stored vectors would no longer fit new ones."""
    digests = {name: hashlib.sha256((DATA / name).read_bytes()).hexdigest()[:16] for name in FILES}
    assert digests == FILES


FILES = {
    "minilm-256.npy": "63b8443969531fb2",
    "vocab.txt": "07eced375cec144d",
    "bert-unicode.json": "a636c0f4b5a5d531",
}


@given(st.lists(st.text(max_size=40), max_size=8))
def test_rows_are_unit_or_zero_and_never_nan(embedder: StaticEmbedder, texts: list[str]) -> None:
    rows = embedder.embed(texts)
    assert rows.shape == (len(texts), 256)
    assert rows.dtype == np.float32
    lengths = np.linalg.norm(rows, axis=1)
    assert np.all((np.abs(lengths - 1) < 1e-6) | (lengths == 0))


@pytest.mark.parametrize("text", ["", "  \n", "\u200b", "😀", "\U00012345 \U00012346", "q" * 101])
def test_a_text_with_no_known_token_gives_zeros(embedder: StaticEmbedder, text: str) -> None:
    assert not embedder.embed([text, "known"])[0].any()


@given(st.lists(st.text(max_size=30) | st.sampled_from(["a b c", "word " * 3000]), min_size=1, max_size=6))
def test_a_row_is_the_same_bytes_in_any_batch(embedder: StaticEmbedder, texts: list[str]) -> None:
    together = embedder.embed(texts)
    backwards = embedder.embed(texts[::-1])[::-1]
    alone = np.concatenate([embedder.embed([text]) for text in texts])
    assert together.tobytes() == backwards.tobytes() == alone.tobytes()


def test_a_row_is_the_mean_of_its_tokens_vectors(embedder: StaticEmbedder) -> None:
    table = np.load(DATA / "minilm-256.npy").astype(np.float64)
    for text in ("Melanie painted a lake at sunrise.", "one two " * 5000, "z" * 9 + " 我们" * 50_000):
        mean = table[tokeniser().encode(text)].mean(axis=0)
        np.testing.assert_allclose(embedder.embed([text])[0], mean / np.linalg.norm(mean), atol=1e-6)


def test_what_is_alike_in_meaning_lies_closer(embedder: StaticEmbedder) -> None:
    query, near, far = embedder.embed(["a puppy at the vet", "the dog saw a doctor", "quarterly tax filing"])
    assert query @ near > query @ far + 0.1


def test_one_string_in_place_of_a_list_is_refused(embedder: StaticEmbedder) -> None:
    with pytest.raises(InvalidInput, match="put the one text into a list"):
        embedder.embed("text")


def test_no_texts_give_no_rows(embedder: StaticEmbedder) -> None:
    assert embedder.embed([]).shape == (0, 256)


@pytest.mark.parametrize(
    "text, tokens",
    [("", 0), (" \n", 0), ("hello world", 2), ("hello, rememberings", 4), ("\ufffd", 1), ("\u0301", 1)],
)
def test_count(embedder: StaticEmbedder, text: str, tokens: int) -> None:
    assert embedder.count(text) == tokens


def test_an_unknown_word_counts_by_its_length(embedder: StaticEmbedder) -> None:
    """BERT calls it one token; in a prompt it is many."""
    assert embedder.count("q9Zx" * 1000) == 2000
    assert tokeniser().encode("q9Zx" * 1000).size == 1


@given(st.text(min_size=1))
def test_a_text_that_is_not_blank_counts(embedder: StaticEmbedder, text: str) -> None:
    assert (embedder.count(text) > 0) == bool(text.strip())


def test_ten_megabytes_are_one_row(embedder: StaticEmbedder) -> None:
    text = "The quick brown fox jumps over the lazy dog. " * 230_000
    assert sys.getsizeof(text) > 10_000_000
    np.testing.assert_allclose(embedder.embed([text]), embedder.embed([text[:45]]), atol=1e-6)


def test_threads_get_the_same_rows(embedder: StaticEmbedder) -> None:
    texts = [f"word{n} number {n * 7919} ünïque{n}" for n in range(2000)]
    expected = embedder.embed(texts).tobytes()
    with ThreadPoolExecutor(4) as pool:
        assert {rows.tobytes() for rows in pool.map(embedder.embed, [texts] * 8)} == {expected}
