"""Where a memory's calls are carried out: on an open core here, or elsewhere, as `engram.client` does."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Concatenate, ParamSpec, Protocol, TypeVar

from engram.engine.core import Core
from engram.engine.lens import AsOf, Lens
from engram.kernel.adrive import arun
from engram.kernel.drive import run
from engram.kernel.scope import Scope
from engram.kernel.show import plain_url

__all__ = ["AsyncHere", "AsyncPlace", "Here", "Place", "Somewhere"]

P = ParamSpec("P")
T = TypeVar("T")


class Somewhere(Protocol):
    """What the faces have to know of any place.

    `present` and what `as_of` gives are for the place's own calls; a face hands them on unread.
    """

    @property
    def core(self) -> Core:
        """The open core. Raises `ConfigError` where it is elsewhere."""
        ...

    @property
    def present(self) -> Lens:
        """What is seen of the present."""
        ...

    def as_of(self, valid: datetime | None, known: datetime | None) -> AsOf:
        """What is seen of the past."""
        ...

    def scope(self, ids: Mapping[str, str]) -> Scope:
        """The scope that these ids name. Raises `InvalidInput`."""
        ...

    def address(self, ids: Mapping[str, str]) -> Scope:
        """The scope to write to."""
        ...

    def told(self) -> list[str]:
        """What a face shows of the place, without secrets: its url, its method, whether it is closed."""
        ...


class Place(Somewhere, Protocol):
    """Where the calls of the blocking face are carried out."""

    def run(
        self,
        program: Callable[Concatenate[Core, P], Coroutine[Any, Any, T]],
        /,
        *args: P.args,
        **named: P.kwargs,
    ) -> T:
        """Run a program of effects, given as the function that makes it."""
        ...

    def call(self, function: Callable[Concatenate[Core, P], T], /, *args: P.args, **named: P.kwargs) -> T:
        """Carry a blocking call out."""
        ...

    def close(self) -> None:
        """Release what is held; once more is fine."""
        ...


class AsyncPlace(Somewhere, Protocol):
    """Where the calls of the awaited face are carried out."""

    async def run(
        self,
        program: Callable[Concatenate[Core, P], Coroutine[Any, Any, T]],
        /,
        *args: P.args,
        **named: P.kwargs,
    ) -> T:
        """Run a program of effects, given as the function that makes it."""
        ...

    async def call(
        self, function: Callable[Concatenate[Core, P], T], /, *args: P.args, **named: P.kwargs
    ) -> T:
        """Carry a blocking call out, off the event loop."""
        ...

    async def close(self) -> None:
        """Release what is held; once more is fine."""
        ...


@dataclass(frozen=True)
class _Opened:
    """A core that is open in this process."""

    core: Core

    @property
    def present(self) -> Lens:
        """The store as it is now."""
        return self.core.present

    def as_of(self, valid: datetime | None, known: datetime | None) -> AsOf:
        """The store as it was."""
        return self.core.as_of(valid, known)

    def scope(self, ids: Mapping[str, str]) -> Scope:
        """The scope, of tenant `default` where none is named."""
        return Scope.of(**ids)

    def address(self, ids: Mapping[str, str]) -> Scope:
        """The scope, of user `default` where nobody is named."""
        scope = Scope.of(**ids)
        return scope if scope.named else Scope(scope.tenant, "default")

    def told(self) -> list[str]:
        """Where it is kept and its method."""
        shown = [plain_url(self.core.url), f"policy {self.core.policy.name}"]
        return [*shown, "closed"] if self.core.closed else shown


class Here(_Opened):
    """The open core, for the blocking face."""

    def run(
        self,
        program: Callable[Concatenate[Core, P], Coroutine[Any, Any, T]],
        /,
        *args: P.args,
        **named: P.kwargs,
    ) -> T:
        """Run a program of effects, blocking."""
        core = self.core
        with core.watch.call(program.__name__) as event:
            result = run(program(core, *args, **named), core.performed, concurrency=core.concurrency)
            event.gave(result)
            return result

    def call(self, function: Callable[Concatenate[Core, P], T], /, *args: P.args, **named: P.kwargs) -> T:
        """One blocking operation. Raises `StoreError` where the core is closed."""
        with self.core.watch.call(function.__name__) as event:
            result = self.core.call(lambda core: function(core, *args, **named))
            event.gave(result)
            return result

    def close(self) -> None:
        """Release the store."""
        self.core.close()


class AsyncHere(_Opened):
    """The open core, for the awaited face."""

    async def run(
        self,
        program: Callable[Concatenate[Core, P], Coroutine[Any, Any, T]],
        /,
        *args: P.args,
        **named: P.kwargs,
    ) -> T:
        """Run a program of effects on the event loop."""
        core = self.core
        with core.watch.call(program.__name__) as event:
            result = await arun(program(core, *args, **named), core.performed)
            event.gave(result)
            return result

    async def call(
        self, function: Callable[Concatenate[Core, P], T], /, *args: P.args, **named: P.kwargs
    ) -> T:
        """One blocking operation, in a thread. Raises `StoreError` where the core is closed."""
        with self.core.watch.call(function.__name__) as event:
            result = await asyncio.to_thread(self.core.call, lambda core: function(core, *args, **named))
            event.gave(result)
            return result

    async def close(self) -> None:
        """Release the store."""
        await asyncio.to_thread(self.core.close)
