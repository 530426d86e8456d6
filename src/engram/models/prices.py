"""What a token costs: prices that the user gives, or published ones as of a date."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from engram.kernel.chat import ChatReply

__all__ = ["AS_OF", "PUBLISHED", "Price", "cost", "price_of"]

AS_OF: Final = "2026-11-21"
"""The day of the published prices."""


@dataclass(frozen=True, slots=True)
class Price:
    """US dollars for a million tokens: read, written, and read from the provider's cache (default: as read).

    Where a request reads more than `up_to` tokens another price holds, so its cost is not known.
    """

    read: float
    written: float
    cached: float | None = None
    up_to: int | None = None

    def of(self, tokens_in: int, tokens_out: int, tokens_cached: int = 0) -> float | None:
        """The cost of one call in US dollars; `None` where it is not known."""
        if self.up_to is not None and tokens_in > self.up_to:
            return None
        held = self.read if self.cached is None else self.cached
        fresh = max(0, tokens_in - tokens_cached)
        return (fresh * self.read + tokens_cached * held + tokens_out * self.written) / 1e6


# List prices of the providers' own endpoints on AS_OF, in US dollars for a million tokens.
PUBLISHED: Final[Mapping[str, Price]] = {
    "openai:gpt-4o": Price(2.5, 10, 1.25),
    "openai:gpt-4o-mini": Price(0.15, 0.6, 0.075),
    "openai:gpt-4.1": Price(2, 8, 0.5),
    "openai:gpt-4.1-mini": Price(0.4, 1.6, 0.1),
    "openai:gpt-4.1-nano": Price(0.1, 0.4, 0.025),
    "openai:gpt-5": Price(1.25, 10, 0.125),
    "openai:gpt-5-mini": Price(0.25, 2, 0.025),
    "openai:gpt-5-nano": Price(0.05, 0.4, 0.005),
    "openai:gpt-5.4-mini": Price(0.75, 4.5, 0.075),
    "openai:gpt-5.4-nano": Price(0.2, 1.25, 0.02),
    "openai:gpt-6-luna": Price(0.1, 0.5, 0.01, up_to=272_000),
    "openai:gpt-6.1-terra": Price(1, 5, 0.05, up_to=272_000),
    "openai:gpt-6.1-sol": Price(2, 10, 0.1, up_to=272_000),
    "anthropic:claude-haiku-4-5": Price(1, 5, 0.1),
    "anthropic:claude-haiku-5-5": Price(0.1, 0.5, 0.01, up_to=100_000),
    "anthropic:claude-sonnet-4-6": Price(3, 15, 0.3),
    "anthropic:claude-sonnet-5-5": Price(2, 10, 0.1),
    "anthropic:claude-opus-5-5": Price(4, 20, 0.2),
    "google:gemini-2.5-flash": Price(0.3, 2.5, 0.03),
    "google:gemini-2.5-flash-lite": Price(0.1, 0.4, 0.01),
    "google:gemini-2.5-pro": Price(1.25, 10, 0.125, up_to=200_000),
    "google:gemini-3.5-flash-lite": Price(0.3, 2.5, 0.03),
    "google:gemini-3.8-flash": Price(0.75, 3.75, 0.075),
}
"""Prices of well-known models, by their specs, as of `AS_OF`."""
_DATED = re.compile(r"(?:-\d{4}-?\d{2}-?\d{2}|-latest)$")


def price_of(name: str, given: Mapping[str, Price] | None = None) -> Price | None:
    """The price of a model by its name, such as `openai:gpt-5-mini`; `None` where none is known.

    Given ones come first, under the whole name or the model's alone (`gpt-5-mini`); a published price also
    holds for a dated name (`gpt-5-mini-2025-08-07`), and only at the provider's own endpoint.
    """
    model = name.partition(":")[2].partition("@")[0]
    for known in (name, model):
        if given and known in given:
            return given[known]
    return PUBLISHED.get(name) or PUBLISHED.get(_DATED.sub("", name))


def cost(reply: ChatReply, price: Price | None) -> float | None:
    """What a reply cost in US dollars: as the provider says, else by its price; `None` where unknown."""
    if reply.cost is not None:
        return reply.cost
    if price is None or reply.tokens_in is None or reply.tokens_out is None:
        return None
    return price.of(reply.tokens_in, reply.tokens_out, reply.tokens_cached)
