"""The store `ram:`."""

from engram.stores.ram.store import RamStore, open_ram

__all__ = ["RamStore", "open_ram"]
