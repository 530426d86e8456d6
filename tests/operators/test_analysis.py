"""The analyser: the same terms from the same text, everywhere and in any script."""

import subprocess
import sys
from collections import Counter
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from engram.operators.analysis import ANALYSER, STOPWORDS, analyse, analyse_many, term_hash, terms

PLAIN = "The dog's running: they DON'T ski, they run! Café No. 7 at 9.30"


@pytest.mark.parametrize(
    "text, expected",
    [
        ("", []),
        ("... !? --", []),
        ("Running runs", ["run", "run"]),
        ("Caroline's dogs\u2019 bowl", ["carolin", "dog", "bowl"]),
        ("don't don\u2019t dont", ["dont", "dont", "dont"]),
        ("I'd've we'll it's", ["i", "we", "it"]),
        ("O'Brien l'amour rock'n'roll", ["obrien", "amour", "rocknrol"]),
        ("Café CAFÉ cafe\u0301 cafe", ["cafe"] * 4),
        ("Straße STRASSE Ørsted Łódź", ["strass", "strass", "orst", "lodz"]),
        ("$1,000 3.5 50% 3rd 2023-05-07", ["1000", "3.5", "50", "3rd", "2023", "05", "07"]),
        ("12.05.2023", ["12.05.2023", "12", "05", "2023"]),
        ("C++ and C# but c", ["c++", "and", "c#", "but", "c"]),
        ("user_id __init__", ["user_id", "user", "id", "init"]),
        ("getUserName iPhone", ["getusernam", "get", "user", "name", "iphon", "phone"]),
        ("我们去了北京。好", ["我们", "们去", "去了", "了北", "北京", "好"]),
        ("東京タワー がぎ ﾊﾟﾝ", ["東京", "京タ", "タワ", "ワー", "がぎ", "パン"]),
        ("안녕하세요 \u1112\u1161\u11ab국", ["안녕", "녕하", "하세", "세요", "한국"]),
        ("ภาษา", ["ภา", "าษ", "ษา"]),
        ("مَرْحَبًا مرحبا إلى", ["مرحبا", "مرحبا", "الى"]),
        ("שָׁלוֹם", ["שלום"]),
        ("हिन्दी में।", ["हिन्दी", "में"]),
        ("Привет, Σίσυφος", ["привет", "σισυφοσ"]),
        ("love it😊👍🏽 ❤️ 1️⃣", ["love", "it", "😊", "👍", "❤", "1"]),
        ("🇫🇷🇩🇪 👩‍🚀", ["🇫🇷", "🇩🇪", "👩", "🚀"]),
        ("Brand™ ﬁne a\u200bb x\u00ady", ["brand", "fine", "a", "b", "xy"]),
        ("a\x00b\x1cc", ["a", "b", "c"]),
    ],
)
def test_terms(text: str, expected: list[str]) -> None:
    assert terms(text) == expected


def test_the_version_stands_for_these_very_hashes() -> None:
    """Another hash or another stem needs another `ANALYSER`: stored words would no longer match."""
    assert ANALYSER == "engram-analyser/1"
    assert [term_hash(term) for term in ("dog", "carolin", "北京", "😊")] == PINNED
    assert sorted(map(term_hash, terms(PLAIN))) == np.repeat(*analyse(PLAIN)[:2]).tolist()


PINNED = [2691776247, 2710664999, 3528305154, 3095308102]


def test_another_process_finds_the_same() -> None:
    code = f"from engram.operators.analysis import analyse; print(analyse({PLAIN!r}).hashes.tolist())"
    other = subprocess.run(  # with its own hash seed
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, env={"PYTHONHASHSEED": "7"}
    )
    assert other.stdout.strip() == str(analyse(PLAIN).hashes.tolist())


@given(st.text(max_size=80))
def test_words_count_the_terms(text: str) -> None:
    words, expected = analyse(text), Counter(map(term_hash, terms(text)))
    assert words.hashes.dtype == np.dtype(np.uint32)
    assert words.counts.dtype == np.dtype(np.uint16)
    assert words.hashes.tolist() == sorted(expected)
    assert words.counts.tolist() == [expected[found] for found in sorted(expected)]
    assert words.length == expected.total()


@given(st.text(max_size=40), st.text(max_size=40))
def test_what_is_found_in_a_part_is_found_in_the_whole(left: str, right: str) -> None:
    assert terms(f"{left} {right}") == terms(left) + terms(right)


@given(st.text(st.characters(categories=["L", "N"]), min_size=1, max_size=30))
def test_letters_and_digits_are_never_lost(text: str) -> None:
    """But for the few that stand for a mark or a space once folded."""
    assert terms(text) or not any(char.isalnum() for char in folded(text))


def folded(text: str) -> str:
    """What is left of a text that folds away."""
    return text.replace("\u0640", "").replace("\u115f", "").replace("\u1160", "")


@given(st.text(max_size=40))
def test_case_does_not_matter_to_plain_text(text: str) -> None:
    plain = "".join(char for char in text.lower() if char.isascii())
    assert terms(plain) == terms(plain.capitalize())


def test_many_is_one_by_one() -> None:
    many = analyse_many([PLAIN, "", "once twice twice"])
    assert [words.length for words in many] == [len(terms(PLAIN)), 0, 3]
    assert many[2].counts.tolist() in ([1, 2], [2, 1])


def test_stop_words_are_the_hashes_of_their_stems() -> None:
    found = {term for term in terms("What did they say, and why don't you like our dog?") if keeps(term)}
    assert found == {"dog"}


def keeps(term: str) -> bool:
    """Whether a query keeps this term."""
    return term_hash(term) not in STOPWORDS


def test_counts_stop_at_what_sixteen_bits_hold() -> None:
    words = analyse("again " * 70_000)
    assert (words.counts.tolist(), words.length) == ([65_535], 70_000)


@pytest.mark.parametrize(
    "unit", ["quick brown foxes ", "q9Zx", "我们今天去"], ids=["words", "one word", "Chinese"]
)
def test_ten_megabytes_are_analysed(unit: str) -> None:
    words = analyse(unit * (10_000_000 // len(unit.encode())))
    assert words.length > 0
    assert len(words.hashes) <= 160


@pytest.mark.timeout(20)
@pytest.mark.parametrize(
    "unit",
    ["'s", "1,111", "1.", "aB", "_", "a''", "\u0915\u093f", "\u0301e'", "\u0301\u0323", "\u3099\u302a"],
)
def test_no_text_takes_quadratic_time(unit: str) -> None:
    assert analyse("a" + unit * (500_000 // len(unit)) + "!").length > 0


def test_threads_find_the_same() -> None:
    texts = [f"thread{n} naming {n * 7919} ünïque{n} walking" for n in range(2000)]
    expected = [words.hashes.tobytes() for words in analyse_many(texts)]
    with ThreadPoolExecutor(4) as pool:
        for found in pool.map(analyse_many, [texts] * 4):
            assert [words.hashes.tobytes() for words in found] == expected
