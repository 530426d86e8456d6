"""The plain conversation format: what was said, by whom, when, and questions with their evidence."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import groupby
from pathlib import Path
from typing import Any

from engram.formats.conversation import ENDINGS, document_of, id_of, text_of, turn_of
from engram.formats.source import Source
from engram.kernel.clock import parse_time
from engram.kernel.errors import InvalidInput
from engram.kernel.triple import without_graph

__all__ = ["Conversation", "DataSet", "Question", "Session", "bare", "data_sets", "read_conversation"]


@dataclass(frozen=True, slots=True)
class Question:
    """A question and the ids of the turns that answer it; without evidence it cannot be answered."""

    text: str
    evidence: frozenset[str]
    category: str
    answer: str = ""


@dataclass(frozen=True, slots=True)
class Session:
    """Messages for one `add`, and the `run_id` they belong to (`None`: sessions are not told apart)."""

    run_id: str | None
    messages: tuple[Mapping[str, Any], ...]


@dataclass(frozen=True, slots=True)
class Conversation:
    """One file: sessions in their order, questions about them, and when anything was said last."""

    name: str
    sessions: tuple[Session, ...]
    questions: tuple[Question, ...]
    last: str | None

    @property
    def turns(self) -> int:
        """How many messages there are."""
        return sum(len(session.messages) for session in self.sessions)


@dataclass(frozen=True, slots=True)
class DataSet:
    """Conversations that are measured together, named after their folder, or after the file given alone."""

    name: str
    conversations: tuple[Conversation, ...]


def data_sets(paths: Sequence[Path]) -> list[DataSet]:
    """What lies at the paths: a file is a data set of its own, a folder one for each folder that holds files.

    Takes `.json` and `.json.gz`. Raises `InvalidInput` naming the file and the field, or the path where
    nothing is found.
    """
    found: list[DataSet] = []
    for path in paths:
        groups = list(_groups(path))
        if not groups:
            raise InvalidInput(
                f"{path}: no .json or .json.gz file is there; give a conversation or a folder of them"
            )
        found += [DataSet(name, tuple(read_conversation(file) for file in files)) for name, files in groups]
    return found


def bare(data: DataSet) -> DataSet:
    """The same without the entities and triples that documents bring, under a name that says so."""
    return DataSet(
        f"{data.name} (bare)",
        tuple(
            replace(
                conversation,
                sessions=tuple(
                    Session(session.run_id, tuple(map(without_graph, session.messages)))
                    for session in conversation.sessions
                ),
            )
            for conversation in data.conversations
        ),
    )


def _groups(path: Path) -> Iterator[tuple[str, list[Path]]]:
    if path.is_file():
        yield _stem(path), [path]
        return
    if not path.exists():
        raise InvalidInput(f"{path}: there is no such file or folder")
    files = sorted(file for file in path.rglob("*") if file.name.endswith(ENDINGS) and file.is_file())
    for folder, group in groupby(
        sorted(files, key=lambda file: (file.parent, file)), key=lambda file: file.parent
    ):
        yield folder.resolve().name, list(group)


def read_conversation(path: Path) -> Conversation:
    """One file of turns, or of documents (each a turn in a session of its own).

    Raises `InvalidInput` naming the file and the field that cannot be taken.
    """
    content = _json(path)
    if not isinstance(content, dict):
        raise InvalidInput(
            f"{path}: expected an object with turns or documents, got {type(content).__name__}"
        )
    if "documents" in content:
        sessions = _documents(_list(content, "documents", path), path)
    elif "turns" in content:
        sessions = _sessions(_list(content, "turns", path), path)
    else:
        raise InvalidInput(f"{path}: neither turns nor documents is there; give one of them as a list")
    times = [message["time"] for session in sessions for message in session.messages if "time" in message]
    questions = _list(content, "questions", path) if content.get("questions") is not None else []
    return Conversation(
        name=id_of(content.get("name") or _stem(path), f"{path}: name"),
        sessions=tuple(sessions),
        questions=tuple(
            _question(item, f"{path}: questions[{place}]") for place, item in enumerate(questions)
        ),
        last=max(times, key=lambda text: parse_time(text)[0], default=None),
    )


def _json(path: Path) -> Any:
    with Source(path) as source:
        (value,) = [
            value for _, value in source.items(source.names[0], "")
        ]  # read to the end: it may be cut off
        return value


def _stem(path: Path) -> str:
    return path.name.removesuffix(".gz").removesuffix(".json")


def _list(content: Mapping[str, Any], key: str, path: Path) -> list[Any]:
    value = content[key]
    if not isinstance(value, list):
        raise InvalidInput(f"{path}: {key}: expected a list, got {type(value).__name__}")
    return value


def _sessions(turns: list[Any], path: Path) -> list[Session]:
    """Neighbouring turns of one session together, so that what was said stays in its order."""
    seen: dict[str, int] = {}
    messages: list[tuple[str | None, dict[str, Any]]] = []
    for number, turn in enumerate(turns):
        place = f"{path}: turns[{number}]"
        messages.append(turn_of(turn, place))
        _once(messages[-1][1], place, seen, number)
    return [
        Session(run_id, tuple(message for _, message in group))
        for run_id, group in groupby(messages, key=lambda pair: pair[0])
    ]


def _documents(documents: list[Any], path: Path) -> list[Session]:
    seen: dict[str, int] = {}
    sessions: list[Session] = []
    for number, document in enumerate(documents):
        place = f"{path}: documents[{number}]"
        run_id, message = document_of(document, place)
        _once(message, place, seen, number)
        sessions.append(Session(run_id, (message,)))
    return sessions


def _once(message: Mapping[str, Any], place: str, seen: dict[str, int], number: int) -> None:
    id = message["id"]
    if seen.setdefault(id, number) != number:
        raise InvalidInput(f"{place}.id: {id!r} is the id of number {seen[id]} already; give each its own")


def _question(item: Any, place: str) -> Question:
    if not isinstance(item, dict):
        raise InvalidInput(f"{place}: expected an object, got {type(item).__name__}")
    evidence = item.get("evidence") or []
    if not isinstance(evidence, list):
        raise InvalidInput(f"{place}.evidence: expected a list of ids, got {type(evidence).__name__}")
    return Question(
        text=text_of(item, "question", place),
        evidence=frozenset(id_of(id, f"{place}.evidence[{number}]") for number, id in enumerate(evidence)),
        category=str(item.get("category", "")),
        answer=str(item.get("answer", "")),
    )
