"""The tree by topic: a record for each topic, which stands on its members and points at them."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from engram.kernel.changes import Add, Changes, Connect, Retire, Revise
from engram.kernel.effects import Model, Read, Told
from engram.kernel.record import Record
from engram.kernel.scope import Scope
from engram.operators.consolidation.days import own
from engram.operators.retrieval.stated import folded
from engram.operators.topics.file import File, Topic, filed_by_rules

__all__ = ["PARENT", "TOPIC", "Shelf", "filing", "shelf_of", "topic_of", "topics_after"]

TOPIC = "topic"
"""The key of a topic's metadata that names it."""
PARENT = "parent"
"""The type of the edge from a topic to each of its members."""
_DESCRIPTION, _MEMBERS = "description", "members"
_LONGEST = 600


def topic_of(record: Record) -> Topic | None:
    """The topic whose record that is; `None` where it is of none."""
    if record.kind != "summary" or not isinstance(record.metadata.get(TOPIC), str):
        return None
    topic = _topic(record.metadata)
    return replace(topic, lent=tuple(id for id in record.sources if id not in topic.members))


@dataclass(frozen=True)
class Shelf:
    """The topics of a lane, as records and as they are."""

    records: dict[str, Record]

    @property
    def members(self) -> set[str]:
        """The ids of all that is filed."""
        return {id for topic in self.topics for id in topic.members}

    @property
    def topics(self) -> list[Topic]:
        """The topics, those that changed last at the end."""
        ordered = sorted(
            self.records.values(), key=lambda record: (record.known.start or record.time, record.id)
        )
        return [topic for record in ordered if (topic := topic_of(record)) is not None]

    def filed(self, topics: Sequence[Topic], members: Iterable[Record], note: str = "") -> Changes:
        """What filing changes: topics that are new, and versions of those that have more members.

        `members` are those that may be pointed at; a topic's text shows its description and the members'.
        """
        texts = {record.id: record.text for record in members}
        changes: list[Add | Revise | Connect] = []
        added = 0
        for topic in topics:
            old = self.records.get(folded(topic.name))
            before = None if old is None else topic_of(old)
            held = set() if before is None else set(before.members)
            new = tuple(id for id in topic.members if id in texts and id not in held)
            if not new:
                continue
            metadata = {
                TOPIC: topic.name,
                _DESCRIPTION: topic.description,
                _MEMBERS: [*(before.members if before else ()), *new],
            }
            text = _text(topic, [texts[id] for id in topic.members if id in texts])
            if old is None:
                place, added = f"#{added}", added + 1
                changes.append(Add(text, "summary", (*new, *topic.lent), metadata=metadata, reason=note))
            else:
                place = old.id
                changes.append(
                    Revise(
                        old.id, old.version, text, metadata, (*new, *topic.lent), note or "more is filed here"
                    )
                )
            changes += [Connect(place, id, PARENT, 1.0, (id,)) for id in new]
        return Changes(tuple(changes))

    def emptied(self, standing: Collection[str], filed: Changes) -> Changes:
        """The end of topics of which no member is among those `standing`, and which `filed` does not fill."""
        filled = {change.id for change in filed if isinstance(change, Revise)}
        empty = [
            record
            for record in self.records.values()
            if record.id not in filled
            and (topic := topic_of(record)) is not None
            and not any(id in standing for id in topic.members)
        ]
        return Changes(
            tuple(Retire(record.id, record.version, reason="nothing under it holds") for record in empty)
        )


def _text(topic: Topic, members: Sequence[str]) -> str:
    told = topic.description or " ".join(" ".join(text.split()) for text in members)[:_LONGEST]
    return f"{topic.name}: {told}"


def topics_after(changes: Changes, shelf: Shelf) -> dict[str, Topic]:
    """The topics of a shelf as `changes` leave them, by their record: its id, or "#n" for the n-th added."""
    found = {shelf.records[folded(topic.name)].id: topic for topic in shelf.topics}
    added = 0
    for change in changes:
        if isinstance(change, Add):
            found[f"#{added}"], added = _topic(change.metadata), added + 1
        elif isinstance(change, Revise) and change.metadata is not None:
            found[change.id] = _topic(change.metadata)
    return found


def _topic(metadata: Mapping[str, Any]) -> Topic:
    members = tuple(map(str, metadata.get(_MEMBERS, ())))
    return Topic(str(metadata[TOPIC]), str(metadata.get(_DESCRIPTION, "")), members)


async def filing(
    memories: Sequence[Record], shelf: Shelf, file: File, every: Sequence[Record], note: str
) -> Changes:
    """What filing `memories` under the topics of a shelf changes.

    By model, else by rules, which `note` tells. `every` are all that topics may point at.
    """
    if not memories:
        return Changes()
    modelled = await Model() is not None
    if modelled:
        topics = await file.topics(memories, shelf.topics)
    else:
        by_id = {record.id: record for record in every}
        known = {topic.name: [by_id[id] for id in topic.members if id in by_id] for topic in shelf.topics}
        topics = await filed_by_rules(memories, known)
    lent = tuple(sorted({id for topic in topics for id in topic.lent}))
    there = {record.id for record in await Read(lent)} if lent else set()
    held = [replace(topic, lent=tuple(id for id in topic.lent if id in there)) for topic in topics]
    return shelf.filed(held, every, "" if modelled else note)


async def shelf_of(lane: Scope) -> Shelf:
    """The topics that a lane has, those that have ended left out."""
    told = await Read(tuple(id for _, id in await Told(kinds=("summary",))))
    found = [record for record in told if record.valid.end is None]
    named = ((topic, record) for record in own(found, lane, TOPIC) if (topic := topic_of(record)) is not None)
    return Shelf({folded(topic.name): record for topic, record in named})
