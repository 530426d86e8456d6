"""engram: a memory operating system for LLM agents.

    from engram import Memory

    memory = Memory("ram:")
    memory.add("I moved to Lisbon in May.", user_id="ana")
    memory.search("Where does she live?", user_id="ana")[0].text

Names are loaded when first used: importing this package costs a few milliseconds.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from engram.aio import AsyncMemory as AsyncMemory
    from engram.aview import AsyncView as AsyncView
    from engram.engine.chat import Budget as Budget
    from engram.engine.chat import Chat as Chat
    from engram.engine.results import Item as Item
    from engram.engine.results import Page as Page
    from engram.engine.results import Receipt as Receipt
    from engram.engine.results import Report as Report
    from engram.kernel.errors import BadReply as BadReply
    from engram.kernel.errors import BudgetExceeded as BudgetExceeded
    from engram.kernel.errors import ConfigError as ConfigError
    from engram.kernel.errors import Conflict as Conflict
    from engram.kernel.errors import EngramError as EngramError
    from engram.kernel.errors import Forbidden as Forbidden
    from engram.kernel.errors import InvalidInput as InvalidInput
    from engram.kernel.errors import MissingExtra as MissingExtra
    from engram.kernel.errors import ModelError as ModelError
    from engram.kernel.errors import ModelUnavailable as ModelUnavailable
    from engram.kernel.errors import NeedsMigration as NeedsMigration
    from engram.kernel.errors import NotFound as NotFound
    from engram.kernel.errors import StoreError as StoreError
    from engram.kernel.policy import Policy as Policy
    from engram.kernel.record import Hit as Hit
    from engram.kernel.record import Record as Record
    from engram.kernel.schema import Schema as Schema
    from engram.memory import Memory as Memory
    from engram.operators.answering import Answer as Answer
    from engram.operators.graph.subgraph import Graph as Graph
    from engram.operators.packing import Context as Context
    from engram.upkeep import copy as copy
    from engram.upkeep import reembed as reembed
    from engram.view import View as View

__version__ = "0.1.0"
"""The version of the package."""

_HOMES = {
    "engram.aio": ("AsyncMemory",),
    "engram.aview": ("AsyncView",),
    "engram.memory": ("Memory",),
    "engram.view": ("View",),
    "engram.engine.chat": ("Budget", "Chat"),
    "engram.engine.results": ("Item", "Page", "Receipt", "Report"),
    "engram.operators.answering": ("Answer",),
    "engram.operators.graph.subgraph": ("Graph",),
    "engram.operators.packing": ("Context",),
    "engram.upkeep": ("copy", "reembed"),
    "engram.kernel.policy": ("Policy",),
    "engram.kernel.record": ("Hit", "Record"),
    "engram.kernel.schema": ("Schema",),
    "engram.kernel.errors": (
        "BadReply",
        "BudgetExceeded",
        "ConfigError",
        "Conflict",
        "EngramError",
        "Forbidden",
        "InvalidInput",
        "MissingExtra",
        "ModelError",
        "ModelUnavailable",
        "NeedsMigration",
        "NotFound",
        "StoreError",
    ),
}
_HOME_OF = {name: module for module, names in _HOMES.items() for name in names}

__all__ = ["__version__", *sorted(_HOME_OF)]  # noqa: PLE0604  # pyright: ignore[reportUnsupportedDunderAll]


def __getattr__(name: str) -> Any:
    if name in _HOME_OF:
        return getattr(import_module(_HOME_OF[name]), name)
    raise AttributeError(f"module 'engram' has no attribute {name!r}")


def __dir__() -> list[str]:
    return list(__all__)
