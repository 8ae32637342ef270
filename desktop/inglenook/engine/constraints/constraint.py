"""What a reply must obey, made ready: a grammar or a JSON schema, or one sentence on what is wrong.

Pure, bounded in time and free of native code, so whoever takes a constraint from a person can check
it where it is given; the engine compiles it on its prompt thread.
"""

import logging

from inglenook.base.errors import EngineError
from inglenook.engine.constraints.grammar import LIMIT_CHARACTERS, parse_grammar
from inglenook.engine.constraints.json_schema import LIMIT_GRAMMAR_CHARACTERS, convert_schema
from inglenook.engine.constraints.matcher import Matcher, Program
from inglenook.engine.protocol import Constraint

log = logging.getLogger(__name__)


def compile_constraint(constraint: Constraint) -> Program:
    """A grammar, or a JSON schema, made ready; raises `EngineError` (bad_request)."""
    if bool(constraint.grammar) == bool(constraint.json_schema):
        raise EngineError(
            "A reply can obey a grammar or a JSON schema, one of them.", code="bad_request"
        )
    if constraint.grammar:
        return _compile_grammar(constraint.grammar)
    text = convert_schema(constraint.json_schema)
    try:
        return _compile_grammar(text, LIMIT_GRAMMAR_CHARACTERS)
    except EngineError as error:
        log.info("the grammar of a JSON schema is refused: %s", error.message)
        raise EngineError(
            "The JSON schema cannot be used: the grammar that it makes is too large or too "
            "ambiguous.",
            "Simplify the JSON schema.",
            code="bad_request",
        ) from error


def _compile_grammar(text: str, limit_characters: int = LIMIT_CHARACTERS) -> Program:
    program = Program(parse_grammar(text, limit_characters=limit_characters))
    Matcher(program)  # What is hopeless from the first byte on is told before the reply begins.
    return program
