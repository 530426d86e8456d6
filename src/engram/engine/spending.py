"""What model calls take: counted in the store for all processes, held to the budget before they begin."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from math import ceil
from typing import Any

from engram.engine.chat import Budget
from engram.engine.core import Core
from engram.kernel.chat import ChatReply, ChatRequest
from engram.kernel.errors import BudgetExceeded, ConfigError, Conflict
from engram.kernel.protocols import Batch, PutState, StateRow
from engram.kernel.scope import Scope
from engram.models.prices import Price, cost

__all__ = ["COUNTS", "Call", "Ledger", "estimate", "spent"]

COUNTS = ("model_calls", "tokens_in", "tokens_out", "tokens_cached", "cost", "unpriced_calls")
_KEEPER = "engram.usage"
_ALL = "all"
_TRIES = 200
_MESSAGE = 8  # tokens around each message
_PATIENCE = 60.0  # seconds to wait for what other calls have set aside
_LOOK = 0.02
_LEAST = 16  # tokens; a reply that may not be longer is not worth asking for
Values = dict[str, Any]


class _Crowded(BudgetExceeded):
    """Refused for what other calls, still under way, have set aside."""


def estimate(request: ChatRequest) -> int:
    """An upper estimate of the tokens that a request reads: a token for three bytes, and some around each."""
    sizes = [len(message.text.encode("utf-8", "replace")) for message in request.messages]
    sizes += [len(str(request.schema).encode())] if request.schema is not None else []
    return sum(ceil(size / 3) + _MESSAGE for size in sizes)


@dataclass
class Call:
    """One call that is under way, and what was set aside for it."""

    request: ChatRequest
    day: str
    tokens: int = 0
    cost: float = 0.0
    reply: ChatReply | None = None
    usage: dict[str, float] = field(default_factory=dict)


@dataclass
class Ledger:
    """The account of one (tenant, user, agent), and of the whole store, under a budget."""

    core: Core
    lane: Scope
    budget: Budget
    price: Price | None
    model: str

    @contextmanager
    def call(self, request: ChatRequest) -> Iterator[Call]:
        """Set aside what the call may take at most, and settle what it took when `reply` is set.

        The request may come back with a smaller `max_tokens`. Raises `BudgetExceeded`, and `ConfigError`
        where there is a limit in money and the model's price is not known; then nothing was asked.
        """
        begun = self._begin(request)
        try:
            yield begun
        finally:
            self._settle(begun)

    def _begin(self, request: ChatRequest) -> Call:
        if self.budget.money and self.price is None:
            raise ConfigError(
                f"the budget is in money, and the price of {self.model!r} is not known: "
                "give Chat(prices={…}), or limit tokens"
            )
        now = self.core.now()
        begun = Call(self._within_call(request), now.date().isoformat())
        if not self.budget.limited:
            return begun
        read, written = estimate(begun.request), begun.request.max_tokens or 0
        begun.tokens = read + written
        begun.cost = self._price(read, written)
        deadline = time.monotonic() + (request.timeout or _PATIENCE)
        while True:
            try:
                self._change(lambda lane, every: self._set_aside(lane, every, begun, now))
                return begun
            except _Crowded:  # other calls hold what is left; most of it comes back
                if time.monotonic() > deadline:
                    raise
            time.sleep(_LOOK)

    def _price(self, read: int, written: int) -> float:
        """An upper estimate of what a call costs, 0 where there is no price."""
        if self.price is None:
            return 0.0
        known = self.price.of(read, written)
        if known is None:
            raise ConfigError(
                f"the price of {self.model!r} is known up to {self.price.up_to:,} tokens read, and this is "
                f"about {read:,}: give Chat(prices={{…}})"
            )
        return known

    def _within_call(self, request: ChatRequest) -> ChatRequest:
        read, room = estimate(request), request.max_tokens or 0
        if (limit := self.budget.call_tokens) is not None:
            room = min(room, limit - read)
            if room < _LEAST:
                raise _exceeded("one call", read + _LEAST, limit, "tokens")
        if (money := self.budget.call_cost) is not None and self.price is not None:
            needed = self._price(read, _LEAST)
            if needed > money:
                raise _exceeded("one call", needed, money, "US dollars")
            if self.price.written > 0:
                room = min(room, int((money - self._price(read, 0)) * 1e6 / self.price.written))
        return replace(request, max_tokens=room or None)

    def _set_aside(self, lane: Values, every: Values, begun: Call, now: datetime) -> None:
        day, budget = begun.day, self.budget
        again = (now + timedelta(days=1)).replace(hour=0, minute=0, second=0, microsecond=0)
        both = lane["tokens_in"] + lane["tokens_out"] + lane["held_tokens"]
        _check("this scope", both, lane["held_tokens"], begun.tokens, budget.scope_tokens, "tokens")
        money = lane["cost"] + lane["held_cost"]
        _check("this scope", money, lane["held_cost"], begun.cost, budget.scope_cost, "US dollars")
        for values, whose, tokens, dollars in (
            (lane, "this scope in a day", budget.scope_day_tokens, budget.scope_day_cost),
            (every, "one day", budget.day_tokens, budget.day_cost),
        ):
            _turn(values, day)
            held = values["held_tokens"], values["held_cost"]
            _check(whose, values["day_tokens"], held[0], begun.tokens, tokens, "tokens", again)
            _check(whose, values["day_cost"], held[1], begun.cost, dollars, "US dollars", again)
            _hold(values, begun, 1)

    def _settle(self, begun: Call) -> None:
        if begun.reply is not None:
            begun.usage = self._taken(begun.request, begun.reply)
        elif not begun.tokens:
            return
        self._change(lambda lane, every: (_write(lane, begun), _write(every, begun)))

    def _taken(self, request: ChatRequest, reply: ChatReply) -> dict[str, float]:
        """What the call took; where the provider does not count tokens, our estimate stands."""
        read = estimate(request) if reply.tokens_in is None else reply.tokens_in
        written = ceil(len(reply.text.encode("utf-8", "replace")) / 3)
        written = written if reply.tokens_out is None else reply.tokens_out
        price = cost(reply, self.price)
        counts = (1, read, written, reply.tokens_cached, price or 0.0, int(price is None))
        return dict(zip(COUNTS, counts, strict=True))

    def _change(self, change: Callable[[Values, Values], object]) -> None:
        """Apply a change to both accounts in one transaction, on top of whatever others wrote meanwhile."""
        store = self.core.store
        for attempt in range(_TRIES):
            with self.core.account:
                rows = [_row(self.core, self.lane), _row(self.core, None)]
                values = [{**_empty(), **row.value} for row in rows]
                change(values[0], values[1])
                ops = tuple(
                    PutState(StateRow(row.policy, row.scope, row.name, value, row.version + 1))
                    for row, value in zip(rows, values, strict=True)
                )
                try:
                    store.commit(Batch(ops))
                    return
                except Conflict:
                    pass
            time.sleep(0.001 * (attempt % 7))
        raise Conflict(f"the account of model calls changed {_TRIES} times under this one; try again")


def spent(core: Core, scope: Scope | None) -> dict[str, float]:
    """What model calls took: of the whole store, or of the records' lanes that lie in `scope`."""
    if scope is None:
        values = [_row(core, None).value]
    else:
        lanes = {scope.lane, *(found.lane for found, _ in core.store.scopes(scope))}
        names = {_named(lane) for lane in lanes}
        rows = core.store.states(Scope(scope.tenant), _KEEPER)
        values = [row.value for row in rows if row.name in names]
    total = {name: sum((value[name] for value in values), 0.0) for name in COUNTS}
    return {name: amount if name == "cost" else int(amount) for name, amount in total.items()}


def _row(core: Core, lane: Scope | None) -> StateRow:
    """The account's row; a user's or agent's is named by a digest, so that it holds no id of theirs."""
    scope, name = Scope(), _ALL
    if lane is not None:
        scope, name = Scope(lane.tenant), _named(lane)
    rows = core.store.states(scope, _KEEPER, name)
    return rows[0] if rows else StateRow(_KEEPER, scope, name, _empty(), 0)


def _named(lane: Scope) -> str:
    return hashlib.blake2b(repr((lane.user_id, lane.agent_id)).encode(), digest_size=12).hexdigest()


def _empty() -> Values:
    counts: Mapping[str, Any] = dict.fromkeys(COUNTS, 0)
    return {**counts, "cost": 0.0, "held_tokens": 0, "held_cost": 0.0, "day": "", **_new_day()}


def _new_day() -> Values:
    return {"day_tokens": 0, "day_cost": 0.0}


def _turn(values: Values, day: str) -> None:
    if values["day"] != day:
        values.update(_new_day(), day=day)


def _hold(values: Values, begun: Call, sign: int) -> None:
    for name, amount in (("tokens", begun.tokens), ("cost", begun.cost)):
        values[f"held_{name}"] = max(0, values[f"held_{name}"] + sign * amount)
        if values["day"] == begun.day:
            values[f"day_{name}"] = max(0, values[f"day_{name}"] + sign * amount)


def _write(values: Values, begun: Call) -> Values:
    """Give back what was set aside, and write down what was taken."""
    if begun.tokens:
        _hold(values, begun, -1)
    if values["day"] < begun.day:
        _turn(values, begun.day)
    for name, amount in begun.usage.items():
        values[name] += amount
    if values["day"] == begun.day and begun.usage:
        values["day_tokens"] += begun.usage["tokens_in"] + begun.usage["tokens_out"]
        values["day_cost"] += begun.usage["cost"]
    return values


def _check(
    whose: str,
    spent: float,
    held: float,
    more: float,
    limit: float | None,
    unit: str,
    again: datetime | None = None,
) -> None:
    if limit is None or spent + more <= limit:
        return
    raised = _exceeded(whose, spent + more, limit, unit, again)
    if spent - held + more <= limit:
        raise _Crowded(str(raised), spent=raised.spent, limit=limit, again=again)
    raise raised


def _exceeded(
    whose: str, spent: float, limit: float, unit: str, again: datetime | None = None
) -> BudgetExceeded:
    when = f"; it is lifted at {again:%Y-%m-%d %H:%M} UTC" if again else ""
    return BudgetExceeded(
        f"the budget for {whose} is {limit:,g} {unit}, and a further call may bring it to {spent:,g}{when}; "
        "raise it in Chat(budget=…), or lower Chat(max_tokens=…)",
        spent=spent,
        limit=limit,
        again=again,
    )
