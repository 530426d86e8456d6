"""Every store keeps the contract."""

from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest

from engram.kernel.errors import ConfigError
from engram.kernel.protocols import Store
from engram.stores import open_store
from engram.testing.contract import StoreContract


class TestRam(StoreContract):
    """The plain store."""

    @pytest.fixture
    def opener(self) -> Callable[..., Store]:
        return partial(open_store, "ram:")


class TestSqlite(StoreContract):
    """The default store, surviving `kill -9`."""

    durable = True

    @pytest.fixture
    def opener(self, tmp_path: Path) -> Callable[..., Store]:
        return partial(open_store, f"sqlite:///{tmp_path}/store.db")


class TestSqliteAgainstPowerCuts(TestSqlite):
    """The default store, surviving power cuts."""

    @pytest.fixture
    def opener(self, tmp_path: Path) -> Callable[..., Store]:
        return partial(open_store, f"sqlite:///{tmp_path}/store.db", durability="power")


class TestPostgres(StoreContract):
    """The store that scales out."""

    durable = True

    @pytest.fixture
    def opener(self, postgres_url: str) -> Callable[..., Store]:
        return partial(open_store, postgres_url)


@pytest.mark.parametrize(
    ("url", "says"),
    [
        (None, "ram:, sqlite:///path"),
        ("", "ram:, sqlite:///path"),
        ("memory.db", "ram:, sqlite:///path"),
        ("mysql://host", "mysql"),
        ("postgresql:///db?schema=Big-Name", "small letters"),
        ("postgresql:///db?pool=0", "pool"),
        ("postgresql:///db?tenant=", "names no tenant"),
        ("ram:///path", "no path"),
        ("sqlite:memory.db", "sqlite:///relative/path"),
        ("sqlite:///", "sqlite:///relative/path"),
    ],
)
def test_a_url_that_names_no_store_is_explained(url: str | None, says: str) -> None:
    with pytest.raises(ConfigError, match=says):
        open_store(url)


def test_durability_is_one_of_two() -> None:
    with pytest.raises(ConfigError, match="'process' or 'power'"):
        open_store("ram:", durability="none")
