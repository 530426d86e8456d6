"""`engram keys`: what is made, shown, rotated and revoked, and every refusal."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from engram.cli.app import app

Call = Callable[..., Result]


@pytest.fixture
def call(tmp_path: Path) -> Call:
    """Run `engram keys …` on a store of the test's own; the exit code is expected to be `code`."""

    def run(*arguments: str, code: int = 0) -> Result:
        environment = {"ENGRAM_URL": f"sqlite:///{tmp_path}/m.db"}
        result = CliRunner().invoke(app, ["keys", *arguments], env=environment)
        assert result.exit_code == code, result.output
        return result

    return run


def told(result: Result) -> list[dict[str, Any]]:
    return [json.loads(line) for line in result.stdout.splitlines()]


def test_a_key_lives_from_its_making_to_its_end(call: Call, tmp_path: Path) -> None:
    assert "there is no key yet" in call("list").output
    wanted = (
        "--name",
        "app",
        "--rights",
        "write",
        "--tenant",
        "acme",
        "--users",
        "team-*",
        "--expires",
        "90d",
    )
    [made] = told(call("create", *wanted, "--json"))
    assert (made["rights"], made["tenant"], made["users"], made["state"]) == (
        "write",
        "acme",
        "team-*",
        "active",
    )
    [turned] = told(call("rotate", made["id"], "--grace", "1h", "--json"))
    assert (turned["id"], turned["key"] == made["key"]) == (made["id"], False)
    shown = call("list")
    assert made["id"] in shown.stdout
    for token in (made["key"], turned["key"]):
        assert token.split("_", 2)[2] not in shown.stdout
        assert token.split("_", 2)[2].encode() not in (tmp_path / "m.db").read_bytes()
    [ended] = told(call("revoke", made["id"], "--yes", "--json"))
    assert (ended["state"], set(ended)) == ("revoked", set(made) - {"key"})
    assert "is revoked; make another" in call("rotate", made["id"], code=1).output


def test_people_are_told_that_it_is_shown_once(call: Call) -> None:
    result = call("create")
    assert "(read, tenant default, users *)" in result.stdout
    assert result.stdout.splitlines()[1].startswith("engram_")
    assert "not shown again" in result.output


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("create", "--rights", "root"), "not one of metrics, read, write, admin"),
        (("create", "--users", "a*b"), "may only end a prefix"),
        (("create", "--tenant", ""), "1 to 512 printable characters"),
        (("create", "--expires", "soon"), "no stretch of time"),
        (("rotate", "nothing"), "there is no key 'nothing'"),
        (("revoke", "nothing", "--yes"), "there is no key 'nothing'"),
    ],
)
def test_what_cannot_be(call: Call, arguments: tuple[str, ...], said: str) -> None:
    assert said in call(*arguments, code=1).output
