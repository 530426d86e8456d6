"""Many databases behind one url."""

from __future__ import annotations

from pathlib import Path

import pytest

from terminal.driver import Terminal, drives


@pytest.fixture
def routed(terminal: Terminal, tmp_path: Path) -> Terminal:
    """A terminal whose memory is a router without databases."""
    return terminal.but(ENGRAM_URL=f"router:sqlite:///{tmp_path}/directory.db")


@drives("tenants add", "tenants databases", "tenants place", "tenants list", "tenants move", "add", "search")
def test_a_tenant_moves_to_another_database(routed: Terminal, tmp_path: Path) -> None:
    assert "there is no database yet" in routed.run("tenants", "databases").words
    for name in ("one", "two"):
        added = routed.run("tenants", "add", name, f"sqlite:///{tmp_path}/{name}.db")
        assert f"{name} is added, with 0 tenants" in added.words
    assert "acme lives in two" in routed.run("tenants", "place", "acme", "two").words
    routed.run("add", "My cat is called Plum.", "--user", "ada", "--tenant", "acme")
    moved = routed.run("tenants", "move", "acme", "one")
    assert "1 records, 1 versions, 0 edges: the same there" in moved.words
    assert "acme lives in one" in moved.words
    assert "Plum" in routed.run("search", "cat", "--user", "ada", "--tenant", "acme").words
    assert "acme" in routed.run("tenants", "list", "--database", "one").words
