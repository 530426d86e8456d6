"""A service of each test's own, in this process."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from serve.service import House, house
from serve.speaking import Spoken, spoken


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    """A service that the tests of a file share which are refused."""
    with house(tmp_path_factory.mktemp("shared")) as made:
        yield made


@pytest.fixture(scope="session")
def talkative(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Spoken]:
    """A service as a process that the tests of MCP share; each file has a tenant of its own."""
    with spoken(tmp_path_factory.mktemp("spoken")) as made:
        yield made


@pytest.fixture
def served(tmp_path: Path) -> Iterator[House]:
    with house(tmp_path) as made:
        yield made
