"""What `--json-schema` and `--grammar` name, read and checked before anything is sent or kept."""

from pathlib import Path
from typing import Final

from inglenook.base.errors import EngineError, UsageError
from inglenook.engine.protocol import Constraint

_LIMIT_BYTES: Final = 16 * 1024 * 1024


def read_constraint(json_schema: str | None, grammar: str | None) -> Constraint | None:
    """What the reply must obey; raises `UsageError` that says what is wrong with it."""
    if json_schema is None and grammar is None:
        return None
    if json_schema is not None and grammar is not None:
        raise UsageError("A reply can obey a JSON schema or a grammar, one of them.")
    if grammar is not None:
        constraint = Constraint(grammar=_read_file(grammar, "grammar"))
    elif json_schema is not None and json_schema.strip()[:1] in {"{", "["}:
        constraint = Constraint(json_schema=json_schema)
    else:
        constraint = Constraint(json_schema=_read_file(json_schema or "", "JSON schema"))
    # Its parser is of no use to other commands.
    from inglenook.engine.constraints.constraint import compile_constraint

    try:
        compile_constraint(constraint)
    except EngineError as error:
        raise UsageError(error.message, error.hint) from error
    return constraint


def _read_file(name: str, kind: str) -> str:
    try:
        path = Path(name)
        if path.is_file() and path.stat().st_size > _LIMIT_BYTES:
            raise UsageError(f"The {kind} is too long.")
        text = path.read_text(encoding="utf-8-sig")
    except (OSError, ValueError) as error:
        reason = "it is not UTF-8 text" if isinstance(error, UnicodeError) else "no such file"
        if isinstance(error, OSError) and error.strerror:
            reason = error.strerror
        raise UsageError(
            f"The {kind} in {name[:200]} cannot be read: {reason}.", "Name a file that holds one."
        ) from error
    if not text.strip():
        raise UsageError(f"The {kind} in {name[:200]} is empty.")
    return text
