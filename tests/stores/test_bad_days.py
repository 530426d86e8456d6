"""What can go wrong with a file: each has an error that says what to do, and loses nothing."""

import sqlite3
import stat
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from engram.kernel.errors import ConfigError, NeedsMigration, StoreError
from engram.kernel.protocols import Batch, Put, PutInfo, Require, Select
from engram.stores import open_store
from engram.stores.sqlite import SqliteStore
from engram.stores.sqlite.check import problems
from engram.testing.builders import ANA, a_record
from engram.testing.contract_records import put_one


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "store.db"


@pytest.fixture
def store(path: Path) -> Iterator[SqliteStore]:
    with closing(SqliteStore(path, timeout=0.2)) as opened:
        yield opened


def test_a_path_in_a_folder_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"folder .*none does not exist; make it"):
        open_store(f"sqlite:///{tmp_path}/none/store.db")


def test_a_path_below_a_file(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    with pytest.raises(ConfigError, match="does not exist"):
        open_store(f"sqlite:///{tmp_path}/file/store.db")


def test_a_folder(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="is a folder"):
        open_store(f"sqlite:///{tmp_path}")


OPEN = """if True:
    import os, sys
    from engram.kernel.errors import ConfigError
    from engram.stores import open_store
    open_store(sys.argv[1]).close()  # loads all modules, which another user may not be able to read
    if os.geteuid() == 0:
        os.setegid(65534)
        os.seteuid(65534)
    try:
        open_store(sys.argv[2])
    except ConfigError as error:
        print(error)
"""


def opened_by_nobody(path: Path, elsewhere: Path) -> str:
    """What a process that is not root says on opening a store; empty where it opens."""
    command = [sys.executable, "-c", OPEN, f"sqlite:///{elsewhere}", f"sqlite:///{path}"]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout


@pytest.fixture
def open_folder() -> Iterator[Path]:
    """A folder that everyone reaches: pytest's own are for one user only."""
    with TemporaryDirectory() as name:
        folder = Path(name)
        folder.chmod(0o755)
        yield folder


def test_a_folder_that_cannot_be_written(open_folder: Path, path: Path) -> None:
    open_folder.chmod(0o555)
    assert "can be written" in opened_by_nobody(open_folder / "store.db", path)
    assert list(open_folder.iterdir()) == []


@pytest.mark.parametrize("mode", [0o400, 0o444])
def test_a_file_that_cannot_be_written(open_folder: Path, path: Path, mode: int) -> None:
    SqliteStore(open_folder / "store.db").close()
    (open_folder / "store.db").chmod(mode)
    open_folder.chmod(0o555)
    assert "be written" in opened_by_nobody(open_folder / "store.db", path)


@pytest.mark.skipif(not Path("/proc/self").exists(), reason="needs a file system that takes no files")
def test_a_file_system_that_takes_no_files() -> None:
    with pytest.raises(ConfigError, match="can be written") as caught:
        open_store("sqlite:////proc/store.db")
    assert isinstance(caught.value.__cause__, OSError)


@pytest.mark.parametrize("content", [b"x", b"just a letter to a friend\n" * 100, b"\0" * 8192])
def test_a_file_that_is_not_a_database(path: Path, content: bytes) -> None:
    path.write_bytes(content)
    with pytest.raises(ConfigError, match="not a database; give another path"):
        open_store(f"sqlite:///{path}")
    assert path.read_bytes() == content


def test_a_database_of_something_else(path: Path) -> None:
    with closing(sqlite3.connect(path)) as link:
        link.execute("CREATE TABLE recipes (name TEXT)")
    before = path.read_bytes()
    with pytest.raises(ConfigError, match="database of something else"):
        open_store(f"sqlite:///{path}")
    assert path.read_bytes() == before


def test_a_database_of_a_newer_version(store: SqliteStore, path: Path) -> None:
    put_one(store, a_record())
    store.close()
    with closing(sqlite3.connect(path)) as link:
        link.execute("PRAGMA user_version = 99")
    with pytest.raises(NeedsMigration, match=r"format 99.*pip install --upgrade engram"):
        open_store(f"sqlite:///{path}")


def test_an_empty_file_becomes_a_store(path: Path) -> None:
    path.touch()
    with closing(SqliteStore(path)) as store:
        assert put_one(store, a_record()).text == "tea"


def test_a_file_is_for_its_owners_eyes(store: SqliteStore) -> None:
    put_one(store, a_record())
    modes = {file.name: stat.S_IMODE(file.stat().st_mode) for file in store.path.parent.iterdir()}
    assert modes
    assert set(modes.values()) == {0o600}


def test_a_full_disk(store: SqliteStore) -> None:
    """The commit is refused as a whole; what was there stays, and writing goes on once there is room."""
    put_one(store, a_record("before", origin="m-1"))
    pages = store._database.bare(lambda link: link.execute("PRAGMA page_count").fetchone()[0])
    store._database.bare(lambda link: link.execute(f"PRAGMA max_page_count = {pages + 2}").fetchone())
    before = store.sequence()
    many = Batch(tuple(Put(a_record("x" * 2000)) for _ in range(50)))
    with pytest.raises(StoreError, match=r"disk is full and nothing .* free space") as caught:
        store.commit(many)
    assert isinstance(caught.value.__cause__, sqlite3.Error)
    assert store.sequence() == before
    assert len(store.select(Select())) == 1
    assert store.check() == []
    store._database.bare(lambda link: link.execute("PRAGMA max_page_count = 1000000").fetchone())
    assert len(store.commit(many).ids) == 50


FILL = """if True:
    import resource, sys
    from pathlib import Path
    from engram.kernel.errors import StoreError
    from engram.kernel.protocols import Batch, Put
    from engram.stores.sqlite import SqliteStore
    from engram.testing.builders import a_record
    store = SqliteStore(Path(sys.argv[1]))
    resource.setrlimit(resource.RLIMIT_FSIZE, (int(sys.argv[2]), int(sys.argv[2])))
    done = 0
    try:
        while done < 10_000:
            store.commit(Batch((Put(a_record(f"text {done} " * 50, origin=str(done))),)))
            done += 1
    except StoreError as error:
        print(done, error.__class__.__name__, error)
"""


@pytest.mark.parametrize("room", [300_000, 3_000_000])
def test_a_file_that_may_not_grow(path: Path, room: int) -> None:
    """The operating system refuses a write in the middle; every acknowledged commit is there."""
    command = [sys.executable, "-c", FILL, str(path), str(room)]
    said = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    done, kind, message = said.split(" ", 2)
    assert kind == "StoreError"
    assert "full" in message
    with closing(SqliteStore(path)) as store:
        records = store.select(Select(scope=ANA))
        assert [record.origin for record in records] == [str(number) for number in range(int(done))]
        assert store.check() == []


def test_a_file_that_another_process_holds_locked(store: SqliteStore, path: Path) -> None:
    """Reading goes on; writing says so after the time it waits, and works when the lock is gone."""
    record = put_one(store, a_record())
    with closing(sqlite3.connect(path, isolation_level=None)) as link:
        link.execute("BEGIN IMMEDIATE")
        with pytest.raises(StoreError, match="another process holds the file locked; call again"):
            put_one(store, a_record("later"))
        assert store.select(Select()) == [record]
        link.execute("ROLLBACK")
    assert put_one(store, a_record("later")).text == "later"


def test_a_damaged_file(store: SqliteStore, path: Path) -> None:
    """Reading what is damaged says so, and so does `check`."""
    store.commit(Batch(tuple(Put(a_record(f"text {number} " * 50)) for number in range(200))))
    store.close()
    size = path.stat().st_size
    with path.open("r+b") as file:
        file.seek(size // 2)
        file.write(b"\xff" * (size // 4))
    with closing(SqliteStore(path)) as damaged:
        assert damaged.check() != []
        with pytest.raises(StoreError, match="damaged"):
            damaged.select(Select())


def test_what_check_finds(store: SqliteStore) -> None:
    """One sentence for each kind of damage that SQLite itself does not see."""
    record = put_one(store, a_record())
    put_one(store, a_record("fact", sources=(record.id,)))
    assert store.check() == []
    wounds = {
        "DELETE FROM lineage": "without a lineage row",
        "UPDATE records SET version = 3": "at version 3 but has 0 older ones",
        "UPDATE records SET scope = 99 WHERE text = 'tea'": "refers to a row of scopes",
        "UPDATE counter SET last = 1": "counter stands at 1",
        "UPDATE records SET arrival = 1": "share the arrival",
        "INSERT INTO scopes (key, tenant) VALUES ('x', 'x')": "without a record",
        "DELETE FROM records WHERE text = 'tea'": "names the source",
    }
    for wound, says in wounds.items():
        found = store._database.bare(partial(_wounded, wound))
        assert any(says in line for line in found), (wound, found)


def _wounded(wound: str, link: sqlite3.Connection) -> list[str]:
    """What is found wrong after a statement, which is then taken back."""
    link.execute("BEGIN")
    link.execute(wound)
    found = problems(link)
    link.execute("ROLLBACK")
    return found


def test_a_refused_commit_leaves_the_store_as_it_was(store: SqliteStore, path: Path) -> None:
    """Byte for byte in the main file, and in the counters."""
    put_one(store, a_record())
    store.close()
    again = SqliteStore(path)
    before = again.sequence(), path.read_bytes()
    with pytest.raises(StoreError):
        again.commit(Batch((Put(a_record("x")), PutInfo("a", "b"), Require((("nowhere", None),)))))
    assert again.sequence() == before[0]
    again.close()
    assert path.read_bytes() == before[1]


@pytest.mark.parametrize("damage", ["metadata = '{broken'", "time = 'noon'", "role = CAST(x'75ff' AS TEXT)"])
def test_a_field_that_holds_what_was_never_written(path: Path, store: SqliteStore, damage: str) -> None:
    put_one(store, a_record("tea"))
    with closing(sqlite3.connect(path, isolation_level=None)) as link:
        link.execute(f"UPDATE records SET {damage}")  # noqa: S608
    with pytest.raises(StoreError, match=r"damaged \(.*restore .* from a copy"):
        store.select(Select())
