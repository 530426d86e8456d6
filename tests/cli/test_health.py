"""`engram doctor` and `engram migrate`: every finding made to happen, and mended."""

from __future__ import annotations

import json
import re
import sqlite3
import subprocess
import sys
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
from typer.testing import CliRunner, Result

import engram
from engram import Memory
from engram.cli.app import app
from engram.config import VARIABLES
from engram.kernel.keeping import Finding, size
from engram.kernel.protocols import Batch, Expunge, Job, PutInfo, PutJob
from engram.kernel.scope import Scope
from engram.stores.sqlite import SqliteStore
from engram.stores.sqlite.keeper import SqliteKeeper
from engram.stores.sqlite.migrate import backups, built_in
from engram.testing.builders import START, a_record
from engram.testing.contract_records import put_one
from engram.testing.doubles import HashEmbedder
from engram.upkeep import doctor

Call = Callable[..., Result]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "a.db"


@pytest.fixture
def call(path: Path) -> Call:
    def run(*arguments: str, code: int = 0, text: str | None = None, env: Any = None) -> Result:
        result = CliRunner().invoke(app, ["--url", f"sqlite:///{path}", *arguments], input=text, env=env)
        assert result.exit_code == code, result.output
        return result

    return run


@pytest.fixture
def filled(path: Path, call: Call) -> Path:
    call("add", "a heron on the weir")
    call("add", "the kettle is red")
    return path


def findings(call: Call, *arguments: str, code: int = 0, env: Any = None) -> list[Finding]:
    lines = call("doctor", "--json", *arguments, code=code, env=env).stdout.splitlines()
    return [Finding(**json.loads(line)) for line in lines]


def found(call: Call, check: str, *arguments: str, code: int = 0, env: Any = None) -> Finding:
    return next(item for item in findings(call, *arguments, code=code, env=env) if item.check == check)


def damage(path: Path, statement: str) -> None:
    with closing(sqlite3.connect(path)) as link:
        link.executescript(statement)


def test_a_healthy_store(call: Call, filled: Path) -> None:
    """Every line says what was looked at."""
    shown = call("doctor").stdout
    for check in (
        "installation",
        "sqlite",
        "file",
        "rights",
        "format",
        "disk",
        "purge",
        "jobs",
        "embedder",
        "index",
    ):
        assert re.search(rf"^ok\s+{check}\s", shown, re.MULTILINE), check
    assert {item.level for item in findings(call, "--full")} == {"ok"}
    assert "2 records agrees" in found(call, "index", "--full").what


def test_a_store_that_is_not_there_is_not_made(call: Call, path: Path) -> None:
    assert "the first add makes it" in found(call, "file").what
    assert not path.exists()
    call("migrate")
    assert not path.exists()


def test_a_ram_store_needs_no_looking_after(call: Call) -> None:
    assert "nothing to look after" in found(call, "store", "--url", "ram:").what
    assert "keeps no files" in call("migrate", "--url", "ram:").stdout


@pytest.mark.parametrize("url", ["nonsense", "mysql://x", "sqlite:///"])
def test_a_url_that_names_no_store(call: Call, url: str) -> None:
    assert found(call, "store", "--url", url, code=1).level == "wrong"


@pytest.mark.parametrize("content", [b"x", b"a letter to a friend\n" * 100, b"\0" * 8192])
def test_a_file_that_is_no_store(call: Call, path: Path, content: bytes) -> None:
    path.write_bytes(content)
    assert "not a database" in found(call, "file", code=1).what
    assert "not a database" in call("migrate", code=1).stderr
    assert path.read_bytes() == content


def test_a_folder_and_a_missing_folder(call: Call, path: Path, tmp_path: Path) -> None:
    path.mkdir()
    assert "is no file" in found(call, "file", code=1).what
    missing = found(call, "file", "--url", f"sqlite:///{tmp_path}/none/a.db", code=1)
    assert "does not exist" in missing.what
    assert "mkdir" in str(missing.mend)


def test_a_database_of_something_else(call: Call, path: Path) -> None:
    damage(path, "CREATE TABLE recipes (name TEXT)")
    assert "something else" in found(call, "file", code=1).what


def test_a_newer_format(call: Call, filled: Path) -> None:
    damage(filled, "PRAGMA user_version = 99")
    newer = found(call, "format", code=1)
    assert "format 99" in newer.what
    assert newer.mend == "pip install --upgrade engram"
    assert "format 99" in call("migrate", code=1).stderr


def older(path: Path) -> None:
    """A store of the first format with a record."""
    with closing(SqliteStore(path, migrations=built_in()[:1])) as store:
        put_one(store, a_record("tea"))


def test_an_older_format_is_migrated_when_asked(call: Call, path: Path) -> None:
    older(path)
    before = path.read_bytes()
    assert found(call, "format").mend == "engram migrate"
    assert "format 1" in call("migrate", "--status").stdout
    planned = call("migrate", "--dry-run").stdout
    assert "due: format 2, index entries" in planned
    assert f"a copy of {size(len(before))}" in planned
    assert path.read_bytes() == before
    report = json.loads(call("migrate", "--json").stdout)
    assert report["done"] is True
    assert [step["number"] for step in report["steps"]] == [step.number for step in built_in()[1:]]
    assert backups(path) == []
    assert "nothing to do" in call("migrate").stdout
    assert json.loads(call("migrate", "--json").stdout)["done"] is False
    assert found(call, "format").level == "ok"


def test_the_copy_of_a_migration_is_counted(path: Path) -> None:
    older(path)
    seen: list[tuple[int, int | None]] = []
    SqliteKeeper(path).upgrade(lambda done, total: seen.append((done, total)))
    assert seen[-1] == (path.stat().st_size, path.stat().st_size) or seen[-1][0] == seen[-1][1]


LOOK = """if True:
    import os, sys
    from pathlib import Path
    from engram.stores.sqlite.keeper import SqliteKeeper
    from engram.stores.sqlite.migrate import built_in
    built_in()
    if os.geteuid() == 0:
        os.setegid(65534)
        os.seteuid(65534)
    keeper = SqliteKeeper(Path(sys.argv[1]))
    print(*(f"{item.level} {item.what}" for item in keeper.look()), sep="\\n")
    print(keeper.plan().format if len(sys.argv) > 2 else "")
"""


@pytest.mark.parametrize(
    ("mode", "says"),
    [(0o444, "cannot be written"), (0o000, "cannot be read"), (0o666, "the folder .* cannot be written")],
)
def test_a_file_that_another_user_owns_is_explained(mode: int, says: str) -> None:
    """Its format is read all the same, where it can be read."""
    with TemporaryDirectory() as name:
        Path(name).chmod(0o755)
        path = Path(name) / "a.db"
        older(path)
        path.chmod(mode)
        Path(name).chmod(0o555)
        command = [sys.executable, "-c", LOOK, str(path), *(["format"] if mode else [])]
        shown = subprocess.run(command, capture_output=True, text=True, check=True).stdout
        Path(name).chmod(0o755)
    assert re.search(f"wrong .*{says}", shown)
    assert shown.splitlines()[-1] == ("1" if mode else "")


def test_the_format_of_a_file_that_cannot_be_opened_for_writing(path: Path) -> None:
    """An immutable look is enough."""
    older(path)
    assert SqliteKeeper(path).plan().format == 1
    assert {file.name for file in path.parent.iterdir()} == {path.name}


def test_rights(call: Call, filled: Path) -> None:
    filled.chmod(0o644)
    open_ = found(call, "rights")
    assert (open_.level, open_.fix) == ("warn", "rights")
    shown = call("doctor", "--fix", code=1, text="y\n")
    assert "chmod 600" in shown.stderr
    assert "no terminal: add --yes" in shown.stderr
    assert filled.stat().st_mode & 0o777 == 0o644
    call("doctor", "--fix", "--yes")
    assert filled.stat().st_mode & 0o777 == 0o600


def test_a_network_file_system(path: Path, tmp_path: Path) -> None:
    older(path)
    mounts = tmp_path / "mounts"
    for kind, warned in (("nfs4", True), ("ext4", False)):
        mounts.write_text(
            f"dev / ext4 rw 0 0\nserver:/x {tmp_path} {kind} rw 0 0\nserver:/y /elsewhere nfs rw 0 0\n"
        )
        told = [item for item in SqliteKeeper(path, mounts).look() if item.check == "place"]
        assert bool(told) is warned


def test_leftovers(call: Call, filled: Path) -> None:
    copy = filled.with_name(filled.name + ".before-1")
    copy.write_bytes(b"x" * 2000)
    part = filled.with_name("backup.jsonl.part")
    part.write_bytes(b"x")
    told = [item for item in findings(call) if item.check == "leftovers"]
    assert ["2.0 KB" in item.what for item in told] == [True, False]
    assert str(part) in str(told[1].mend)
    call("doctor", "--fix", "--yes")
    assert not copy.exists()
    assert part.exists()


def test_a_purge_that_is_owed(call: Call, filled: Path) -> None:
    with closing(SqliteStore(filled)) as store:
        store.commit(Batch((Expunge((put_one(store, a_record("canary")).id,)),)))
    assert found(call, "purge").level == "warn"
    assert "purge" in call("doctor", "--fix", "--yes").stderr
    assert found(call, "purge").level == "ok"


def test_jobs(call: Call, filled: Path) -> None:
    scope = Scope(user_id="ana")
    with closing(SqliteStore(filled)) as store:
        store.commit(
            Batch((
                PutJob(Job("old", "write", scope, START, policy="p")),
                PutJob(Job("bad", "write", scope, START, "p", status="parked", error="BadReply: no JSON")),
            ))
        )  # fmt: skip
    parked, owed = [item for item in findings(call) if item.check == "jobs"]
    assert "BadReply: no JSON" in parked.what
    assert "engram jobs show bad" in str(parked.mend)
    assert "2026-01-01" in owed.what
    assert owed.mend == "engram jobs wait"


def test_another_embedder(call: Call, path: Path) -> None:
    Memory(f"sqlite:///{path}", embedder=HashEmbedder(16)).close()
    other = found(call, "embedder", code=1)
    assert "hash-16" in other.what
    assert "engram reembed" in str(other.mend)


def test_an_embedder_that_cannot_be_loaded(call: Call, filled: Path) -> None:
    assert "no embedder 'nonsense'" in found(call, "embedder", "--embedder", "nonsense:x", code=1).what


def test_another_analyser(call: Call, filled: Path) -> None:
    damage(filled, "UPDATE info SET value = 'older' WHERE key = 'analyser'")
    assert found(call, "analyser", code=1).mend == "engram reembed"
    call("reembed")
    assert {item.level for item in findings(call)} == {"ok"}


def test_a_reembed_and_an_import_that_stopped(call: Call, path: Path) -> None:
    url, old = f"sqlite:///{path}", HashEmbedder(16)
    with Memory(url, embedder=old) as memory:
        memory.add(["a heron", "a stork"], user_id="ana")

    def stop(done: int, _total: int | None) -> None:
        if done:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        engram.reembed(url, progress=stop)
    with closing(SqliteStore(path)) as store:
        store.commit(Batch((PutInfo("import:1234", "7"),)))
    stopped = {item.check: item for item in doctor(url, embedder=old)}
    assert "stopped at 2 of 2" in stopped["reembed"].what
    assert "same file" in str(stopped["import"].mend)
    assert stopped["embedder"].level == "ok"
    call("doctor", "--fix", "--yes", code=1)
    assert engram.reembed(url).ok
    assert "reembed" not in {item.check for item in findings(call)}


def test_index_entries_that_do_not_agree(call: Call, filled: Path) -> None:
    damage(filled, "UPDATE records SET text = 'a stork' WHERE text LIKE '%heron%'")
    wrong = found(call, "index", code=1)
    assert (wrong.level, wrong.mend, wrong.fix) == ("wrong", "engram repair", "repair")
    assert found(call, "index", "--full", code=1).level == "wrong"
    call("doctor", "--fix", "--yes")
    assert found(call, "index").level == "ok"


def test_what_is_mended_brings_to_light_what_lay_behind_it(call: Call, filled: Path) -> None:
    """An old format keeps the rest from being looked at."""
    damage(filled, "UPDATE records SET text = 'a stork'")
    damage(filled, "DROP TABLE staged; DROP INDEX scopes_run; ALTER TABLE jobs DROP COLUMN priority")
    of_edges = re.findall(r"CREATE (?:TABLE edge|INDEX edge)[^;]*;", built_in()[0].script)
    damage(filled, " ".join(["DROP TABLE edge_reads; DROP TABLE edges;", *of_edges]))
    damage(filled, "PRAGMA user_version = 1")
    filled.chmod(0o640)
    said = call("doctor", "--fix", "--yes").stderr
    assert [line.split(":")[0] for line in said.splitlines() if not line.startswith(" ")] == [
        "rights",
        "format",
        "index",
    ]
    assert {item.level for item in findings(call)} == {"ok"}


def test_a_damaged_file(call: Call, filled: Path) -> None:
    call("add", "x" * 200_000)
    length = filled.stat().st_size
    with filled.open("r+b") as file:
        file.seek(length // 3)
        file.write(b"\xff" * (length // 3))
    assert any(item.level == "wrong" for item in findings(call, "--full", code=1))


def test_variables_that_are_none_of_engrams(call: Call, filled: Path) -> None:
    told = found(call, "environment", env={"ENGRAM_URI": "x", "ENGRAM_HOME": str(filled.parent)})
    assert "ENGRAM_URI" in told.what
    assert "set ENGRAM_URL" in str(told.mend)
    assert "environment" not in {item.check for item in findings(call, env=dict.fromkeys(VARIABLES, ""))}


def test_all_variables_that_are_read_are_known() -> None:
    source = Path(str(engram.config.__file__)).read_text(encoding="utf-8")
    assert set(re.findall(r"ENGRAM_[A-Z_]+", source)) <= {*VARIABLES, "ENGRAM_"}


def test_sizes_for_people() -> None:
    assert [size(count) for count in (0, 999, 1000, 1_500_000, 10**16)] == [
        "0 bytes",
        "999 bytes",
        "1.0 KB",
        "1.5 MB",
        "10000.0 TB",
    ]
