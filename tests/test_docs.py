"""The Python in README.md and docs/ runs, block after block, as a reader would type it."""

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


def test_code_that_fails_is_noticed(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text("# A page\n\n```python\nassert 1 + 1 == 3\n```\n", encoding="utf-8")
    with pytest.raises(AssertionError):
        run_page(page)
