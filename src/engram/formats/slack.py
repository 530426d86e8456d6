"""Slack's own export of a workspace: a folder, or the zip archive, of channels and days."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from itertools import islice
from typing import Any

from engram.formats.base import Incoming, Skipped
from engram.formats.making import made
from engram.formats.shapes import listed
from engram.formats.source import Source

__all__ = ["Slack"]

_DAY = re.compile(r"(?:^|/)(?P<channel>[^/]+)/(?P<day>\d{4}-\d{2}-\d{2})\.json$")
_PEOPLE = ("users.json", "org_users.json")
_CHANNELS = ("channels.json", "groups.json", "mpims.json", "dms.json")
_TALKS = ("mpims.json", "dms.json")
_SAID = frozenset(
    ["bot_message", "me_message", "thread_broadcast", "file_share", "file_comment", "reply_broadcast"]
)
_LINK = re.compile(r"<(?P<kind>[@#!]?)(?P<target>[^<>|]+)(?:\|(?P<label>[^<>]*))?>")
_ESCAPES = (("&lt;", "<"), ("&gt;", ">"), ("&amp;", "&"))
_MOST_NAMES = 500_000
_MOST_BLOCKS = 2_000


class Slack:
    """The export that owners of a workspace download.

    It has `users.json`, `channels.json`, and a folder for each channel with a JSON file for each day. The
    layout is that of Slack's help page on reading exports; what messages hold, that of its reference of
    message events. Each message is a user's, named as in `users.json` (display name, else real name); bots
    are the role assistant. Mentions, channels and links are written out (`@Ana`, `#general`), escapes
    undone; a message without text gives that of its blocks and attachments. The export has only the last
    text of what was edited, which is marked `edited`.

    The name of the channel, or of those who talk directly, is `channel` in the metadata. Run: channel and
    day (`general/2024-05-02`); the replies of a thread have one of their own (channel and
    the first message's time). Ids are the channel's id and the message's `ts`, which is its time as well.

    Left out, with the reason: joins, topics and other notices, deleted messages, messages with files only,
    other files of the export (canvases, lists, logs of apps). Reactions are not kept.
    """

    name = "slack"
    title = "Slack export (folder or zip)"

    def recognises(self, source: Source) -> bool:
        """Whether there are lists of people or channels, and files of days in folders."""
        ends = {name.rsplit("/", 1)[-1] for name in source.names}
        return bool(ends & {*_PEOPLE, *_CHANNELS}) and any(_DAY.search(name) for name in source.names)

    def read(self, source: Source) -> Iterator[Incoming | Skipped]:
        """The messages by channel and day. Raises `InvalidInput` for a file that is not JSON."""
        days = [(name, found) for name in source.names if (found := _DAY.search(name))]
        lists = [name for name in source.names if name.rsplit("/", 1)[-1] in (*_PEOPLE, *_CHANNELS)]
        source.expect([*lists, *(name for name, _ in days)])
        names = _Names.read(source, lists)
        for name, found in days:
            reading = _Day(source, name, found["channel"], found["day"], names)
            for number, item in source.items(name):
                yield reading.message(item, f"{source.place(name)}: [{number}]")
        seen = {name for name, _ in days} | set(lists)
        others = [name for name in source.names if name not in seen]
        if others:
            yield Skipped(
                source.place(others[0]), "not messages", {"files": len(others), "first": others[:10]}
            )


@dataclass
class _Names:
    """How people and channels are called, by their ids, and the ids of channels by the names of folders."""

    people: dict[str, str] = field(default_factory=dict)
    channels: dict[str, str] = field(default_factory=dict)
    ids: dict[str, str] = field(default_factory=dict)
    members: dict[str, list[str]] = field(default_factory=dict)

    @classmethod
    def read(cls, source: Source, files: Iterable[str]) -> _Names:
        names = cls()
        for file in files:
            end = file.rsplit("/", 1)[-1]
            for _, item in islice(source.items(file), _MOST_NAMES):
                if isinstance(item, Mapping) and isinstance(item.get("id"), str):
                    names.take(end, item)
        return names

    def take(self, file: str, item: Mapping[str, Any]) -> None:
        id = item["id"]
        if file in _PEOPLE:
            self.people[id] = _person(item) or id
        else:
            called = _string(item.get("name")) or id
            self.channels[id] = called
            self.ids[called] = id
            if file in _TALKS:
                self.members[called] = [_string(member) for member in listed(item.get("members"))]

    def called(self, folder: str) -> str:
        """How a channel is called; a talk of two or more people, by their names."""
        people = [self.people.get(member, member) for member in self.members.get(folder, ())]
        return ", ".join(people[:10]) or self.channels.get(folder, folder)

    def plain(self, text: str) -> str:
        """The text with mentions and links written out, and without Slack's escapes."""
        text = _LINK.sub(self._link, text)
        for escape, mark in _ESCAPES:
            text = text.replace(escape, mark)
        return text

    def _link(self, found: re.Match[str]) -> str:
        kind, target, label = found["kind"], found["target"], found["label"]
        if kind == "@":
            return f"@{self.people.get(target) or label or target}"
        if kind == "#":
            return f"#{label or self.channels.get(target) or target}"
        if kind == "!":
            return label or f"@{target.split('^')[0]}"
        if not label or label == target.removeprefix("mailto:") or "://" not in target:
            return label or target
        return f"{label} ({target})"


def _person(item: Mapping[str, Any]) -> str | None:
    profile = item.get("profile")
    places = [profile if isinstance(profile, Mapping) else {}, item]
    wanted = [(place, key) for key in ("display_name", "real_name", "name") for place in places]
    return next((place[key] for place, key in wanted if isinstance(place.get(key), str) and place[key]), None)


@dataclass(frozen=True)
class _Day:
    """The file of a channel's day."""

    source: Source
    file: str
    channel: str
    day: str
    names: _Names

    def message(self, item: Any, place: str) -> Incoming | Skipped:
        if not isinstance(item, Mapping):
            return Skipped(place, f"is no object but {type(item).__name__}", lost=True)
        subtype = item.get("subtype")
        said = subtype is None or (isinstance(subtype, str) and subtype in _SAID)
        if not said or item.get("hidden"):
            reason = "deleted" if subtype == "tombstone" else f"a notice ({subtype or 'hidden'})"
            return Skipped(place, reason, {"text": self.names.plain(_string(item.get("text")))[:80]})
        time = _time(item.get("ts"))
        if time is None:
            return Skipped(place, "no time (ts)", lost=True)
        text = self.names.plain(_string(item.get("text")) or _blocks(item))
        files = _files(item)
        if not text.strip():
            return Skipped(place, "files only" if files else "no text", {"files": files} if files else {})
        return self._made(item, text, time, files, place)

    def _made(
        self, item: Mapping[str, Any], text: str, time: str, files: list[str], place: str
    ) -> Incoming | Skipped:
        channel = self.names.ids.get(self.channel, self.channel)
        ts, thread = str(item["ts"]), item.get("thread_ts")
        metadata: dict[str, Any] = {"channel": self.names.called(self.channel)}
        reply = isinstance(thread, str) and thread != ts
        if reply:
            metadata["thread"] = thread
        if isinstance(item.get("edited"), Mapping):
            metadata["edited"] = True
        if files:
            metadata["files"] = files
        message = {
            **self._who(item),
            "content": text,
            "time": time,
            "id": f"{channel}:{ts}",
            "metadata": metadata,
        }
        return made(message, place, run_id=f"{self.channel}/{thread if reply else self.day}")

    def _who(self, item: Mapping[str, Any]) -> dict[str, str]:
        bot = item.get("subtype") == "bot_message" or bool(item.get("bot_id"))
        role = {"role": "assistant" if bot else "user"}
        profiles = [item.get("user_profile"), item.get("bot_profile")]
        named = [_person(profile) for profile in profiles if isinstance(profile, Mapping)]
        given = [self.names.people.get(_string(item.get("user"))), _string(item.get("username")), *named]
        last = [_string(item.get("user")), _string(item.get("bot_id"))]
        name = next((text for text in (*given, *last) if text), None)
        return {**role, "name": name} if name else role


def _string(value: object) -> str:
    return value if isinstance(value, str) else ""


def _time(value: object) -> str | None:
    """Slack's `ts`, seconds since 1970 with a counter behind the point, as ISO 8601 in UTC."""
    try:
        return datetime.fromtimestamp(float(_string(value)), UTC).isoformat()
    except (ValueError, OverflowError, OSError):
        return None


def _files(item: Mapping[str, Any]) -> list[str]:
    files = item.get("files") if isinstance(item.get("files"), list) else [item.get("file")]
    named = [file.get("name") or file.get("title") for file in files or [] if isinstance(file, Mapping)]
    return [_string(name) or "unnamed" for name in named]


def _blocks(item: Mapping[str, Any]) -> str:
    """The text in the blocks and attachments of a message that has none itself."""
    attachments = item.get("attachments")
    parts: list[str] = [" ".join(islice(_texts(item.get("blocks")), _MOST_BLOCKS))]
    for attachment in attachments if isinstance(attachments, list) else []:
        if isinstance(attachment, Mapping):
            words = [_string(attachment.get(key)) for key in ("pretext", "title", "text")]
            parts.append("\n".join(filter(None, words)) or _string(attachment.get("fallback")))
    return "\n".join(part for part in parts if part.strip())


def _texts(value: object) -> Iterator[str]:
    if isinstance(value, list):
        for part in value:
            yield from _texts(part)
    elif isinstance(value, Mapping):
        text = value.get("text")
        if isinstance(text, str):
            yield text
        elif value.get("type") == "user":
            yield f"<@{_string(value.get('user_id'))}>"
        elif value.get("type") == "link":
            yield _string(value.get("url"))
        for key in ("text", "elements", "fields"):
            if not isinstance(value.get(key), str):
                yield from _texts(value.get(key))
