"""HTTP/1.1 as a service speaks it: by h11 alone, and not with who opens a connection and asks nothing."""

from __future__ import annotations

import asyncio

import h11
from uvicorn.protocols.http.h11_impl import H11Protocol

__all__ = ["spoken"]


def spoken(quiet: float) -> type[asyncio.Protocol]:
    """The protocol of a connection, which is closed where no head of a request is there in `quiet` seconds.

    It is named, so that another parser which happens to be installed is not taken: that one would set no
    limit to a head.
    """

    class Speech(H11Protocol):
        _owed: asyncio.TimerHandle | None = None

        def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
            super().connection_made(transport)
            self._wait()

        def connection_lost(self, exc: Exception | None) -> None:
            self._heard()
            super().connection_lost(exc)

        def data_received(self, data: bytes) -> None:
            super().data_received(data)
            if self.conn.their_state is not h11.IDLE:
                self._heard()
            elif self._owed is None:
                self._wait()

        def _wait(self) -> None:
            self._owed = self.loop.call_later(quiet, self._late)

        def _heard(self) -> None:
            if self._owed is not None:
                self._owed.cancel()
                self._owed = None

        def _late(self) -> None:
            self._owed = None
            if self.conn.their_state is h11.IDLE:
                self.transport.close()

    return Speech
