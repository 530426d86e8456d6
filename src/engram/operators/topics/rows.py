"""The hook for a parametric layer: what of a profile would be trained, and as which rows.

Nothing is trained here and no model is asked: questions are templates, answers are what is stored.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

from engram.kernel.record import Record
from engram.operators.consolidation.diary import BLOCK
from engram.operators.topics.profile import BIOGRAPHY, PREFERENCES, SHADE, STATUS
from engram.operators.topics.shelf import topic_of

__all__ = ["parametric_rows", "to_be_trained"]

_ASKED = {
    BIOGRAPHY: ("self_qa", ("Who am I?", "Tell me about myself.")),
    STATUS: ("self_qa", ("What occupies me of late?",)),
    PREFERENCES: ("preference", ("What do I like and dislike?", "What would suit me?")),
}
_SYSTEM = "You are the user's second self: you know what they have told you, and speak of them as it is."


def to_be_trained(records: Iterable[Record]) -> list[Record]:
    """Of what `memory.get_all` gives, the records that a parametric layer would be trained on.

    Those of the natural-language layer: blocks of the profile, shades and topics, in order of arrival.
    """
    found = [record for record in records if record.made_by is not None and _kind(record)]
    return sorted(found, key=lambda record: (record.arrival, record.id))


def parametric_rows(records: Iterable[Record]) -> list[dict[str, Any]]:
    """Rows of chat messages to train on, as JSON values, of what `memory.get_all` gives.

    A row has `kind` (`self_qa`, `preference`, `shade` or `memory_qa`), `messages` and `sources`, the ids of
    the records that it stands on. A topic's row answers with its description and the turns among `records`.
    """
    every = list(records)
    by_id = {record.id: record for record in every}
    return [row for record in to_be_trained(every) for row in _rows(record, by_id)]


def _kind(record: Record) -> bool:
    block = record.kind == "core" and record.metadata.get(BLOCK) in _ASKED
    return block or (record.kind == "summary" and (SHADE in record.metadata or topic_of(record) is not None))


def _rows(record: Record, by_id: dict[str, Record]) -> Iterator[dict[str, Any]]:
    if record.kind == "core":
        kind, questions = _ASKED[str(record.metadata[BLOCK])]
        for question in questions:
            yield _row(kind, question, record.text, (record.id,))
    elif SHADE in record.metadata:
        answer = ". ".join(filter(None, (str(record.metadata.get("aspect", "")), record.text)))
        yield _row("shade", f"What is {record.metadata[SHADE]} to me?", answer, (record.id,))
    elif (topic := topic_of(record)) is not None:
        members = [by_id[id] for id in topic.members if id in by_id]
        told = "\n".join(f"{turn.time:%Y-%m-%d}: {turn.text}" for turn in members)
        answer = "\n".join(filter(None, (record.text, told)))
        sources = (record.id, *(turn.id for turn in members))
        yield _row("memory_qa", f"What have I told you about {topic.name}?", answer, sources)


def _row(kind: str, question: str, answer: str, sources: tuple[str, ...]) -> dict[str, Any]:
    said = (("system", _SYSTEM), ("user", question), ("assistant", answer))
    messages = [{"role": role, "content": content} for role, content in said]
    return {"kind": kind, "messages": messages, "sources": list(sources)}
