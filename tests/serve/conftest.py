"""A service of each test's own, in this process."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from serve.service import House, house


@pytest.fixture
def served(tmp_path: Path) -> Iterator[House]:
    with house(tmp_path) as made:
        yield made
