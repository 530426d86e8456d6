"""`--filter`: conditions on records as people type them, turned into what `search(filters=…)` takes."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from typing import Any

from engram.cli.options import Misuse, moment_of
from engram.kernel.errors import InvalidInput
from engram.operators.filters import compile_filters

__all__ = ["filtered"]

_SIGNS = {"=": "eq", "==": "eq", "!=": "ne", ">": "gt", ">=": "gte", "<": "lt", "<=": "lte", "~": "contains"}
_CONDITION = re.compile(r"\s*([\w.$-]+)\s*(?:(==|!=|>=|<=|=|>|<|~)|\s(\w+)\b)\s*(.*?)\s*", re.DOTALL)
_TIMES = ("time", "valid_start", "valid_end", "known_start", "known_end", "expires")
_NUMBERS = ("level", "strength", "trust", "version")
_FORM = "write FIELD OPERATOR VALUE, such as 'role = user' or 'time >= 2024-05', or a JSON object"


def filtered(given: Sequence[str] | None) -> Mapping[str, Any] | None:
    """The filters of one call, all of which must hold; `None` where none is given.

    A condition is `FIELD OPERATOR VALUE` with an operator's name (`eq in contains exists` …) or its sign
    (`= != > >= < <= ~`), or a JSON object in the form that `search` takes. Raises `Misuse`, also for a
    field or an operator that there is none of.
    """
    conditions = [_condition(text) for text in given or ()]
    whole = {"and": conditions} if len(conditions) > 1 else conditions[0] if conditions else None
    try:
        compile_filters(whole)
    except InvalidInput as error:
        raise Misuse(f"--filter: {error}") from error
    return whole


def _condition(text: str) -> Mapping[str, Any]:
    if text.lstrip().startswith("{"):
        try:
            value = json.loads(text)
        except ValueError as error:
            raise Misuse(f"--filter: {text!r:.80} is not JSON ({error})") from error
        return dict(value)
    found = _CONDITION.fullmatch(text)
    if found is None:
        raise Misuse(f"--filter: {text!r:.80} is no condition; {_FORM}")
    field, sign, name, value = found.groups()
    operator = _SIGNS[sign] if sign else name
    if not value and operator != "exists" and '""' not in text:
        raise Misuse(f"--filter: {text!r:.80} names no value; {_FORM}")
    return {field: {operator: _operand(field, operator, value)}}


def _operand(field: str, operator: str, text: str) -> Any:
    if operator == "exists":
        return _scalar(text, guess=True) if text else True
    if operator in ("in", "nin"):
        listed = _list(text)
        return listed if listed is not None else [_value(field, part.strip()) for part in text.split(",")]
    return _value(field, text)


def _value(field: str, text: str) -> Any:
    if field in _TIMES:
        return moment_of(str(_scalar(text, guess=False)), f"--filter {field}")
    return _scalar(text, guess=field in _NUMBERS or field.startswith("metadata."))


def _list(text: str) -> list[Any] | None:
    if not text.startswith("["):
        return None
    try:
        value = json.loads(text)
    except ValueError as error:
        raise Misuse(f"--filter: {text!r:.80} is not a JSON list ({error})") from error
    return list(value)


def _scalar(text: str, *, guess: bool) -> Any:
    """The text; without its quotes where it has some; as a number, a truth or null where that is a guess."""
    if text[:1] in ("'", '"') and text[-1:] == text[:1] and len(text) > 1:
        return text[1:-1]
    if not guess:
        return text
    try:
        value = json.loads(text)
    except ValueError:
        return text
    return text if isinstance(value, dict | list) else value
