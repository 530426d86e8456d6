"""Candidates of large scopes from indexes in the database (`engram.kernel.preselect.Preselecting`).

Tenants that have such indexes (`ann_build.build`) are in `ann_tenants`, their open records in `ann`, which
triggers keep: what is found is as new as the records are. pgvector finds what is near (HNSW, Malkov and
Yashunin, arXiv:1603.09320), PostgreSQL's index over arrays what holds a term; the scores are the caller's.
"""

from __future__ import annotations

import json
import threading
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass, field
from math import log1p
from operator import itemgetter
from typing import Any

from engram.kernel.preselect import Among, Census, Matching, Told
from engram.kernel.protocols import Entry
from engram.kernel.scope import Scope
from engram.stores.postgres import ann_build
from engram.stores.postgres.conditions import Conditions
from engram.stores.postgres.connection import Database, Session
from engram.stores.postgres.queries import queries
from engram.stores.postgres.rows import digest

__all__ = ["LARGE", "Candidates", "breadth"]

LARGE = 100_000
"""Open records of a tenant above which it should have indexes of its own."""
_SQL = queries("ann")
_READ = queries("read")
_SAMPLE = 10_000  # entries from which it is estimated how often terms stand
_LEAST = 50  # times in the sample, below which a term is counted
_COUNTED = 10_000  # up to which terms are counted
_LOOKED = 5_000  # entries that are looked at for their terms
_DRIFT = 0.05  # share of a scope by which it may change until it is measured anew
_SCOPES = 64
_WIDEST, _NARROWEST = 1000, 300  # of pgvector's list of candidates
_PROBE = 4  # such candidates that one more list of an inverted file stands for
_SCANNED = 100_000
_PAUSE = 30 * 60 * 1_000_000  # microseconds that end a session where no run does
_TIME, _ARRIVAL = Entry._fields.index("time"), Entry._fields.index("arrival")
_EVER = 0  # a moment that nothing has ended before


@dataclass
class Measured:
    """What is known of a scope: figures, and how often terms stand, as long as it hardly changes."""

    last: int
    erasures: int
    census: Census
    share: float  # per cent of the table's pages in which a sample is
    often: dict[int, int] | None = None
    counts: dict[tuple[str | None, tuple[str, ...]], int] = field(default_factory=dict)
    drawn: dict[tuple[int, str | None, tuple[str, ...]], list[str]] = field(default_factory=dict)

    def holds(self, last: int, erasures: int) -> bool:
        """Whether it still does: while the scope has changed little, and nothing was erased."""
        return erasures == self.erasures and last - self.last <= _DRIFT * self.census.turns


class Candidates:
    """The part of a PostgreSQL store that knows candidates; up to `few` entries are compared one by one."""

    few = 20_000

    def __init__(self, database: Database) -> None:
        self._database = database
        self._lock = threading.Lock()
        self._measured: OrderedDict[tuple[Scope, tuple[str, ...], bool], Measured] = OrderedDict()

    def census(self, scope: Scope, among: Among) -> Census | None:
        """Figures of a scope; `None` where its tenant has no indexes."""
        known = self._known(scope, among, fresh=True)
        return None if known is None else known.census

    def often(self, scope: Scope, terms: Sequence[int], among: Among) -> list[int]:
        """In how many entries each term stands: counted where it is rare, else estimated from a sample."""
        wanted = [_signed(term) for term in terms]
        known = self._known(scope, among)
        if known is None:
            return [0 for _ in terms]

        def count(session: Session) -> dict[int, int]:
            held = _common(session, scope, among, known) if known.often is None else known.often
            if new := list(dict.fromkeys(term for term in wanted if term not in held)):
                asked = _asked(scope, _anybody(among), loose=True)
                values = {"asked": asked, "hashes": new, "most": _COUNTED}
                held = {**held, **dict(session.ask((_SQL["often"], values))[0])}
            return held

        held = known.often = self._database.read(count, scope.tenant)
        return [held.get(term, 0) for term in wanted]

    def nearest(
        self, scope: Scope, vectors: Sequence[Any], k: int, among: Among
    ) -> list[list[tuple[str, float]]]:
        """About `k` entries near to each vector: (id, cosine), best first."""
        if k < 1 or not len(vectors):
            return [[] for _ in vectors]
        wide = breadth(k)
        asked, few = _asked(scope, among), self._few(scope, among)
        questions = [
            (
                _SQL["nearest"],
                {"asked": asked, "vector": _text(vector), "dimensions": len(vector), "k": k, "few": few},
            )
            for vector in vectors
        ]

        def near(session: Session) -> list[list[tuple[Any, ...]]]:
            session.named(_SQL["breadth"], wide)
            return session.ask(*questions)

        found = self._database.read(near, scope.tenant)
        return [sorted(((id, far) for id, far in rows), key=lambda pair: -pair[1]) for rows in found]

    def matching(self, scope: Scope, terms: Sequence[int], k: int, among: Among, drawn: int = 0) -> Matching:
        """About `k` entries that hold the rarest of the terms, by how much those tell, and `drawn` others."""
        counts = self.often(scope, terms, among)
        known = self._known(scope, among)
        present = sorted((often, term) for often, term in zip(counts, terms, strict=True) if often)
        chosen: list[tuple[int, int]] = []
        for often, term in present:
            if chosen and sum(pair[0] for pair in chosen) + often > _LOOKED:
                break
            chosen.append((often, term))
        if not chosen or known is None:
            return Matching([], [], 0, [])
        values = {
            "asked": _asked(scope, among, loose=True),
            "hashes": [_signed(term) for _, term in chosen],
            "weights": [log1p(known.census.turns / often) for often, _ in chosen],
            "most": _LOOKED,
            "k": k,
            "drawn": drawn,
        }
        rows = self._database.read(lambda session: session.ask((_SQL["matching"], values))[0], scope.tenant)
        best, others = ([id for id, good, _ in rows if good is wanted] for wanted in (True, False))
        return Matching(best, others, rows[0][2] if rows else 0, [term for _, term in chosen])

    def sample(self, scope: Scope, k: int, among: Among) -> list[str]:
        """About `k` entries drawn evenly, the same ones as long as nothing changes."""
        known = self._known(scope, among)
        if known is None:
            return []
        asked = (k, among.made_by, among.kinds)
        if asked not in known.drawn:  # what ends meanwhile is not found any more by whoever reads it
            share = min(100.0, known.share * max(1.0, 5 * k / _SAMPLE))
            known.drawn[asked] = self._database.read(
                lambda session: _sampled(session, scope, k, among, share), scope.tenant
            )
        return known.drawn[asked]

    def around(self, scope: Scope, ids: Sequence[str], reach: Sequence[int]) -> list[list[Entry]]:
        """Each entry among those next to it in its stream, by (time, arrival)."""
        need = Conditions(_READ)
        need.records_of(scope)
        statement = _SQL["around"].format(columns=_READ["entry_columns"], where=need.where)
        values = {**need.values, "ids": list(ids), "reach": list(reach), "tenant": scope.tenant}

        def read(session: Session) -> list[tuple[Any, ...]]:
            session.do(_SQL["by_index"])
            return session.ask((statement, values))[0]

        found: list[list[Entry]] = [[] for _ in ids]
        there: set[str] = set()
        rows = self._database.read(read, scope.tenant)
        rows.sort(key=itemgetter(_TIME + 1, _ARRIVAL + 1))
        for places, *row in rows:
            entry = Entry._make(row)
            there.add(entry.id)
            for place in places:
                found[place - 1].append(entry)
        return [near if id in there else [] for id, near in zip(ids, found, strict=True)]

    def told(
        self,
        scope: Scope,
        span: tuple[int | None, int | None],
        among: Among,
        last: int | None = None,
        strength: float = 0.0,
        run: tuple[str | None, str | None, str | None] | None = None,
    ) -> list[Told]:
        """When candidates were told, by (time, arrival)."""
        asked = _asked(scope, among, run)
        values = {"asked": asked, "since": span[0], "until": span[1], "last": last, "strength": strength}
        rows = self._database.read(lambda session: session.ask((_SQL["told"], values))[0], scope.tenant)
        return [Told(*row) for row in rows]

    def index(self, tenant: str, above: int) -> bool:
        """Make the indexes that a tenant lacks; as the owner of the tables, and not through a pooler."""
        if self._database.target.pooled or self._database.target.tenant:
            return False
        return self._database.bare(lambda link: ann_build.index(link, tenant, above))

    def _few(self, scope: Scope, among: Among) -> bool:
        """Whether so few entries are meant that all of them are compared faster, and exactly."""
        known = self._known(scope, among)
        if known is None or known.census.turns <= self.few:
            return True
        asked = (among.made_by, among.kinds)
        if not among.kinds:
            return False
        if asked not in known.counts:
            values = {"asked": _asked(scope, among)}
            found = self._database.read(lambda session: session.ask((_SQL["count"], values))[0], scope.tenant)
            known.counts[asked] = found[0][0] or 0
        return known.counts[asked] <= self.few

    def _known(self, scope: Scope, among: Among, *, fresh: bool = False) -> Measured | None:
        """What is known of a scope, with `fresh` measured anew if it has changed; `None` without indexes."""
        key = (scope, among.aside, among.standing)
        with self._lock:
            held = self._measured.get(key)
        if held is not None and not fresh:
            return held
        known = self._database.read(lambda session: self._look(session, scope, among, held), scope.tenant)
        with self._lock:
            if known is None:
                self._measured.pop(key, None)
                return None
            self._measured[key] = known
            self._measured.move_to_end(key)
            if len(self._measured) > _SCOPES:
                self._measured.popitem(last=False)
        return known

    def _look(self, session: Session, scope: Scope, among: Among, held: Measured | None) -> Measured | None:
        standing = session.ask((_SQL["standing"], {"tenant": scope.tenant}))[0]
        last, erasures, dimensions, filled = standing[0]
        if dimensions is None or not filled:
            return None
        if held is not None and held.holds(last, erasures):
            return held
        return Measured(last, erasures, *_measure(session, scope, among))


def breadth(k: int) -> dict[str, str]:
    """How widely an index over vectors is looked through for `k` entries."""
    width = min(_WIDEST, max(_NARROWEST, 2 * k))
    return {"ef": str(width), "most": str(_SCANNED), "probes": str(width // _PROBE)}


def _measure(session: Session, scope: Scope, among: Among) -> tuple[Census, float]:
    """Take the figures of a scope; and in what per cent of the table's pages a sample of it is."""
    asked = _asked(scope, _anybody(among))
    need = Conditions(_READ)
    need.records_of(scope)
    counted, names = session.ask(
        (_SQL["count"], {"asked": asked}), (_SQL["names"].format(where=need.where), need.values)
    )
    turns = counted[0][0] or 0
    share = min(100.0, 100.0 * _SAMPLE / max(1, turns))
    ids = _sampled(session, scope, _SAMPLE // 10, _anybody(among), share)
    drawn = {"ids": ids, "tenant": scope.tenant, "pause": _PAUSE}
    session.do(_SQL["by_index"])
    opening, saying = session.ask((_SQL["opening"], drawn), (_SQL["saying"], drawn))
    sessions = round(turns * float(opening[0][0] or 0))
    tokens, assistant = (float(value or 0) for value in saying[0])
    return Census(turns, sessions, tokens, assistant, tuple(row[0] for row in names)), share


def _common(session: Session, scope: Scope, among: Among, known: Measured) -> dict[int, int]:
    """How often terms stand that a sample has some times, estimated."""
    values = {"asked": _asked(scope, _anybody(among)), "share": known.share, "lowest": _LEAST}
    rows = session.ask((_SQL["common"], values))[0]
    sampled = max([1, *(often for term, often in rows if term is None)])
    scale = max(1.0, known.census.turns / sampled)
    return {term: int(often * scale) for term, often in rows if term is not None}


def _sampled(session: Session, scope: Scope, k: int, among: Among, share: float) -> list[str]:
    """About `k` ids from a share of the table, in per cent; from all of it where that has too few."""
    values = {"asked": _asked(scope, among), "share": share, "k": k}
    rows = session.ask((_SQL["sample"], values))[0]
    if len(rows) < k and share < 100:
        rows = session.ask((_SQL["sample"], {**values, "share": 100.0}))[0]
    return [row[0] for row in rows]


def _anybody(among: Among) -> Among:
    """The same of whatever kind and maker, at any time."""
    return Among(_EVER, None, (), among.aside, among.standing)


def _asked(
    scope: Scope,
    among: Among,
    run: tuple[str | None, str | None, str | None] | None = None,
    *,
    loose: bool = False,
) -> str:
    """What the database's `ann_where` is asked for; `loose` keeps it off the indexes by user."""
    asked: dict[str, Any] = {"tenant": scope.tenant, "now": among.now, "loose": loose}
    if scope.user_id is not None:
        asked["user"] = _bytes(scope.user_id)
    if scope.agent_id is not None:
        asked["agent"] = scope.agent_id
    if scope.run_id is not None:
        asked["run"] = _bytes(scope.run_id)
    if among.now == _EVER:
        asked["anybody"] = True
    else:
        asked["made_by"] = among.made_by
    if among.kinds:
        asked["kinds"] = list(among.kinds)
    if among.aside:
        asked |= {"aside": list(among.aside), "standing": among.standing}
    if run is not None:
        user_id, agent_id, run_id = run
        asked["exactly"] = [_bytes(user_id), agent_id, _bytes(run_id)]
        if among.kinds == ("episode",):
            asked["stream"] = list(run)
    return json.dumps(asked, ensure_ascii=False)


def _bytes(id: str | None) -> str | None:
    key = digest(id)
    return None if key is None else "\\x" + key.hex()


def _text(vector: Sequence[float]) -> str:
    """A vector as pgvector reads it."""
    return "[" + ",".join(f"{float(value):.7g}" for value in vector) + "]"


def _signed(term: int) -> int:
    """A hash as the database's integer of 32 bits."""
    return int(term) - (1 << 32) if int(term) >= 1 << 31 else int(term)
