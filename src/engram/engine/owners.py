"""Who holds a lease: names that tell, on the same machine, whether what they stand for still goes on."""

from __future__ import annotations

import os
import platform
import uuid

__all__ = ["is_dead", "new", "over"]

_running: set[str] = set()


def new() -> str:
    """A name for one run of a job in this process; `over` says that the run has ended."""
    name = f"{platform.node()}/{os.getpid()}/{uuid.uuid4().hex}"
    _running.add(name)
    return name


def over(owner: str) -> None:
    """The run of that name has ended, whatever it left in the store."""
    _running.discard(owner)


def is_dead(owner: str) -> bool:
    """Whether what bears that name ran on this machine and is gone; False where that cannot be told.

    A name with this process's own number that is not running here is an earlier process's, as when a
    container starts again.
    """
    node, _, rest = owner.partition("/")
    pid = rest.partition("/")[0]
    if node != platform.node() or not pid.isdigit():
        return False
    if int(pid) == os.getpid():
        return owner not in _running
    try:
        os.kill(int(pid), 0)
    except ProcessLookupError:
        return True
    except OSError:
        return False
    return False
