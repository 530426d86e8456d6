"""Keys: who may call the service, what they may do, and whose memory they reach.

They are facts about the store, in its own database: what every process of a service on one database sees,
what no export holds and no import can bring in.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import re
import secrets
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Any, Protocol, runtime_checkable

from engram.kernel.clock import Clock, utc_now
from engram.kernel.errors import Conflict, InvalidInput, NotFound
from engram.kernel.protocols import Batch, PutInfo, RequireInfo, Store
from engram.kernel.scope import Scope

__all__ = ["EVERY", "RIGHTS", "Key", "KeyStore", "Secret", "matching", "readable"]

RIGHTS = ("metrics", "read", "write", "admin")
"""What a key may do, each including the one before it. `metrics` reaches nobody's memory."""
EVERY = "*"
"""Any tenant, or any user."""
_MARK = "engram"
_TOKEN = re.compile(_MARK + r"_(?P<id>[a-z0-9]{1,40})_(?P<secret>[A-Za-z0-9_-]{32,200})")
_PREFIX = "key:"
_FIRST = "keys"  # the fact that the first key has been made
_SECRET_BYTES = 32
_SALT_BYTES = 16
_NAMELESS = "unnamed"
_LONGEST_NAME = 100


@dataclass(frozen=True, slots=True)
class Secret:
    """A secret as it is kept: its HMAC under a random salt, and until when it may still be used."""

    salt: str
    digest: str
    until: datetime | None = None

    @classmethod
    def of(cls, text: str) -> Secret:
        """What is kept of a secret. It has 256 random bits: no slow hash has to make up for a short one."""
        salt = secrets.token_hex(_SALT_BYTES)
        return cls(salt, _digest(salt, text))

    def matches(self, text: str, now: datetime) -> bool:
        """Whether it is the same secret, compared in constant time, and still to be used."""
        same = hmac.compare_digest(_digest(self.salt, text), self.digest)
        return same and (self.until is None or now < self.until)


@dataclass(frozen=True, slots=True)
class Key:
    """Who may call: what it may do (`rights`), in which tenant, for which users, and until when.

    `tenant` is one tenant, or `*` for all. `users` is one user id, a prefix that ends in `*`, or `*` for all.
    `secrets` are the present one and, for a while after a rotation, the one before it.
    """

    id: str
    name: str
    rights: str
    tenant: str
    users: str
    created: datetime
    expires: datetime | None = None
    revoked: datetime | None = None
    secrets: tuple[Secret, ...] = field(default=(), repr=False)

    def may(self, right: str) -> bool:
        """Whether it has this right, or one that includes it."""
        return RIGHTS.index(self.rights) >= RIGHTS.index(right)

    def covers(self, tenant: str, user: str | None) -> bool:
        """Whether it reaches what belongs to this user, `None` for nobody in particular, of a tenant."""
        if self.tenant not in (EVERY, tenant):
            return False
        if self.users.endswith(EVERY):
            return self.users == EVERY or (user is not None and user.startswith(self.users[:-1]))
        return user == self.users

    def includes(self, tenant: str, users: str) -> bool:
        """Whether it reaches all that a key of this tenant and these users would."""
        if self.tenant not in (EVERY, tenant):
            return False
        if self.users.endswith(EVERY):
            return users.startswith(self.users[:-1])
        return users == self.users

    def state(self, now: datetime) -> str:
        """`active`, `expired` or `revoked`."""
        if self.revoked is not None:
            return "revoked"
        return "expired" if self.expires is not None and self.expires <= now else "active"

    def to_dict(self, now: datetime) -> dict[str, Any]:
        """What may be shown of it, as JSON values; nothing of the secret."""
        return {
            "id": self.id,
            "name": self.name,
            "rights": self.rights,
            "tenant": self.tenant,
            "users": self.users,
            "state": self.state(now),
            "created": self.created.isoformat(),
            "expires": _iso(self.expires),
            "revoked": _iso(self.revoked),
        }


@runtime_checkable
class Spread(Protocol):
    """A store that is spread over several, one of which keeps what concerns none of them."""

    @property
    def home(self) -> Store:
        """That one."""
        ...


class KeyStore:
    """The keys of a store; a router's are in its directory. Blocking and thread-safe, as stores are."""

    def __init__(self, store: Store, clock: Clock = utc_now) -> None:
        self._store, self._clock = store.home if isinstance(store, Spread) else store, clock

    def create(
        self,
        *,
        name: str = "",
        rights: str = "read",
        tenant: str = "default",
        users: str = EVERY,
        lasts: timedelta | None = None,
    ) -> tuple[Key, str]:
        """A new key and its token, which nobody can tell again. Raises `InvalidInput`."""
        return self._made(_checked(name, rights, tenant, users), lasts, ())

    def first(self) -> str | None:
        """The token of an admin key for everything, where no key has ever been made; else `None`.

        Of several processes that ask at once, one gets it.
        """
        if _FIRST in self._store.info():
            return None
        try:
            _, token = self._made(_checked("first", "admin", EVERY, EVERY), None, ((_FIRST, None),))
        except Conflict:
            return None
        return token

    def appoint(self, token: str) -> Key:
        """The admin key for everything whose token whoever runs the service has chosen.

        It is made where its id is not there, and has its secret replaced where that is another one, so that a
        changed token is a rotated key. Raises `InvalidInput` for what is no token, `Conflict` for the id of a
        key that is revoked, or that reaches less.
        """
        found = _TOKEN.fullmatch(token)
        if found is None:
            raise InvalidInput(
                "the admin key: expected engram_ID_SECRET, with an id of small letters and digits, and a "
                "secret of 32 to 200 letters, digits, - or _, such as openssl rand -hex 32 makes"
            )
        try:
            return self._appointed(found["id"], found["secret"])
        except Conflict:  # another process that starts has written it just now
            return self._appointed(found["id"], found["secret"])

    def _appointed(self, id: str, secret: str) -> Key:
        text, now = self._store.info().get(_PREFIX + id), self._clock()
        if text is None:
            made = replace(
                _checked("chosen", "admin", EVERY, EVERY), id=id, created=now, secrets=(Secret.of(secret),)
            )
            self._put(made, None, PutInfo(_FIRST, "made"))
            return made
        key = _read(text)
        if key.revoked is not None:
            raise Conflict(f"the admin key: {id} is revoked; choose one with another id")
        if (key.rights, key.tenant, key.users, key.expires) != ("admin", EVERY, EVERY, None):
            raise Conflict(f"the admin key: {id} is a key that reaches less; choose one with another id")
        if not any(item.matches(secret, now) for item in key.secrets):
            key = replace(key, secrets=(Secret.of(secret),))
            self._put(key, text)
        return key

    def all(self) -> list[Key]:
        """Every key, expired and revoked ones too, oldest first."""
        facts = self._store.info()
        found = [_read(text) for name, text in facts.items() if name.startswith(_PREFIX)]
        return sorted(found, key=lambda key: (key.created, key.id))

    def get(self, id: str) -> Key:
        """One key. Raises `NotFound`."""
        return _read(self._text(id))

    def rotate(self, id: str, grace: timedelta = timedelta(0)) -> tuple[Key, str]:
        """The key with a new secret, and its token; the old secret is good for `grace` longer.

        Raises `NotFound`, and `Conflict` for a key that is revoked.
        """
        text, now = self._text(id), self._clock()
        key = _read(text)
        if key.revoked is not None:
            raise Conflict(f"key {id} is revoked; make another one with engram keys create")
        token = secrets.token_urlsafe(_SECRET_BYTES)
        old = tuple(replace(item, until=_earlier(item.until, now + grace)) for item in key.secrets)
        kept = tuple(item for item in old if item.until is not None and item.until > now)
        fresh = replace(key, secrets=(Secret.of(token), *kept))
        self._put(fresh, text)
        return fresh, _token(id, token)

    def revoke(self, id: str) -> Key:
        """End a key for good. Raises `NotFound`; one that is revoked stays so."""
        text = self._text(id)
        key = _read(text)
        if key.revoked is None:
            key = replace(key, revoked=self._clock(), secrets=())
            self._put(key, text)
        return key

    def _made(
        self, key: Key, lasts: timedelta | None, expected: tuple[tuple[str, None], ...]
    ) -> tuple[Key, str]:
        now, token = self._clock(), secrets.token_urlsafe(_SECRET_BYTES)
        expires = None if lasts is None else now + lasts
        made = replace(
            key, id=secrets.token_hex(6), created=now, expires=expires, secrets=(Secret.of(token),)
        )
        facts = PutInfo(_PREFIX + made.id, _written(made)), PutInfo(_FIRST, "made")
        self._store.commit(Batch((RequireInfo((*expected, (_PREFIX + made.id, None))), *facts)))
        return made, _token(made.id, token)

    def _put(self, key: Key, before: str | None, *others: PutInfo) -> None:
        name = _PREFIX + key.id
        self._store.commit(Batch((RequireInfo(((name, before),)), PutInfo(name, _written(key)), *others)))

    def _text(self, id: str) -> str:
        text = self._store.info().get(_PREFIX + id)
        if text is None:
            raise NotFound(f"there is no key {id!r:.40}; engram keys lists them")
        return text


def readable(token: str) -> bool:
    """Whether it has a token's form, so that it may be that of a key which was made just now."""
    return _TOKEN.fullmatch(token) is not None


def matching(keys: Mapping[str, Key], token: str, now: datetime) -> Key | None:
    """The key whose token that is, where it may be used now; else `None`, after as much work."""
    mark, _, rest = token.partition("_")
    id, _, secret = rest.partition("_")
    key = keys.get(id) if mark == _MARK else None
    held = key.secrets if key is not None and key.secrets else (_NOBODY,)
    good = [item.matches(secret, now) for item in held]
    return key if key is not None and any(good) and key.state(now) == "active" else None


def _checked(name: str, rights: str, tenant: str, users: str) -> Key:
    """A key of these fields, still without id and secret. Raises `InvalidInput`."""
    if rights not in RIGHTS:
        raise InvalidInput(f"rights: {rights!r:.40} is not one of {', '.join(RIGHTS)}")
    if len(name) > _LONGEST_NAME or not name.isprintable():
        raise InvalidInput(f"name: at most {_LONGEST_NAME} printable characters, got {name[:40]!r}")
    if rights == "metrics" and (tenant, users) != (EVERY, EVERY):
        raise InvalidInput("rights: metrics are those of the whole service; give tenant '*' and users '*'")
    bare = users[:-1] if users.endswith(EVERY) else users
    Scope.of(tenant=tenant, **({"user_id": bare} if users != EVERY else {}))
    if EVERY in bare:
        raise InvalidInput(f"users: {users!r:.80} has {EVERY} in the middle; it may only end a prefix")
    return Key("", name or _NAMELESS, rights, tenant, users, utc_now())


def _digest(salt: str, text: str) -> str:
    return hmac.new(bytes.fromhex(salt), text.encode("utf-8", "replace"), hashlib.sha256).hexdigest()


def _token(id: str, secret: str) -> str:
    return f"{_MARK}_{id}_{secret}"


def _earlier(one: datetime | None, other: datetime) -> datetime:
    return other if one is None else min(one, other)


def _iso(moment: datetime | None) -> str | None:
    return None if moment is None else moment.isoformat()


def _moment(text: str | None) -> datetime | None:
    return None if text is None else datetime.fromisoformat(text)


def _written(key: Key) -> str:
    """A key as the store keeps it."""
    fields = {
        "id": key.id,
        "name": key.name,
        "rights": key.rights,
        "tenant": key.tenant,
        "users": key.users,
        "created": key.created.isoformat(),
        "expires": _iso(key.expires),
        "revoked": _iso(key.revoked),
        "secrets": [[item.salt, item.digest, _iso(item.until)] for item in key.secrets],
    }
    return json.dumps(fields, separators=(",", ":"))


def _read(text: str) -> Key:
    """The key that `_written` wrote."""
    fields: dict[str, Any] = json.loads(text)
    kept = tuple(Secret(salt, digest, _moment(until)) for salt, digest, until in fields.pop("secrets"))
    fields["created"] = datetime.fromisoformat(fields["created"])
    for name in ("expires", "revoked"):
        fields[name] = _moment(fields[name])
    return Key(**fields, secrets=kept)


_NOBODY = Secret("00" * _SALT_BYTES, "0" * 64)
