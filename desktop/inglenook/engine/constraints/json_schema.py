"""From a JSON schema to the grammar of the JSON texts that obey it.

What a grammar cannot hold a reply to is refused and never dropped. Where a schema leaves open what
a grammar must decide, the narrower is chosen: properties come in the order in which they are
declared, and undeclared ones only where `additionalProperties` says so. `oneOf` is read as `anyOf`.
Drafts 4 to 2020-12 of json-schema.org. Pure, bounded in time; called on the prompt thread.
"""

import json
import math
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Final, NoReturn
from urllib.parse import unquote

from inglenook.base.errors import EngineError
from inglenook.engine.constraints.json_numbers import write_integers, write_numbers
from inglenook.engine.constraints.json_pattern import PatternError, quote, write_pattern
from inglenook.engine.constraints.json_schema_merge import CONSTRAINTS, Conflict, merge_schemas

LIMIT_CHARACTERS: Final = 256 * 1024
LIMIT_GRAMMAR_CHARACTERS: Final = 4 * 1024 * 1024
_LIMIT_DEPTH: Final = 64
_LIMIT_VISITS: Final = 10_000

_TYPES: Final = ("object", "array", "string", "number", "integer", "boolean", "null")
_KEYWORDS_OF: Final[dict[str, tuple[str, ...]]] = {
    "object": (
        "properties",
        "required",
        "additionalProperties",
        "minProperties",
        "maxProperties",
        "propertyNames",
    ),
    "array": ("items", "prefixItems", "additionalItems", "minItems", "maxItems"),
    "string": ("minLength", "maxLength", "pattern", "format"),
    "number": ("minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum", "multipleOf"),
}
_REFUSED: Final = (
    "not",
    "if",
    "then",
    "else",
    "patternProperties",
    "dependentSchemas",
    "dependentRequired",
    "dependencies",
    "contains",
    "minContains",
    "maxContains",
    "uniqueItems",
    "$dynamicRef",
    "$recursiveRef",
)
_FORMATS: Final = {
    "date": '"\\"" date "\\""',
    "time": '"\\"" time "\\""',
    "date-time": '"\\"" date "T" time "\\""',
    "uuid": '"\\"" hex{8} "-" hex{4} "-" hex{4} "-" hex{4} "-" hex{12} "\\""',
}
_BASICS: Final = r"""
ws ::= (" " | "\n" [ \t]{0,20})?
hex ::= [0-9a-fA-F]
unit ::= [0-9a-cA-Ce-fE-F] hex{3} | [dD] [0-7] hex{2}
pair ::= [dD] [89abAB] hex{2} "\\u" [dD] [c-fC-F] hex{2}
char ::= [^"\\\x00-\x1F\x7F] | "\\" (["\\/bfnrt] | "u" (unit | pair))
string ::= "\"" char* "\""
integer ::= "-"? ("0" | [1-9] [0-9]{0,15})
number ::= integer ("." [0-9]{1,16})? ([eE] [-+]? [0-9]{1,3})?
boolean ::= "true" | "false"
null ::= "null"
object ::= "{" ws (member ("," ws member)* ws)? "}"
member ::= string ":" ws value
array ::= "[" ws (value ("," ws value)* ws)? "]"
value ::= object | array | string | number | boolean | null
date ::= [0-9]{4} "-" ("0" [1-9] | "1" [0-2]) "-" ("0" [1-9] | [12] [0-9] | "3" [01])
time ::= clock ("." [0-9]{1,9})? ("Z" | [+-] ([01] [0-9] | "2" [0-3]) ":" [0-5] [0-9])
clock ::= ([01] [0-9] | "2" [0-3]) ":" [0-5] [0-9] ":" [0-5] [0-9]
"""

type _Schema = dict[str, Any]


def convert_schema(text: str) -> str:
    """The grammar of a JSON schema; raises `EngineError` (bad_request) that says what is wrong."""
    if len(text) > LIMIT_CHARACTERS:
        _refuse(f"The JSON schema is too long: {LIMIT_CHARACTERS:,} characters are the most.")
    try:
        text.encode()
        schema = json.loads(text, parse_constant=_refuse_constant)
        json.dumps(schema, ensure_ascii=False).encode()
    except (ValueError, RecursionError) as error:
        reason = "it is nested too deeply"
        if isinstance(error, UnicodeError):
            reason = "it holds half a character"
        elif isinstance(error, json.JSONDecodeError):
            reason = f"line {error.lineno}, column {error.colno}: {error.msg}"
        elif isinstance(error, ValueError):
            reason = "it holds a number that is none or is too long"
        _refuse(f"The JSON schema is not valid JSON: {reason}.")
    try:
        return _Converter(schema).convert()
    except RecursionError:
        _refuse("The JSON schema cannot be used: it is nested too deeply.")


class _Converter:
    """Writes the rules of one schema. Expressions may stand anywhere in a series of items."""

    def __init__(self, root: Any) -> None:
        self._root = root
        self._rules: dict[str, str] = {}
        self._names: dict[str, str] = {}
        self._open: tuple[str, ...] = ()
        self._depth = 0
        self._n_visits = 0
        self._n_characters = 0

    def convert(self) -> str:
        """The whole grammar."""
        body = self._visit(self._root, "#")
        if body is None:
            _fail("#", "nothing is allowed")
        rules = [f"{name} ::= {text}\n" for name, text in self._rules.items()]
        return "".join([f"root ::= {body}\n", *rules, _BASICS])

    def _visit(self, schema: Any, where: str) -> str | None:
        """An expression for the values that a schema allows; None where it allows none."""
        self._n_visits += 1
        if self._n_visits > _LIMIT_VISITS or self._depth > _LIMIT_DEPTH:
            _fail(where, "it is too large, nested too deeply, or leads back to itself")
        if schema is True or schema == {}:
            return "value"
        if schema is False:
            return None
        if not isinstance(schema, dict):
            _fail(where, "a schema must be an object, true or false")
        _check_keywords(schema, where)
        self._depth += 1
        try:
            return self._visit_object(schema, where)
        except Conflict as conflict:
            _fail(where, str(conflict))
        finally:
            self._depth -= 1

    def _visit_object(self, schema: _Schema, where: str) -> str | None:
        if "$ref" in schema:
            others = {key: schema[key] for key in schema if key in CONSTRAINTS}
            if not others:
                return self._refer(schema["$ref"], where)
            target = self._resolve(schema["$ref"], where)
            return self._visit(merge_schemas(target, others), where)
        for keyword in ("allOf", "anyOf", "oneOf"):
            if keyword in schema:
                return self._combine(schema, keyword, where)
        if "const" in schema or "enum" in schema:
            return self._write_enum(schema, where)
        options = [self._write_type(kind, schema, where) for kind in _list_types(schema, where)]
        return self._choose([option for option in options if option is not None])

    # --- combinations and references ---

    def _combine(self, schema: _Schema, keyword: str, where: str) -> str | None:
        parts = schema[keyword]
        if not isinstance(parts, list) or not parts:
            _fail(where, f"{keyword} must be a list of schemas")
        base = {key: schema[key] for key in schema if key in CONSTRAINTS and key != keyword}
        if keyword == "allOf":
            merged: Any = base or True
            for part in parts:
                merged = merge_schemas(merged, self._expand(part, where))
            return self._visit(merged, where)
        options = []
        for i, part in enumerate(parts):
            place = f"{where}/{keyword}/{i}"
            merged = merge_schemas(base, self._expand(part, place)) if base else part
            option = self._visit(merged, place)
            if option is not None:
                options.append(option)
        return self._choose(options)

    def _expand(self, schema: Any, where: str) -> Any:
        """A schema whose own `$ref` is put in its place, so that it can be merged with another."""
        n_steps = 0
        while isinstance(schema, dict) and "$ref" in schema:
            n_steps += 1
            if n_steps > _LIMIT_DEPTH:
                _fail(where, "its $ref leads back to itself")
            target = self._resolve(schema["$ref"], where)
            others = {key: schema[key] for key in schema if key in CONSTRAINTS}
            schema = merge_schemas(target, others) if others else target
        return schema

    def _refer(self, pointer: Any, where: str) -> str:
        """The rule of what a `$ref` points to, written at its first use."""
        target = self._resolve(pointer, where)
        if pointer in self._open:
            _fail(where, f"{_show(pointer)} leads back to itself")
        if pointer in self._names:
            return self._names[pointer]
        name = self._names[pointer] = f"ref-{len(self._names)}"
        self._open += (pointer,)
        body = self._visit(target, pointer)
        self._open = self._open[:-1]
        if body is None:
            _fail(pointer, "nothing is allowed")
        self._rules[name] = body
        return name

    def _resolve(self, pointer: Any, where: str) -> Any:
        if not isinstance(pointer, str) or not (pointer == "#" or pointer.startswith("#/")):
            _fail(where, f"$ref can only point into the schema itself, not to {_show(pointer)}")
        place = self._root
        for part in unquote(pointer[2:]).split("/") if len(pointer) > 1 else ():
            key = part.replace("~1", "/").replace("~0", "~")
            if isinstance(place, dict) and key in place:
                place = place[key]
            elif (
                isinstance(place, list)
                and key.isdecimal()
                and len(key) < 7
                and int(key) < len(place)
            ):
                place = place[int(key)]
            else:
                _fail(where, f"there is nothing at {_show(pointer)}")
        return place

    @contextmanager
    def _inside(self) -> Iterator[None]:
        """Within a value, a schema may come again: the text has moved on by then."""
        before, self._open = self._open, ()
        yield
        self._open = before

    # --- values ---

    def _write_enum(self, schema: _Schema, where: str) -> str | None:
        values = schema["enum"] if "enum" in schema else [schema["const"]]
        if not isinstance(values, list) or not values:
            _fail(where, "enum must be a list of values")
        self._n_visits += len(values) // 8
        types = _list_types(schema, where) if "type" in schema else _TYPES
        texts = {_dump(v): v for v in values if _is_of_type(v, types)}
        if "const" in schema and "enum" in schema:
            texts = {text: v for text, v in texts.items() if text == _dump(schema["const"])}
        return self._choose([quote(text) for text in texts])

    def _write_type(self, kind: str, schema: _Schema, where: str) -> str | None:
        if not any(key in schema for key in _KEYWORDS_OF.get(kind, _KEYWORDS_OF["number"])):
            return kind
        match kind:
            case "object":
                return self._write_object(schema, where)
            case "array":
                return self._write_array(schema, where)
            case "string":
                return self._write_string(schema, where)
            case "integer" | "number":
                return self._write_number(kind, schema, where)
            case _:
                return kind

    def _write_string(self, schema: _Schema, where: str) -> str | None:
        form = _FORMATS.get(str(schema.get("format")))
        has_length = "minLength" in schema or "maxLength" in schema
        if (form is not None) + ("pattern" in schema) + has_length > 1:
            _fail(where, "pattern, format and the lengths of a text cannot be held to together")
        if form is not None:
            return self._add(form)
        if "pattern" in schema:
            try:
                body = write_pattern(schema["pattern"])
            except PatternError as error:
                _fail(where, f"the pattern cannot be used: {error}")
            return self._add(f'"\\"" ({body}) "\\""')
        low, high = _read_counts(schema, "minLength", "maxLength", where)
        if high is not None and high < low:
            return None
        return self._add(f'"\\"" char{_times(low, high)} "\\""') if has_length else "string"

    def _write_number(self, kind: str, schema: _Schema, where: str) -> str | None:
        if schema.get("multipleOf", 1) != 1 or ("multipleOf" in schema and kind == "number"):
            _fail(where, "multipleOf cannot be held to")
        low, low_excluded = _read_bound(schema, "minimum", "exclusiveMinimum", max, where)
        high, high_excluded = _read_bound(schema, "maximum", "exclusiveMaximum", min, where)
        if low is None and high is None:
            return kind
        if any(abs(bound) >= 10**30 for bound in (low, high) if bound is not None):
            _fail(where, "its bounds have too many digits")
        if kind == "integer":
            first = None if low is None else math.floor(low) + 1 if low_excluded else math.ceil(low)
            last = (
                None if high is None else math.ceil(high) - 1 if high_excluded else math.floor(high)
            )
            text = write_integers(first, last)
        else:
            if any(bound is not None and bound != int(bound) for bound in (low, high)):
                _fail(where, "the bounds of a number must be whole")
            text = write_numbers(
                None if low is None else int(low),
                None if high is None else int(high),
                low_excluded=low_excluded,
                high_excluded=high_excluded,
            )
        return self._add(text) if text else None

    # --- arrays ---

    def _write_array(self, schema: _Schema, where: str) -> str | None:
        low, high = _read_counts(schema, "minItems", "maxItems", where)
        heads, rest = _split_items(schema, where)
        if rest is True and heads and "items" not in schema and low <= len(heads):
            rest = False  # Undeclared, as with properties.
        heads = heads if high is None else heads[:high]
        with self._inside():
            items = [self._visit(head, f"{where}/prefixItems/{i}") for i, head in enumerate(heads)]
            more = (
                self._visit(rest, f"{where}/items") if high is None or high > len(heads) else None
            )
        if None in items or (more is None and low > len(items)):
            return None
        if high is not None and high < low:
            return None
        n_more = (max(0, low - len(items)), None if high is None else high - len(items))
        return self._write_list([item for item in items if item], more, n_more)

    def _write_list(
        self, items: list[str], more: str | None, n_more: tuple[int, int | None]
    ) -> str:
        """A list of these items, and then of so many more of one kind."""
        low, high = n_more
        fixed = ' "," ws '.join(items)
        if more is None:
            inside = f"{fixed} ws" if fixed else ""
        elif items:
            inside = f'{fixed} ("," ws {more}){_times(low, high)} ws'
        elif high == 0:
            inside = ""
        else:
            others = _times(max(0, low - 1), None if high is None else high - 1)
            inside = f'{more} ("," ws {more}){others} ws'
            inside = inside if low else f"({inside})?"
        return self._add(f'"[" ws {inside} "]"')

    # --- objects ---

    def _write_object(self, schema: _Schema, where: str) -> str | None:
        properties, required = schema.get("properties", {}), schema.get("required", [])
        if not isinstance(properties, dict):
            _fail(where, "properties must be an object")
        if not isinstance(required, list) or not all(isinstance(key, str) for key in required):
            _fail(where, "required must be a list of names")
        # What is required is allowed; what else is undeclared only where nothing is declared.
        unnamed = schema.get("additionalProperties", schema.get("unevaluatedProperties"))
        extra = not properties if unnamed is None else unnamed
        others = [key for key in required if key not in properties]
        properties = {**properties, **dict.fromkeys(others, True if unnamed is None else unnamed)}
        pairs: list[tuple[str, bool]] = []
        for key, value in properties.items():
            with self._inside():
                text = self._visit(value, f"{where}/properties/{_escape(key)}")
            if text is not None:
                pairs.append((f"{quote(_dump(key) + ':')} ws {text}", key in required))
            elif key in required:
                return None
        with self._inside():
            other = self._visit(extra, f"{where}/additionalProperties")
            key_text = "" if other is None else self._write_key(schema, list(properties), where)
        low, high = _read_counts(schema, "minProperties", "maxProperties", where)
        if not pairs:
            return self._write_map(key_text, other, low, high)
        n_most = math.inf if other is not None else len(pairs)
        if low > sum(is_required for _, is_required in pairs) or (high or math.inf) < n_most:
            _fail(where, "minProperties and maxProperties cannot be held to beside properties")
        return self._write_members(pairs, None if other is None else f'{key_text} ":" ws {other}')

    def _write_key(self, schema: _Schema, declared: list[str], where: str) -> str:
        """The names that undeclared properties may have."""
        names = schema.get("propertyNames", True)
        if names is True and not declared:
            return "string"
        if names is True:
            return self._add(_exclude_names(declared, self._add))
        if declared:
            _fail(where, "propertyNames cannot be held to beside properties")
        text = self._visit(merge_schemas({"type": "string"}, names), f"{where}/propertyNames")
        if text is None:
            _fail(where, "propertyNames allows none")
        return text

    def _write_map(self, key: str, value: str | None, low: int, high: int | None) -> str | None:
        if high is not None and high < low:
            return None
        if value is None or high == 0:
            return None if low else self._add('"{" ws "}"')
        member = f'{key} ":" ws {value}'
        others = _times(max(0, low - 1), None if high is None else high - 1)
        inside = f'{member} ("," ws {member}){others} ws'
        return self._add(f'"{{" ws {inside if low else f"({inside})?"} "}}"')

    def _write_members(self, pairs: list[tuple[str, bool]], other: str | None) -> str:
        """Declared properties in their order, then others.

        `after` is what may follow once a member was written, `first` what may come first; both
        grow from the last property to the first.
        """
        after = f'("," ws {other})*' if other else ""
        first = f"{other} {after}" if other else ""
        can_be_empty = True
        for text, is_required in reversed(pairs):
            here = f"{text} {self._add(after)}" if after else text
            if is_required:
                first, after, can_be_empty = here, f'"," ws {here}', False
            else:
                first = f"{here} | {self._add(first)}" if first else here
                after = f'("," ws {text})? {self._add(after)}' if after else f'("," ws {text})?'
        inside = f"({first}) ws"
        return self._add(f'"{{" ws {f"({inside})?" if can_be_empty else inside} "}}"')

    # --- rules ---

    def _choose(self, options: list[str]) -> str | None:
        options = list(dict.fromkeys(options))
        if len(options) < 2:
            return options[0] if options else None
        return self._add(" | ".join(options))

    def _add(self, text: str) -> str:
        """Give an expression a name, so that brackets never nest."""
        name = f"part-{len(self._rules)}"
        self._rules[name] = text
        self._n_characters += len(text)
        if self._n_characters > LIMIT_GRAMMAR_CHARACTERS // 2:
            _fail("#", "it is too large")
        return name


def _check_keywords(schema: _Schema, where: str) -> None:
    for keyword in _REFUSED:
        if schema.get(keyword, False) is not False:
            _fail(where, f"the keyword {keyword} cannot be held to")


def _list_types(schema: _Schema, where: str) -> tuple[str, ...]:
    """The types that are named, else those that the other keywords are about, else all."""
    types = schema.get("type")
    if types is None:
        implied = [
            kind for kind, keys in _KEYWORDS_OF.items() if any(key in schema for key in keys)
        ]
        return tuple(implied or [kind for kind in _TYPES if kind != "integer"])
    types = [types] if isinstance(types, str) else types
    if not isinstance(types, list) or not types or any(kind not in _TYPES for kind in types):
        _fail(where, f"type must be one of {', '.join(_TYPES)}, or a list of them")
    return tuple(
        kind for kind in dict.fromkeys(types) if kind != "integer" or "number" not in types
    )


def _is_of_type(value: Any, types: tuple[str, ...]) -> bool:
    match value:
        case None:
            kind = "null"
        case bool():
            kind = "boolean"
        case int():
            kind = "integer"
        case float():
            kind = "integer" if value.is_integer() else "number"
        case str():
            kind = "string"
        case list():
            kind = "array"
        case _:
            kind = "object"
    return kind in types or (kind == "integer" and "number" in types)


def _split_items(schema: _Schema, where: str) -> tuple[list[Any], Any]:
    """The schemas of the first items, and of the rest; older drafts write them otherwise."""
    items = schema.get("items", True)
    heads = schema.get("prefixItems", [])
    if isinstance(items, list):
        heads, items = items, schema.get("additionalItems", False)
    if not isinstance(heads, list):
        _fail(where, "prefixItems must be a list of schemas")
    return heads, items


def _read_counts(schema: _Schema, low: str, high: str, where: str) -> tuple[int, int | None]:
    """A smallest and a largest count."""
    counts: list[int | None] = []
    for key in (low, high):
        value = schema.get(key)
        if isinstance(value, float) and value.is_integer():
            value = int(value)
        if value is not None and (isinstance(value, bool) or not isinstance(value, int)):
            _fail(where, f"{key} must be a whole number")
        if value is not None and not 0 <= value <= 65_536:
            _fail(where, f"{key} must be from 0 to 65,536")
        counts.append(value)
    return counts[0] or 0, counts[1]


def _read_bound(
    schema: _Schema, plain: str, strict: str, tighter: Any, where: str
) -> tuple[float | int | None, bool]:
    """A bound of a number, and whether the bound itself is excluded."""
    value, excluded = schema.get(plain), schema.get(strict)
    if excluded is True or excluded is False:  # As draft 4 writes it.
        excluded, value = (value, None) if excluded else (None, value)
    for bound in (value, excluded):
        is_number = isinstance(bound, int | float) and not isinstance(bound, bool)
        if bound is not None and not (is_number and math.isfinite(bound)):
            _fail(where, f"{plain} must be a number")
    if value is None or excluded is None:
        return (value, False) if excluded is None else (excluded, True)
    return (excluded, True) if tighter(value, excluded) == excluded else (value, False)


def _exclude_names(names: list[str], add: Any) -> str:
    """A JSON string that is none of these, written without escapes."""
    tree: dict[str, Any] = {}
    for name in names:
        branch = tree
        for character in name:
            if character < " " or character in '"\\\x7f':
                break  # It cannot be written without an escape.
            branch = branch.setdefault(character, {})
        else:
            branch[""] = True

    def write(branch: dict[str, Any]) -> str:
        letters = [letter for letter in branch if letter]
        others = "".join(f"\\U{ord(letter):08X}" for letter in letters)
        options = [f'[^"\\\\\\x00-\\x1F\\x7F{others}] [^"\\\\\\x00-\\x1F\\x7F]*']
        options += [f"{quote(letter)} {add(write(branch[letter]))}" for letter in letters]
        text = " | ".join(options)
        return text if "" in branch else f"({text})?"

    return f'"\\"" ({write(tree)}) "\\""'


def _times(low: int, high: int | None) -> str:
    if high is None:
        return "*" if not low else f"{{{low},}}"
    return f"{{{low},{high}}}"


def _dump(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False)


def _escape(key: str) -> str:
    return key.replace("~", "~0").replace("/", "~1")


def _show(value: Any) -> str:
    text = str(value)
    return repr(text if len(text) <= 60 else f"{text[:60]}...")


def _refuse_constant(text: str) -> NoReturn:
    raise ValueError(text)


def _fail(where: str, problem: str) -> NoReturn:
    place = where if len(where) <= 80 else f"{where[:80]}..."
    _refuse(f"The JSON schema cannot be used: at {place}, {problem}.")


def _refuse(message: str) -> NoReturn:
    raise EngineError(message, "Correct the JSON schema.", code="bad_request")
