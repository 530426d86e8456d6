"""How little a service loads and does before it is ready, on any machine the same."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

from starlette.routing import Route

from engram.serve.app import build
from serve.service import PATIENCE, House

LATER = {
    "anthropic",
    "dateparser",
    "engram.bench",
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
    "urllib.request",
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
