"""JSON schemas as chat endpoints want them, and what to tell a model that has no such feature."""

import json
from collections.abc import Mapping
from typing import Any, Final

__all__ = ["instruction", "strict_schema"]

# OpenAI, "Structured outputs", supported schemas; others take the same or more. The rest is checked by us.
_KEPT: Final = frozenset({"type", "enum", "const", "description", "anyOf", "$ref", "items"})


def strict_schema(schema: Mapping[str, Any]) -> dict[str, Any] | None:
    """The schema in the strict subset, or `None` where it cannot be said in it.

    Every object names all of its fields, requires them and takes no others; constraints on lengths and
    sizes are left out: the reply is validated against the type anyway.
    """
    try:
        strict = _strict(schema)
    except ValueError:
        return None
    if "$defs" in schema:
        try:
            strict["$defs"] = {name: _strict(held) for name, held in schema["$defs"].items()}
        except ValueError:
            return None
    return strict


def _strict(schema: Mapping[str, Any]) -> dict[str, Any]:
    out = {key: value for key, value in schema.items() if key in _KEPT}
    if "oneOf" in schema:
        out["anyOf"] = schema["oneOf"]
    if "anyOf" in out:
        out["anyOf"] = [_strict(option) for option in out["anyOf"]]
    if out.get("type") == "array":
        if not isinstance(out.get("items"), Mapping) or "prefixItems" in schema:
            raise ValueError("an array of anything")
        out["items"] = _strict(out["items"])
    if out.get("type") == "object":
        if "properties" not in schema or isinstance(schema.get("additionalProperties"), Mapping):
            raise ValueError("an object of any fields")
        out["properties"] = {name: _strict(field) for name, field in schema["properties"].items()}
        out["required"] = list(out["properties"])
        out["additionalProperties"] = False
    if not out.keys() & {"type", "enum", "const", "anyOf", "$ref"}:
        raise ValueError("anything")
    return out


def instruction(schema: Mapping[str, Any]) -> str:
    """What to say to a model whose endpoint takes no schema."""
    return "Reply with one JSON value and nothing else. It follows this JSON schema:\n" + json.dumps(
        schema, ensure_ascii=False, separators=(",", ":")
    )
