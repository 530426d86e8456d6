"""Numbered steps to the current format, a copy until they are done, a crash at any statement."""

import multiprocessing
import sqlite3
import subprocess
import sys
from contextlib import closing, suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from engram.kernel.clock import from_micros
from engram.kernel.errors import StoreError
from engram.kernel.protocols import Batch, Expunge, Select, SelectEdges, Stage, Switch
from engram.kernel.record import Edge, Interval
from engram.kernel.scope import Scope
from engram.stores.sqlite import Migration, SqliteStore
from engram.stores.sqlite.migrate import APPLICATION, backups, built_in, format_of
from engram.testing.builders import a_record
from engram.testing.contract_records import put_one

LATEST = len(built_in())
NEXT = Migration(
    LATEST + 1,
    """
    CREATE TABLE moods (mood TEXT);
    INSERT INTO moods SELECT text FROM records;
    DROP VIEW history;
    CREATE VIEW history AS SELECT * FROM records UNION ALL SELECT * FROM versions;
    """,
)
BROKEN = Migration(
    LATEST + 1, "CREATE TABLE moods (mood TEXT); INSERT INTO moods SELECT text FROM records; NONSENSE;"
)
AFTER = Migration(LATEST + 2, "ALTER TABLE moods ADD COLUMN shade TEXT")


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """A store of the built-in format with one record."""
    path = tmp_path / "store.db"
    with closing(SqliteStore(path)) as store:
        put_one(store, a_record("tea"))
    return path


def moods(path: Path) -> list[str]:
    with closing(sqlite3.connect(path)) as link:
        return [row[0] for row in link.execute("SELECT mood FROM moods")]


def test_steps_are_numbered_from_one_without_a_gap() -> None:
    assert [step.number for step in built_in()] == list(range(1, len(built_in()) + 1))


def test_a_new_step_is_applied_once_and_the_copy_removed(path: Path) -> None:
    for _ in range(2):
        with closing(SqliteStore(path, migrations=[*built_in(), NEXT, AFTER])) as store:
            assert store.info()["format"] == str(LATEST + 2)
            assert [record.text for record in store.select(Select(history=True))] == ["tea"]
    assert moods(path) == ["tea"]
    assert backups(path) == []


def test_a_new_store_takes_all_steps_and_needs_no_copy(tmp_path: Path) -> None:
    with closing(SqliteStore(tmp_path / "new.db", migrations=[*built_in(), NEXT])) as store:
        assert store.info()["format"] == str(LATEST + 1)
        assert put_one(store, a_record()).text == "tea"


def test_a_step_that_fails_half_way_leaves_the_old_format_and_the_copy(path: Path) -> None:
    with pytest.raises(StoreError, match="NONSENSE"):
        SqliteStore(path, migrations=[*built_in(), BROKEN])
    assert len(backups(path)) == 1
    with closing(sqlite3.connect(backups(path)[0])) as link:
        assert link.execute("SELECT text FROM records").fetchall() == [("tea",)]
        assert link.execute("PRAGMA user_version").fetchone() == (LATEST,)
    with closing(SqliteStore(path)) as store:
        assert store.info()["format"] == str(LATEST)
        assert [record.text for record in store.select(Select())] == ["tea"]
        assert store.check() == []


def test_a_second_step_that_fails_leaves_the_first_done(path: Path) -> None:
    broken = Migration(LATEST + 2, "NONSENSE")
    with pytest.raises(StoreError):
        SqliteStore(path, migrations=[*built_in(), NEXT, broken])
    with closing(SqliteStore(path, migrations=[*built_in(), NEXT])) as store:
        assert store.info()["format"] == str(LATEST + 1)
    assert moods(path) == ["tea"]


KILLED = """if True:
    import os, signal, sys
    from pathlib import Path
    from engram.stores.sqlite import Migration, SqliteStore
    from engram.stores.sqlite import migrate
    left = int(sys.argv[2])
    whole = migrate.statements

    def deadly(script):
        global left
        for statement in whole(script):
            left -= 1
            if left < 0:
                os.kill(os.getpid(), signal.SIGKILL)
            yield statement

    migrate.statements = deadly
    steps = migrate.built_in()
    SqliteStore(Path(sys.argv[1]), migrations=[*steps, Migration(len(steps) + 1, sys.argv[3])])
"""


@pytest.mark.parametrize("statements", range(4))
def test_a_kill_in_the_middle_of_a_step(path: Path, statements: int) -> None:
    """Before any statement of the step: the old state is usable, and the step can be taken again."""
    command = [sys.executable, "-c", KILLED, str(path), str(statements), NEXT.script]
    assert subprocess.run(command, check=False).returncode == -9
    with closing(SqliteStore(path)) as old:
        assert old.info()["format"] == str(LATEST)
        assert [record.text for record in old.select(Select())] == ["tea"]
    with closing(SqliteStore(path, migrations=[*built_in(), NEXT])) as new:
        assert new.info()["format"] == str(LATEST + 1)
    assert moods(path) == ["tea"]
    assert backups(path) == []


def test_a_kill_while_a_new_store_is_made(tmp_path: Path) -> None:
    """The file is empty then, and becomes a store at the next opening."""
    path = tmp_path / "new.db"
    assert subprocess.run([sys.executable, "-c", KILLED, str(path), "9", ""], check=False).returncode == -9
    with closing(SqliteStore(path)) as store:
        assert put_one(store, a_record()).text == "tea"
        assert store.check() == []


STEP = """if True:
    import os, signal, sys
    from pathlib import Path
    from engram.stores.sqlite import SqliteStore
    from engram.stores.sqlite import migrate
    left = int(sys.argv[2])
    whole = migrate.statements

    def deadly(script):
        global left
        for statement in whole(script):
            yield statement
            left -= 1
            if left < 0:
                os.kill(os.getpid(), signal.SIGKILL)

    migrate.statements = deadly
    SqliteStore(Path(sys.argv[1]))
"""


@pytest.mark.parametrize("number", range(2, LATEST + 1))
def test_a_kill_in_the_middle_of_a_built_in_step(tmp_path: Path, number: int) -> None:
    """After its first statement: the file is whole, of the old format; the next opening takes the step."""
    path = tmp_path / "old.db"
    with closing(SqliteStore(path, migrations=built_in()[: number - 1])) as old:
        put_one(old, a_record("tea"))
    assert subprocess.run([sys.executable, "-c", STEP, str(path), "0"], check=False).returncode == -9
    with closing(sqlite3.connect(path)) as link:
        assert link.execute("PRAGMA user_version").fetchone() == (number - 1,)
        assert link.execute("SELECT text FROM records").fetchall() == [("tea",)]
    with closing(SqliteStore(path)) as new:
        assert new.info()["format"] == str(LATEST)
        record = new.select(Select())[0]
        new.commit(Batch((Stage(record.id, 1, b"w", b"v"), Switch())))
        assert new.check() == []
    assert backups(path) == []


def _open(path: Path, start: "multiprocessing.synchronize.Event") -> None:
    start.wait()
    with closing(SqliteStore(path, migrations=[*built_in(), NEXT])) as store:
        put_one(store, a_record("by one of many"))


@pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")
def test_many_processes_open_a_new_store_at_once(tmp_path: Path) -> None:
    """One makes it, the others wait and use it."""
    context = multiprocessing.get_context("fork")
    start = context.Event()
    workers = [context.Process(target=_open, args=(tmp_path / "new.db", start)) for _ in range(6)]
    for worker in workers:
        worker.start()
    start.set()
    for worker in workers:
        worker.join()
    assert [worker.exitcode for worker in workers] == [0] * 6
    with closing(SqliteStore(tmp_path / "new.db", migrations=[*built_in(), NEXT])) as store:
        assert len(store.select(Select())) == 6


_OLD_EDGES = """
INSERT INTO edges VALUES (
    'e2', 'b', 'a', 'knows', 'default', 'ana', NULL, 'run é', 1, 2, 3, 4, 0.5, 'm:1', 2, 3, '["a"]',
    '{"x": [1]}'
);
INSERT INTO edges VALUES (
    'e1', 'a', 'b', 'knows', 'default', 'ana', NULL, NULL, NULL, NULL, 3, NULL, 1.0, NULL, 2, NULL, '[]', '{}'
);
INSERT INTO edge_reads VALUES ('a', 'e2');
UPDATE counter SET last = 7;
"""


def test_edges_of_an_older_format(tmp_path: Path) -> None:
    """They come over whole, one without records in its scope too, and have numbers to follow them by."""
    path = tmp_path / "old.db"
    with closing(SqliteStore(path, migrations=built_in()[:4])):
        pass
    with closing(sqlite3.connect(path)) as link:
        link.executescript(_OLD_EDGES)
    with closing(SqliteStore(path)) as store:
        ana = Scope(user_id="ana")
        plain = Edge("e1", "a", "b", "knows", ana, Interval(), Interval(from_micros(3)), opened=2, sequence=8)
        times = Interval(from_micros(1), from_micros(2)), Interval(from_micros(3), from_micros(4))
        ended = Edge(
            *("e2", "b", "a", "knows", replace(ana, run_id="run é"), *times, 0.5, ("a",), "m:1", {"x": [1]}),
            *(2, 3, 1, 9),
        )
        assert store.edges(SelectEdges(history=True)) == [plain, ended]
        assert store.sequence().last == 9
        for id in "ab":
            put_one(store, a_record(id, id=id))
        assert store.check() == []
        store.commit(Batch((Expunge(("a",)),)))
        assert store.edges(SelectEdges(history=True)) == []


@pytest.mark.parametrize("whose", ["user_id", "agent_id"])
def test_a_run_is_found_without_a_look_at_the_others_of_its_owner(path: Path, whose: str) -> None:
    sql = f"EXPLAIN QUERY PLAN SELECT id FROM scopes WHERE tenant = 'a' AND {whose} = 'b' AND run_id = 'c'"  # noqa: S608
    with closing(sqlite3.connect(path)) as link:
        plan = " ".join(row[3] for row in link.execute(sql))
    assert "run_id=?" in plan


class Interrupted(sqlite3.Connection):
    """A connection with another process at work between its statements."""

    path: Path

    def execute(self, statement: str, values: Any = (), /) -> sqlite3.Cursor:
        """Another makes the store, as far as the database lets it, before this is carried out."""
        if statement == "PRAGMA user_version":
            made = f"BEGIN; PRAGMA application_id = {APPLICATION}; PRAGMA user_version = {LATEST}; COMMIT"
            with (
                closing(sqlite3.connect(self.path, timeout=0, isolation_level=None)) as other,
                suppress(sqlite3.OperationalError),
            ):
                other.executescript(made)
        return super().execute(statement, values)


def test_a_store_that_another_process_just_makes_is_not_taken_for_something_else(tmp_path: Path) -> None:
    path = tmp_path / "new.db"
    path.touch()
    with closing(sqlite3.connect(path, isolation_level=None, factory=Interrupted)) as link:
        link.path = path
        assert format_of(link, path, LATEST) in (0, LATEST)
