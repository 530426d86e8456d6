"""The demo finds what it should, fits its width, and leaves the user's own memory alone."""

import re
from pathlib import Path

import pytest
from typer.testing import CliRunner

from engram.cli.app import app


def test_the_demo_finds_most_and_keeps_to_itself(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ENGRAM_HOME", str(tmp_path))
    result = CliRunner().invoke(app, ["demo"])
    assert result.exit_code == 0, result.output
    found = re.search(r"(\d+) of (\d+) found in the first 3, (\d+) in the first 10", result.stdout)
    assert found
    first_3, asked, first_10 = map(int, found.groups())
    assert asked >= 12
    assert asked / 2 < first_3 <= first_10 <= asked
    assert result.stdout.count("never said in these months") == 2
    assert "✓" in result.stdout
    assert "<memory note=" in result.stdout
    assert max(map(len, result.stdout.splitlines())) <= 100
    assert list(tmp_path.iterdir()) == []


def test_the_demo_takes_a_policy_and_gives_reasons() -> None:
    assert "why: " in CliRunner().invoke(app, ["demo"]).stdout
    assert CliRunner().invoke(app, ["--policy", "bm25", "demo"]).exit_code == 0
