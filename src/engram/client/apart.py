"""Where the calls of a memory are carried out that is a service."""

from __future__ import annotations

from typing import Any

from engram.client.service import Service


class Far:
    def __init__(self, service: Service) -> None:
        self.service = service

    def __getattr__(self, name: str) -> Any:
        raise NotImplementedError(name)


AsyncFar = Far
