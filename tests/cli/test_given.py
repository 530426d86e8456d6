"""What people type for times, filters and texts, and the ways to the clipboard."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from engram.cli.asking import edited
from engram.cli.clipboard import copy
from engram.cli.filtering import filtered
from engram.cli.options import moment_of
from engram.kernel.errors import ConfigError, InvalidInput
from engram.operators.filters import compile_filters

DAY = timedelta(days=1)


@pytest.mark.parametrize(
    "typed, meant",
    [
        ("2024-05-02T10:00:00+02:00", "2024-05-02T10:00:00+02:00"),
        ("2024-05-02", "2024-05-02"),
        ("2024-05", "2024-05-01T00:00:00+00:00"),
        ("2024", "2024-01-01T00:00:00+00:00"),
        ("2 May 2024", "2024-05-02T00:00:00+00:00"),
        ("May 2024", "2024-05-01T00:00:00+00:00"),
        ("2 May 2024 17:30", "2024-05-02T17:30:00+00:00"),
    ],
)
def test_a_day_or_a_month_is_its_beginning(typed: str, meant: str) -> None:
    assert moment_of(typed, "--time") == meant
    assert moment_of(None, "--time") is None


def test_times_may_be_told_from_today() -> None:
    today = datetime.now(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
    found = [
        datetime.fromisoformat(moment_of(typed, "--time") or "") for typed in ("yesterday", "3 days ago")
    ]
    assert found[0] in (today - DAY, today)  # midnight may pass between
    assert found[1] in (today - 3 * DAY, today - 2 * DAY)


@pytest.mark.parametrize("typed", ["soon", "", "2024-13-45", "99999", "at the weir"])
def test_what_is_no_time_is_refused_with_examples(typed: str) -> None:
    with pytest.raises(InvalidInput, match=r"--time: .* is not a time; give one such as 2024-05-02"):
        moment_of(typed, "--time")


def test_a_day_that_two_countries_read_differently_is_refused() -> None:
    with pytest.raises(InvalidInput, match="may be two days; write the year first"):
        moment_of("05/06/2024", "--time")


@pytest.mark.parametrize(
    "typed, meant",
    [
        ("role = user", {"role": {"eq": "user"}}),
        ("role=user", {"role": {"eq": "user"}}),
        ("name != 'Ana B'", {"name": {"ne": "Ana B"}}),
        ("level = 1", {"level": {"eq": 1}}),
        ("strength >= 0.5", {"strength": {"gte": 0.5}}),
        ("name = 5", {"name": {"eq": "5"}}),
        ("metadata.page = 5", {"metadata.page": {"eq": 5}}),
        ('metadata.page = "5"', {"metadata.page": {"eq": "5"}}),
        ("metadata.done = true", {"metadata.done": {"eq": True}}),
        ("text ~ over the weir", {"text": {"contains": "over the weir"}}),
        ("text contains over the weir", {"text": {"contains": "over the weir"}}),
        ("role in user, assistant", {"role": {"in": ["user", "assistant"]}}),
        ('role in ["user"]', {"role": {"in": ["user"]}}),
        ("time >= 2024-05", {"time": {"gte": "2024-05-01T00:00:00+00:00"}}),
        ("expires exists", {"expires": {"exists": True}}),
        ("expires exists false", {"expires": {"exists": False}}),
        ('{"or": [{"role": "user"}, {"level": 2}]}', {"or": [{"role": "user"}, {"level": 2}]}),
    ],
)
def test_a_condition_is_a_filter(typed: str, meant: dict[str, Any]) -> None:
    found = filtered([typed])
    assert found == meant
    assert compile_filters(found) is not None


def test_several_conditions_must_all_hold() -> None:
    assert filtered(["role = user", "level = 0"]) == {"and": [{"role": {"eq": "user"}}, {"level": {"eq": 0}}]}
    assert filtered([]) is filtered(None) is None


@pytest.mark.parametrize(
    "typed", ["", "role", "role =", "= user", "{", "role in [", "time > soon", "a b c d ="]
)
def test_what_is_no_condition_is_refused(typed: str) -> None:
    with pytest.raises(InvalidInput):
        compile_filters(filtered([typed]))


def program(folder: Path, name: str, script: str) -> None:
    path = folder / name
    path.write_text(f"#!/bin/sh\n{script}\n", encoding="utf-8")
    path.chmod(0o755)


def test_a_desktop_s_own_program_is_the_clipboard(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The first that works: one that fails, as xclip does without a display, is passed over."""
    monkeypatch.setenv("PATH", f"{tmp_path}:/bin:/usr/bin")
    for name in ("SSH_CONNECTION", "SSH_TTY"):
        monkeypatch.delenv(name, raising=False)
    program(tmp_path, "wl-copy", "exit 1")
    program(tmp_path, "xclip", f'cat > "{tmp_path}/clipboard"')
    assert copy("a heron, 鷺") == "by xclip"
    assert (tmp_path / "clipboard").read_text(encoding="utf-8") == "a heron, 鷺"


def test_a_clipboard_too_small_says_what_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SSH_TTY", "/dev/pts/1")
    with pytest.raises(ConfigError, match="give a smaller --budget"):
        copy("x" * 80_000)


def test_an_editor_that_fails_changes_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VISUAL", "false")
    with pytest.raises(InvalidInput, match="the editor ended with 1; nothing was changed"):
        edited("words")


@pytest.mark.parametrize(("before", "typed", "after"), [("a", "b\n", "b"), ("a\n", "b\n", "b\n")])
def test_the_line_end_that_editors_add_is_none(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, before: str, typed: str, after: str
) -> None:
    (tmp_path / "typed").write_text(typed, encoding="utf-8")
    program(tmp_path, "editor", f'cp "{tmp_path}/typed" "$1"')
    monkeypatch.setenv("EDITOR", f"{tmp_path}/editor")
    monkeypatch.delenv("VISUAL", raising=False)
    assert edited(before) == after
