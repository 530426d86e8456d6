"""How `/mcp` of a service is reached: by which names, and with what, whatever the key."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from ipaddress import ip_address
from urllib.parse import urlsplit

from engram.kernel.errors import Forbidden

__all__ = ["Doorway", "Names"]


@dataclass(frozen=True)
class Names:
    """The names that a service is called by: those of this machine, and `others`.

    A page that has its own name point at this machine (DNS rebinding) sends that name as Host and Origin.
    With `any_host`, as behind a proxy that other machines reach, Host may be anything.
    """

    others: frozenset[str] = frozenset()
    any_host: bool = False

    def check(self, host: str, origin: str | None) -> None:
        """Raise `Forbidden` for the headers of a request that a page of another site made."""
        if not self.any_host and not self._ours(f"//{host}"):
            raise Forbidden(f"Host: {host!r:.100} is no name of this service; start it with --allow-host")
        if origin is not None and not self._ours(origin):
            raise Forbidden(f"Origin: {origin!r:.100} is another site; start the service with --allow-host")

    def _ours(self, address: str) -> bool:
        try:
            name = urlsplit(address).hostname or ""
            return name in self.others or name == "localhost" or ip_address(name).is_loopback
        except ValueError:
            return False


@dataclass(frozen=True)
class Doorway:
    """The door of `/mcp`: the names it is called by, and scope ids that hold for every key.

    `read_only`: nobody may change anything through it. `alone`: the service has no other routes.
    """

    names: Names = field(default_factory=Names)
    fixed: Mapping[str, str | None] = field(default_factory=dict)
    read_only: bool = False
    alone: bool = False
