"""Commands on a service: the same as on a store, as far as they are about the memory."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from client.loopback import Loopback, loopback
from engram import AsyncMemory
from engram.cli.app import app


@pytest.fixture(scope="module")
def server() -> Iterator[Loopback]:
    with loopback() as made:
        yield made


def test_a_service_is_named_as_a_store_is(
    server: Loopback, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    url, key = server.serve(AsyncMemory("ram:"))
    monkeypatch.setenv("ENGRAM_KEY", key)
    monkeypatch.chdir(tmp_path)

    def run(*words: str, code: int = 0) -> Result:
        done = CliRunner().invoke(app, [*words, "--url", url])
        assert done.exit_code == code, done.output
        return done

    ana = ("--user", "ana")
    added = json.loads(run("add", "I moved to Lisbon.", *ana, "--json").stdout)
    id = added["items"][0]["id"]
    assert json.loads(run("search", "Where does she live?", *ana, "--json").stdout)["id"] == id
    assert "Lisbon" in run("context", "her move", *ana).stdout
    assert "Lisbon" in run("ask", "Where does she live?", *ana).stdout
    run("edit", id, "I moved to Porto.", *ana)
    assert len(run("history", id, "--json").stdout.splitlines()) == 2
    run("export", "out.jsonl.gz", *ana)
    run("forget", *ana, "--yes")
    run("import", "out.jsonl.gz")
    assert "Porto" in run("search", "Porto", *ana).stdout
    for command in ("migrate", "worker", "jobs list"):
        done = CliRunner().invoke(app, [*command.split(), "--url", url])
        assert "is a service" in done.output, command
        assert key not in done.output
    refused = CliRunner().invoke(app, ["--policy", "rrf", "stats", "--url", url])
    assert "policy: a service has settings of its own" in refused.output
