"""Requests without a whole answer: what went wrong on the way. Needs `engram[client]`."""

from __future__ import annotations

import ssl
from collections.abc import Iterator
from socket import gaierror
from typing import Final

import httpx

from engram.client.refusals import Trouble
from engram.client.service import Service
from engram.kernel.errors import ConfigError, StoreError

__all__ = ["FAILURES", "failed"]

FAILURES: Final = (httpx.TransportError, httpx.DecodingError)
"""What an answer can fail by on its way."""
_BROKEN: Final = (httpx.NetworkError, httpx.RemoteProtocolError, httpx.ConnectTimeout, httpx.PoolTimeout)


def failed(service: Service, error: httpx.RequestError) -> Trouble:
    """What a request without an answer stands for."""
    trouble = _told(service, error)
    trouble.error.__cause__ = error
    return trouble


def _told(service: Service, error: httpx.RequestError) -> Trouble:
    where = service.address
    causes = list(_causes(error))
    bad = next((cause for cause in causes if isinstance(cause, ssl.SSLError)), None)
    if bad is not None:
        why = getattr(bad, "verify_message", "") or bad.reason or str(bad)
        return Trouble(
            ConfigError(
                f"{where}: no safe connection ({why}); mend the certificate, name the file of "
                "the authority that signed it (Service(…, verify=path)), or use a port that speaks https"
            )
        )
    if any(isinstance(cause, gaierror) for cause in causes):
        return Trouble(StoreError(f"{where}: there is no host of that name; mend the url, or the network"))
    if isinstance(error, httpx.ReadTimeout | httpx.WriteTimeout):
        return Trouble(
            StoreError(
                f"{where} has not answered in time; it may still do what was asked. Look whether it is "
                "well, or give it longer (Service(…, timeout=seconds))"
            )
        )
    if isinstance(error, httpx.ProxyError):
        return Trouble(
            StoreError(f"{where}: the proxy in between refuses ({error}); mend HTTP_PROXY, NO_PROXY")
        )
    if isinstance(error, httpx.ConnectError | httpx.ConnectTimeout):
        told = f"{where} cannot be reached ({error}); look whether engram serve runs there, and mend the url"
        return Trouble(StoreError(told), again=True, begun=False)
    told = f"the connection to {where} broke off ({str(error) or type(error).__name__}); call again"
    return Trouble(StoreError(told), again=isinstance(error, _BROKEN))


def _causes(error: BaseException | None) -> Iterator[BaseException]:
    while error is not None:
        yield error
        error = error.__cause__ or error.__context__
