"""Giving a store to another embedder while it is in use, however often that is broken off."""

from __future__ import annotations

import json
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import engram
from engine.helpers import Facts, Ticking
from engram import Memory, ModelUnavailable, NeedsMigration
from engram.config import open_core
from engram.engine.check import REEMBED
from engram.engine.reembed import reembed as rewrite
from engram.kernel.drive import Perform
from engram.kernel.effects import Find
from engram.kernel.errors import Conflict
from engram.kernel.policy import Policy
from engram.kernel.protocols import Embedder
from engram.testing.doubles import HashEmbedder

OLD, NEW = HashEmbedder(16), HashEmbedder(24)
SAID = ["a heron on the weir", "the kettle is red", "Plum is a cat", "the tuner comes on Friday"]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "m.db"


@pytest.fixture
def url(path: Path) -> str:
    return f"sqlite:///{path}"


def opened(url: str, embedder: Embedder = OLD, policy: Policy | str = "rrf") -> Memory:
    return Memory(url, policy=policy, embedder=embedder, clock=Ticking())


def filled(url: str, count: int = 200) -> list[str]:
    """Ids of that many records of two users and two tenants, one with three versions, one closed."""
    with opened(url) as memory:
        ids = list(memory.add([f"{SAID[n % 4]} {n}" for n in range(count)], user_id="ana").ids)
        ids += memory.add("somebody else's heron", user_id="ben", tenant="other").ids
        for text in ("a stork on the weir", "a crane on the weir"):
            memory.edit(ids[0], text=text, user_id="ana")
        fact = memory.add("the door is shut", user_id="ana")
        assert fact.change_set is not None
        memory.undo(fact.change_set)
    return ids


def sizes(path: Path) -> dict[int, int]:
    """How many versions have a vector of so many bytes."""
    with closing(sqlite3.connect(path)) as link:
        return dict(link.execute("SELECT length(vector), count(*) FROM history GROUP BY 1").fetchall())


def staged(path: Path) -> int:
    with closing(sqlite3.connect(path)) as link:
        return int(link.execute("SELECT count(*) FROM staged").fetchone()[0])


def test_every_version_gets_its_new_entry(url: str, path: Path) -> None:
    filled(url)
    seen: list[tuple[int, int | None]] = []
    report = engram.reembed(url, embedder=NEW, progress=lambda done, total: seen.append((done, total)))
    assert report.ok
    assert report.mended == seen[-1][0] == seen[-1][1] == sum(sizes(path).values())
    assert sizes(path).keys() == {28}
    assert staged(path) == 0
    half = len(seen) // 2 + 1
    assert [done for done, _ in seen[:half]] == sorted(done for done, _ in seen[:half])
    with opened(url, NEW) as memory:
        assert memory.verify().ok
        assert memory.search("crane", user_id="ana")[0].text == "a crane on the weir"
        assert "reembed" not in memory.stats()
        first = memory.history(memory.search("crane", user_id="ana")[0].id)[0]
        view = memory.as_of(known=first.known.start)
        assert first.text in [hit.text for hit in view.search("heron weir 0", user_id="ana", k=50)]
    with pytest.raises(NeedsMigration, match="hash-24"):
        opened(url)


class Counting(HashEmbedder):
    """Counts texts; after `up_to` of them it fails, as an endpoint may."""

    def __init__(self, dimensions: int = 24, up_to: int = 10**9, *, local: bool = True) -> None:
        super().__init__(dimensions, local=local)
        self.up_to, self.texts = up_to, 0

    def embed(self, texts: Any) -> Any:
        """The vectors, or a refusal."""
        if self.texts + len(texts) > self.up_to:
            raise ModelUnavailable("the endpoint is down")
        self.texts += len(texts)
        return super().embed(texts)


def test_a_remote_embedder_that_fails_is_reported_and_the_next_run_goes_on(url: str, path: Path) -> None:
    filled(url)
    with pytest.raises(ModelUnavailable, match=r"endpoint is down; 128 of 20\d entries .* again"):
        engram.reembed(url, embedder=Counting(up_to=150, local=False))
    assert staged(path) == 128
    with opened(url) as memory:
        assert memory.verify().ok
        assert memory.search("crane", user_id="ana")
        whole = sum(sizes(path).values())
        assert memory.stats()["reembed"] == {"embedder": "hash-24", "staged": 128, "of": whole}
    second = Counting(local=False)
    assert engram.reembed(url, embedder=second).ok
    assert second.texts == sum(sizes(path).values()) - 128
    assert sizes(path).keys() == {28}


def test_a_run_with_yet_another_embedder_begins_anew(url: str, path: Path) -> None:
    filled(url)
    with pytest.raises(ModelUnavailable):
        engram.reembed(url, embedder=Counting(up_to=150))
    third = HashEmbedder(8)
    assert engram.reembed(url, embedder=third).ok
    assert sizes(path).keys() == {12}


KILLED = """if True:
    import os, signal, sys
    import engram
    from engram.testing.doubles import HashEmbedder
    def tell(done, total):
        if done >= int(sys.argv[2]):
            os.kill(os.getpid(), signal.SIGKILL)
    engram.reembed(sys.argv[1], embedder=HashEmbedder(24), progress=tell)
"""


@pytest.mark.parametrize("after", [1, 130, 204])
def test_a_killed_run_goes_on_where_it_stopped(url: str, path: Path, after: int) -> None:
    filled(url)
    command = [sys.executable, "-c", KILLED, url, str(after)]
    assert subprocess.run(command, check=False).returncode == -9
    kept = staged(path)
    assert kept >= after
    with opened(url) as memory:
        assert memory.verify().ok
    again = Counting()
    report = engram.reembed(url, embedder=again)
    assert report.ok
    assert sizes(path) == {28: report.mended}
    assert again.texts < 2 * report.mended - kept + 64  # written once, and about all proved


def test_it_is_searched_and_added_to_all_the_while(url: str, path: Path) -> None:
    """By another process's memory, with the old embedder: finds what it finds, and nothing of it is lost."""
    ids = filled(url)
    with opened(url) as memory:
        wanted = [hit.id for hit in memory.search("red kettle", user_id="ana")]
        said = 0

        def meanwhile(done: int, _total: int | None) -> None:
            nonlocal said
            if said < 4 and memory._bound.core.store.info().get(REEMBED):
                found = memory.search("red kettle", user_id="ana")
                assert [hit.id for hit in found] == wanted
                memory.add(f"an otter at dusk {said}", user_id="ana")
                memory.edit(ids[5 + said], text=f"a newt {said}", user_id="ana")
                assert memory.search("otter", user_id="ana")[0].text.startswith("an otter")
                memory.forget(ids[100 + said], user_id="ana")
                wanted.clear()
                wanted.extend(hit.id for hit in memory.search("red kettle", user_id="ana"))
                said += 1

        assert engram.reembed(url, embedder=NEW, progress=meanwhile).ok
    assert said == 4
    assert sizes(path).keys() == {28}
    with opened(url, NEW) as memory:
        assert memory.verify().ok
        assert len(memory.search("otter", user_id="ana", k=4)) == 4
        newts = {hit.text for hit in memory.search("newt", user_id="ana", k=4)}
        assert newts == {f"a newt {number}" for number in range(4)}


def test_who_has_it_open_with_the_old_embedder_is_told_to_open_it_again(url: str) -> None:
    """Also where the new vectors have the same size: two spaces are never compared."""
    filled(url)
    same_size = HashEmbedder(16)
    same_size.name = "another-16"
    with opened(url) as memory, opened(url) as idle:
        view = memory.as_of(known=memory.get(memory.search("crane", user_id="ana")[0].id).known.start)
        assert view.search("weir", user_id="ana")
        assert engram.reembed(url, embedder=same_size).ok
        calls: list[Any] = [
            lambda: memory.search("weir", user_id="ana"),
            lambda: idle.search("weir", user_id="ana"),
            lambda: memory.context("weir", user_id="ana"),
            lambda: view.search("weir", user_id="ana"),
            lambda: memory.add("later", user_id="ana"),
            lambda: memory.edit(memory.get_all(user_id="ana").items[0].id, text="x", user_id="ana"),
            memory.verify,
            memory.repair,
        ]
        for call in calls:
            for _ in range(2):
                with pytest.raises(NeedsMigration, match=r"another-16.*open it again"):
                    call()
        assert memory.get_all(user_id="ana").items
    with opened(url, same_size) as memory:
        assert memory.verify().ok


def test_a_reembed_that_takes_over_stops_the_other(url: str, path: Path) -> None:
    filled(url)
    took = False

    def tell(done: int, _total: int | None) -> None:
        nonlocal took
        if done and not took:
            took = True
            assert engram.reembed(url, embedder=HashEmbedder(8)).ok

    with pytest.raises(Conflict, match="another reembed"):
        engram.reembed(url, embedder=NEW, progress=tell)
    assert sizes(path).keys() == {12}


def test_two_runs_with_the_same_embedder_help_each_other(url: str, path: Path) -> None:
    filled(url)
    cores = [open_core(url, embedder=NEW, mend=True) for _ in range(2)]
    looked = False

    def tell(done: int, _total: int | None) -> None:
        nonlocal looked
        if done >= 64 and not looked:
            looked = True
            assert rewrite(cores[1]).ok

    assert rewrite(cores[0], tell).ok
    for core in cores:
        core.close()
    assert sizes(path).keys() == {28}
    assert staged(path) == 0


def test_what_is_erased_meanwhile_leaves_no_byte(url: str, path: Path) -> None:
    """Staged words and vectors go with the record."""
    canary = "xylocarpwren"
    with opened(url) as memory:
        id = memory.add([canary, *SAID], user_id="ana").ids[0]
    vector = _packed(NEW, canary)
    core = open_core(url, embedder=NEW, mend=True)

    def stop(done: int, _total: int | None) -> None:
        if done:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        rewrite(core, stop)
    core.close()
    assert any(vector in file.read_bytes() for file in path.parent.iterdir())
    with opened(url) as memory:
        assert memory.forget(id, user_id="ana").purge == "done"
    for file in path.parent.iterdir():
        data = file.read_bytes()
        assert vector not in data
        assert canary.encode() not in data
        assert id.encode() not in data
    assert engram.reembed(url, embedder=NEW).ok


def _packed(embedder: HashEmbedder, text: str) -> bytes:
    from engram.operators.retrieval.codec import pack_vectors

    return pack_vectors(embedder.embed([text]))[0][4:]


def test_another_analyser_is_rewritten_too(url: str, path: Path) -> None:
    filled(url)
    with closing(sqlite3.connect(path)) as link:
        link.execute("UPDATE info SET value = 'an older one' WHERE key = 'analyser'")
        link.execute("UPDATE records SET words = x'00ff'")
        link.execute("UPDATE versions SET words = x'00ff'")
        link.commit()
    with pytest.raises(NeedsMigration, match="analyser"):
        opened(url)
    assert engram.reembed(url, embedder=OLD).ok
    with opened(url) as memory:
        assert memory.verify().ok
        assert memory.search("crane", user_id="ana")[0].text == "a crane on the weir"


def test_a_store_that_holds_nothing_and_one_in_memory(url: str) -> None:
    assert engram.reembed(url, embedder=NEW).ok
    opened(url, NEW).close()
    assert engram.reembed("ram:", embedder=NEW).checked == 0


def test_the_same_embedder_again_mends_every_entry(url: str, path: Path) -> None:
    filled(url, 10)
    with closing(sqlite3.connect(path)) as link:
        link.execute("UPDATE versions SET vector = x'00'")
        link.commit()
    assert engram.reembed(url, embedder=OLD).ok
    assert sizes(path).keys() == {20}
    with opened(url) as memory:
        assert json.dumps(memory.stats())
        assert memory.verify().ok


def test_a_job_that_a_switch_overtakes_is_left_to_who_opens_the_store_again(url: str) -> None:
    """Its turns are stored, the receipt says so, and it is not parked."""
    with opened(url, policy=Facts()) as memory:
        core = memory._bound.core
        switched = False

        def around(perform: Perform) -> Perform:
            def performing(effect: Any, path: str) -> Any:
                nonlocal switched
                if isinstance(effect, Find) and not switched:
                    switched = True
                    assert engram.reembed(url, embedder=NEW).ok
                return perform(effect, path)

            return performing

        core.around = around
        receipt = memory.add("the cat is grey", user_id="ana")
        assert [item.event for item in receipt.items] == ["stored", "pending"]
        assert receipt.job is not None
        with pytest.raises(NeedsMigration):
            memory.wait()
    with opened(url, NEW, policy=Facts()) as memory:
        assert memory.wait()
        assert [record.kind for record in memory.get_all(user_id="ana").items] == ["episode", "fact"]
        assert memory.verify().ok


class Nothing(HashEmbedder):
    """Knows no word, quickly."""

    def __init__(self) -> None:
        super().__init__(4)
        self.name = "nothing"

    def embed(self, texts: Any) -> Any:
        """Zeros."""
        return np.zeros((len(texts), 4), np.float32)


INTERRUPTED = """
import os, signal, sqlite3, sys, threading, time
def interrupt(path):
    link = sqlite3.connect(path)
    while not link.execute("SELECT count(*) FROM staged").fetchone()[0]:
        time.sleep(0.001)
    os.kill(os.getpid(), signal.SIGINT)
signal.signal(signal.SIGINT, signal.default_int_handler)  # whoever runs the tests may ignore it
threading.Thread(target=interrupt, args=(sys.argv.pop(),), daemon=True).start()
from engram.cli import main
main()
"""


def test_the_command_says_that_what_is_written_is_kept(url: str, path: Path) -> None:
    """Interrupted as soon as anything is written, it ends with 130; given again, it goes on."""
    with opened(url, Nothing()) as memory:
        memory.add([f"{SAID[n % 4]} {n} " * 160 for n in range(1000)], user_id="ana")
    command = [sys.executable, "-c", "from engram.cli import main; main()", "--url", url, "reembed"]
    ended = subprocess.run(
        [sys.executable, "-c", INTERRUPTED, "--url", url, "reembed", str(path)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert ended.returncode == 130
    assert "goes on where this one stopped" in ended.stderr
    kept = staged(path)
    assert 0 < kept < 1000
    done = subprocess.run([*command, "--json"], capture_output=True, text=True, check=True)
    assert json.loads(done.stdout) == {"checked": 1000, "ok": True, "mended": 1000, "problems": []}
