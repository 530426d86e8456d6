"""Exports: the same memory gives the same bytes, whole, by scope or by time; an import keeps everything."""

from __future__ import annotations

import gzip
import json
import os
from collections.abc import Callable
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.helpers import Counting, Facts, Ticking
from engine.test_portable import lively
from engram import Conflict, InvalidInput, Memory, NotFound
from engram.kernel.protocols import Batch, Committed, Reserve, Store

USERS = ("u", "v")
Step = tuple[str, int, str]
SAID = ("home is Porto", "home is Lisbon", "tea is good", "rain", 'rain\u2028and "quotes" \\ é 茶')


def told(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").split("\n") if line]


def sqlite(folder: Path, name: str) -> str:
    return f"sqlite:///{folder / name}.db"


def act(memory: Memory, steps: list[Step], clock: Ticking) -> None:
    """Add, edit, forget, take back and tend, in the order of the steps."""
    numbers = count()
    sets: list[str] = []
    for what, place, text in steps:
        clock.skip(minutes=7)
        user = USERS[place % 2]
        found = memory.get_all(user_id=user, filters={"kind": "episode"}).items
        record = found[place % len(found)] if found else None
        if what == "add" or record is None:
            message = {"content": text, "id": f"m{next(numbers)}"}
            receipt = memory.add(message, user_id=user, run_id="r" if place % 3 == 0 else None)
        elif what == "edit":
            receipt = memory.edit(record.id, text=f"{text} {place}")
        elif what == "forget":
            receipt = memory.forget(record.id)
        elif what == "undo" and sets:
            try:
                receipt = memory.undo(sets.pop(place % len(sets)))
            except (Conflict, NotFound):  # later changes stand on it, or what it made was erased
                continue
        else:
            receipt = memory.tend(user_id=user)
        sets += [receipt.change_set] if receipt.change_set else []


steps = st.lists(
    st.tuples(
        st.sampled_from(("add", "add", "add", "edit", "forget", "undo", "tend")),
        st.integers(0, 9),
        st.sampled_from(SAID),
    ),
    max_size=14,
)


@settings(max_examples=15, deadline=None)
@given(steps, st.sampled_from((Facts, Counting)), st.booleans())
def test_any_memory_comes_back_byte_for_byte(
    tmp_path_factory: pytest.TempPathFactory, done: list[Step], policy: Any, onto_file: bool
) -> None:
    folder = tmp_path_factory.mktemp("trip")
    clock = Ticking()
    urls = ("ram:", sqlite(folder, "two"))
    first, second = urls if onto_file else reversed(urls)
    with Memory(first, policy=policy(), clock=clock) as one:
        act(one, done, clock)
        one.export(folder / "one")
        one.export(folder / "u", user_id="u")
        shown = [[hit.id for hit in one.search("home rain tea", user_id=user)] for user in USERS]
    with Memory(second, policy=policy(), clock=clock, seed=7) as two:
        two.import_(folder / "one")
        two.export(folder / "two")
        assert (folder / "two").read_bytes() == (folder / "one").read_bytes()
        assert [[hit.id for hit in two.search("home rain tea", user_id=user)] for user in USERS] == shown
        assert two.verify().ok
    with Memory("ram:", policy=policy(), clock=clock, seed=8) as three:
        for number in range(3):
            three.edit(three.add(f"there before {number}", user_id="w").ids[0], text="changed")
        three.import_(folder / "u")
        three.export(folder / "three", user_id="u")
        assert (folder / "three").read_bytes() == (folder / "u").read_bytes()


def test_change_sets_of_an_import_can_be_taken_back(tmp_path: Path) -> None:
    clock, path = Ticking(), tmp_path / "x.jsonl"
    with Memory("ram:", clock=clock) as memory:
        both = memory.add(["one", "two"], user_id="u")
        memory.edit(both.ids[0], text="ONE")
        memory.export(path)
        before = [version.text for version in memory.history(both.ids[0])]
    with Memory(sqlite(tmp_path, "m"), clock=clock) as memory:
        for number in range(40):
            memory.add(f"there before {number}", user_id="w")
        memory.import_(path)
        assert [version.text for version in memory.history(both.ids[0])] == before
        edited = memory.get(both.ids[0])
        memory.undo(edited.opened)
        assert memory.get(both.ids[0]).text == "one"
        memory.undo(memory.get(both.ids[1]).opened)
        assert memory.get_all(user_id="u").items == ()
        assert len(memory.get_all(user_id="w").items) == 40


def test_an_import_that_was_stopped_groups_alike_when_it_goes_on(tmp_path: Path) -> None:
    clock, path = Ticking(), tmp_path / "x.jsonl"
    with Memory("ram:", clock=clock) as memory:
        memory.add([f"said {number}" for number in range(1200)], user_id="u")
        memory.export(path)

    class Stop(Exception):
        pass

    def stop(done: int, total: int | None) -> None:
        if total is not None and done > total * 0.7:
            raise Stop

    with Memory(sqlite(tmp_path, "m"), clock=clock) as memory:
        with pytest.raises(Stop):
            memory.import_(path, progress=stop)
        memory.add("meanwhile", user_id="w")
        again = memory.import_(path)
        assert again.stored > 0
        assert again.duplicate > 0
        assert again.stored + again.duplicate == 1200
        memory.export(tmp_path / "y.jsonl", user_id="u")
        assert (tmp_path / "y.jsonl").read_bytes() == path.read_bytes()
        assert not [key for key in memory._bound.core.store.info() if key.startswith("import:")]


@dataclass
class Meddling:
    """A store where something happens right after the first commit of one kind of operation."""

    inner: Store
    kind: type
    meddle: Callable[[], None]
    met: bool = False

    def commit(self, batch: Batch) -> Committed:
        """As the store's; then the meddling."""
        done = self.inner.commit(batch)
        if not self.met and any(isinstance(op, self.kind) for op in batch.ops):
            self.met = True
            self.meddle()
        return done

    def __getattr__(self, name: str) -> Any:
        return getattr(self.inner, name)


def test_two_who_import_the_same_file_at_once_store_it_once_and_count_right(tmp_path: Path) -> None:
    clock, path, url = Ticking(), tmp_path / "x.jsonl", sqlite(tmp_path, "m")
    with Memory("ram:", policy=Facts(), clock=clock) as memory:
        for number in range(300):
            memory.add([f"home is {number}", f"tea is {number}"], user_id="u", infer=number < 2)
        memory.export(path)

    class Stop(Exception):
        pass

    def stop(done: int, total: int | None) -> None:
        if total is not None and done > total * 0.6:
            raise Stop

    with Memory(url, clock=clock) as memory, Memory(url, clock=clock) as other:

        def first_page() -> None:
            with pytest.raises(Stop):
                other.import_(path, progress=stop)

        core: Any = memory._bound.core
        core.store = Meddling(core.store, Reserve, first_page)
        report = memory.import_(path)
        held = memory.stats()["records"]
        assert (report.stored, report.duplicate) == (held - 500, 500)
        memory.export(tmp_path / "y.jsonl")
        assert (tmp_path / "y.jsonl").read_bytes() == path.read_bytes()
        assert other.import_(path).stored == 0


def test_a_name_that_ends_in_gz_is_compressed_the_same_way_each_time(tmp_path: Path) -> None:
    clock = Ticking()
    plain, packed, again = (tmp_path / name for name in ("x.jsonl", "x.jsonl.gz", "other.jsonl.gz"))
    with Memory("ram:", policy=Facts(), clock=clock) as memory:
        lively(memory, clock)
        for path in (plain, packed, again):
            assert memory.export(path) == 9
    assert gzip.decompress(packed.read_bytes()) == plain.read_bytes()
    assert packed.read_bytes() == again.read_bytes()
    with Memory("ram:", policy=Facts(), clock=clock) as memory:
        assert memory.import_(packed).stored == 9
        memory.export(again)
    assert packed.read_bytes() == again.read_bytes()


def test_a_stretch_of_time_has_what_was_said_in_it_and_what_that_stands_on(tmp_path: Path) -> None:
    clock, path = Ticking(), tmp_path / "x.jsonl"
    with Memory("ram:", policy=Facts(), clock=clock) as memory:
        for day in range(1, 6):
            memory.add({"content": f"day {day} is here", "time": f"2026-01-0{day}"}, user_id="u")
        memory.add({"content": "day 2 is here", "time": "2026-01-04T10:00:00Z"}, user_id="u")
        assert memory.export(path, since="2026-01-02", until="2026-01-04", user_id="u") == 5
        with pytest.raises(InvalidInput, match="does not lie after"):
            memory.export(path, since="2026-01-02", until="2026-01-02")
        with pytest.raises(InvalidInput, match="since"):
            memory.export(path, since="soon")
    records = [line for line in told(path) if line["type"] == "record"]
    assert sorted((record["kind"], record["text"], record["time"][:10]) for record in records) == [
        ("episode", "day 2 is here", "2026-01-02"),
        ("episode", "day 2 is here", "2026-01-04"),
        ("episode", "day 3 is here", "2026-01-03"),
        ("fact", "day 2 is here", "2026-01-02"),
        ("fact", "day 3 is here", "2026-01-03"),
    ]
    with Memory("ram:", policy=Facts(), clock=clock) as memory:
        assert memory.import_(path).stored == 5
        memory.export(tmp_path / "y.jsonl")
        assert memory.verify().ok
    assert (tmp_path / "y.jsonl").read_bytes() == path.read_bytes()


def whole(tmp_path: Path) -> tuple[Path, list[str]]:
    path = tmp_path / "x.jsonl"
    with Memory("ram:") as memory:
        memory.add(["apple", "pear", "plum"], user_id="u")
        memory.export(path)
    return path, path.read_text().splitlines()


@pytest.mark.parametrize("kept", range(1, 6))
def test_a_file_that_is_cut_off_is_refused_before_anything_is_stored(tmp_path: Path, kept: int) -> None:
    path, lines = whole(tmp_path)
    assert len(lines) == 6
    path.write_text("\n".join(lines[:kept]) + "\n")
    with Memory("ram:") as memory:
        with pytest.raises(InvalidInput, match="cut off"):
            memory.import_(path)
        path.write_text("\n".join(lines)[:-9])
        with pytest.raises(InvalidInput, match=r"x.jsonl:6: not JSON"):
            memory.import_(path)
        assert memory.scopes() == []


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        (lambda lines: [*lines[:3], lines[2], *lines[3:]], r":4: id '.*' is a record's before it"),
        (lambda lines: [*lines, lines[1]], ":7: stands behind the end"),
        (
            lambda lines: [line.replace("[[1,null]]", "[[9,null]]") for line in lines],
            "change set 9 has no line",
        ),
        (lambda lines: [line.replace("[[1,null]]", "[[1]]") for line in lines], ":2: a broken record line"),
        (
            lambda lines: [line.replace("[[1,null]]", "[[-1,null]]") for line in lines],
            "no number of a change",
        ),
        (
            lambda lines: [line.replace("[[1,null]]", "[[true,null]]") for line in lines],
            "no number of a change",
        ),
        (lambda lines: [line.replace("[[1,null]]", "[]") for line in lines], "expected 1 pairs"),
        (lambda lines: [line.replace('"changes"', '"x"') for line in lines], ":2: a broken record line"),
    ],
)
def test_a_file_that_was_tampered_with_is_refused(tmp_path: Path, change: Any, complaint: str) -> None:
    path, lines = whole(tmp_path)
    path.write_text("\n".join(change(lines)) + "\n")
    with Memory("ram:") as memory:
        with pytest.raises(InvalidInput, match=complaint):
            memory.import_(path)
        assert memory.scopes() == []


def test_two_records_with_one_callers_id_are_refused(tmp_path: Path) -> None:
    path, lines = whole(tmp_path)
    path.write_text("\n".join(line.replace('"origin":null', '"origin":"mine"') for line in lines))
    with Memory("ram:") as memory, pytest.raises(InvalidInput, match=":3: caller's id 'mine'"):
        memory.import_(path)


def test_an_export_shows_the_store_as_it_stood_when_it_began(tmp_path: Path) -> None:
    path, clock = tmp_path / "x.jsonl", Ticking()
    with Memory("ram:", policy=Facts(), clock=clock) as memory:
        ids = [memory.add(f"thing {number} is here", user_id="u").ids[0] for number in range(300)]
        memory.export(path)
        before = path.read_bytes()

        def meanwhile(done: int, total: int | None) -> None:
            memory.add("later is now", user_id="u")
            memory.edit(ids[0], text=f"thing {done} is elsewhere")

        memory.export(path, progress=meanwhile)
    assert path.read_bytes() == before


def test_an_export_starts_again_where_something_is_erased_meanwhile(tmp_path: Path) -> None:
    path = tmp_path / "x.jsonl"
    with Memory("ram:") as memory:
        ids = memory.add(["apple", "pear"], user_id="u").ids
        erased: list[str] = []

        def once(done: int, total: int | None) -> None:
            if not erased:
                erased.extend(memory.forget(ids[0]).ids)

        assert memory.export(path, progress=once) == 1
        assert "apple" not in path.read_text()

        def always(done: int, total: int | None) -> None:
            memory.forget(memory.add("passing", user_id="w").ids[0])

        with pytest.raises(Conflict, match="export again"):
            memory.export(path, progress=always)
        assert sorted(item.name for item in tmp_path.iterdir()) == ["x.jsonl"]


def test_what_an_older_engram_wrote_is_read(tmp_path: Path) -> None:
    path, lines = whole(tmp_path)
    old = [json.loads(line) for line in lines[:4]]
    old[0]["format"] = "engram-export/1"
    for line in old[1:]:
        del line["changes"]
    old.append({"type": "change_set", "id": "1", "versions": [[line["id"], 1] for line in old[1:]]})
    path.write_text("".join(json.dumps(line) + "\n" for line in old))
    with Memory("ram:") as memory:
        assert memory.import_(path).stored == 3
        assert memory.verify().ok


def test_a_dry_run_checks_the_whole_file_and_stores_nothing(tmp_path: Path) -> None:
    path, _ = whole(tmp_path)
    told: list[tuple[int, int | None]] = []
    with Memory(sqlite(tmp_path, "m")) as memory:
        found = memory.import_(path, dry_run=True, progress=lambda done, total: told.append((done, total)))
        assert (found.stored, found.duplicate, found.dry_run) == (3, 0, True)
        assert memory.scopes() == []
        assert memory.import_(path).stored == 3
        assert memory.import_(path, dry_run=True).duplicate == 3
    assert [done for done, _ in told] == sorted(done for done, _ in told)
    assert told[-1] == (path.stat().st_size, path.stat().st_size)


def test_a_link_stays_a_link_and_a_device_a_device(tmp_path: Path) -> None:
    far, link = tmp_path / "far.jsonl", tmp_path / "link.jsonl"
    link.symlink_to(far)
    with Memory("ram:") as memory:
        memory.add("rain", user_id="u")
        memory.export(link)
        assert link.is_symlink()
        assert [line["type"] for line in told(far)] == ["header", "record", "change_set", "end"]
        os.mkfifo(tmp_path / "pipe")
        with pytest.raises(InvalidInput, match="pipe: is a device or a pipe; give the path of a file"):
            memory.export(tmp_path / "pipe")
        (tmp_path / "to-pipe").symlink_to(tmp_path / "pipe")
        with pytest.raises(InvalidInput, match="to-pipe: is a device or a pipe"):
            memory.export(tmp_path / "to-pipe")
        with pytest.raises(InvalidInput, match="pipe: is no file and no folder"):
            memory.import_(tmp_path / "pipe")
    assert (tmp_path / "pipe").is_fifo()
