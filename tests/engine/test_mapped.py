"""Large scopes of a SQLite file: an index in a file beside it, nearly the same answers, never trusted."""

from __future__ import annotations

import os
import stat
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from engine.test_large import NOW, QUESTIONS, USER, agreement, hits, performed, said
from engram.config import load_policy
from engram.engine import upkeep, write
from engram.engine.core import Core
from engram.engine.erasing import erase
from engram.engine.revise import purge
from engram.kernel.protocols import Select
from engram.kernel.scope import Scope
from engram.models import load_embedder
from engram.operators.retrieval.arrays import Broken, opened
from engram.operators.retrieval.mapped import MappedIndex
from engram.stores import open_store

RUNS, TURNS = 30, 30
Open = Callable[..., Core]


def core_on(file: Path, policy: str = "fusion", large: int = 1 << 40) -> Core:
    """A core on a SQLite file that takes scopes above `large` for large."""
    store = open_store(f"sqlite:///{file}")
    core = Core(store, load_policy(policy), load_embedder("static"), lambda: NOW, large=large)
    core.check_identity()
    return core


def fill(core: Core, first: int = 0, runs: int = RUNS) -> None:
    """Made-up conversations, one a run."""
    for number in range(first, first + runs):
        scope = Scope("default", "ada", None, f"run-{number}")
        told = said(number, TURNS, np.random.default_rng(number))
        performed(core, write.add(core, write.AddRequest(told, scope)))


@pytest.fixture(scope="module")
def filled(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """The bytes of a file of 900 turns."""
    file = tmp_path_factory.mktemp("filled") / "memory.db"
    core = core_on(file)
    fill(core)
    core.close()
    return file.read_bytes()


@pytest.fixture
def file(filled: bytes, tmp_path: Path) -> Path:
    path = tmp_path / "memory.db"
    path.write_bytes(filled)
    path.chmod(0o600)
    return path


@pytest.fixture
def open_core(file: Path) -> Iterator[Open]:
    held: list[Core] = []

    def start(**given: Any) -> Core:
        held.append(core_on(file, **given))
        return held[-1]

    yield start
    for core in held:
        core.close()


def mapped(core: Core) -> MappedIndex | None:
    """The index that searches use, where it lies in a file."""
    with core.present.index(USER) as index:
        return index if isinstance(index, MappedIndex) else None


def made(core: Core) -> Path:
    """The file of the scope, made now."""
    assert core.maker.make(USER)
    path = core.maker.shelf.path(USER)
    assert path is not None
    assert path.exists()
    return path


@pytest.mark.parametrize("policy", ["dense", "bm25", "rrf", "fusion", "rag", "mem0"])
def test_what_lies_in_a_file_gives_nearly_the_same_answers(open_core: Open, policy: str) -> None:
    whole, large = open_core(policy=policy), open_core(policy=policy, large=100)
    made(large)
    assert mapped(large) is not None
    shares = [agreement(hits(whole, query), hits(large, query)) for query in QUESTIONS]
    assert float(np.mean(shares)) >= 0.9
    score = {hit.id: hit.score for hit in hits(whole, QUESTIONS[0])}
    for hit in hits(large, QUESTIONS[0]):
        assert hit.score == pytest.approx(score.get(hit.id, hit.score), abs=0.1)


def test_lists_find_what_a_graph_finds(open_core: Open) -> None:
    whole, large = open_core(), open_core(large=100)
    large.maker.shelf.layout = "lists"
    made(large)
    index = mapped(large)
    assert index is not None
    assert index.regrown() is None
    shares = [agreement(hits(whole, query), hits(large, query)) for query in QUESTIONS]
    assert float(np.mean(shares)) >= 0.9
    fill(whole, first=RUNS, runs=2)
    made(large)
    assert agreement(hits(whole, QUESTIONS[1]), hits(large, QUESTIONS[1])) >= 0.9


def test_it_is_made_in_the_background_and_then_used(open_core: Open, file: Path) -> None:
    core = open_core(large=100)
    before = hits(core, QUESTIONS[0])
    assert core.maker.wait(lambda: bool(core.maker.shelf.files))
    assert agreement(before, hits(core, QUESTIONS[0])) >= 0.9
    assert mapped(core) is not None
    beside = file.with_name("memory.db.ann")
    assert stat.S_IMODE(beside.stat().st_mode) == 0o700
    assert [stat.S_IMODE(path.stat().st_mode) for path in beside.iterdir()] == [0o600]


def test_it_follows_what_comes_changes_and_goes(open_core: Open) -> None:
    large, whole = open_core(large=100), open_core()
    made(large)
    assert mapped(large) is not None
    fill(whole, first=RUNS, runs=3)
    told = [{"role": "user", "content": "The lighthouse keeper sold the unicorn tapestry."}]
    receipt = performed(whole, write.add(whole, write.AddRequest(told, Scope("default", "ada"))))
    query = "who sold the unicorn tapestry?"
    assert hits(large, query)[0].id == receipt.items[0].id
    assert mapped(large) is not None
    assert agreement(hits(whole, QUESTIONS[1]), hits(large, QUESTIONS[1])) >= 0.9
    index = mapped(large)
    assert index is not None
    assert index.behind == 91
    made(large)  # what came is taken into the file
    index = mapped(large)
    assert index is not None
    assert index.behind == 0
    assert hits(large, query)[0].id == receipt.items[0].id


def test_kinds_filters_levels_and_the_past_are_right(open_core: Open) -> None:
    large, whole = open_core(large=100), open_core()
    for number in range(30):
        text = f"The {number}th fact is about a violin and a glacier."
        asked = write.AddRequest([text], Scope("default", "ada"), {"number": number}, kind="fact")
        performed(whole, write.add(whole, asked))
    made(large)
    wanted: tuple[dict[str, Any], ...] = (
        {"filters": {"kind": "fact"}},
        {"filters": {"metadata.number": 7}},
        {"filters": {"name": "Chloe"}},
        {"filters": {"level": 2}},
        {"filters": {"level": 1}},
        {"k": 300},
    )
    for more in wanted:
        one, other = (hits(core, "a violin beside a glacier", **more) for core in (whole, large))
        assert len(one) == len(other)
        assert agreement(one, other) >= 0.9
    assert hits(large, "a violin", filters={"metadata.number": 7})[0].record.metadata["number"] == 7
    assert large.as_of(None, NOW).records([hits(whole, QUESTIONS[0])[0].id])


def test_what_is_forgotten_is_in_no_file(open_core: Open, file: Path) -> None:
    large = open_core(large=100)
    word = "zyzzyvaquux"
    told = [{"role": "user", "content": f"The secret word is {word}."}]
    receipt = performed(large, write.add(large, write.AddRequest(told, Scope("default", "ada"))))
    id = receipt.items[0].id
    assert id is not None
    path = made(large)
    assert id.encode() in path.read_bytes()
    erase(large, [id])
    assert not path.exists()
    assert purge(large) == "done"
    assert not file.with_name("memory.db.ann").exists()
    assert hits(large, word)[0].id != id


def test_a_file_of_before_an_erasure_is_not_used(open_core: Open) -> None:
    large = open_core(large=100)
    path = made(large)
    held = path.read_bytes()
    gone = hits(large, QUESTIONS[0])[0].id
    erase(large, [gone])
    path.parent.mkdir(mode=0o700, exist_ok=True)
    path.write_bytes(held)  # as if somebody had just finished it
    again = open_core(large=1 << 40)
    assert gone not in [hit.id for hit in hits(again, QUESTIONS[0])]
    assert not path.exists()


def damaged(path: Path, how: str, other: bytes) -> None:
    """Do something bad to a file."""
    held = path.read_bytes()
    match how:
        case "cut":
            path.write_bytes(held[: len(held) // 2])
        case "empty":
            path.write_bytes(b"")
        case "flipped":
            place = len(held) // 3
            while not held[place]:
                place += 1
            path.write_bytes(held[:place] + bytes([held[place] ^ 1]) + held[place + 1 :])
        case "foreign":
            path.write_bytes(other)
        case _:
            path.write_bytes(b"engram arrays 1\n" * 400)


@pytest.mark.parametrize("how", ["cut", "empty", "flipped", "foreign", "scrap"])
def test_a_damaged_or_foreign_file_is_thrown_away(open_core: Open, tmp_path: Path, how: str) -> None:
    strange = core_on(tmp_path / "other.db", large=1)
    fill(strange, runs=2)
    foreign = made(strange).read_bytes()
    strange.close()
    large = open_core(large=1 << 40)
    path = made(large)
    damaged(path, how, foreign)
    assert mapped(large) is None
    assert not path.exists()
    assert agreement(hits(open_core(), QUESTIONS[2]), hits(large, QUESTIONS[2])) == 1


def test_a_store_that_went_back_in_time_gets_no_later_file(filled: bytes, file: Path) -> None:
    first = core_on(file)
    fill(first, first=RUNS, runs=2)
    made(first)
    first.close()
    for more in ("-wal", "-shm"):
        file.with_name(file.name + more).unlink(missing_ok=True)
    file.write_bytes(filled)  # a backup is put back, and other things are told
    second = core_on(file)
    fill(second, first=RUNS + 50, runs=4)
    assert mapped(second) is None
    second.close()


KILLED = """
import os, sys
from pathlib import Path
from engram.operators.retrieval import arrays
real = arrays._write
def half(file, facts, laid):
    names = list(laid)
    real(file, facts, {name: laid[name] for name in names[: len(names) // 2]})
    file.flush()
    os._exit(9)
arrays._write = half
from engine.test_mapped import core_on, made
made(core_on(Path(sys.argv[1])))
"""


def test_a_kill_in_the_middle_of_writing_leaves_nothing_that_is_used(open_core: Open, file: Path) -> None:
    tests = str(Path(__file__).resolve().parents[1])
    environment = {**os.environ, "PYTHONPATH": tests}
    done = subprocess.run([sys.executable, "-c", KILLED, str(file)], check=False, env=environment)
    assert done.returncode == 9
    assert [path.suffix for path in file.with_name("memory.db.ann").iterdir()] == [".tmp"]
    large = open_core(large=1 << 40)
    assert mapped(large) is None
    made(large)
    assert mapped(large) is not None


def test_two_processes_share_a_file(open_core: Open, file: Path) -> None:
    large = open_core(large=100)
    made(large)
    assert mapped(large) is not None
    other = core_on(file, large=100)
    assert mapped(other) is not None
    told = [{"role": "user", "content": "Somebody else said aardvark."}]
    performed(other, write.add(other, write.AddRequest(told, Scope("default", "ada"))))
    assert "aardvark" in hits(large, "aardvark")[0].text
    made(other)
    assert "aardvark" in hits(large, "aardvark")[0].text
    other.close()


def test_names_of_scopes_stay_in_the_folder(open_core: Open, file: Path) -> None:
    shelf = open_core().maker.shelf
    paths = [
        shelf.path(Scope("default", name)) for name in ("../../etc/passwd", "a/b", "a", "\u0000", "x" * 9999)
    ]
    assert len({*paths}) == 5
    for path in paths:
        assert path is not None
        assert path.parent == file.with_name("memory.db.ann")


def test_scrap_is_no_file_of_arrays(tmp_path: Path) -> None:
    scrap = tmp_path / "scrap"
    scrap.write_bytes(b"x" * 100)
    with pytest.raises(Broken):
        opened(scrap)


def test_everything_is_as_before_where_nothing_is_large(open_core: Open, file: Path) -> None:
    core = open_core()
    hits(core, QUESTIONS[0])
    assert not file.with_name("memory.db.ann").exists()
    assert upkeep.stats(core, USER)["records"] == RUNS * TURNS
    assert core.store.select(Select(scope=USER, limit=1))
