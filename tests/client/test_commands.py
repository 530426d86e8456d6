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


def test_a_service_is_looked_at_from_elsewhere(
    server: Loopback, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    url, key = server.serve(AsyncMemory("ram:"), audit=tmp_path / "audit.jsonl")
    monkeypatch.setenv("ENGRAM_KEY", key)

    def run(*words: str) -> Result:
        return CliRunner().invoke(app, [*words, "--url", url])

    for user in ("ana", "bob"):
        run("add", "I moved to Lisbon.", "--user", user)
    run("edit", json.loads(run("search", "Lisbon", "--user", "ana", "--json").stdout)["id"], "No more.")
    seen = json.loads(run("top", "--once", "--json").stdout)
    assert {"add", "edit", "search"} <= seen["latency_ms"].keys()
    assert seen["latency_ms"]["edit"]["p50"] > 0
    bob = [json.loads(line) for line in run("audit", "--user", "bob", "--json").stdout.splitlines()]
    assert [line["call"] for line in bob] == ["add"]
    calls = [
        json.loads(line)["call"]
        for line in run("audit", "--since", "2026-01-01", "--json").stdout.splitlines()
    ]
    assert calls[-4:] == ["edit", "search", "add", "add"]
    _, other = server.serve(AsyncMemory("ram:"), rights="write")
    monkeypatch.setenv("ENGRAM_KEY", other)
    assert "does not take this key" in run("audit").output
