"""Two JSON schemas as one that holds to both: what `allOf` and keywords beside `$ref` ask for.

Pure; called by `json_schema`.
"""

import json
from typing import Any, Final

_TIGHTER: Final = {
    "minimum": max,
    "exclusiveMinimum": max,
    "minLength": max,
    "minItems": max,
    "minProperties": max,
    "maximum": min,
    "exclusiveMaximum": min,
    "maxLength": min,
    "maxItems": min,
    "maxProperties": min,
}
_LIMIT_OPTIONS: Final = 256

CONSTRAINTS: Final = frozenset(
    {
        *_TIGHTER,
        "$ref",
        "type",
        "enum",
        "const",
        "properties",
        "required",
        "additionalProperties",
        "propertyNames",
        "items",
        "prefixItems",
        "additionalItems",
        "allOf",
        "anyOf",
        "oneOf",
        "pattern",
        "format",
        "multipleOf",
    }
) - {"$ref"}
"""The keywords that say something about values; the rest is for people."""

type _Schema = dict[str, Any]


class Conflict(Exception):  # noqa: N818
    """Two schemas that cannot be made one; the text says why."""


def merge_schemas(one: Any, two: Any) -> Any:
    """A schema for the values that obey both; False where there are none. Raises `Conflict`."""
    if one is False or two is False:
        return False
    if one is True or two is True:
        return two if one is True else one
    if not isinstance(one, dict) or not isinstance(two, dict):
        raise Conflict("a schema must be an object, true or false")
    merged = {**one, **two}
    _merge_properties(one, two, merged)
    for key in one.keys() & two.keys() & CONSTRAINTS:
        if key in {"properties", "additionalProperties"} or one[key] == two[key]:
            continue
        value = _merge_values(key, one[key], two[key])
        if value is None:
            return False
        merged[key] = value
    if "$ref" in one and "$ref" in two and one["$ref"] != two["$ref"]:
        del merged["$ref"]
        merged["allOf"] = [*merged.get("allOf", ()), {"$ref": one["$ref"]}, {"$ref": two["$ref"]}]
    return merged


def _merge_values(key: str, one: Any, two: Any) -> Any:
    """One keyword's two values as one; None where nothing is left."""
    try:
        if key in _TIGHTER and not isinstance(one, bool) and not isinstance(two, bool):
            return _TIGHTER[key](one, two)
        match key:
            case "required":
                return [*one, *(name for name in two if name not in one)]
            case "type":
                return _merge_types(one, two)
            case "enum":
                known = {json.dumps(value) for value in two}
                return [value for value in one if json.dumps(value) in known] or None
            case "const":
                return None
            case "items" | "additionalItems" | "propertyNames":
                return {"allOf": [one, two]}
            case "allOf":
                return [*one, *two]
            case "anyOf" | "oneOf" if len(one) * len(two) <= _LIMIT_OPTIONS:
                return [{"allOf": [a, b]} for a in one for b in two]
            case _:
                pass
    except TypeError:
        pass
    raise Conflict(f"two values of {key} cannot be held to together")


def _merge_types(one: Any, two: Any) -> Any:
    first = {one} if isinstance(one, str) else set(one)
    second = {two} if isinstance(two, str) else set(two)
    both = first & second
    if "integer" in first | second and "number" in first | second:
        both.add("integer")
    return sorted(both) or None


def _merge_properties(one: _Schema, two: _Schema, merged: _Schema) -> None:
    """Properties of both; what one does not declare is what its `additionalProperties` says."""
    ours, theirs = one.get("properties", {}), two.get("properties", {})
    if not isinstance(ours, dict) or not isinstance(theirs, dict):
        raise Conflict("properties must be an object")
    rest_of_one = one.get("additionalProperties", True)
    rest_of_two = two.get("additionalProperties", True)
    if ours or theirs:
        merged["properties"] = {
            key: _both(ours.get(key, rest_of_one), theirs.get(key, rest_of_two))
            for key in {**ours, **theirs}
        }
    if "additionalProperties" in merged:
        merged["additionalProperties"] = _both(rest_of_one, rest_of_two)


def _both(one: Any, two: Any) -> Any:
    if one is False or two is False:
        return False
    if one is True or two is True:
        return two if one is True else one
    return one if one == two else {"allOf": [one, two]}
