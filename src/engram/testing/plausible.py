"""A chat model that says anything that has the form asked for: what a policy must bear from a real one."""

from __future__ import annotations

import hashlib
import json
import random
import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from engram.kernel.chat import ChatReply, ChatRequest

__all__ = ["PlausibleModel"]

_QUOTED = re.compile(r'"(?:[^"\\]|\\.)*"')
_WORD = re.compile(r"\w+")
_NUMBER = re.compile(r'": (\d{1,3})\b')
_MOST = 4  # items of a list, words of a text
_DEEP = 3  # below this many levels, lists are as short as they may be
_DATES = ("2026-02-03", "2025", "2026-01", "soon", "2026-13-45", "")
_MISSING = 0.3  # how often what may be left out is left out
Make = Callable[[Mapping[str, Any]], Any]


class PlausibleModel:
    """A chat model that replies with a value of the schema asked for, made of what the question shows.

    Texts are words of the question, or whole quoted strings of it; numbers are near those it shows. So
    replies name what was shown, and now and then what was not. The same question gets the same reply, for
    each `seed` another one: a memory that is filled from it can be filled again. Safe to use from several
    threads.

    Schemas are understood as pydantic writes them, but for patterns. Raises `TypeError` for a schema with
    anything else.
    """

    def __init__(self, seed: int = 0, *, name: str = "plausible:model") -> None:
        self.name = name
        self._seed = seed

    def reply(self, request: ChatRequest) -> ChatReply:
        """Any reply of the form asked for."""
        asked = "\n".join(message.text for message in request.messages)
        digest = hashlib.blake2b(f"{self._seed}/{asked}".encode("utf-8", "surrogatepass"), digest_size=8)
        speech = _Speech(random.Random(digest.digest()), request)  # noqa: S311 - nothing is kept secret
        text = (
            speech.text({"minLength": 1})
            if request.schema is None
            else json.dumps(speech.value(request.schema))
        )
        return ChatReply(text, -(-len(asked) // 4), -(-len(text) // 4), model=self.name)


class _Speech:
    """One reply: draws from what the question shows."""

    def __init__(self, draw: random.Random, request: ChatRequest) -> None:
        prompt = request.messages[-1].text
        strings = [json.loads(found, strict=False) for found in _QUOTED.findall(prompt)]
        self._strings: list[str] = [text for text in strings if " " in text] or [prompt[:40]]
        self._words: list[str] = _WORD.findall(" ".join(self._strings)) or ["nothing"]
        self._largest = max((int(found) for found in _NUMBER.findall(prompt)), default=2)
        self._draw = draw
        self._level = 0
        self._defs: Mapping[str, Any] = (request.schema or {}).get("$defs", {})
        self._makers: dict[str, Make] = {
            "object": self._object,
            "array": self._array,
            "string": self.text,
            "integer": self._integer,
            "number": self._number,
            "boolean": self._boolean,
            "null": self._null,
        }

    def value(self, schema: Mapping[str, Any]) -> Any:
        """A value of the schema."""
        if "$ref" in schema:
            return self.value(self._defs[schema["$ref"].rsplit("/", 1)[1]])
        if "const" in schema:
            return schema["const"]
        if "enum" in schema:
            return self._draw.choice(schema["enum"])
        for key in ("anyOf", "oneOf"):
            if key in schema:
                return self.value(self._draw.choice(schema[key]))
        if len(schema.get("allOf", ())) == 1:
            return self.value(schema["allOf"][0])
        if schema.get("type") not in self._makers:
            raise TypeError(f"no plausible value of the schema {dict(schema)!r:.200}")
        return self._makers[schema["type"]](schema)

    def text(self, schema: Mapping[str, Any]) -> str:
        """Words of the question, or a text that it quotes; now and then a date."""
        least: int = schema.get("minLength", 0)
        most: int = schema.get("maxLength", 1000)
        kind = self._draw.random()
        if kind < 0.2:
            found = self._draw.choice(self._strings)
        elif kind < 0.3:
            found = self._draw.choice(_DATES)
        else:
            found = " ".join(self._draw.choices(self._words, k=self._draw.randint(1, _MOST)))
        return found[:most].ljust(least, "x")

    def _object(self, schema: Mapping[str, Any]) -> dict[str, Any]:
        fields: Mapping[str, Any] = schema.get("properties", {})
        needed: Sequence[str] = schema.get("required", ())
        kept = [name for name in fields if name in needed or self._draw.random() >= _MISSING]
        found = {name: self.value(fields[name]) for name in kept}
        others = schema.get("additionalProperties")
        if isinstance(others, Mapping):
            count = self._draw.randint(0, _MOST)
            found |= {self._draw.choice(self._words): self.value(others) for _ in range(count)}
        return found

    def _array(self, schema: Mapping[str, Any]) -> list[Any]:
        if "prefixItems" in schema:
            return [self.value(item) for item in schema["prefixItems"]]
        least = schema.get("minItems", 0)
        most = least if self._level > _DEEP else min(schema.get("maxItems", _MOST), _MOST)
        self._level += 1
        found = [self.value(schema["items"]) for _ in range(self._draw.randint(least, max(least, most)))]
        self._level -= 1
        if schema.get("uniqueItems"):
            found = list({json.dumps(item): item for item in found}.values())
        return found

    def _integer(self, schema: Mapping[str, Any]) -> int:
        least = schema.get("minimum", schema.get("exclusiveMinimum", -1) + 1)
        most = schema.get("maximum", schema.get("exclusiveMaximum", max(least, self._largest + 2)) - 1)
        return self._draw.randint(least, max(least, most))

    def _boolean(self, schema: Mapping[str, Any]) -> bool:
        return self._draw.random() < 0.5

    def _null(self, schema: Mapping[str, Any]) -> None:
        return None

    def _number(self, schema: Mapping[str, Any]) -> float:
        least, most = schema.get("minimum", 0.0), schema.get("maximum", 1.0)
        return round(self._draw.uniform(least, max(least, most)), 3)
