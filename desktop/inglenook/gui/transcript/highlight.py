"""Colours for code: which role each stretch of a code block takes, by Pygments. No Qt here.

Runs as a generator, so that the window can stop between two tokens; it never holds the thread.
Only well-behaved lexers are used, and only for text of sane size and shape.
"""

from collections.abc import Iterator
from functools import lru_cache
from typing import Any, Final

SIZE_LIMIT: Final = 60_000
LINE_LIMIT: Final = 1500
"""A code block with a longer line is shown plain: some patterns are slow on such lines."""

LANGUAGES: Final = frozenset(
    {
        *("bash", "c", "console", "cpp", "csharp", "css", "dart", "diff", "dockerfile", "elixir"),
        *("go", "haskell", "html", "ini", "java", "javascript", "json", "julia", "kotlin", "lua"),
        *("makefile", "nix", "perl", "php", "powershell", "python", "r", "ruby", "rust", "scala"),
        *("sql", "swift", "toml", "typescript", "xml", "yaml", "zig"),
    }
)
ALIASES: Final = {
    "bat": "powershell", "c#": "csharp", "c++": "cpp", "cc": "cpp", "cfg": "ini", "conf": "ini",
    "cs": "csharp", "docker": "dockerfile", "golang": "go", "h": "c", "hs": "haskell",
    "htm": "html", "jl": "julia", "js": "javascript", "jsonc": "json", "jsx": "javascript",
    "kt": "kotlin", "make": "makefile", "mjs": "javascript", "mysql": "sql", "node": "javascript",
    "patch": "diff", "pl": "perl", "postgresql": "sql", "ps1": "powershell", "py": "python",
    "py3": "python", "python3": "python", "rb": "ruby", "rs": "rust", "sh": "bash",
    "shell": "bash", "shell-session": "console", "sqlite": "sql", "svg": "xml",
    "ts": "typescript", "tsx": "typescript", "yml": "yaml", "zsh": "bash",
}  # fmt: skip


def find_language(name: str) -> str:
    """The language that a fence's word means, or "" when it is not coloured."""
    name = name.lower().strip("{}.").split(",")[0]
    name = ALIASES.get(name, name)
    return name if name in LANGUAGES else ""


def can_colour(text: str) -> bool:
    """True when a text is small enough to colour."""
    if len(text) > SIZE_LIMIT:
        return False
    return len(text) <= LINE_LIMIT or max(map(len, text.split("\n"))) <= LINE_LIMIT


class Colourist:
    """The lexers in use. `load` is slow the first time and may run on any thread."""

    def __init__(self) -> None:
        self._lexers: dict[str, Any] = {}

    def load(self, language: str) -> None:
        """Load a language's lexer; about 70 ms for the first one."""
        from pygments.lexers import get_lexer_by_name

        known = find_language(language)
        if known and known not in self._lexers:
            self._lexers[known] = get_lexer_by_name(known, stripnl=False, ensurenl=False)

    def is_ready(self, language: str) -> bool:
        """True when `colour` can begin at once."""
        return find_language(language) in self._lexers

    def colour(self, text: str, language: str) -> Iterator[tuple[int, int, str]]:
        """Start, length and role ("" for plain ink) of each token; one step for each."""
        lexer = self._lexers.get(find_language(language))
        if lexer is None or not can_colour(text):
            return
        for start, kind, token in lexer.get_tokens_unprocessed(text):
            end = start + len(token)
            role = _find_role(kind)
            if not role and text[end : end + 1] == "(" and token.isidentifier():
                role = "syntax_name"
            yield start, end - start, role


@lru_cache(maxsize=256)
def _find_role(kind: Any) -> str:
    """The role of a token type, "" for plain ink."""
    name = str(kind)
    for prefix, role in _ROLES:
        if name.startswith(prefix):
            return role
    return ""


_ROLES: Final = (
    ("Token.Comment", "syntax_comment"),
    ("Token.Keyword", "syntax_keyword"),
    ("Token.Operator.Word", "syntax_keyword"),
    ("Token.Literal.String", "syntax_string"),
    ("Token.Literal.Number", "syntax_number"),
    ("Token.Name.Function", "syntax_name"),
    ("Token.Name.Class", "syntax_name"),
    ("Token.Name.Builtin", "syntax_name"),
    ("Token.Name.Tag", "syntax_keyword"),
    ("Token.Name.Attribute", "syntax_name"),
    ("Token.Name.Decorator", "syntax_number"),
    ("Token.Name.Constant", "syntax_number"),
    ("Token.Generic.Deleted", "syntax_keyword"),
    ("Token.Generic.Inserted", "syntax_string"),
    ("Token.Generic.Heading", "syntax_name"),
    ("Token.Generic.Subheading", "syntax_name"),
    ("Token.Generic.Prompt", "syntax_comment"),
)
