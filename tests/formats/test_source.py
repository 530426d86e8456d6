"""Files, folders and archives: what is read, what is refused, and how it is named."""

import gzip
import os
import struct
import warnings
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest

from engram.formats.source import Limits, Source
from engram.kernel.errors import InvalidInput
from formats.exports import archive

Make = Callable[[Path], Path]


def refused(path: Path, limits: Limits | None = None) -> str:
    """Why a source is refused, when it is opened or read."""
    with pytest.raises(InvalidInput) as caught:
        read_all(path, limits or Limits())
    return str(caught.value)


def read_all(path: Path, limits: Limits) -> None:
    """Every byte of a source."""
    with Source(path, limits) as source:
        for name in source.names:
            with source.open(name) as stream:
                while stream.read(1 << 20):
                    pass


def test_a_file_a_folder_and_an_archive_give_the_same(tmp_path: Path) -> None:
    folder = tmp_path / "export"
    for name, text in {"b.json": "[1]", "deep/a.txt": "one\ntwo"}.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text, encoding="utf-8")
    packed = archive(tmp_path / "export.zip", {"b.json": "[1]", "deep/a.txt": "one\ntwo"})
    for path in (folder, packed):
        with Source(path) as source:
            assert source.names == ("b.json", "deep/a.txt")
            assert source.is_archive == (path == packed)
            assert source.is_folder == (path == folder)
            assert source.place("deep/a.txt") == f"{path}/deep/a.txt"
            assert source.size("deep/a.txt") == 7
            assert source.total_bytes == 10
            assert source.head("b.json", 2) == b"[1"
            assert source.bytes_read == 0
            assert list(source.lines("deep/a.txt")) == [(1, "one"), (2, "two")]
            assert list(source.items("b.json")) == [(0, 1)]
            assert source.bytes_read == 10
    single = Source(folder / "b.json")
    assert (single.names, single.is_folder, single.is_archive) == (("b.json",), False, False)
    assert single.place("b.json") == str(folder / "b.json")
    with pytest.raises(InvalidInput, match=r"there is no file 'c\.json' in it"):
        single.open("c.json")


def test_gzip_is_opened_decompressed_and_counted_as_it_lies_there(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl.gz"
    path.write_bytes(gzip.compress(b"one\ntwo\n"))
    source = Source(path)
    assert list(source.lines("a.jsonl.gz")) == [(1, "one"), (2, "two")]
    assert source.bytes_read == source.total_bytes == path.stat().st_size


def test_files_are_measured_once_however_often_progress_is_told(tmp_path: Path) -> None:
    class Measured(Source):
        asked = 0

        def size(self, name: str) -> int:
            self.asked += 1
            return super().size(name)

    for name in "abc":
        (tmp_path / name).write_text(name, encoding="utf-8")
    with Measured(tmp_path) as source:
        assert [(source.bytes_read, source.total_bytes) for _ in range(10)] == [(0, 3)] * 10
        source.expect("ab")
        assert source.total_bytes == 2
        assert source.asked == 5


def test_total_bytes_are_those_that_are_expected(tmp_path: Path) -> None:
    with Source(archive(tmp_path / "a.zip", {"a.json": "[1]", "b.png": b"x" * 1000})) as source:
        source.expect(["a.json"])
        list(source.items("a.json"))
        assert (source.bytes_read, source.total_bytes) == (3, 3)


def test_what_is_not_there_or_no_file_is_refused(tmp_path: Path) -> None:
    assert "there is no such file or folder" in refused(tmp_path / "nothing")
    os.mkfifo(tmp_path / "pipe")
    assert "is no file and no folder; save what it gives to a file" in refused(tmp_path / "pipe")
    assert Source(tmp_path).names == ()


def test_hidden_files_are_no_part_of_a_folder(tmp_path: Path) -> None:
    for name in (".git/config", ".hidden", "__MACOSX/x.json", "a.txt"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text("x", encoding="utf-8")
    assert Source(tmp_path).names == ("a.txt",)


def test_a_link_out_of_a_folder_is_refused_and_one_inside_is_a_file(tmp_path: Path) -> None:
    inside = tmp_path / "inside"
    inside.mkdir()
    (inside / "a.txt").write_text("x", encoding="utf-8")
    (inside / "again.txt").symlink_to("a.txt")
    (inside / "round").symlink_to(inside)
    assert Source(inside).names == ("a.txt", "again.txt")
    (tmp_path / "secret").write_text("x", encoding="utf-8")
    for target in (tmp_path / "secret", tmp_path):
        link = inside / "out"
        link.symlink_to(target)
        assert f"{link}: is a link that leads out" in refused(inside)
        link.unlink()


def test_more_files_than_the_limit_are_refused(tmp_path: Path) -> None:
    for number in range(4):
        (tmp_path / f"{number}.txt").write_text("x", encoding="utf-8")
    assert "more than 3 files are in it" in refused(tmp_path, Limits(members=3))
    packed = archive(tmp_path / "a.zip", {f"{number}.txt": "x" for number in range(4)})
    assert f"{packed}: more than 3 files are in it" in refused(packed, Limits(members=3))


def test_a_million_members_are_refused_without_making_objects_of_them(tmp_path: Path) -> None:
    entry = struct.pack("<4s4B4HL2L5H2L", b"PK\1\2", 20, 3, 20, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0)
    count, size = 1_000_000, 1_000_000 * (len(entry) + 1)
    end = struct.pack("<4s4H2LH", b"PK\5\6", 0, 0, count & 0xFFFF, count & 0xFFFF, size, 4, 0)
    path = tmp_path / "many.zip"
    path.write_bytes(b"PK\3\4" + (entry + b"a") * count + end)
    assert "more than 100000 files are in it" in refused(path)


BAD_NAMES = {
    "../up.json": "leads out of the archive",
    "a/../../up.json": "leads out of the archive",
    "..\\up.json": "leads out of the archive",
    "/etc/passwd": "is an absolute path",
    "\\\\server\\share": "is an absolute path",
    "C:\\up.json": "is an absolute path",
    "c:up.json": "is an absolute path",
}


@pytest.mark.parametrize("name, reason", BAD_NAMES.items())
def test_a_member_that_leads_elsewhere_is_refused_by_name(tmp_path: Path, name: str, reason: str) -> None:
    packed = archive(tmp_path / "a.zip", {"fine.json": "[]", name: "[]"})
    message = refused(packed)
    assert message.startswith(f"{packed}/")
    assert reason in message


def link(path: Path) -> Path:
    info = zipfile.ZipInfo("conversations.json")
    info.external_attr = 0o120777 << 16
    with zipfile.ZipFile(path, "w") as packed:
        packed.writestr(info, "/etc/passwd")
    return path


def twice(path: Path) -> Path:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        with zipfile.ZipFile(path, "w") as packed:
            packed.writestr("a.json", "[1]")
            packed.writestr("a.json", "[2]")
    return path


def encrypted(path: Path) -> Path:
    archive(path, {"a.json": "[1]"})
    data = bytearray(path.read_bytes())
    data[6] |= 1  # the flag of the local header
    data[data.index(b"PK\1\2") + 8] |= 1  # and of the directory
    path.write_bytes(data)
    return path


def overlapping(path: Path) -> Path:
    archive(path, {"a.json": "[1, 2, 3]", "b.json": "[1, 2, 3]"})
    data = path.read_bytes()
    second = data.rindex(b"PK\1\2")
    path.write_bytes(data[: second + 42] + struct.pack("<L", 4) + data[second + 46 :])
    return path


def bomb(path: Path) -> Path:
    return archive(path, {"a.json": b"0" * (32 << 20)})


def unusual(path: Path) -> Path:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_LZMA) as packed:
        packed.writestr("a.json", "[1]")
    return path


def cut(path: Path) -> Path:
    data = archive(path, {"a.json": os.urandom(5000)}).read_bytes()
    path.write_bytes(data[:3000])
    return path


def damaged(path: Path) -> Path:
    with zipfile.ZipFile(path, "w") as packed:
        packed.writestr("a.json", '["an honest word"]')
    path.write_bytes(path.read_bytes().replace(b"honest", b"hornet", 1))
    return path


def lying(size: int) -> Make:
    """An archive whose only member says that it inflates to another size."""

    def make(path: Path) -> Path:
        archive(path, {"a.json": b"x" * 1000})
        data = bytearray(path.read_bytes())
        data[22:26] = struct.pack("<L", size)
        at = data.index(b"PK\1\2") + 24
        data[at : at + 4] = struct.pack("<L", size)
        path.write_bytes(data)
        return path

    return make


def not_deflated(path: Path) -> Path:
    data = bytearray(archive(path, {"a.json": b"x" * 1000}).read_bytes())
    data[36:40] = b"\xff\xff\xff\xff"
    path.write_bytes(data)
    return path


def gzip_bomb(path: Path) -> Path:
    path = path.with_suffix(".json.gz")
    path.write_bytes(gzip.compress(b"0" * (32 << 20)))
    return path


def nested_bomb(path: Path) -> Path:
    return archive(path, {"a.json.gz": gzip.compress(b"0" * (32 << 20))})


def half_gzip(path: Path) -> Path:
    path = path.with_suffix(".json.gz")
    path.write_bytes(gzip.compress(os.urandom(5000))[:3000])
    return path


HOSTILE: list[tuple[Make, str]] = [
    (link, "a.zip/conversations.json: is a link"),
    (twice, "a.zip/a.json: is there twice"),
    (encrypted, "a.zip/a.json: is encrypted"),
    (overlapping, "a.zip/"),
    (bomb, "a.zip/a.json: inflates more than 200 times"),
    (unusual, "a.zip/a.json: is compressed in an unusual way"),
    (cut, "a.zip: not a whole zip archive"),
    (damaged, "a.zip/a.json: truncated or damaged"),
    (lying(10), "a.zip/a.json: truncated or damaged"),
    (lying(2000), "a.zip/a.json: truncated"),
    (not_deflated, "a.zip/a.json: truncated or damaged"),
    (gzip_bomb, "a.json.gz: inflates more than 200 times"),
    (nested_bomb, "a.zip/a.json.gz: inflates more than 200 times"),
    (half_gzip, "a.json.gz: truncated or damaged"),
]


@pytest.mark.parametrize("make, message", HOSTILE, ids=lambda value: getattr(value, "__name__", "says"))
def test_a_hostile_archive_is_refused_by_archive_and_member(tmp_path: Path, make: Make, message: str) -> None:
    path = make(tmp_path / "a.zip")
    assert message in refused(path)


def test_what_is_not_read_is_not_inflated(tmp_path: Path) -> None:
    with Source(archive(tmp_path / "a.zip", {"big.png": b"0" * (32 << 20), "a.json": "[1]"})) as source:
        assert list(source.items("a.json")) == [(0, 1)]


def test_a_small_limit_of_files_is_none_of_their_sizes(tmp_path: Path) -> None:
    path = tmp_path / "a.zip"
    with zipfile.ZipFile(path, "w") as packed:
        packed.writestr("a.bin", os.urandom(3 << 20))
    read_all(path, Limits(members=1))
    with Source(path, Limits(members=1)) as source:
        assert source.size("a.bin") == 3 << 20


def test_the_limits_are_settings(tmp_path: Path) -> None:
    path = archive(tmp_path / "a.zip", {"a.txt": os.urandom(2000), "b.txt": os.urandom(2000)})
    assert "the limit is 1000" in refused(path, Limits(member=1000))
    assert "more than 3000 bytes" in refused(path, Limits(total=3000))
    plain = tmp_path / "a.txt"
    plain.write_bytes(b"x" * 2000)
    assert "more than 1000 bytes" in refused(plain, Limits(member=1000))


def test_a_zip_is_known_by_its_bytes_not_by_its_name(tmp_path: Path) -> None:
    renamed = archive(tmp_path / "a.zip", {"a.json": "[1]"}).rename(tmp_path / "download")
    with Source(renamed) as source:
        assert source.names == ("a.json",)
    (tmp_path / "b.zip").write_bytes(b"no archive")
    assert Source(tmp_path / "b.zip").names == ("b.zip",)
    with Source(archive(tmp_path / "empty.zip", {})) as source:
        assert source.names == ()


def test_a_name_that_is_no_text_is_refused(tmp_path: Path) -> None:
    path = archive(tmp_path / "a.zip", {"ä.json": "[]"})
    path.write_bytes(path.read_bytes().replace("ä".encode(), b"\xff\xff"))
    assert "not a whole zip archive" in refused(path)


def test_a_broken_file_can_be_looked_at(tmp_path: Path) -> None:
    path = half_gzip(tmp_path / "a")
    assert Source(path).head(path.name)
    (tmp_path / "b.json.gz").write_bytes(b"no gzip")
    with pytest.raises(InvalidInput, match=r"b\.json\.gz: truncated or damaged"):
        Source(tmp_path / "b.json.gz").head("b.json.gz")
