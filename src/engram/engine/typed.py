"""Typed replies: a type gives a JSON schema for the model, and a reply a value of that type or an error.

pydantic makes both, for dataclasses as for its own models; it is loaded when something is first asked for.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Hashable, Iterator, Mapping
from functools import lru_cache
from typing import TYPE_CHECKING, Any, NoReturn, cast

from engram.kernel.errors import ConfigError

if TYPE_CHECKING:
    from pydantic import TypeAdapter, ValidationError

__all__ = ["MAX_REPLY", "parse", "reply_schema", "type_name"]

MAX_REPLY = 400_000
_WRAPPED = "reply"
_STARTS = 100
_SHOWN_PROBLEMS = 5
_THOUGHT = re.compile(r"<think(?:ing)?>.*?</think(?:ing)?>", re.DOTALL)
_FENCE = re.compile(r"```[\w-]*[ \t]*\n(.*?)\n?[ \t]*```", re.DOTALL)
_OPENING = re.compile(r"[{\[]")
_UNSTORABLE = re.compile("[\0\ud800-\udfff]")  # what no record's text may hold


def reply_schema(wanted: type[Any]) -> dict[str, Any] | None:
    """The JSON schema of a reply, an object at its root; `None` for text.

    What is no object by itself is the field `reply` of one. Raises `ConfigError` for a type that has none.
    """
    return None if wanted is str else _schema(cast("Hashable", wanted))


def parse(text: str, wanted: type[Any]) -> Any:
    """The value of type `wanted` in a model's reply; `ValueError` says what is wrong with it.

    For `str` the text itself. Else the JSON in it, wherever it stands: alone, in a code fence, with prose
    around it, after a passage of reasoning. Where several pieces fit, the last one counts. A field that
    the type has not is an error, unless a pydantic model allows it.
    """
    if len(text) > MAX_REPLY:
        raise ValueError(f"it is longer than {MAX_REPLY:,} characters; reply with much less")
    text = _THOUGHT.sub("", text).strip().removeprefix("\ufeff").strip()
    if not text:
        raise ValueError("it is empty")
    _check_text(text)
    return text if wanted is str else _parsed(text, wanted)


def type_name(wanted: object) -> str:
    """What to call the type in messages."""
    return getattr(wanted, "__name__", None) or str(wanted)


def _check_text(text: str) -> None:
    if found := _UNSTORABLE.search(text):
        raise ValueError(f"it holds the character U+{ord(found[0]):04X}, which no text may hold")


def _check_strings(value: Any) -> None:
    """As `_check_text`, for every string that an escape may have brought in."""
    waiting = [value]
    while waiting:
        match waiting.pop():
            case str() as text:
                _check_text(text)
            case dict() as fields:
                waiting.extend((*fields, *fields.values()))
            case list() as items:
                waiting.extend(items)
            case _:
                pass


def _parsed(text: str, wanted: type[Any]) -> Any:
    problem: ValueError | None = None
    value: Any = None
    fits = False
    for piece in _pieces(text):
        try:
            if isinstance(piece, ValueError):
                raise piece
            value, fits = _validated(piece, wanted), True
        except ValueError as error:
            problem = problem or error
    if fits:
        return value
    raise problem or ValueError("it holds no JSON; reply with JSON only")


def _pieces(text: str) -> Iterator[Any]:
    """JSON values in the text, in order, and errors in place of broken ones. Raises where one is cut off."""
    whole = _decoded(text)
    if not isinstance(whole, ValueError):
        yield whole
        return
    fenced = [_decoded(found[1].strip()) for found in _FENCE.finditer(text)]
    good = [piece for piece in fenced if not isinstance(piece, ValueError)]
    if good:
        yield from good
        return
    yield from _scattered(text)


def _scattered(text: str) -> Iterator[Any]:
    place = 0
    for _ in range(_STARTS):
        opening = _OPENING.search(text, place)
        if opening is None:
            break
        try:
            value, place = _DECODER.raw_decode(text, opening.start())
            yield value
        except RecursionError:
            raise ValueError("its JSON is nested too deep") from None
        except ValueError as error:
            if _is_cut_off(error, text):
                raise ValueError(
                    f"its JSON is cut off after {len(text):,} characters; reply shorter"
                ) from None
            place = opening.start() + 1
            yield ValueError(f"it is not JSON: {error}")


def _is_cut_off(error: ValueError, text: str) -> bool:
    """Whether a decoder's error is that the text ends too early."""
    if not isinstance(error, json.JSONDecodeError):
        return False
    return error.pos >= len(text.rstrip("`\n ")) or error.msg.startswith("Unterminated")


def _decoded(text: str) -> Any:
    """The JSON value that the text is, or the error as a value."""
    try:
        return _DECODER.decode(text)
    except RecursionError:
        return ValueError("its JSON is nested too deep")
    except ValueError as error:
        return error


def _no_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is no JSON number")


def _finite(digits: str) -> float:
    number = float(digits)
    return number if math.isfinite(number) else _no_constant(digits)


_DECODER = json.JSONDecoder(parse_constant=_no_constant, parse_float=_finite)


def _validated(value: Any, wanted: type[Any]) -> Any:
    """`value` as `wanted`, or its field `reply` where the schema had wrapped it."""
    from pydantic import ValidationError

    _check_strings(value)
    key = cast("Hashable", wanted)
    if _is_wrapped(key) and isinstance(value, Mapping) and set(value) == {_WRAPPED}:
        value = value[_WRAPPED]
    try:
        return _adapter(key).validate_json(json.dumps(value), extra=_extra(wanted))
    except ValidationError as error:
        raise ValueError(_told(error)) from error
    except RecursionError:
        raise ValueError("its JSON is nested too deep") from None


def _told(error: ValidationError) -> str:
    problems = error.errors(include_url=False, include_context=False, include_input=False)
    told = [
        f"{'.'.join(map(str, problem['loc'])) or 'the reply'}: {problem['msg']}"
        for problem in problems[:_SHOWN_PROBLEMS]
    ]
    more = len(problems) - len(told)
    return "; ".join(told) + (f"; and {more} more" if more > 0 else "")


def _extra(wanted: type[Any]) -> Any:
    """Fields that are not in the type are refused, unless a pydantic model says what to do with them."""
    config = getattr(wanted, "model_config", None) or getattr(wanted, "__pydantic_config__", None) or {}
    return None if "extra" in config else "forbid"


@lru_cache(maxsize=256)
def _adapter(wanted: Hashable) -> TypeAdapter[Any]:
    from pydantic import TypeAdapter
    from pydantic.errors import PydanticUserError

    try:
        return TypeAdapter(cast("type[Any]", wanted))
    except (PydanticUserError, TypeError, NameError) as error:
        raise ConfigError(f"Ask: a reply cannot be made into {type_name(wanted)}: {error}") from error


@lru_cache(maxsize=256)
def _plain_schema(wanted: Hashable) -> dict[str, Any]:
    from pydantic.errors import PydanticUserError

    try:
        return _adapter(wanted).json_schema()
    except PydanticUserError as error:
        raise ConfigError(f"Ask: {type_name(wanted)} has no JSON schema: {error}") from error


def _is_wrapped(wanted: Hashable) -> bool:
    plain = _plain_schema(wanted)
    found = plain.get("$defs", {}).get(plain["$ref"].rsplit("/", 1)[1], {}) if "$ref" in plain else plain
    return found.get("type") != "object"


@lru_cache(maxsize=256)
def _schema(wanted: Hashable) -> dict[str, Any]:
    plain = dict(_plain_schema(wanted))
    if not _is_wrapped(wanted):
        return plain
    held = {"$defs": plain.pop("$defs")} if "$defs" in plain else {}
    return {"type": "object", "properties": {_WRAPPED: plain}, "required": [_WRAPPED], **held}
