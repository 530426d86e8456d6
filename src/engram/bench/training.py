"""Rows to train the agents of a managed memory on: what each was shown, what it replied, and its rewards."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, replace
from typing import Any

from engram.kernel.errors import NotFound
from engram.kernel.record import Record
from engram.memory import Memory
from engram.operators.extraction.turns import speaker_of
from engram.operators.managing.logbook import AGENT, CASE
from engram.operators.managing.rewards import BETA, GAMMA, Rewards, compression, exact_match

__all__ = ["training_rows"]

Score = Callable[[str, str], float]
_PAGE = 1000


def training_rows(
    memory: Memory,
    questions: Sequence[tuple[str, str]] = (),
    *,
    score: Score = exact_match,
    count: Callable[[str], float] = len,
    weights: tuple[float, float] = (BETA, GAMMA),
    **ids: Any,
) -> list[dict[str, Any]]:
    """A row for each logged question to a manager, then one for each of `questions`, as JSON values.

    `questions` are (question, gold answer); they are put to `memory.ask`, and the mean of `score` (from 0 to
    1, default: exact match) is the correctness of every step that led to this memory. `count` measures texts
    for the compression (default: characters; give the trainer's tokeniser). `weights` are Mem-alpha's beta
    and gamma. `ids` name the scope.

    A row has `agent`, `prompt`, `completion`, `rewards` (each by itself) and `reward`: correctness + calls +
    beta compression + gamma content, of the agents of Memory-R1 the correctness alone. Of what was erased
    since, a row says nothing: a step whose first turn is gone has none, another's prompt lacks what is gone.
    Raises what `memory.ask` raises.
    """
    log = _Log(memory, ids)
    answered = [_answered(memory, question, gold, score, ids) for question, gold in questions]
    marks = [row["reward"] for row in answered]
    shared = Rewards(
        0.0,
        compression=compression(sum(map(count, log.kept)), sum(map(count, log.told))),
        correctness=sum(marks) / len(marks) if marks else None,
    )
    return [*(_step(log, case, shared, weights) for case in log.cases), *answered]


def _step(log: _Log, case: Record, shared: Rewards, weights: tuple[float, float]) -> dict[str, Any]:
    """The row of a logged question, with the rewards that it shares with the whole rollout."""
    own = case.metadata["rewards"]
    rewards = replace(shared, calls=own["calls"], content=own.get("content", 0.0))
    whole = rewards.total(*weights) if "content" in own else rewards.correctness
    return {**log.row(case), "rewards": asdict(rewards), "reward": whole}


class _Log:
    """The log of a scope, and what its steps were shown and wrote."""

    def __init__(self, memory: Memory, ids: Mapping[str, Any]) -> None:
        self._memory, self._ids = memory, ids
        records = list(_every(memory, ids))
        made = [record for record in records if record.made_by is not None]
        self.cases = [record for record in made if record.kind == CASE and AGENT in record.metadata]
        self.kept = [record.text for record in made if record.kind != CASE and record.valid.end is None]
        shown = {id for case in self.cases for id, _ in case.metadata["shown"]}
        known = dict.fromkeys([*(record.id for record in made if record.kind != CASE), *sorted(shown)])
        self._versions = {
            (version.id, version.version): version for id in known for version in self._history(id)
        }
        self._turns = {record.id: record for record in records}
        turns = dict.fromkeys(id for case in self.cases for id in case.metadata["turns"])
        self.told = [self._turns[id].text for id in turns if id in self._turns]

    def row(self, case: Record) -> dict[str, Any]:
        """Agent, prompt and completion of a step."""
        of_step = [version for version in self._versions.values() if version.opened == case.opened]
        wrote = {version.id: version for version in of_step}
        added = sorted((item for item in of_step if item.version == 1), key=lambda item: item.arrival)
        turns = [self._turns[id] for id in case.metadata["turns"] if id in self._turns]
        shown = [(id, self._versions.get((id, version))) for id, version in case.metadata["shown"]]
        number = {id: place for place, (id, _) in enumerate(shown, 1)}
        lines = [
            {"memory": number[id], "kind": record.metadata.get("memory", record.kind), "text": record.text}
            for id, record in shown
            if record is not None
        ]
        said = [
            {"speaker": speaker_of(turn), "time": turn.time.isoformat(), "text": turn.text} for turn in turns
        ]
        calls = [_call(call, number, wrote, added) for call in case.metadata["calls"]]
        prompt = f"Memories:\n{_lines(lines)}\n\nTurns:\n{_lines(said)}"
        completion = json.dumps({"calls": calls}, ensure_ascii=False)
        return {"agent": case.metadata[AGENT], "prompt": prompt, "completion": completion, "case": case.id}

    def _history(self, id: str) -> list[Record]:
        try:
            return self._memory.history(id, **self._ids)
        except NotFound:
            return []


def _call(
    call: Mapping[str, Any],
    number: Mapping[str, int],
    wrote: Mapping[str, Record],
    added: Sequence[Record],
) -> dict[str, Any]:
    """A call as the agent made it; the content of one that was refused is not kept."""
    place, target = call.get("added"), call.get("record")
    record = wrote.get(str(target)) if place is None else None
    if place is not None and place < len(added):
        record = added[place]
    removes = call["tool"] in ("DELETE", "NOOP", "delete")
    content = None if record is None or removes or not call["done"] else record.text
    parts = {
        "tool": call["tool"],
        "memory": call.get("memory"),
        "number": number.get(str(target)),
        "content": content,
    }
    return {name: value for name, value in parts.items() if value is not None}


def _answered(
    memory: Memory, question: str, gold: str, score: Score, ids: Mapping[str, Any]
) -> dict[str, Any]:
    """The answer agent's row."""
    hits = memory.search(question, k=60, **ids)
    answer = memory.ask(question, **ids).text
    mark = score(answer, gold)
    lines = [{"memory": number, "text": hit.text} for number, hit in enumerate(hits, 1)]
    return {
        "agent": "answer agent",
        "prompt": f"Memories:\n{_lines(lines)}\n\nQuestion: {question}",
        "completion": answer,
        "gold": gold,
        "rewards": {"correctness": mark},
        "reward": mark,
    }


def _every(memory: Memory, ids: Mapping[str, Any]) -> Iterator[Record]:
    after: str | None = None
    while True:
        page = memory.get_all(after=after, limit=_PAGE, **ids)
        yield from page.items
        if page.next is None:
            return
        after = page.next


def _lines(items: Sequence[object]) -> str:
    return "\n".join(json.dumps(item, ensure_ascii=False) for item in items)
