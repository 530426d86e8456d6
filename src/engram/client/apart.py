"""Where the calls of a memory are carried out that is a service."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Mapping
from datetime import datetime
from functools import cached_property
from typing import TYPE_CHECKING, Any, Concatenate, ParamSpec, TypeVar, cast

from engram.client.calls import TALKS, UNNAMED, Then
from engram.client.moving import MOVES
from engram.client.service import Service
from engram.engine.core import Core
from engram.engine.lens import AsOf, Lens
from engram.engine.watching import Watch
from engram.kernel.errors import ConfigError
from engram.kernel.scope import Scope
from engram.kernel.show import plain_url

if TYPE_CHECKING:
    from engram.client.wire import AsyncWire, Wire

__all__ = ["AsyncFar", "Far"]

P = ParamSpec("P")
T = TypeVar("T")


class _Apart:
    """What both kinds have: a service, and no store.

    What `present` and `as_of` give is read by the calls of `engram.client` alone, which look at its times.
    """

    def __init__(self, service: Service) -> None:
        self.service = service
        self.watch = Watch("", service.url.partition(":")[0])

    @property
    def core(self) -> Core:
        """There is none here."""
        raise ConfigError(
            f"{plain_url(self.service.address)} is a service: this needs the store itself; "
            "do it where the store lies"
        )

    @property
    def present(self) -> Lens:
        """Now."""
        return cast("Lens", Then())

    def as_of(self, valid: datetime | None, known: datetime | None) -> AsOf:
        """A time in the past."""
        return cast("AsOf", Then(valid, known))

    def scope(self, ids: Mapping[str, str]) -> Scope:
        """The ids that are named, and nothing besides: the key decides the rest."""
        found = Scope.of(**ids)
        return Scope(ids.get("tenant", UNNAMED), found.user_id, found.agent_id, found.run_id)

    def address(self, ids: Mapping[str, str]) -> Scope:
        """As `scope`: whose it is where nobody is named the service decides."""
        return self.scope(ids)


class Far(_Apart):
    """A service, for the blocking face."""

    @cached_property
    def wire(self) -> Wire:
        """Its connections. Raises `MissingExtra` without the packages of `engram[client]`."""
        from engram.client.wire import Wire

        return Wire(self.service)

    def told(self) -> list[str]:
        """Where it is."""
        return [plain_url(self.service.address), "a service", *(["closed"] if self.wire.closed else [])]

    def run(
        self,
        program: Callable[Concatenate[Core, P], Coroutine[Any, Any, T]],
        /,
        *args: P.args,
        **named: P.kwargs,
    ) -> T:
        """Have the service run a program."""
        with self.watch.call(program.__name__) as event:
            done: T = self.wire.say(TALKS[program](*args, **named))
            event.gave(done)
            return done

    def call(self, function: Callable[Concatenate[Core, P], T], /, *args: P.args, **named: P.kwargs) -> T:
        """Have the service carry a call out."""
        move = MOVES.get(function)
        with self.watch.call(function.__name__) as event:
            done: T = (
                move(self.wire, *args) if move is not None else self.wire.say(TALKS[function](*args, **named))
            )
            event.gave(done)
            return done

    def close(self) -> None:
        """Close the connections."""
        self.wire.close()


class AsyncFar(_Apart):
    """A service, for the awaited face."""

    @cached_property
    def wire(self) -> AsyncWire:
        """Its connections. Raises `MissingExtra` without the packages of `engram[client]`."""
        from engram.client.wire import AsyncWire

        return AsyncWire(self.service)

    @cached_property
    def _blocking(self) -> Far:
        """For what is written to files and read from them, in a thread."""
        return Far(self.service)

    def told(self) -> list[str]:
        """Where it is."""
        return [plain_url(self.service.address), "a service", *(["closed"] if self.wire.closed else [])]

    async def run(
        self,
        program: Callable[Concatenate[Core, P], Coroutine[Any, Any, T]],
        /,
        *args: P.args,
        **named: P.kwargs,
    ) -> T:
        """Have the service run a program."""
        with self.watch.call(program.__name__) as event:
            done: T = await self.wire.say(TALKS[program](*args, **named))
            event.gave(done)
            return done

    async def call(
        self, function: Callable[Concatenate[Core, P], T], /, *args: P.args, **named: P.kwargs
    ) -> T:
        """Have the service carry a call out."""
        if function in MOVES:
            return await asyncio.to_thread(self._blocking.call, function, *args, **named)
        with self.watch.call(function.__name__) as event:
            done: T = await self.wire.say(TALKS[function](*args, **named))
            event.gave(done)
            return done

    async def close(self) -> None:
        """Close the connections."""
        await self.wire.close()
        if "_blocking" in self.__dict__:
            self._blocking.close()
