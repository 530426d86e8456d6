"""The graph around some records, or of a whole scope: breadth first, filtered, and never without a bound."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from itertools import chain

from engram.engine.core import Core
from engram.engine.erasing import RETIRED_BY
from engram.engine.ingest import whole_number
from engram.engine.lens import Lens, ended
from engram.kernel.errors import Forbidden, InvalidInput, NotFound
from engram.kernel.protocols import SelectEdges
from engram.kernel.record import KINDS, Edge, Record
from engram.kernel.scope import Scope
from engram.kernel.text import check_text
from engram.operators.graph.subgraph import Graph

__all__ = ["GraphRequest", "checked", "graph"]

_MOST = 10_000
_DEEPEST = 20
_EDGES_EACH = 20  # at most so many edges for each node that is asked for
_PAGE = 5000


@dataclass(frozen=True, slots=True)
class GraphRequest:
    """The arguments of one `graph`: `about` names or ids, `types` of edges, `kinds` of records."""

    scope: Scope
    everyone: bool
    about: str | Sequence[str] | None = None
    depth: int = 1
    types: str | Sequence[str] | None = None
    kinds: str | Sequence[str] | None = None
    limit: int = 500


def graph(core: Core, lens: Lens, request: GraphRequest) -> Graph:
    """The graph as the lens shows it. Raises `NotFound` for a name that no record has."""
    if not request.scope.named and not request.everyone:
        raise Forbidden(
            "graph: name user_id, agent_id or run_id, or everyone=True for all of tenant "
            f"{request.scope.tenant!r}"
        )
    types, kinds, about = checked(request)
    walk = _Walk(core, lens, request, types, kinds)
    return walk.whole() if about is None else walk.around(about)


def checked(request: GraphRequest) -> tuple[tuple[str, ...], tuple[str, ...], tuple[str, ...] | None]:
    """Types of edges, kinds of records, and what it is about. Raises `InvalidInput`."""
    whole_number(request.depth, "depth", 0, _DEEPEST)
    whole_number(request.limit, "limit", 1, _MOST)
    kinds = _texts(request.kinds, "kinds") or ()
    for kind in kinds:
        if kind not in KINDS:
            close = difflib.get_close_matches(kind, KINDS, n=1)
            hint = f"did you mean {close[0]!r}?" if close else f"it may be {', '.join(KINDS)}"
            raise InvalidInput(f"kinds: {kind!r:.40} is none; {hint}")
    return _texts(request.types, "types") or (), kinds, _texts(request.about, "about")


def _texts(value: object, name: str) -> tuple[str, ...] | None:
    if value is None:
        return None
    given = (value,) if isinstance(value, str) else value
    if not isinstance(given, Sequence) or not all(isinstance(item, str) for item in given):
        raise InvalidInput(f"{name}: expected text or a list of texts, got {value!r:.80}")
    return tuple(dict.fromkeys(check_text(item, name) for item in given))


class _Walk:
    """A traversal under way: nodes and edges that it has come to, in their order."""

    def __init__(
        self, core: Core, lens: Lens, request: GraphRequest, types: Sequence[str], kinds: Sequence[str]
    ) -> None:
        self.core, self.lens, self.request = core, lens, request
        self.kinds = frozenset(kinds)
        makers = (None, core.policy.made_by)
        self.asked = SelectEdges(
            request.scope, types=tuple(types), makers=makers, newest=True, limit=_EDGES_EACH * request.limit
        )
        self.nodes: dict[str, Record] = {}
        self.edges: dict[str, Edge] = {}
        self.hidden: set[str] = set()
        self.more = False

    def whole(self) -> Graph:
        """The nodes that the last changed edges join."""
        self._take(self._edges(replace(self.asked, limit=2 * self.request.limit)))
        self._between()
        return self._done(())

    def around(self, about: Sequence[str]) -> Graph:
        """What lies within `depth` edges of some records."""
        found = self.lens.records(about)
        start = {record.id: record for record in found if self._visible(record)}
        for name in about:
            if name not in start:
                start |= {record.id: record for record in self._named(name)}
        self.nodes.update(start)
        frontier = tuple(start)
        for _ in range(self.request.depth):
            if not frontier or len(self.nodes) >= self.request.limit:
                self.more |= bool(frontier)
                break
            before = len(self.nodes)
            self._take(self._edges(replace(self.asked, touching=frontier)))
            frontier = tuple(self.nodes)[before:]
        self._between()
        return self._done(tuple(start))

    def _named(self, name: str) -> list[Record]:
        """The entities of a name. Raises `NotFound`, naming what is nearly called so."""
        with self.lens.index(self.request.scope) as index:
            ids = index.named.ids(name, self.lens.records)
            near = index.named.like(name) if not ids else []
        found = [record for record in self.lens.records(ids) if self._visible(record)]
        if not found:
            hint = f"; did you mean {near[0]!r}?" if near else "; graph() without a name shows what there is"
            raise NotFound(f"about: no record has the id, and no entity the name {name!r:.80}{hint}")
        return found

    def _edges(self, asked: SelectEdges) -> list[Edge]:
        found = self.lens.edges(asked)
        self.more |= len(found) == asked.limit
        return found if asked.types else [edge for edge in found if edge.type != RETIRED_BY]

    def _take(self, edges: Sequence[Edge]) -> None:
        """Keep edges whose ends may be shown, as long as there is room for their ends."""
        self._look_up(chain.from_iterable((edge.source, edge.target) for edge in edges))
        for edge in edges:
            ends = [end for end in (edge.source, edge.target) if end not in self.nodes]
            if any(end in self.hidden for end in ends):
                continue
            if len(self.nodes) + len(set(ends)) > self.request.limit:
                self.more = True
                continue
            self.nodes.update((end, self.known[end]) for end in ends)
            self.edges[edge.id] = edge

    def _look_up(self, ids: Iterable[str]) -> None:
        """Read records that were not looked at before; those that may not be shown are hidden."""
        self.known: dict[str, Record] = {}
        fresh = [id for id in dict.fromkeys(ids) if id not in self.nodes and id not in self.hidden]
        for first in range(0, len(fresh), _PAGE):
            for record in self.lens.records(fresh[first : first + _PAGE]):
                if self._visible(record) and (not self.kinds or record.kind in self.kinds):
                    self.known[record.id] = record
        self.hidden.update(id for id in fresh if id not in self.known)

    def _visible(self, record: Record) -> bool:
        """Whether a record may be shown. When it began is left aside: its edges say since when they hold."""
        if record.made_by not in (None, self.core.policy.made_by) or record.kind == "secret":
            return False
        return self.request.scope.covers(record.scope) and not ended(record, self.lens.moment)

    def _between(self) -> None:
        """Add the edges between the nodes that no step has gone along."""
        for edge in self._edges(replace(self.asked, touching=tuple(self.nodes), direction="out")):
            if edge.source in self.nodes and edge.target in self.nodes:
                self.edges.setdefault(edge.id, edge)

    def _done(self, start: tuple[str, ...]) -> Graph:
        edges = sorted(self.edges.values(), key=lambda edge: edge.sequence, reverse=True)
        most = _EDGES_EACH * self.request.limit
        more = self.more or len(edges) > most
        return Graph(tuple(self.nodes.values()), tuple(edges[:most]), start, more)
