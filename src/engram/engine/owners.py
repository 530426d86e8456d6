"""Who holds a lease: names that tell, on the same machine, whether their process still lives."""

from __future__ import annotations

import os
import platform
import uuid

__all__ = ["is_dead", "new"]


def new() -> str:
    """A name for one run of a job in this process."""
    return f"{platform.node()}/{os.getpid()}/{uuid.uuid4().hex}"


def is_dead(owner: str) -> bool:
    """Whether the process of that name ran on this machine and is gone; False where that cannot be told."""
    node, _, rest = owner.partition("/")
    pid = rest.partition("/")[0]
    if node != platform.node() or not pid.isdigit():
        return False
    try:
        os.kill(int(pid), 0)
    except ProcessLookupError:
        return True
    except OSError:
        return False
    return False
