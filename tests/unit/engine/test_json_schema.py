"""JSON schemas: what they allow can be written, what they forbid cannot; hostile ones end soon."""

import json
import random
import re
import time
from typing import Any

import pytest

from inglenook.base.errors import EngineError
from inglenook.engine.constraints.constraint import compile_constraint
from inglenook.engine.constraints.matcher import Matcher
from inglenook.engine.protocol import Constraint

_NODE = {
    "type": "object",
    "properties": {
        "v": {"type": "integer"},
        "next": {"anyOf": [{"$ref": "#/$defs/n"}, {"type": "null"}]},
    },
    "required": ["v", "next"],
}
_PERSON = {
    "type": "object",
    "properties": {"name": {"type": "string"}, "age": {"type": "integer"}, "id": {"type": "null"}},
    "required": ["age"],
    "additionalProperties": False,
}


def _obeys(schema: Any, reply: str) -> bool:
    matcher = Matcher(compile_constraint(Constraint(json_schema=json.dumps(schema))))
    return matcher.take(reply.encode()) and matcher.is_complete


@pytest.mark.parametrize(
    ("schema", "good", "bad"),
    [
        (
            True,
            ["1", '"a"', "null", '{"a": [1, {}]}', "-0.5e+3", '"\\u00e9\\ud83d\\ude00"'],
            ["01", "", "nul", "{a:1}", '"\\ud83d"', '"\n"'],
        ),
        ({}, ["[]", "[ 1, true ]"], ["[1,]", "1 2"]),
        ({"type": "object"}, ["{}", '{"a": 1, "b": {"c": []}}'], ["[]", '{"a"}', '{"a": 1,}']),
        ({"type": ["string", "null"]}, ['"x"', "null"], ["1"]),
        ({"type": "boolean"}, ["true", "false"], ["True", "1"]),
        (
            _PERSON,
            ['{"age": 1}', '{"name": "x", "age": 1}', '{"age": 1, "id": null}'],
            ["{}", '{"name": "x"}', '{"age": 1, "z": 1}', '{"age": 1.5}', '{"age": 1, "age": 2}'],
        ),
        (
            {"properties": {"a": {"type": "integer"}, "b": {}}},
            ["{}", '{"a": 1}', '{"b": 2}', '{"a": 1, "b": []}'],
            ['{"b": 1, "a": 1}', '{"c": 1}'],
        ),
        (
            {"properties": {"a": {}, "ab": {}}, "additionalProperties": {"type": "null"}},
            ['{"a": 1, "b": null}', '{"b": null, "abc": null, "": null}', '{"aa": null}'],
            ['{"b": 1}', '{"b": null, "ab": null}'],
        ),
        (
            {
                "type": "object",
                "additionalProperties": {"type": "integer"},
                "minProperties": 1,
                "maxProperties": 2,
            },
            ['{"x": 1}', '{"x": 1, "y": 2}'],
            ["{}", '{"x": "1"}', '{"x": 1, "y": 2, "z": 3}'],
        ),
        (
            {"type": "object", "required": ["z"]},
            ['{"z": 1}', '{"z": 1, "y": 2}'],
            ["{}", '{"y": 2}'],
        ),
        ({"type": "object", "propertyNames": {"pattern": "^[a-z]+$"}}, ['{"ab": 1}'], ['{"A": 1}']),
        (
            {"type": "object", "properties": {"no": False, "a": {}}},
            ['{"a": 1}', "{}"],
            ['{"no": 1}'],
        ),
        (
            {"enum": ["a", 1, 1.5, None, True, {"k": [1]}]},
            ['"a"', "1", "1.5", "null", "true", '{"k": [1]}'],
            ['"b"', "2", "false"],
        ),
        ({"enum": ["a", 1], "type": "string"}, ['"a"'], ["1"]),
        ({"const": 'x"\\\n\u00e9'}, ['"x\\"\\\\\\n\u00e9"'], ['"x"']),
        (
            {"type": "array", "items": {"type": "integer"}, "minItems": 1, "maxItems": 3},
            ["[1]", "[1, 2, 3]"],
            ["[]", "[1,2,3,4]", '["1"]'],
        ),
        ({"type": "array", "maxItems": 0}, ["[]"], ["[1]"]),
        (
            {"prefixItems": [{"type": "string"}, {"type": "null"}], "items": False},
            ['["a", null]'],
            ["[]", '["a"]', '["a", null, 1]'],
        ),
        (
            {"items": [{"type": "string"}], "additionalItems": {"type": "integer"}},
            ['["a"]', '["a", 1, 2]'],
            ["[]", '["a", "b"]'],
        ),
        ({"anyOf": [{"type": "integer"}, {"const": "n"}]}, ["12", '"n"'], ['"m"']),
        ({"oneOf": [{"type": "null"}, False]}, ["null"], ["1"]),
        (
            {"type": "integer", "anyOf": [{"minimum": 100}, {"maximum": -1}]},
            ["100", "-1"],
            ["0", "99"],
        ),
        (
            {
                "allOf": [
                    {"properties": {"a": {"type": "integer"}}, "required": ["a"]},
                    {"properties": {"b": {"type": "null"}}, "required": ["b"]},
                ]
            },
            ['{"a": 1, "b": null}'],
            ['{"a": 1}', '{"b": null}'],
        ),
        (
            {"allOf": [{"type": "number"}, {"type": "integer", "minimum": 3}, {"maximum": 5}]},
            ["3", "5"],
            ["2", "6", "3.5"],
        ),
        (
            {"$defs": {"n": _NODE}, "$ref": "#/$defs/n"},
            ['{"v": 1, "next": null}', '{"v": 1, "next": {"v": 2, "next": null}}'],
            ['{"v": 1}'],
        ),
        ({"type": "array", "items": {"$ref": "#"}}, ["[]", "[[], [[]]]"], ["[1]"]),
        ({"$ref": "#/definitions/a~1b%20c", "definitions": {"a/b c": {"const": 1}}}, ["1"], ["2"]),
        (
            {"$ref": "#/$defs/s", "maxLength": 2, "$defs": {"s": {"type": "string"}}},
            ['"ab"'],
            ['"abc"', "1"],
        ),
        (
            {"type": "string", "minLength": 2, "maxLength": 3},
            ['"ab"', '"\\n\\u00e9x"', '"😀😀"'],
            ['"a"', '"abcd"'],
        ),
        (
            {"type": "string", "pattern": r"^\d{3}-[A-Z]+(x|yz)?$"},
            ['"123-AB"', '"123-Ayz"'],
            ['"12-A"', '"123-a"'],
        ),
        ({"type": "string", "pattern": "b+"}, ['"abc"', '"b"'], ['"ac"']),
        ({"pattern": r'^["\\\t]$|^no$'}, ['"\\""', '"\\\\"', '"\\t"', '"no"'], ['"x"', '"t"']),
        ({"pattern": r"^(?:[^\s,]+, ?)*\w.$"}, ['"a, b, c?"'], ['"a,,"']),
        ({"format": "date"}, ['"2024-02-29"'], ['"2024-13-01"', '"24-01-01"']),
        ({"format": "time"}, ['"23:59:59Z"', '"01:02:03.5+01:00"'], ['"24:00:00Z"']),
        ({"format": "date-time"}, ['"2024-01-31T10:00:00Z"'], ['"2024-01-31"']),
        ({"format": "uuid"}, ['"123e4567-e89b-12d3-a456-426614174000"'], ['"123e4567"']),
        ({"type": "string", "format": "email"}, ['"anything"'], ["1"]),  # An annotation.
        (
            {"type": "number", "minimum": 0, "maximum": 1},
            ["0", "0.5", "1", "1.0"],
            ["-0.1", "1.1", "2"],
        ),
        ({"type": "number", "exclusiveMinimum": 0}, ["0.01", "7.5"], ["0", "0.0", "-1"]),
        (
            {"type": "number", "exclusiveMinimum": -2, "exclusiveMaximum": -1},
            ["-1.5"],
            ["-1", "-2", "-2.5"],
        ),
        ({"type": "integer", "minimum": 3, "exclusiveMinimum": True}, ["4"], ["3"]),
        ({"type": "integer", "minimum": 1.5, "maximum": 3.5}, ["2", "3"], ["1", "4"]),
        (
            {"title": "t", "description": "d", "default": 1, "examples": [1], "x-own": {}},
            ["null"],
            ["x"],
        ),
    ],
)
def test_a_schema_allows_what_it_says_and_nothing_else(
    schema: Any, good: list[str], bad: list[str]
) -> None:
    for reply in good:
        assert _obeys(schema, reply), reply
    for reply in bad:
        assert not _obeys(schema, reply), reply


def test_whole_numbers_between_any_two_bounds() -> None:
    rng = random.Random(5)
    for _ in range(60):
        low, high = sorted(rng.randrange(-(10 ** rng.randrange(1, 5)), 10**4) for _ in range(2))
        schema = {"type": "integer", "minimum": low, "maximum": high}
        matcher = Matcher(compile_constraint(Constraint(json_schema=json.dumps(schema))))
        edges = [low - 1, low, low + 1, high - 1, high, high + 1, 0, 9, 10, 99, 100, 999, 1000]
        for value in [*edges, *(rng.randrange(-12_000, 12_000) for _ in range(40))]:
            state = matcher.look(str(value).encode())
            is_allowed = state is not None and state.is_complete
            assert is_allowed is (low <= value <= high), (low, high, value)


def test_what_is_drawn_at_random_is_valid_json_that_obeys() -> None:
    schema = {
        "type": "object",
        "properties": {
            "kind": {"enum": ["a", "b"]},
            "size": {"type": "integer", "minimum": 1, "maximum": 20},
            "tags": {"type": "array", "items": {"type": "string", "maxLength": 5}, "maxItems": 3},
            "code": {"type": "string", "pattern": "^[A-Z]{2}[0-9]?$"},
            "more": {"type": "object", "additionalProperties": {"type": "number"}},
        },
        "required": ["kind", "size"],
    }
    program = compile_constraint(Constraint(json_schema=json.dumps(schema)))
    rng = random.Random(7)
    for _ in range(40):
        matcher, reply = Matcher(program), bytearray()
        while not matcher.is_final:
            choices = matcher.state.list_first_bytes()
            ends = [byte for byte in choices if byte in b'"]}'] if len(reply) > 400 else []
            reply.append(rng.choice(ends or choices))
            assert matcher.take(bytes(reply[-1:]))
        value = json.loads(reply)
        assert value["kind"] in {"a", "b"}
        assert 1 <= value["size"] <= 20
        assert len(value.get("tags", [])) <= 3
        assert all(len(tag) <= 5 for tag in value.get("tags", []))
        assert re.fullmatch("[A-Z]{2}[0-9]?", value.get("code", "AB"))
        assert all(isinstance(n, int | float) for n in value.get("more", {}).values())


def _nest(depth: int) -> dict[str, Any]:
    schema: dict[str, Any] = {"type": "null"}
    for _ in range(depth):
        schema = {"type": "array", "items": schema}
    return schema


_BOMB: dict[str, Any] = {
    "$defs": {
        f"d{i}": {
            "anyOf": [
                {"$ref": f"#/$defs/d{i + 1}", "minLength": i},
                {"$ref": f"#/$defs/d{i + 1}", "maxLength": 99 + i},
            ]
        }
        for i in range(40)
    }
    | {"d40": {"type": "string"}},
    "$ref": "#/$defs/d0",
}
_WIDE: dict[str, Any] = {
    "allOf": [{"anyOf": [{"properties": {f"p{i}{j}": {}}} for j in range(9)]} for i in range(9)]
}

_BAD: dict[str, str] = {
    " ": "is not valid JSON",
    "{": "line 1, column 2",
    "nonsense": "is not valid JSON",
    '{"type": NaN}': "number that is none",
    '{"minimum": 1e999, "type": "integer"}': "minimum must be a number",
    '{"minimum": ' + "9" * 5000 + "}": "number that is none or is too long",
    "[" * 100_000: "nested too deeply",
    "[" * 1_000_000: "too long",
    '{"a":' * 5000 + "1" + "}" * 5000: "nested too deeply",
    '{"enum": ["\\ud800"]}': "half a character",
    "[]": "must be an object, true or false",
    "3": "must be an object, true or false",
    "false": "nothing is allowed",
    '{"type": "thing"}': "type must be one of",
    '{"type": []}': "type must be one of",
    '{"type": [{}]}': "type must be one of",
    '{"enum": []}': "enum must be a list",
    '{"enum": "a"}': "enum must be a list",
    '{"enum": [1], "type": "string"}': "nothing is allowed",
    '{"properties": []}': "properties must be an object",
    '{"properties": {"a": 1}}': "at #/properties/a, a schema must be an object",
    '{"required": "a"}': "required must be a list",
    '{"required": ["a"], "additionalProperties": false, "type": "object"}': "nothing is allowed",
    '{"items": 3, "type": "array"}': "at #/items, a schema must be",
    '{"prefixItems": {}}': "prefixItems must be a list",
    '{"anyOf": []}': "anyOf must be a list",
    '{"allOf": 1}': "allOf must be a list",
    '{"minItems": -1}': "minItems must be from 0",
    '{"maxItems": 1e30}': "maxItems must be from 0",
    '{"maxLength": "3"}': "maxLength must be a whole number",
    '{"minLength": 3, "maxLength": 2}': "nothing is allowed",
    '{"minimum": "1"}': "minimum must be a number",
    '{"type": "integer", "minimum": 2, "maximum": 1}': "nothing is allowed",
    '{"type": "number", "minimum": 0.5}': "must be whole",
    '{"type": "integer", "minimum": 1e40}': "too many digits",
    '{"type": "number", "multipleOf": 0.1}': "multipleOf",
    '{"$ref": "http://example.org/s.json"}': "can only point into the schema itself",
    '{"$ref": "other.json#/x"}': "can only point into the schema itself",
    '{"$ref": "#/$defs/x"}': "there is nothing at",
    '{"$ref": 3}': "can only point into the schema itself",
    '{"$ref": ["#"]}': "can only point into the schema itself",
    '{"$ref": "#"}': "leads back to itself",
    '{"$defs": {"a": {"$ref": "#/$defs/b"}, "b": {"$ref": "#/$defs/a"}}, "$ref": "#/$defs/a"}': (
        "leads back to itself"
    ),
    '{"anyOf": [{"type": "null"}, {"$ref": "#"}]}': "leads back to itself",
    '{"$ref": "#", "minLength": 1}': "leads back to itself",
    '{"allOf": [{"$ref": "#"}]}': "leads back to itself",
    '{"not": {"type": "null"}}': "the keyword not cannot be held to",
    '{"if": {}}': "the keyword if",
    '{"patternProperties": {"a": {}}}': "the keyword patternProperties",
    '{"uniqueItems": true}': "the keyword uniqueItems",
    '{"contains": {}}': "the keyword contains",
    '{"properties": {"a": {}}, "minProperties": 1}': "minProperties",
    '{"allOf": [{"pattern": "a"}, {"pattern": "b"}]}': "two values of pattern",
    '{"allOf": [{"type": "string"}, {"type": "null"}]}': "nothing is allowed",
    '{"pattern": "("}': "a group does not end",
    '{"pattern": "["}': "it ends too early",
    '{"pattern": "[b-a]"}': "wrong way round",
    '{"pattern": "a**"}': "follow each other",
    '{"pattern": "*"}': "follows nothing",
    '{"pattern": "(?=a)"}': "looking ahead",
    '{"pattern": "(?<!a)"}': "looking ahead",
    '{"pattern": "(a)\\\\1"}': "\\1 is not supported",
    '{"pattern": "\\\\bword"}': "\\b is not supported",
    '{"pattern": "\\\\p{L}"}': "\\p is not supported",
    '{"pattern": "a^b"}': "can only stand at its beginning or end",
    '{"pattern": "(a$)"}': "can only stand at its beginning or end",
    '{"pattern": "a\\\\"}': "it ends too early",
    '{"pattern": 3}': "it must be a text",
    '{"pattern": "^\\u0001$"}': "no JSON text can hold",
    '{"pattern": "a{99999}"}': "repetitions are the most",
    '{"pattern": "' + "(" * 500 + '"}': "groups may be nested",
    '{"pattern": "' + "a" * 5000 + '"}': "too long",
    '{"pattern": "a", "minLength": 2}': "cannot be held to together",
    json.dumps(_nest(100)): "nested too deeply",
    json.dumps(_BOMB): "leads back to itself",
    json.dumps(_WIDE): "two values of anyOf",
    json.dumps({"enum": [f"{i:06}" for i in range(200_000)]}): "too long",
}


@pytest.mark.parametrize(("text", "reason"), list(_BAD.items()), ids=range(len(_BAD)))
def test_b03_a_bad_schema_is_refused_in_one_sentence_and_in_time(text: str, reason: str) -> None:
    started = time.process_time()
    with pytest.raises(EngineError) as caught:
        compile_constraint(Constraint(json_schema=text))
    assert caught.value.code == "bad_request"
    assert reason in caught.value.message
    assert "\n" not in caught.value.message
    assert len(caught.value.message) < 300
    assert time.process_time() - started < 10.0


def test_a_long_list_of_values_is_no_burden() -> None:
    values = [f"{i * 7919:06}" for i in range(15_000)]
    started = time.process_time()
    program = compile_constraint(Constraint(json_schema=json.dumps({"enum": values})))
    assert time.process_time() - started < 10.0
    matcher = Matcher(program)
    assert matcher.take(f'"{values[-1]}"'.encode())
    assert matcher.is_final


@pytest.mark.parametrize(
    "both", [Constraint(), Constraint(grammar="root ::= [a]", json_schema="{}")]
)
def test_a_constraint_is_a_grammar_or_a_schema(both: Constraint) -> None:
    with pytest.raises(EngineError, match="one of them"):
        compile_constraint(both)
