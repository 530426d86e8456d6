"""Keys: what is kept of them, who matches, what they cover, and races between processes."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from engram.kernel.errors import Conflict, InvalidInput
from engram.kernel.protocols import Store
from engram.serve.keys import Key, KeyStore, matching
from engram.stores import open_store

START = datetime(2026, 1, 1, tzinfo=UTC)


class Clock:
    """A clock that stands until it is set."""

    def __init__(self) -> None:
        self.now = START

    def __call__(self) -> datetime:
        return self.now


@pytest.fixture
def store() -> Store:
    return open_store("ram:")


def found(keys: KeyStore, token: str, now: datetime = START) -> str | None:
    key = matching({key.id: key for key in keys.all()}, token, now)
    return None if key is None else key.id


def test_a_token_finds_its_key_and_a_changed_one_does_not(store: Store) -> None:
    keys = KeyStore(store, Clock())
    key, token = keys.create()
    other, _ = keys.create()
    assert found(keys, token) == key.id
    secret = token.split("_", 2)[2]
    for wrong in (
        "",
        token[:-1],
        token + "x",
        secret,
        f"engram_{other.id}_{secret}",
        f"x_{key.id}_{secret}",
        "\ud800",
    ):
        assert found(keys, wrong) is None


def test_what_is_kept_holds_no_secret(store: Store) -> None:
    _, token = KeyStore(store).create(name="app")
    kept = " ".join(store.info().values())
    secret = token.split("_", 2)[2]
    assert secret not in kept
    assert "app" in kept
    assert secret not in repr(KeyStore(store).all())


def test_it_ends_when_it_expires_and_when_it_is_revoked(store: Store) -> None:
    clock = Clock()
    keys = KeyStore(store, clock)
    short, short_token = keys.create(lasts=timedelta(hours=1))
    long, long_token = keys.create()
    assert found(keys, short_token, START + timedelta(minutes=59)) == short.id
    assert found(keys, short_token, START + timedelta(hours=1)) is None
    keys.revoke(long.id)
    assert found(keys, long_token) is None
    assert keys.revoke(long.id).revoked == START


def test_a_rotated_secret_lasts_as_long_as_it_is_given(store: Store) -> None:
    clock = Clock()
    keys = KeyStore(store, clock)
    key, first = keys.create()
    _, second = keys.rotate(key.id, timedelta(hours=1))
    assert [found(keys, token) for token in (first, second)] == [key.id, key.id]
    assert found(keys, first, START + timedelta(hours=1)) is None
    _, third = keys.rotate(key.id)
    assert [found(keys, token) for token in (first, second, third)] == [None, None, key.id]
    clock.now += timedelta(hours=2)
    keys.rotate(key.id)
    assert len(keys.get(key.id).secrets) == 1


def test_the_first_key_is_made_once(store: Store) -> None:
    keys = KeyStore(store)
    token = keys.first()
    assert token is not None
    assert keys.first() is None
    [key] = keys.all()
    assert (key.rights, key.tenant, key.users) == ("admin", "*", "*")
    keys.revoke(key.id)
    assert keys.first() is None


def test_two_changes_at_once_do_not_undo_each_other(store: Store) -> None:
    """A rotation that was read before a revocation must not bring the key back."""
    keys = KeyStore(store)
    key, _ = keys.create()
    before = keys._text(key.id)
    keys.revoke(key.id)
    with pytest.raises(Conflict):
        keys._put(key, before)
    assert keys.get(key.id).revoked is not None


@pytest.mark.parametrize(
    ("tenant", "users", "asked", "covered"),
    [
        ("*", "*", ("acme", "ana"), True),
        ("acme", "*", ("acme", None), True),
        ("acme", "*", ("acme2", "ana"), False),
        ("acme", "ana", ("acme", "ana"), True),
        ("acme", "ana", ("acme", "ana2"), False),
        ("acme", "ana", ("acme", None), False),
        ("acme", "team-*", ("acme", "team-1"), True),
        ("acme", "team-*", ("acme", "team"), False),
        ("acme", "team-*", ("acme", "Team-1"), False),
        ("acme", "team-*", ("acme", None), False),
    ],
)
def test_what_a_key_covers(tenant: str, users: str, asked: tuple[str, str | None], covered: bool) -> None:
    assert Key("1", "k", "read", tenant, users, START).covers(*asked) is covered


def test_rights_include_the_lesser_ones() -> None:
    rights = [Key("1", "k", name, "*", "*", START) for name in ("read", "write", "admin")]
    assert [[key.may(right) for right in ("read", "write", "admin")] for key in rights] == [
        [True, False, False],
        [True, True, False],
        [True, True, True],
    ]


CHOSEN = "engram_admin_" + "a1" * 32


def test_a_chosen_admin_key_is_made_once_and_no_other_first_one(store: Store) -> None:
    keys = KeyStore(store, Clock())
    assert keys.appoint(CHOSEN) == keys.appoint(CHOSEN)
    assert found(keys, CHOSEN) == "admin"
    [key] = keys.all()
    assert (key.rights, key.tenant, key.users) == ("admin", "*", "*")
    assert keys.first() is None
    assert "a1" * 32 not in str(store.info())


def test_a_chosen_admin_key_that_is_changed_is_rotated(store: Store) -> None:
    keys = KeyStore(store, Clock())
    keys.appoint(CHOSEN)
    other = "engram_admin_" + "b2" * 32
    keys.appoint(other)
    assert (found(keys, CHOSEN), found(keys, other)) == (None, "admin")


def test_a_chosen_admin_key_neither_comes_back_nor_grows(store: Store) -> None:
    keys = KeyStore(store, Clock())
    keys.appoint(CHOSEN)
    keys.revoke("admin")
    with pytest.raises(Conflict, match="revoked"):
        keys.appoint(CHOSEN)
    small, _ = keys.create(rights="read")
    with pytest.raises(Conflict, match="reaches less"):
        keys.appoint(f"engram_{small.id}_" + "c3" * 32)
    assert keys.get(small.id).rights == "read"


@pytest.mark.parametrize(
    "token", ["", "secret", "engram_admin_short", f"engram_Admin_{'a' * 32}", CHOSEN + "\n"]
)
def test_what_is_no_token_is_not_appointed(store: Store, token: str) -> None:
    with pytest.raises(InvalidInput, match="engram_ID_SECRET"):
        KeyStore(store).appoint(token)
    assert not KeyStore(store).all()
