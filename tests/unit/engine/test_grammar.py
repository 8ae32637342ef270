"""Grammars: what is wrong with one is said by line and rule; what is right is matched."""

import random
import re
import subprocess
import sys
import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from inglenook.base.errors import EngineError
from inglenook.engine.constraints.grammar import LIMIT_CHARACTERS, parse_grammar
from inglenook.engine.constraints.matcher import Matcher, Program

_BAD = {
    "": "is empty",
    "  \n # only a remark\n": "no rule named root",
    "main ::= [a]": "no rule named root",
    'root ::= "a" thing': 'Line 1 of the grammar: rule "root" uses "thing"',
    'root ::= "a"\nother ::= (\n  root | gone\n)': 'Line 3 of the grammar: rule "other" uses',
    'root ::= "a': "a text in quotes does not end",
    "root ::= [a-": "a class of characters in [ ] does not end",
    "root ::= []": "holds none",
    "root ::= [^]": "holds none",
    r"root ::= [^\x01-\U0010FFFF]": "holds none",
    "root ::= [z-a]": "the wrong way round",
    'root ::= ("a"': ") is expected",
    'root ::= "a")': "')' is not expected there",
    'root = "a"': "::= is expected",
    '::= "a"': "the name of a rule is expected",
    'root ::= "a"\n| "b"': "Line 2 of the grammar: the name of a rule is expected",
    "root ::= *": "* follows nothing",
    'root ::= | + "a"': "+ follows nothing",
    'root ::= "a"{': "{ is expected to hold",
    'root ::= "a"{x}': "{ is expected to hold",
    'root ::= "a"{3,2}': "the wrong way round",
    'root ::= "a"{9999999999}': "{ is expected to hold",
    'root ::= "a"{70000}': "repetitions are the most",
    'root ::= "a"????': "too many signs of repetition",
    r'root ::= "\q"': r"the escape \q is not known",
    r'root ::= "\x4"': "the escape",
    r'root ::= "\uD800"': "there is no character",
    r'root ::= "\U00110000"': "there is no character",
    r'root ::= "\x00"': "NUL",
    "root ::= \ud83d": "half a character",
    "root ::= <[12]>": "references to tokens",
    "root ::= !<|end|>": "references to tokens",
    'root ::= "a"\nroot ::= "b"': "defined on line 1 already",
    "root ::= " + "(" * 40 + '"a"' + ")" * 40: "may be nested",
    "root ::= root": "begins with itself",
    'root ::= root "a" | "b"': "begins with itself",
    'root ::= one\none ::= two "x"\ntwo ::= "y" | one': "begins with itself",
    'root ::= empty root "a" | "b"\nempty ::= nothing\nnothing ::= "" | "z"': "begins with itself",
    'root ::= ("x"* root)? "a"': "begins with itself",
    'root ::= ((("a"{500}){500}){500}){500} ' + '("b"{60000})' * 8: "too large",
    "root ::= [a-z]" * 15_000: "is not expected there",
    "root ::= " + '"x" ' * LIMIT_CHARACTERS: "too long",
    "r" * 300 + " ::= gone\nroot ::= " + "r" * 300: "r...",
    'root ::= "a" \\ "b"': "is not expected there",
    "root ::= 'a'": "is not expected there",
    'root ::= "a"\x00': "is not expected there",
    "{}": "the name of a rule is expected",
}


def _compile(text: str) -> Matcher:
    return Matcher(Program(parse_grammar(text)))


def _obeys(text: str, reply: str) -> bool:
    matcher = _compile(text)
    return matcher.take(reply.encode()) and matcher.is_complete


@pytest.mark.parametrize(("text", "reason"), list(_BAD.items()))
def test_b03_a_bad_grammar_is_refused_in_one_sentence(text: str, reason: str) -> None:
    started = time.process_time()
    with pytest.raises(EngineError) as caught:
        _compile(text)
    assert caught.value.code == "bad_request"
    assert reason in caught.value.message
    assert "\n" not in caught.value.message
    assert len(caught.value.message) < 250
    assert time.process_time() - started < 5.0


@pytest.mark.parametrize(
    ("text", "good", "bad"),
    [
        ('root ::= "yes" | "no"', ["yes", "no"], ["", "y", "yesno", "maybe"]),
        ("root ::=", [""], ["a"]),
        ('root ::= "" | "a"', ["", "a"], ["aa"]),
        ('root ::= "a"* "b"+ "c"?', ["b", "aabbc"], ["a", "ac", "bcc"]),
        ('root ::= "ab"{2}', ["abab"], ["ab", "abb"]),
        ('root ::= "a"{2,}', ["aa", "aaaaa"], ["a"]),
        ('root ::= "a"{0,2} "b"', ["b", "aab"], ["aaab"]),
        ('root ::= "a"{0}', [""], ["a"]),
        ("root ::= [a-c]+", ["abc"], ["abd", ""]),
        ("root ::= [^a-c\\n]", ["d", "é", "😀", "-"], ["a", "\n", "dd"]),
        ("root ::= [-a] [a-] [a\\-z]", ["-a-", "a-z"], ["aab"]),
        (r'root ::= "\x41\u00e9\U0001F600\t\"\\"', ['Aé😀\t"\\'], ["A"]),
        ("root ::= .", ["x", "\n", "日"], ["", "xx"]),
        ("root ::= [Ā-ž😀-😂]", ["ő", "😁"], ["ƀ", "😃", "a"]),
        (
            "root ::= item (',' item)*".replace("'", '"') + "\nitem ::= [0-9]+",
            ["1", "1,22"],
            ["1,"],
        ),
        ('root ::= "(" root ")" | "x"', ["x", "((x))"], ["((x)", "()"]),
        ('root ::= ("a" | )* "b" # end\n\n# more\n', ["b", "aab"], ["a"]),
        ('root ::=\n  "a" (\n "b" # here\n | "c"\n)\n', ["ab", "ac"], ["a"]),
        ("root ::= a-b c1 \na-b ::= [x]\nc1 ::= [y]", ["xy"], ["x"]),
        ('root ::= ("a"?)* ("b"*)+', ["", "aab", "bb"], ["ba"]),
        ('root ::= "a" | "ab" | "abc" | "b"', ["a", "ab", "abc", "b"], ["", "abcd", "bc"]),
    ],
)
def test_a_grammar_allows_what_it_says_and_nothing_else(
    text: str, good: list[str], bad: list[str]
) -> None:
    for reply in good:
        assert _obeys(text, reply), reply
    for reply in bad:
        assert not _obeys(text, reply), reply


def test_a_place_knows_its_next_bytes_and_whether_it_must_end() -> None:
    matcher = _compile('root ::= "ab" | "ac"')
    assert matcher.state.list_first_bytes() == [ord("a")]
    assert not matcher.take(b"b")
    assert matcher.take(b"a")
    assert matcher.state.list_first_bytes() == [ord("b"), ord("c")]
    assert not matcher.is_complete
    assert matcher.take(b"c")
    assert matcher.state.is_complete
    assert matcher.is_final


def test_half_a_character_is_allowed_only_where_it_can_be_finished() -> None:
    matcher = _compile("root ::= [あ-ん]")
    assert matcher.take("い".encode()[:2])
    assert not matcher.is_complete
    assert matcher.look(b"a") is None
    assert matcher.take("い".encode()[2:])
    assert matcher.state.is_complete
    assert not _compile("root ::= .").take(b"\xed\xa0\x80")  # A surrogate.
    assert not _compile("root ::= .").take(b"\xc0\x80")  # Longer than it has to be.


_CLASSES = st.lists(
    st.tuples(st.integers(1, 0x10FFFF), st.integers(1, 0x10FFFF)).map(lambda p: (min(p), max(p))),
    min_size=1,
    max_size=4,
)


@settings(max_examples=60, deadline=None)
@given(_CLASSES, st.booleans(), st.lists(st.integers(1, 0x10FFFF), max_size=20))
def test_a_class_of_characters_is_exactly_its_ranges(
    ranges: list[tuple[int, int]], is_negated: bool, others: list[int]
) -> None:
    def spell(code: int) -> str:
        return f"\\U{code:08X}"

    ranges = [r for r in ranges if not any(0xD800 <= edge <= 0xDFFF for edge in r)]
    if not ranges:
        return
    inside = "".join(f"{spell(low)}-{spell(high)}" for low, high in ranges)
    try:
        matcher = _compile(f"root ::= [{'^' if is_negated else ''}{inside}]")
    except EngineError:
        assert is_negated  # All there is was taken out.
        return
    edges = [code + d for pair in ranges for code in pair for d in (-1, 0, 1)]
    for code in [*others, *edges]:
        if not 0 < code <= 0x10FFFF or 0xD800 <= code <= 0xDFFF:
            continue
        is_in = any(low <= code <= high for low, high in ranges)
        assert (matcher.look(chr(code).encode()) is not None) is (is_in != is_negated)


_LETTERS = st.sampled_from(["a", "b", "c", "ab", "ca"])


def _write_expressions(inner: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    return st.one_of(
        st.tuples(inner, inner).map(lambda p: f"({p[0]}{p[1]})"),
        st.tuples(inner, inner).map(lambda p: f"({p[0]}|{p[1]})"),
        st.tuples(inner, st.sampled_from(["*", "+", "?", "{2}", "{1,3}", "{0,2}"])).map(
            lambda p: f"({p[0]}){p[1]}"
        ),
    )


@settings(max_examples=150, deadline=None)
@given(
    st.recursive(_LETTERS, _write_expressions, max_leaves=8),
    st.lists(st.text("abc", max_size=7), min_size=5, max_size=15),
)
def test_grammars_agree_with_regular_expressions(expression: str, replies: list[str]) -> None:
    grammar = "root ::= " + re.sub(r"[a-c]+", lambda found: f'"{found[0]}" ', expression)
    wanted = re.compile(expression)
    for reply in replies:
        assert _obeys(grammar, reply) is (wanted.fullmatch(reply) is not None)


def test_an_ambiguous_grammar_costs_no_more_than_its_limit() -> None:
    # Two ways to read each letter: a stack for each history, if none of them were merged.
    started = time.process_time()
    assert _obeys('root ::= ("a" | "a" | [a-b])*', "ab" * 400 + "b" * 400)
    matcher = _compile('root ::= "a" root "x" | "a" root "y" | "a"')
    with pytest.raises(EngineError, match="too ambiguous"):
        matcher.take(b"a" * 60)
    rules = "\n".join(f'r{i} ::= r{i + 1} "x" | r{i + 1} "y"' for i in range(40))
    with pytest.raises(EngineError, match="too ambiguous"):
        _compile(f'root ::= r0\n{rules}\nr40 ::= "z"')
    assert time.process_time() - started < 10.0


def test_what_is_remembered_stays_bounded_over_a_long_reply() -> None:
    matcher = _compile('root ::= "[" (item ",")* "]"\nitem ::= [0-9]+ | root')
    rng = random.Random(3)
    depth = 0
    assert matcher.take(b"[")
    for _ in range(60_000):
        choice = rng.random()
        text = b"[" if choice < 0.05 and depth < 200 else b"%d," % rng.randrange(99)
        depth += text == b"["
        assert matcher.take(text)
    assert matcher._n_remembered < 60_000
    assert matcher.take(b"]" + b",]" * depth)
    assert matcher.is_final


def test_rules_that_only_refer_to_each_other_do_not_overflow() -> None:
    rules = "\n".join(f"r{i} ::= r{i + 1}" for i in range(8000))
    assert _obeys(f'root ::= r0\n{rules}\nr8000 ::= "z"', "z")


def test_a_choice_of_thousands_of_texts_is_cheap() -> None:
    texts = [f"word {i * 7919 % 100_000}" for i in range(9000)]
    matcher = _compile("root ::= " + " | ".join(f'"{text}"' for text in texts))
    assert len(matcher.state.stacks) == 1
    for text in texts[:50]:
        state = matcher.look(text.encode())
        assert state is not None
        assert state.is_complete


def test_constraints_are_checked_without_the_native_library() -> None:
    code = (
        "import inglenook.engine.constraints.constraint, sys; sys.exit('llama_cpp' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
