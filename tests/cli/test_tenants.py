"""`engram tenants`: databases, places and moves, and every refusal."""

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
    """Run a command, on a router unless `url` says another store; the exit code is expected to be `code`."""

    def run(*arguments: str, code: int = 0, url: str = "") -> Result:
        address = url or f"router:sqlite:///{tmp_path}/directory.db"
        result = CliRunner().invoke(app, arguments, env={"ENGRAM_URL": address})
        assert result.exit_code == code, result.output
        return result

    return run


def told(result: Result) -> list[dict[str, Any]]:
    return [json.loads(line) for line in result.stdout.splitlines()]


def test_a_store_in_use_becomes_a_database_and_its_tenant_moves(call: Call, tmp_path: Path) -> None:
    one, two = (f"sqlite:///{tmp_path}/{name}.db" for name in ("one", "two"))
    call("add", "My cat is called Plum.", "--user", "ada", "--tenant", "acme", url=one)
    assert told(call("tenants", "add", "one", one, "--json")) == [{"database": "one", "tenants": 1}]
    call("tenants", "add", "two", two)
    assert [row["versions"] for row in told(call("tenants", "databases", "--json"))] == [1, 0]
    assert told(call("tenants", "place", "other", "two", "--json"))[0]["database"] == "two"
    assert "Plum" in call("search", "cat", "--user", "ada", "--tenant", "acme").stdout
    (moved,) = told(call("tenants", "move", "acme", "two", "--json"))
    assert (moved["tenant"], moved["copied"]["records"]) == ("acme", 1)
    assert "Plum" in call("search", "cat", "--user", "ada", "--tenant", "acme").stdout
    rows = told(call("tenants", "list", "--json"))
    assert [(row["tenant"], row["database"], row["moves"]) for row in rows] == [
        ("acme", "two", 1),
        ("other", "two", 0),
    ]
    call("add", "Plum is grey.", "--user", "bo")
    assert [row["tenant"] for row in told(call("tenants", "list", "--database", "one", "--json"))] == [
        "default"
    ]
    call("verify")
    call("doctor")


def test_what_cannot_be(call: Call, tmp_path: Path) -> None:
    one, two, three = (f"sqlite:///{tmp_path}/{name}.db" for name in ("one", "two", "three"))

    def refused(*arguments: str) -> str:
        return call("tenants", *arguments, code=1).stderr

    assert "engram tenants add NAME URL" in call("add", "x", "--user", "ada", code=1).stderr
    call("tenants", "add", "one", one)
    call("add", "My cat is called Plum.", "--user", "ada")
    assert "outlives a process" in refused("add", "two", "ram:")
    assert "printable" in refused("add", "a\tb", two)
    assert "there already" in refused("add", "one", two)
    assert "a copy of its files" in refused("add", "same", one)
    call("add", "x", "--user", "bo", url=three)
    assert "lives in one" in refused("add", "three", three)
    assert "there is no database 'four'" in refused("place", "acme", "four")
    assert "there is no database 'four'" in refused("list", "--database", "four")
    assert "there is no database 'four'" in refused("move", "default", "four")
    assert "lives in one" in refused("place", "default", "one")
    assert "already" in refused("move", "default", "one")
    assert "engram tenants place" in refused("move", "nobody", "one")
    assert "is no router" in call("tenants", code=1, url=one).stderr
    assert "names no directory" in call("tenants", code=1, url="router:").stderr
