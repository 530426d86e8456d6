"""The index against the reference, over any sequence of adds, revisions, closings and marks."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from engram.kernel.errors import InvalidInput, NeedsMigration
from engram.kernel.protocols import Entry
from engram.operators.retrieval.codec import encode
from engram.operators.retrieval.growing import Vectors
from engram.operators.retrieval.index import ScopeIndex
from engram.operators.retrieval.query import ask
from operators.retrieval.reference import Turn, columns, sessions

DIMENSIONS = 4
MINUTE = 60 * 1_000_000
DAY = 24 * 60 * MINUTE
WORDS = ["harbour", "kettle", "violin", "Ada", "the", "you", "garden?", "yesterday", "harbour harbour"]
VECTOR: st.SearchStrategy[tuple[float, ...]] = st.tuples(*[st.integers(-3, 3).map(float)] * DIMENSIONS)
VECTORS = st.none() | VECTOR


def entry(turn: Turn, sequence: int, version: int = 1, closed: int = 0, **rest: Any) -> Entry:
    """The index entry of a turn."""
    vectors = None if turn.vector is None else np.array([turn.vector], np.float32)
    words, vector = encode([turn.text], vectors)[0]
    plain = Entry(
        sequence, turn.arrival, turn.id, version, turn.kind, turn.user, turn.agent, turn.run, turn.role,
        turn.name, turn.time, None, None, 0, None, None, 1.0, 1.0, None, closed, words, vector,
    )  # fmt: skip
    return plain._replace(words=b"", vector=b"") if closed else plain._replace(**rest)


def turns(arrival: int) -> st.SearchStrategy[Turn]:
    """A turn of that arrival; runs, pauses and times collide often."""
    return st.builds(
        Turn,
        id=st.just(f"{arrival:04d}"),
        arrival=st.just(arrival),
        time=st.integers(0, 12).map(lambda step: step * 11 * MINUTE),
        text=st.lists(st.sampled_from(WORDS), max_size=5).map(" ".join),
        vector=VECTORS,
        run=st.sampled_from([None, None, "r1", "r2"]),
        agent=st.sampled_from([None, "a"]),
        user=st.sampled_from(["u", "u", "v"]),
        kind=st.sampled_from(["episode"] * 5 + ["fact"]),
        name=st.sampled_from([None, "Ada", "Bob"]),
        role=st.sampled_from(["user", "assistant", None]),
    )


class World:
    """Current turns and the entries that tell of them."""

    def __init__(self) -> None:
        self.current: dict[str, Turn] = {}
        self.sequence = 0
        self.pending: list[Entry] = []

    def tell(self, turn: Turn, **rest: Any) -> None:
        self.sequence += 1
        self.pending.append(entry(turn, self.sequence, **rest))
        self.current[turn.id] = turn
        if not turn.text:  # a record without text is stored, not indexed
            del self.current[turn.id]

    def close(self, id_: str) -> None:
        self.sequence += 1
        self.pending.append(entry(self.current.pop(id_), self.sequence, closed=1))

    def flush(self, index: ScopeIndex) -> None:
        index.apply(self.pending)
        self.pending = []


def in_codes(vector: NDArray[np.float32]) -> NDArray[np.float32]:
    """A query's vector as the index takes it."""
    vectors = Vectors(len(vector))
    vectors.append(vector[None])
    coded: NDArray[np.float32] = vectors.gather(np.array([0]))[0]
    return coded


def check_columns(index: ScopeIndex, current: list[Turn], query: str, vector: tuple[float, ...]) -> None:
    """Every column equals the reference's."""
    asked = np.array(vector, np.float32)
    got = index.score(ask(query), asked, now=0)
    ids = got.rows(range(len(got)))
    assert sorted(ids) == sorted(turn.id for turn in current)
    assert np.isfinite(got.matrix).all()
    for name, wanted in columns(current, query, in_codes(asked).astype(float)).items():
        expected = [wanted[id_] for id_ in ids]
        np.testing.assert_allclose(
            got.signals[name], expected, atol=1e-3 if "dense" in name else 1e-4, err_msg=name
        )


def check_views(index: ScopeIndex, current: list[Turn]) -> None:
    """Levels 1 and 2 are the episodes' windows and sessions, with the columns of their turns."""
    turns_ = scored(index)
    score = dict(zip(turns_.rows(range(len(turns_))), turns_.matrix.T, strict=True))
    cut = [group for group in sessions(current) if group[0].kind == "episode"]
    best = {f"s~{group[0].id}~{group[-1].id}": max(score[turn.id][0] for turn in group) for group in cut}
    found = scored(index, level=2)
    ids = found.rows(range(len(found)))
    assert dict(zip(ids, found.matrix[0], strict=True)) == best
    windows = scored(index, level=1)
    ids = windows.rows(range(len(windows)))
    spans = [group[max(0, at - 3) : at + 4] for group in cut for at in range(len(group))]
    assert sorted(ids) == sorted({f"w~{span[0].id}~{span[-1].id}" for span in spans})


@settings(max_examples=60)
@given(st.data())
def test_every_column_follows_any_history(data: st.DataObject) -> None:
    world, index = World(), ScopeIndex(DIMENSIONS)
    for arrival in range(data.draw(st.integers(1, 14), "steps")):
        ids = sorted(world.current)
        move = data.draw(st.sampled_from(["add"] * 6 + ["revise", "mark", "close", "flush"]), "move")
        if move == "add" or not ids:
            world.tell(data.draw(turns(arrival)))
        elif move == "flush":
            world.flush(index)
            scored(index, "kettle Ada")  # what is kept from it must not outlive what it stood on
        else:
            old = world.current[data.draw(st.sampled_from(ids))]
            if move == "close":
                world.close(old.id)
            elif move == "mark":
                world.tell(old._replace(vector=data.draw(VECTORS)), strength=0.5)
            else:
                world.tell(data.draw(turns(old.arrival))._replace(id=old.id), version=2)
    world.flush(index)
    current = list(world.current.values())
    assert len(index) == len(current)
    query = " ".join(data.draw(st.lists(st.sampled_from(WORDS), max_size=4)))
    check_columns(index, current, query, data.draw(VECTOR))
    check_columns(index, current, "kettle Ada", data.draw(VECTOR))
    check_views(index, current)


@given(st.lists(st.integers(0, 11), min_size=17, max_size=40), st.integers(1, 40))
def test_many_at_once_and_one_by_one_are_the_same(steps: list[int], split: int) -> None:
    world = World()
    for arrival, step in enumerate(steps):
        text = " ".join(WORDS[: step % 5])
        vector = (float(step), 1.0, -2.0, float(arrival % 3))
        run = None if step % 2 else f"r{step % 4}"
        world.tell(Turn(f"{arrival:04d}", arrival, step * 11 * MINUTE, text, vector, run))
    entries = world.pending
    one, two = ScopeIndex(DIMENSIONS), ScopeIndex(DIMENSIONS)
    for told in entries:
        one.apply([told])
    two.apply(entries[:split])
    two.apply(entries[split:])
    left = one.score(ask("harbour kettle"), np.ones(DIMENSIONS, np.float32), now=0)
    right = two.score(ask("harbour kettle"), np.ones(DIMENSIONS, np.float32), now=0)
    assert left.rows(range(len(left))) == right.rows(range(len(right)))
    np.testing.assert_allclose(left.matrix, right.matrix, atol=1e-5)


def told(*texts: str, **rest: Any) -> list[Entry]:
    """Entries of turns a minute apart."""
    return [
        entry(Turn(f"t{n}", n, n * MINUTE, text, (1.0, float(n), 0.0, 0.0)), n + 1, **rest)
        for n, text in enumerate(texts)
    ]


def scored(index: ScopeIndex, text: str = "kettle", **rest: Any) -> Any:
    """Columns for a query."""
    return index.score(ask(text), np.ones(DIMENSIONS, np.float32), **{"now": 0, **rest})


def test_an_empty_index_has_no_candidates() -> None:
    index = ScopeIndex(DIMENSIONS)
    for level in (0, 1, 2):
        assert len(scored(index, level=level)) == 0
    assert scored(index).matrix.shape[1] == 0
    assert index.last == 0


def test_windows_and_sessions_are_named_by_their_bounds() -> None:
    index = ScopeIndex(DIMENSIONS)
    index.apply(told(*["kettle"] * 9, "violin"))
    windows, found = scored(index, level=1), scored(index, level=2)
    ids = windows.rows(range(len(windows)))
    assert ids[0] == "w~t0~t3"
    assert len(set(ids)) == len(ids) == 10
    assert found.rows([0]) == ["s~t0~t9"]
    np.testing.assert_allclose(found.signals["bm25_turn"], scored(index).signals["bm25_turn"].max())


def test_a_short_session_is_one_window() -> None:
    index = ScopeIndex(DIMENSIONS)
    index.apply(told("kettle", "violin", "garden"))
    windows = scored(index, level=1)
    assert windows.rows(range(len(windows))) == ["w~t0~t2"]


def test_what_has_ended_expired_or_is_foreign_is_no_candidate() -> None:
    index = ScopeIndex(DIMENSIONS)
    a, b, c, d = told("kettle", "kettle", "kettle", "kettle")
    index.apply([a._replace(valid_end=50), b._replace(expires=60), c._replace(made_by="other"), d])

    def found(now: int, **rest: Any) -> list[str]:
        shown = scored(index, now=now, **rest)
        return sorted(shown.rows(range(len(shown))))

    assert found(0) == ["t0", "t1", "t3"]
    assert found(55) == ["t1", "t3"]
    assert found(60, made_by="other") == ["t2", "t3"]
    assert found(0) == ["t0", "t1", "t3"]
    assert found(0, kinds=("fact",)) == []


def test_only_asked_signals_are_there_and_an_unknown_one_is_refused() -> None:
    index = ScopeIndex(DIMENSIONS)
    index.apply(told("kettle"))
    assert list(scored(index, signals=("dense_w1", "first")).signals) == ["dense_w1", "first"]
    with pytest.raises(InvalidInput, match="bm25_turn"):
        scored(index, signals=("bm25",))


def test_columns_stay_right_when_the_index_is_compacted_later() -> None:
    index = ScopeIndex(DIMENSIONS)
    many = told(*(["kettle"] * 1500))
    index.apply(many)
    before = scored(index)
    index.apply([e._replace(sequence=5000 + n, closed=1) for n, e in enumerate(many) if n % 10])
    after = scored(index)
    assert len(after) == len(index) == 150
    assert after.rows(range(150)) == [f"t{n}" for n in range(0, 1500, 10)]
    assert before.rows([0, 1]) == ["t0", "t1"]
    assert len(index._rows) == 150
    left = [Turn(f"t{n}", n, n * MINUTE, "kettle", (1.0, float(n), 0.0, 0.0)) for n in range(0, 1500, 10)]
    check_columns(index, left, "kettle", (1.0, 1.0, 0.0, 0.0))


def test_a_long_session_that_grows_and_shrinks() -> None:
    current = {
        n: Turn(f"t{n:03d}", n, (n * 7 % 150) * MINUTE, WORDS[n % 9], (1.0, float(n % 5), -1.0, 0.5), "run")
        for n in range(150)
    }
    index = ScopeIndex(DIMENSIONS)
    index.apply([entry(turn, n + 1) for n, turn in list(current.items())[:120]])
    for n in range(120, 150):
        index.apply([entry(current[n], n + 1)])
    for n in range(0, 60, 5):
        index.apply([entry(current.pop(n), 200 + n, closed=1)])
    current[7] = current[7]._replace(vector=(0.0, -3.0, 1.0, 0.0))
    index.apply([entry(current[7], 400)])
    assert len(sessions(list(current.values()))) == 1
    check_columns(index, list(current.values()), "harbour violin", (1.0, 2.0, 0.0, 0.0))


def test_marks_reach_the_row_and_nothing_else() -> None:
    index = ScopeIndex(DIMENSIONS)
    (first,) = told("kettle")
    index.apply([first])
    index.apply([first._replace(sequence=9, strength=0.25, trust=0.5)])
    assert index.last == 9
    assert len(index._rows) == 1
    assert index._rows["strength"].tolist() == [0.25]


def test_the_focus_of_a_query_is_its_rare_words() -> None:
    index = ScopeIndex(DIMENSIONS)
    index.apply(told("kettle", "kettle violin", "kettle", name="Ada"))
    parts = [("kettle", np.array([2.0, 0, 0, 0])), ("violin", np.array([0, 1.0, 0, 0])), ("Ada", np.ones(4))]
    index.apply([entry(Turn("x", 9, 9 * MINUTE, "garden", (0.0, 0.0, 0.0, 0.0), "run"), 99)])
    got = scored(index, "kettle violin Ada", parts=parts)
    vector = np.array([2 * np.log1p(31.5 / 3.5), np.log1p(33.5 / 1.5), 0, 0])  # of 34 turns, 30 imagined
    units = np.array([[1.0, n, 0, 0] / np.hypot(1, n) for n in range(3)] + [np.zeros(4)])
    np.testing.assert_allclose(got.signals["focus_turn"], units @ vector / np.linalg.norm(vector), atol=2e-2)
    plain = scored(index, "kettle violin Ada")
    np.testing.assert_array_equal(plain.signals["focus_w3"], plain.signals["dense_w3"])


def test_cues_of_the_query_open_signals() -> None:
    index = ScopeIndex(DIMENSIONS)
    index.apply([told("see you tomorrow")[0]._replace(role="assistant")])
    open_, shut = scored(index, "when was it?"), scored(index, "kettle")
    assert open_.signals["when"].tolist() == [1.0]
    assert shut.signals["when"].tolist() == [0.0]
    assert open_.context["assistant"] == open_.context["cue_when"] == 1.0
    for name, text in (("summary", "a recap please"), ("told", "what did you say?")):
        assert scored(index, text).signals[name].tolist() == [1.0]
        assert shut.signals[name].tolist() == [0.0]
    assert scored(index, "when?", level=2).signals["when"].tolist() == [1.0]


def test_words_of_another_format_and_vectors_of_another_size_are_refused() -> None:
    (one,) = told("kettle")
    with pytest.raises(NeedsMigration, match="repair"):
        ScopeIndex(DIMENSIONS).apply([one._replace(words=b"\x09" + one.words[1:])])
    for length in (3, len(one.words) - 2):
        with pytest.raises(NeedsMigration, match="repair"):
            ScopeIndex(DIMENSIONS).apply([one._replace(words=one.words[:length])])
    with pytest.raises(NeedsMigration, match="dimensions"):
        ScopeIndex(DIMENSIONS + 1).apply([one])


def test_without_an_embedder_only_words_count() -> None:
    index = ScopeIndex(0)
    index.apply([told("kettle")[0]._replace(vector=None)])
    got = index.score(ask("kettle"), None, now=0)
    assert got.signals["dense_w1"].tolist() == [0.0]
    assert got.signals["bm25_turn"][0] > 0


def test_a_name_is_a_name_only_while_somebody_has_it() -> None:
    index = ScopeIndex(DIMENSIONS)
    ada, other = told("kettle", "Ada")
    index.apply([ada._replace(name="Ada"), other])
    assert scored(index, "kettle Ada").signals["coverage"].tolist()[1] == 0
    assert scored(index, "kettle Ada").signals["named"].tolist() == [1, 0]
    index.apply([ada._replace(sequence=8, name="")])
    assert scored(index, "kettle Ada").signals["coverage"].tolist()[1] > 0
    assert scored(index, "kettle Ada").signals["named"].tolist() == [0, 0]
    index.apply([other._replace(sequence=9, name="Bob")])
    assert scored(index, "kettle Bob").signals["named"].tolist() == [0, 1]


def test_a_date_in_the_query_favours_turns_near_it_and_later_ones_more() -> None:
    index = ScopeIndex(DIMENSIONS)
    index.apply([entry(Turn(f"{day:02d}", day, day * DAY, "kettle", None), day + 1) for day in range(30)])
    got = scored(index, times=[(10 * DAY, 11 * DAY)]).signals["date"]
    np.testing.assert_allclose(got[[10, 11, 18, 6]], np.exp([0, 0, -1, -8 / 7]), rtol=1e-5)
    two = scored(index, times=[(10 * DAY, 11 * DAY), (20 * DAY, 30 * DAY)]).signals["date"]
    np.testing.assert_allclose(two[[10, 25]], 1.0)
    assert not scored(index).signals["date"].any()


def test_blank_texts_are_in_no_window_and_no_session() -> None:
    index = ScopeIndex(DIMENSIONS)
    index.apply(told("kettle", "", "violin"))
    found = scored(index)
    assert found.rows(range(len(found))) == ["t0", "t2"]
    assert found.signals["bm25_w1"].tolist()[1] > 0
    index.apply([told("", "", "")[0]._replace(sequence=9, version=2)])
    found = scored(index)
    assert found.rows(range(len(found))) == ["t2"]
