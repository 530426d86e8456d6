"""The default policy: every turn verbatim, found by a learned fusion of signals."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

from engram.kernel.changes import Changes
from engram.kernel.effects import Score, Wanted
from engram.kernel.policy import Policy, Query, Recall
from engram.kernel.record import Record
from engram.operators.consolidation.reconcile import reconcile_by_rules
from engram.operators.extraction.lift import facts_lift
from engram.operators.extraction.turns import by_rules
from engram.operators.graph.lift import graph_lift
from engram.operators.graph.triple import bears_graph
from engram.operators.graph.weave import Weave, strand_of
from engram.operators.retrieval.calibrate import calibrated
from engram.operators.retrieval.fuse import fuse, shipped
from engram.operators.retrieval.recall import best

__all__ = ["Fusion"]

_BY_RULES = "by rules"


@dataclass(frozen=True)
class Fusion(Policy):
    """Keeps turns as they are and ranks them by many signals at several granularities, with no model.

    Engram's own method. Lexical and dense signals of the turn, of windows around it and of its session
    (a turn's meaning often lies beside it), who speaks, question and answer, length, time, are fused by
    weights that adapt to the kind of conversation; they ship with the package and are learned by
    `make train-fusion`. The hits' scores are probabilities, calibrated on questions that can and that
    cannot be answered.

    Where triples or entities come with what is added, they make a graph, and a walk from the entities that a
    query names (personalised PageRank, as in HippoRAG, arXiv:2405.14831) is a signal more: what it comes by
    more often than by chance is lifted. Where there is none, or the query names nothing in it, all is as
    without.

    With `facts`, those that turns state by rule are kept aside, in English, and one that is near a query and
    about somebody whom it names lifts its turn. That costs more per `add` than everything else together, and
    gains little: so it is off.
    """

    name: ClassVar[str] = "fusion"
    by_run: ClassVar[bool] = False

    facts: bool = False

    def __post_init__(self) -> None:
        if self.facts:  # they are a signal of their turns, and no hits by themselves
            object.__setattr__(self, "aside", self.aside | {"fact"})

    def wants(self, record: Record) -> bool:
        """What triples or entities came with; of anything else this policy itself makes nothing.

        With `facts`, and in a subclass that derives something of its own, every episode as well.
        """
        derives = self.facts or type(self).write is not Fusion.write
        return bears_graph(record) or (derives and super().wants(record))

    async def write(self, episodes: Sequence[Record]) -> Changes:
        """The graph of the triples and entities that were given, and with `facts` those that turns state."""
        given = [strand_of(record) for record in episodes if bears_graph(record)]
        woven = await Weave().changes(given) if given else Changes()
        if not self.facts:
            return woven
        said = by_rules([record for record in episodes if record.kind == "episode"], await Wanted())
        return woven + await reconcile_by_rules(said, _BY_RULES, single=False)

    async def read(self, query: Query) -> Recall:
        """The candidates with the highest fused score, best first."""
        fusion = shipped()
        columns = await Score(query.text, fusion.signals, at=query.at, level=query.level, kinds=query.kinds)
        if not len(columns):
            return Recall()
        plain = fuse(columns, fusion)
        lift = await graph_lift(query, columns)
        told = await facts_lift(query, columns) if self.facts else None
        fused = plain if lift is None else plain.with_signal("graph", lift)
        fused = fused if told is None else fused.with_signal("facts", told)
        return await best(
            query,
            columns,
            fused.scores,
            lambda positions: calibrated(
                columns, fused, fusion, positions, plain if fused is not plain else None
            ),
            fused.explain,
        )
