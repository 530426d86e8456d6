"""The documentation does what it says: every block of every page, in order."""

import re
import sys
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import get_args

import pytest

from engram.kernel.operations import Op
from engram.kernel.protocols import Store
from engram.testing.contract import StoreContract
from pages import NOT_RUN, check_output, commands, not_run, read_page

ROOT = Path(__file__).resolve().parents[2]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """An empty folder to stand in, with a memory of its own and this interpreter's commands."""
    here = tmp_path / "here"
    here.mkdir()
    monkeypatch.chdir(here)
    monkeypatch.setenv("ENGRAM_HOME", str(tmp_path / "memory"))
    monkeypatch.setenv("PATH", str(Path(sys.executable).parent), prepend=":")
    monkeypatch.setenv("PYTHONPATH", str(here), prepend=":")
    monkeypatch.syspath_prepend(here)
    before = set(sys.modules)
    yield here
    for name in set(sys.modules) - before:
        if (getattr(sys.modules[name], "__file__", None) or "").startswith(str(here)):
            del sys.modules[name]


def shell_lines() -> list[str]:
    """Every command of every page."""
    blocks = [
        block
        for page in PAGES
        for block in re.findall(
            r"^```(sh|console)\n(.*?)^```", page.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL
        )
    ]
    found = [command for language, source in blocks for command, _ in commands(language, source)]
    return [line.strip() for command in found for line in command.splitlines()]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_a_page_does_what_it_says(page: Path, folder: Path) -> None:
    ran = read_page(page, folder)
    assert len(ran) == page.read_text(encoding="utf-8").count("\n```") // 2


def test_the_readme_and_the_quick_start_have_code() -> None:
    for page in (ROOT / "README.md", ROOT / "docs" / "quickstart.md"):
        text = page.read_text(encoding="utf-8")
        assert all(f"\n```{language}\n" in text for language in ("python", "sh"))


def test_the_chatbot_has_thirty_lines() -> None:
    page = (ROOT / "docs" / "howto" / "chatbot.md").read_text(encoding="utf-8")
    (program,) = re.findall(r'^```python title="chat.py"\n(.*?)^```', page, re.MULTILINE | re.DOTALL)
    assert program.count("\n") <= 30


def test_writing_a_store_tells_of_every_part() -> None:
    page = (ROOT / "docs" / "writing-a-store.md").read_text(encoding="utf-8")
    parts = [part.__name__ for part in (*get_args(Op), *StoreContract.__bases__)]
    parts += [name for name in vars(Store) if name[0] != "_"]
    assert [name for name in parts if f"`{name}`" not in page] == []


def test_every_make_target_on_a_page_exists() -> None:
    targets = set(re.findall(r"^([.a-z-]+):", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE))
    asked = {word for line in shell_lines() if line.startswith("make ") for word in line.split()[1:2]}
    assert asked <= targets


def test_what_is_not_run_is_still_on_some_page() -> None:
    lines = shell_lines()
    assert [pattern for pattern in NOT_RUN if not any(re.match(pattern, line) for line in lines)] == []
    assert not_run("engram add words") == ""


@pytest.mark.parametrize(
    "text, says",
    [
        ("```python\nassert 1 + 1 == 3, 'sums'\n```\n", "sums"),
        ("```python\nprint('one')\n```\n\n```text\ntwo\n```\n", "the page shows\ntwo"),
        ("```sh\nfalse\n```\n", "exit code 1"),
        ("```sh\nengram serach words\n```\n", "exit code 2"),
        ("```console\n$ echo one\ntwo\n```\n", "the page shows\ntwo"),
        ("```console\n$ engram stats --sizes\n```\n", "exit code 2"),
        ("```sh\nengram bench speed --siez 3\n```\n", "--siez"),
        ("```bash\necho one\n```\n", "bash is none of"),
        ("```\nno language\n```\n", "is none of"),
        ("```json title=a.json\n{}\n```\n", "title="),
    ],
)
def test_a_page_that_is_wrong_is_noticed(text: str, says: str, folder: Path) -> None:
    page = folder / "page.md"
    page.write_text(f"# A page\n\n{text}", encoding="utf-8")
    with pytest.raises(Exception, match=re.escape(says)):
        read_page(page, folder)


def test_files_output_and_commands_work_together(folder: Path) -> None:
    page = folder / "page.md"
    page.write_text(
        "# A page\n\n"
        '```json title="deep/a.json"\n{"a": 1}\n```\n\n'
        "```console\n$ cat deep/a.json \\\n    | tr -d ' '\n{\"a\":1}\n"
        "$ engram add words --user ana\nstored  …\n```\n\n"
        "```python\nprint('one\\ntwo\\nthree')\n```\n\n```text\none\n…\n```\n",
        encoding="utf-8",
    )
    assert read_page(page, folder) == ["file", "console", "python", "text"]


def test_dots_ids_and_moments_stand_for_others() -> None:
    check_output("it", "a 12 b\nsome\nmore\nend\n", "a … b\n…\nend\n")
    now = f"{datetime.now(UTC):%Y-%m-%d %H:%M}"
    check_output("it", f"{'0' * 26} {now}\n", "06GZWG9EE000000002AJZXEGGT 2026-02-03 10:00\n")
    with pytest.raises(AssertionError, match="the page shows"):
        check_output("it", "2020-01-01 10:00\n", "2026-02-03 10:00\n")
    with pytest.raises(AssertionError, match="the page shows"):
        check_output("it", "a 12 c\n", "a … b\n")
