"""The Python in README.md and docs/ runs, block after block, as a reader would type it."""

import re
import subprocess
import sys
from pathlib import Path

import pytest
from sybil import Sybil
from sybil.parsers.markdown import PythonCodeBlockParser, SkipParser

ROOT = Path(__file__).resolve().parents[1]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]


def run_page(page: Path) -> int:
    """Run the Python blocks of one page in one namespace; gives how many ran."""
    sybil = Sybil([PythonCodeBlockParser(), SkipParser()], path=str(page.parent), pattern=page.name)
    document = sybil.parse(page)
    ran = 0
    for example in document.examples():
        example.evaluate()
        ran += 1
    return ran


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_the_code_on_a_page_runs(page: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    blocks = page.read_text(encoding="utf-8").count("\n```python\n")
    assert run_page(page) >= blocks


def test_the_readme_has_code() -> None:
    assert "\n```python\n" in (ROOT / "README.md").read_text(encoding="utf-8")


def shell_lines(page: Path) -> list[str]:
    """The commands in the shell blocks of one page."""
    blocks = re.findall(
        r"^```(?:bash|sh|console)\n(.*?)^```", page.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL
    )
    return [line.removeprefix("$ ").strip() for block in blocks for line in block.splitlines()]


def test_every_engram_command_on_a_page_exists() -> None:
    engram = Path(sys.executable).with_name("engram")
    helped = subprocess.run([engram, "--help"], capture_output=True, text=True, check=True).stdout
    known = set(re.findall(r"^\W*([a-z-]+)\s{2,}", helped, re.MULTILINE))
    asked = {line.split()[1] for page in PAGES for line in shell_lines(page) if line.startswith("engram ")}
    assert asked - {"--help", "--version"} <= known


def test_links_between_pages_lead_somewhere() -> None:
    for page in PAGES:
        targets = re.findall(r"\]\((?!https?:|#)([^)#]+)", page.read_text(encoding="utf-8"))
        assert [target for target in targets if not (page.parent / target).exists()] == []


def test_every_make_target_on_a_page_exists() -> None:
    targets = set(re.findall(r"^([.a-z-]+):", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE))
    asked = {line.split()[1] for page in PAGES for line in shell_lines(page) if line.startswith("make ")}
    assert asked <= targets


def test_code_that_fails_is_noticed(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text("# A page\n\n```python\nassert 1 + 1 == 3\n```\n", encoding="utf-8")
    with pytest.raises(AssertionError):
        run_page(page)
