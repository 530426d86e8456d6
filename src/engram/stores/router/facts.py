"""Facts about a router's databases joined into one store's, and what is wrong between them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping

from engram.stores.router.fence import is_fact
from engram.stores.router.members import Members
from engram.stores.shared import RESERVED

__all__ = ["joined", "problems"]

_SUMS = ("bytes", "versions", "staged")
_OWN = ("format", "tag", "created")
_OF_SERVICE = "key"  # a service's keys are in the directory; a database may have some of its own


def joined(members: Members) -> dict[str, str]:
    """What `Store.info` says: a fact that some database lacks is none; where they differ, the first's."""
    every = [store.info() for _, store in members.stores()]
    directory = members.directory.info()
    shared = set.intersection(*(_facts(info) for info in every))
    found = {key: every[0][key] for key in shared}
    found |= {key: directory[key] for key in _OWN}
    for key in _SUMS:
        numbers = [int(info[key]) for info in every if key in info]
        if numbers:
            found[key] = str(sum(numbers))
    if any("purge" in info for info in every):
        found["purge"] = "pending"
    return found


def problems(members: Members) -> list[str]:
    """What the databases find wrong, and what does not agree between them."""
    stores = members.stores()
    found = [f"{name}: {line}" for name, store in stores for line in store.check()]
    every = {name: store.info() for name, store in stores}
    for key in sorted(set[str]().union(*(_facts(info) for info in every.values()))):
        values = {info.get(key) for info in every.values()}
        if len(values) > 1 and not key.startswith("copy:"):
            found.append(f"the databases differ in {key}; run engram reembed, or open the store again")
    tags = Counter(info["tag"] for info in every.values())
    for tag, count in tags.items():
        if count > 1:
            found.append(f"{count} databases have the tag {tag}, and may give two records one id")
    routes = members.every_route(members.directory.stamp())
    moving = {route.tenant for route in members.directory.routes() if route.goal or route.left}
    for name, store in stores:
        strangers = {scope.tenant for scope, _ in store.scopes() if routes.get(scope.tenant) != name}
        found += [
            f"{name}: holds tenant {tenant!r}, who does not live there; see engram tenants"
            for tenant in sorted(strangers - moving)
        ]
    return found


def _facts(info: Mapping[str, str]) -> set[str]:
    return {
        key for key in info if key not in RESERVED and not is_fact(key) and not key.startswith(_OF_SERVICE)
    }
