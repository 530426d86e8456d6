"""The start of a service: how little it loads before it is ready, and where its secrets come from."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest
from starlette.routing import Route
from typer.testing import CliRunner

from engram import Memory
from engram.cli.app import app
from engram.serve.app import build
from serve.service import PATIENCE, House, process

LATER = {
    "anthropic",
    "dateparser",
    "engram.bench",
    "engram.client.apart",
    "engram.client.calls",
    "engram.client.wire",
    "engram.operators.extraction.patterns",
    "engram.serve.mcp",
    "google",
    "httpx",
    "hypothesis",
    "matplotlib",
    "mcp",
    "networkx",
    "opentelemetry.sdk",
    "psycopg",
    "pytest",
    "scipy",
    "tokenizers",
    "torch",
    "usearch",
    "xml",
}
"""What a service on a file, with the default policy and embedder, has no use for until somebody asks."""
LINE = re.compile(r"import time: +\d+ \| +\d+ \| +([\w.]+)$")


def test_what_nobody_has_asked_for_is_not_loaded(tmp_path: Path) -> None:
    command = [sys.executable, "-X", "importtime", "-m", "engram.cli", "serve", "--port", "0", "--json"]
    said = tmp_path / "imports.txt"
    with said.open("w") as errors:
        child = subprocess.Popen(
            [*command, "--url", f"sqlite:///{tmp_path}/m.db"], stdout=subprocess.PIPE, stderr=errors
        )
        assert child.stdout is not None
        with child.stdout:
            told = child.stdout.readline()
            child.terminate()
        assert child.wait(PATIENCE) == 0
    assert told.startswith(b'{"url"')
    loaded = {found[1] for line in said.read_text().splitlines() if (found := LINE.match(line))}
    assert {"fastapi", "numpy", "engram.operators.retrieval.fuse", "engram.serve.own"} <= loaded
    assert {name for name in loaded if any(f"{name}.".startswith(f"{late}.") for late in LATER)} == set()


def test_every_route_is_made_before_the_first_request(served: House) -> None:
    """A router that is included makes its routes again at the first request, which then takes a second."""
    routes = build(served.service).routes
    assert [route for route in routes if not isinstance(route, Route)] == []


def test_a_container_gets_its_key_and_its_url_from_files(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Neither is printed; the audit goes to standard output, where lines are gathered."""
    url, token = f"sqlite:///{tmp_path}/m.db", "engram_admin_" + "a1" * 32
    for name, value in (("ADMIN_KEY", token), ("URL", url)):
        (tmp_path / name).write_text(value + "\n")
        monkeypatch.setenv(f"ENGRAM_{name}_FILE", str(tmp_path / name))
    with process(None, "--audit", "-", token=token) as service, service.client() as client:
        assert client.post("/engram/v1/memories", json={"messages": "hello", "user_id": "ana"}).is_success
        assert service.child.stdout is not None
        noted = json.loads(service.child.stdout.readline())
        assert service.stop() == 0
    assert service.told["key"] is None
    assert (noted["key"], noted["call"], noted["count"]) == ("admin", "add", 1)
    with Memory(url) as memory:
        assert len(memory.get_all(user_id="ana").items) == 1


@pytest.mark.parametrize(
    ("name", "held", "says"),
    [
        ("ENGRAM_ADMIN_KEY_FILE", "short", "expected engram_ID_SECRET"),
        ("ENGRAM_ADMIN_KEY_FILE", "\n", "is empty"),
        ("ENGRAM_ADMIN_KEY_FILE", None, "cannot be read"),
        ("ENGRAM_URL_FILE", "ram:", "both set"),
    ],
)
def test_a_secret_that_cannot_be_used_is_told_without_it(
    tmp_path: Path, name: str, held: str | None, says: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "held"
    if held is not None:
        path.write_text(held)
    monkeypatch.setenv(name, str(path))
    monkeypatch.setenv("ENGRAM_URL", "ram:")
    call = CliRunner().invoke(app, ["serve", "--port", "0"])
    assert call.exit_code == 1
    assert says in call.stderr
    assert "short" not in call.output
