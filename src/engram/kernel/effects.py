"""What a policy may ask the outside world for: small frozen dataclasses that are awaited.

`Effect.__await__` yields the effect itself; a driver (`engram.kernel.drive`) performs it and sends
back the result. So a policy holds no event loop, no thread and no store.
"""

from __future__ import annotations

from collections.abc import Coroutine, Generator, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Generic, Protocol, TypeVar

from engram.kernel.record import Direction, Edge, Hit, Record
from engram.kernel.schema import Schema

__all__ = [
    "Ask",
    "Columns",
    "Direction",
    "Each",
    "Effect",
    "Embed",
    "Entities",
    "Facts",
    "Find",
    "Model",
    "Neighbours",
    "Now",
    "PageRank",
    "Program",
    "Random",
    "Rank",
    "Read",
    "Recent",
    "Score",
    "Similar",
    "Space",
    "State",
    "StateValue",
    "Task",
    "Told",
    "Under",
    "Wanted",
    "each",
]

T = TypeVar("T")
Program = Coroutine[Any, Any, T]
"""A coroutine that awaits effects only, such as what calling a policy's `read` gives."""


class Effect(Generic[T]):
    """Something that only a driver can do; `await` gives its result."""

    __slots__ = ()

    def __await__(self) -> Generator[Effect[T], T, T]:
        return (yield self)


class Columns(Protocol):
    """The signals of all candidates of one query: `signals[name]` is a float32 array of shape [n].

    `matrix` has them as rows, shape [len(names), n], in the order of `names`. `rows` maps positions in
    those arrays to record ids. `context` holds figures of the scope and the query that fusion adapts to
    (such as the share of assistant turns).
    """

    @property
    def names(self) -> Sequence[str]:
        """The names of the signals."""
        ...

    @property
    def matrix(self) -> Any:
        """The signals as rows, float32 of shape [len(names), n]."""
        ...

    @property
    def signals(self) -> Mapping[str, Any]:
        """The signals by name, float32 of shape [n]."""
        ...

    @property
    def context(self) -> Mapping[str, float]:
        """Figures of the scope and the query."""
        ...

    def __len__(self) -> int: ...
    def rows(self, positions: Sequence[int]) -> list[str]:
        """The record ids at the positions."""
        ...


@dataclass(frozen=True, slots=True)
class StateValue:
    """A policy's state and its version (0 and `None` where nothing was set yet)."""

    value: Any
    version: int


@dataclass(frozen=True)
class Ask(Effect[T]):
    """A question to the chat model; the reply is validated into `reply`.

    `reply` is `str` for text as it comes, or what a JSON reply is made into: a dataclass or pydantic model,
    nested as deep as is wanted, a `list[…]`, `dict[…]`, `Literal[…]` and so on; constraints stand in
    `Annotated[…]`. `max_tokens` bounds the reply, `temperature` is the model's; `None` leaves both to the
    memory's settings. Raises `BadReply` where the model gives nothing of that kind when asked again,
    `ModelUnavailable`, or `BudgetExceeded`.
    """

    prompt: str
    reply: type[T]
    system: str = ""
    max_tokens: int | None = None
    temperature: float | None = None


@dataclass(frozen=True)
class Model(Effect["str | None"]):
    """The name of the chat model that `Ask` would ask; `None` where the memory has none."""


@dataclass(frozen=True)
class Wanted(Effect[Schema]):
    """What the memory's owner wants taken from what is said: instructions, types of entities and facts.

    An empty `Schema` where nothing was said. `Extract` and `by_rules` follow it; it is no part of `made_by`.
    """


@dataclass(frozen=True)
class Embed(Effect[Any]):
    """Vectors of texts: a float32 array of shape [len(texts), dimensions], unit or zero rows."""

    texts: tuple[str, ...]


@dataclass(frozen=True)
class Space(Effect[str]):
    """The name of the embedder whose vectors are in use: what was reckoned of another's holds no more."""


@dataclass(frozen=True)
class Find(Effect[list[Hit]]):
    """The `k` current records nearest to a text in the program's scope (without run)."""

    text: str
    k: int = 10
    kinds: tuple[str, ...] = ()


@dataclass(frozen=True)
class Facts(Effect[list[Record]]):
    """Facts of a subject and relation, said or the policy's own, also those that have ended, by arrival.

    All of them for certain, where `Find` gives what is near: every record of kind `fact` whose metadata
    names this `subject` and `relation`, whatever their case and spacing: "Lives in" is `lives_in`.
    """

    subject: str
    relation: str


@dataclass(frozen=True)
class Entities(Effect[list[list[Record]]]):
    """For each name the current records of kind `entity`, said or the policy's own, that have it, by arrival.

    All of them for certain: the name equals the entity's text or one of its metadata's `aliases`,
    whatever their case and spacing. With `alike` those besides, at most 20 for each name, that share the
    rarest keys with it by which names are alike (`names.keys_of`): words, short forms, first letters.
    """

    names: tuple[str, ...]
    alike: bool = False


@dataclass(frozen=True)
class Score(Effect[Columns]):
    """Columns of signals over every candidate; `signals` names what is wanted, empty for all.

    `kinds` names the kinds of candidates, empty for all but those that the policy puts `aside`.
    """

    query: str
    signals: tuple[str, ...] = ()
    at: datetime | None = None
    level: int = 0
    kinds: tuple[str, ...] = ()


@dataclass(frozen=True)
class Similar(Effect[list[list[tuple[str, float]]]]):
    """For each text the `k` nearest current records, said or the policy's own: (id, cosine), nearest first.

    By embedding alone, of many texts at once, and ids only: to link records, where `Find` is to read some.
    Those with a cosine of `floor` at least; `kinds` as for `Score`.
    """

    texts: tuple[str, ...]
    k: int = 10
    kinds: tuple[str, ...] = ()
    floor: float = 0.0


@dataclass(frozen=True)
class Read(Effect[list[Record]]):
    """Current records by id, in the order asked; ids not found in scope are left out."""

    ids: tuple[str, ...]


@dataclass(frozen=True)
class Recent(Effect[list[Record]]):
    """The last `count` turns that hold text, oldest first by (time, arrival).

    With the id of a turn as `before`: the turns before that one, of the same user, agent and run, whether
    anything was derived from them yet or not. Without: the last turns of the program's scope.
    """

    count: int
    before: str | None = None


@dataclass(frozen=True)
class Told(Effect[list[tuple[datetime, str]]]):
    """When the scope's records of some kinds were told, and their ids, by (time, arrival).

    Those with text, said or the policy's own, whose time lies in [start, end) and whose strength is
    `strength` at least; with `last` as many as that of them, the last ones.
    """

    start: datetime | None = None
    end: datetime | None = None
    kinds: tuple[str, ...] = ("episode",)
    last: int | None = None
    strength: float = 0.0


@dataclass(frozen=True)
class Neighbours(Effect[list[Edge]]):
    """Edges that touch any of the records, said or the policy's own, as the program sees the store.

    Those that are believed and have not ended, with `ended` those that have as well; under `as_of` those of
    then. `direction` is `out` where the
    records are to be the edges' sources, `in` where their targets. Oldest first by change set; with
    `limit` those that were changed last, newest first.
    """

    ids: tuple[str, ...]
    types: tuple[str, ...] = ()
    direction: Direction = "both"
    limit: int | None = None
    ended: bool = False


@dataclass(frozen=True)
class PageRank(Effect[list[tuple[str, float]]]):
    """Personalised PageRank over the graph of the program's scope: (record id, share), highest first.

    Of every record that a walk from the `seeds` (record id, weight) reaches, where it goes on along an edge
    with probability `damping`, by weight, and else starts again. Edges count as `Neighbours` gives them, of
    `types` (empty: all), in both directions unless `directed`. `among` names the records wanted, where not
    all of them are. Shares add up to 1, with an error below 1e-9. A seed without edges keeps its own share.
    Nothing where no seed has an edge. Raises `InvalidInput` for a `damping` that is not in [0, 1) and for
    negative seeds.
    """

    seeds: tuple[tuple[str, float], ...]
    damping: float = 0.5
    types: tuple[str, ...] = ()
    directed: bool = False
    among: tuple[str, ...] | None = None


@dataclass(frozen=True)
class Rank(Effect[list[float]]):
    """A reranker's score for each text, higher is better."""

    query: str
    texts: tuple[str, ...]


@dataclass(frozen=True)
class State(Effect[StateValue]):
    """The policy's own state of that name in the program's scope."""

    name: str


@dataclass(frozen=True)
class Now(Effect[datetime]):
    """The clock."""


@dataclass(frozen=True)
class Random(Effect[float]):
    """A number in [0, 1) from the seed and the place in the program where it is asked for."""


@dataclass(frozen=True)
class Task(Effect[T]):
    """A blocking call of the engine itself; policies have no use for it."""

    call: Any

    @classmethod
    def of(cls, call: Any, *args: Any) -> Task[Any]:
        """The call with its arguments bound."""
        return cls((lambda: call(*args)) if args else call)


@dataclass(frozen=True)
class Under(Effect[T]):
    """A program run with a perform function of its own, as the engine runs a policy's. Paths start anew."""

    program: Program[T]
    perform: Any


@dataclass(frozen=True)
class Each(Effect[list[T]]):
    """Several effects or coroutines at once; results and errors in input order. Use `each`."""

    items: tuple[Effect[T] | Program[T], ...]


async def each(items: Iterable[Effect[T] | Program[T]]) -> list[T]:
    """The results of `items`, in input order, whatever order they finish in.

    All of them run to their end; then the first error in input order, if any, is raised.
    """
    return await Each(tuple(items))
