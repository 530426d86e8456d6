"""Engram's own export, JSON Lines."""

from __future__ import annotations

from collections.abc import Iterator

from engram.formats.base import Incoming, Skipped
from engram.formats.shapes import opening
from engram.formats.source import Source
from engram.kernel.errors import InvalidInput

__all__ = ["Engram"]


class Engram:
    """The file that `export` writes: records with their versions, edges and states, not messages.

    It is recognised here and read by the engine, which keeps ids, versions and change sets.
    """

    name = "engram"
    title = "engram's own export (JSON Lines)"

    def recognises(self, source: Source) -> bool:
        """Whether it is one file whose first line is the header of an export."""
        if source.is_folder or source.is_archive:
            return False
        return '"engram-export/' in opening(source, source.names[0]).lstrip().partition("\n")[0]

    def read(self, source: Source) -> Iterator[Incoming | Skipped]:
        """Raises `InvalidInput`: its records are restored, not added again as messages."""
        raise InvalidInput(
            f"{source.path}: an export of engram is restored by Memory.import_ or engram import, whole"
        )
