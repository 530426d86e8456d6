"""The plain conversation format: what was said, by whom, when, and questions with their evidence."""

from __future__ import annotations

import gzip
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path
from typing import Any

from engram.engine.ingest import check_text
from engram.kernel.clock import parse_time
from engram.kernel.errors import InvalidInput

__all__ = ["Conversation", "DataSet", "Question", "Session", "data_sets", "read_conversation"]

_ENDINGS = (".json", ".json.gz")
_ROLES = ("user", "assistant")
_LONGEST = 512


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


def _groups(path: Path) -> Iterator[tuple[str, list[Path]]]:
    if path.is_file():
        yield _stem(path), [path]
        return
    if not path.exists():
        raise InvalidInput(f"{path}: there is no such file or folder")
    files = sorted(file for file in path.rglob("*") if file.name.endswith(_ENDINGS) and file.is_file())
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
        name=_id(content.get("name") or _stem(path), f"{path}: name"),
        sessions=tuple(sessions),
        questions=tuple(
            _question(item, f"{path}: questions[{place}]") for place, item in enumerate(questions)
        ),
        last=max(times, key=lambda text: parse_time(text)[0], default=None),
    )


def _json(path: Path) -> Any:
    try:
        content = path.read_bytes()
        return json.loads(gzip.decompress(content) if path.name.endswith(".gz") else content)
    except json.JSONDecodeError as error:
        raise InvalidInput(
            f"{path}: not JSON ({error.msg} at line {error.lineno} column {error.colno})"
        ) from error
    except (OSError, EOFError, UnicodeDecodeError) as error:
        raise InvalidInput(f"{path}: cannot be read ({error})") from error


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
        message = _message(turn, place, seen, number)
        speaker = _id(turn["speaker"], f"{place}.speaker") if turn.get("speaker") is not None else "user"
        if speaker.lower() in _ROLES:
            message["role"] = speaker.lower()
        else:
            message["name"] = speaker
        session = turn.get("session")
        messages.append((None if session is None else _id(session, f"{place}.session"), message))
    return [
        Session(run_id, tuple(message for _, message in group))
        for run_id, group in groupby(messages, key=lambda pair: pair[0])
    ]


def _documents(documents: list[Any], path: Path) -> list[Session]:
    seen: dict[str, int] = {}
    sessions: list[Session] = []
    for number, document in enumerate(documents):
        place = f"{path}: documents[{number}]"
        message = _message(document, place, seen, number)
        if document.get("title") is not None:
            message["title"] = _text(document, "title", place)
        message |= {key: document[key] for key in ("entities", "triples") if document.get(key) is not None}
        sessions.append(Session(message["id"], (message,)))
    return sessions


def _message(turn: Any, place: str, seen: dict[str, int], number: int) -> dict[str, Any]:
    """What turns and documents share: a user's message with its id, text and time."""
    if not isinstance(turn, dict):
        raise InvalidInput(f"{place}: expected an object, got {type(turn).__name__}")
    id = _id(turn.get("id"), f"{place}.id")
    if seen.setdefault(id, number) != number:
        raise InvalidInput(f"{place}.id: {id!r} is the id of number {seen[id]} already; give each its own")
    message: dict[str, Any] = {"role": "user", "content": _text(turn, "text", place), "id": id}
    if turn.get("time") is not None:
        parse_time(turn["time"], f"{place}.time")
        message["time"] = turn["time"]
    return message


def _question(item: Any, place: str) -> Question:
    if not isinstance(item, dict):
        raise InvalidInput(f"{place}: expected an object, got {type(item).__name__}")
    evidence = item.get("evidence") or []
    if not isinstance(evidence, list):
        raise InvalidInput(f"{place}.evidence: expected a list of ids, got {type(evidence).__name__}")
    return Question(
        text=_text(item, "question", place),
        evidence=frozenset(_id(id, f"{place}.evidence[{number}]") for number, id in enumerate(evidence)),
        category=str(item.get("category", "")),
        answer=str(item.get("answer", "")),
    )


def _id(value: Any, place: str) -> str:
    """An id or a name as text; raises `InvalidInput` for what no scope or message can be called."""
    text = "" if isinstance(value, bool) or not isinstance(value, str | int) else str(value)
    if not text.strip() or len(text) > _LONGEST or not text.isprintable():
        raise InvalidInput(
            f"{place}: expected a number, or 1 to {_LONGEST} printable characters, got {value!r:.40}"
        )
    return text


def _text(content: Mapping[str, Any], key: str, place: str) -> str:
    if key not in content:
        raise InvalidInput(f"{place}.{key} is missing")
    return check_text(content[key], f"{place}.{key}")
