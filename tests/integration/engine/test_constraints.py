"""Replies under a grammar or a JSON schema: they obey, whatever the model would rather say."""

import json
import random
from array import array
from collections import OrderedDict
from collections.abc import Iterator
from pathlib import Path

import pytest

from inglenook.engine.client import ChildEngine
from inglenook.engine.constraints.constrained import Constrainer, TokenTable
from inglenook.engine.constraints.grammar import parse_grammar
from inglenook.engine.constraints.matcher import Matcher, Program
from inglenook.engine.llama import Candidates, Library, Model, ModelOptions, Sampler
from inglenook.engine.local import LocalEngine
from inglenook.engine.protocol import (
    Constraint,
    Failed,
    Finished,
    Generate,
    Loaded,
    PromptMessage,
    Sampling,
    Text,
)
from inglenook.engine.seam import Engine
from support.chat_templates import QWEN3
from support.recorder import GREEDY, Recorder
from support.scripted_gguf import write_scripted_gguf
from support.tiny_gguf import write_tiny_gguf

_HOT = Sampling(temperature=2.0, top_k=0, top_p=1.0, min_p=0.0, seed=11)
_FORGETFUL = Sampling(temperature=0.9, repeat_penalty=1.3, dry_multiplier=0.8, seed=5)
_SCHEMA = json.dumps(
    {
        "type": "object",
        "properties": {
            "name": {"type": "string", "maxLength": 12},
            "kind": {"enum": ["model", "text"]},
            "sizes": {"type": "array", "items": {"type": "integer", "minimum": 0, "maximum": 9}},
        },
        "required": ["name", "kind", "sizes"],
    }
)
_BAD_SCHEMAS = (
    *("{", "[]", "3", '"x"', "false", "nonsense", "[" * 100_000, '{"type": "thing"}'),
    *('{"$ref": "#"}', '{"$ref": "http://x/y"}', '{"$ref": "#/a"}', '{"anyOf": []}'),
    *('{"enum": []}', '{"pattern": "("}', '{"pattern": "(a)\\\\1"}', '{"not": {}}'),
    *('{"minLength": -1}', '{"minimum": "x"}', '{"properties": 3}', '{"required": {}}'),
    *('{"enum": ["\\ud800"]}', '{"allOf": [{"$ref": "#"}]}', '{"type": "integer", "minimum": NaN}'),
    *('{"items": "x", "type": "array"}', '{"minItems": 1e99}', '{"type": {}}'),
)
_BAD_GRAMMARS = (
    *("", "root", "root ::=:", "root ::= (", 'root ::= "a', "root ::= [a", "root ::= []"),
    *("root ::= root", "root ::= a\na ::= root", "root ::= b", 'main ::= "a"', "root ::= *"),
    *('root ::= "a"{', 'root ::= "a"{99999999999}', 'root ::= "a"{5,1}', r'root ::= "\xZZ"'),
    *("root ::= <[1]>", "root ::= !<x>", 'root ::= "a"\nroot ::= "b"', "\0", "root ::= \0"),
    *("root ::= " + "(" * 5000, "root ::= " + '"a"' * 99_999, r'root ::= "\ud800"'),
    *(
        "root ::= " + " ".join(f'"{c}"{{65000}}' for c in "abcdefgh"),
        "x" * 300_000,
        "::=",
        "root ::= |\x01",
    ),
)


def _ask(
    engine: Engine,
    recorder: Recorder,
    run_id: str,
    constraint: Constraint,
    *,
    sampling: Sampling = GREEDY,
    max_tokens: int | None = 300,
    begun: str = "",
) -> Finished | Failed:
    messages = [PromptMessage("user", "What is a token?")]
    if begun:
        messages.append(PromptMessage("assistant", begun))
    engine.submit(
        Generate(
            run_id=run_id,
            messages=tuple(messages),
            sampling=sampling,
            max_tokens=max_tokens,
            constraint=constraint,
            continue_last=bool(begun),
        )
    )
    return recorder.wait_for_end(run_id)


@pytest.fixture(scope="module")
def mute(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Random weights, and all tokens near to equally likely."""
    return write_tiny_gguf(tmp_path_factory.mktemp("models") / "mute.gguf", n_ctx=2048)


@pytest.mark.parametrize("sampling", [GREEDY, _HOT, _FORGETFUL], ids=["greedy", "hot", "forgetful"])
def test_a_reply_obeys_a_schema_however_it_is_sampled(
    local: LocalEngine, recorder: Recorder, guide: Path, mute: Path, sampling: Sampling
) -> None:
    for path in (guide, mute):
        recorder.load(local, path)
        run_id = path.stem
        ended = _ask(local, recorder, run_id, Constraint(json_schema=_SCHEMA), sampling=sampling)
        assert isinstance(ended, Finished)
        text = recorder.read_text(run_id)
        if ended.reason == "stop":
            value = json.loads(text)
            assert value["kind"] in {"model", "text"}
            assert len(value["name"]) <= 12
            assert all(0 <= size <= 9 for size in value["sizes"])
        else:  # Some list of digits that the model did not end: right so far.
            matcher = Constrainer.prepare(_Bare(), Constraint(json_schema=_SCHEMA), text)
            assert not matcher.is_final


class _Bare(Constrainer):
    """Compiles without a vocabulary."""

    def __init__(self) -> None:
        self._table = TokenTable.__new__(TokenTable)
        self._programs = OrderedDict()


def test_the_end_of_the_grammar_is_the_end_of_the_reply(
    local: LocalEngine, recorder: Recorder, tiny: Path
) -> None:
    recorder.load(local, tiny)  # It would never end by itself.
    ended = _ask(local, recorder, "r", Constraint(grammar='root ::= "yes" | "no"'), sampling=_HOT)
    assert isinstance(ended, Finished)
    assert ended.reason == "stop"
    assert recorder.read_text("r") in {"yes", "no"}


def test_a_grammar_that_allows_all_changes_nothing(
    local: LocalEngine, recorder: Recorder, guide: Path
) -> None:
    recorder.load(local, guide)
    for sampling in (GREEDY, Sampling(seed=4), _FORGETFUL):
        name = str(sampling.seed)
        recorder.ask(local, f"free-{name}", "What is a token?", sampling=sampling, max_tokens=60)
        recorder.wait_for_end(f"free-{name}")
        _ask(
            local,
            recorder,
            f"bound-{name}",
            Constraint(grammar="root ::= .*"),
            sampling=sampling,
            max_tokens=60,
        )
        assert recorder.read_text(f"free-{name}") == recorder.read_text(f"bound-{name}")


def test_the_same_seed_gives_the_same_constrained_reply(
    local: LocalEngine, recorder: Recorder, mute: Path
) -> None:
    recorder.load(local, mute)
    constraint = Constraint(grammar="root ::= [a-f ]{40,60} [.!]")
    for run_id in ("one", "two"):
        _ask(local, recorder, run_id, constraint, sampling=_HOT)
    assert recorder.read_text("one") == recorder.read_text("two")
    assert 41 <= len(recorder.read_text("one")) <= 61


def test_letters_of_several_bytes_come_whole(
    local: LocalEngine, recorder: Recorder, mute: Path
) -> None:
    recorder.load(local, mute)
    ended = _ask(
        local, recorder, "r", Constraint(grammar="root ::= [ぁ-ん😀-😇]{20}"), sampling=_HOT
    )
    assert isinstance(ended, Finished)
    text = recorder.read_text("r")
    assert len(text) == 20
    assert all("ぁ" <= letter <= "ん" or "😀" <= letter <= "😇" for letter in text)


def test_a_constrained_reply_goes_on_where_it_was(
    local: LocalEngine, recorder: Recorder, guide: Path
) -> None:
    recorder.load(local, guide)
    constraint = Constraint(grammar='root ::= "{" [a-z]{3} ":" [0-9]{2} "}"')
    _ask(local, recorder, "r", constraint, begun="{ab")
    assert len("{ab" + recorder.read_text("r")) == 8
    failed = _ask(local, recorder, "s", constraint, begun="[ab")
    assert isinstance(failed, Failed)
    assert failed.code == "bad_request"


def test_constrained_and_free_replies_run_beside_each_other(
    local: LocalEngine, recorder: Recorder, mute: Path
) -> None:
    recorder.load(local, mute, n_seq_max=4)
    grammars = ["root ::= [0-9]{80}", "root ::= [a-z]{80}", "root ::= .*", "root ::= [ -~]{60,}"]
    for i, grammar in enumerate(grammars):
        local.submit(
            Generate(
                run_id=str(i),
                messages=(PromptMessage("user", "Go."),),
                sampling=_HOT,
                max_tokens=120,
                constraint=Constraint(grammar=grammar) if i != 2 else None,
                n_alternatives=3,
            )
        )
    for i in range(4):
        ended = recorder.wait_for_end(str(i))
        assert isinstance(ended, Finished)
        drawn = [
            t
            for e in recorder.events
            if isinstance(e, Text) and e.run_id == str(i)
            for t in e.tokens
        ]
        assert len(drawn) == ended.usage.output_tokens
    assert recorder.read_text("0").isdecimal()
    assert recorder.read_text("1").isalpha()


def test_a_grammar_that_no_token_can_go_on_with_fails_the_reply_in_a_sentence(
    local: LocalEngine, recorder: Recorder, mute: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    recorder.load(local, mute)
    monkeypatch.setattr(TokenTable, "__init__", _forget_digits(TokenTable.__init__))
    failed = _ask(local, recorder, "r", Constraint(grammar='root ::= "ab" [0-9]'))
    assert isinstance(failed, Failed)
    assert failed.code == "bad_request"
    assert "none of the model's tokens fits" in failed.message
    assert recorder.read_text("r") == "ab"


def _forget_digits(make: object) -> object:
    def init(table: TokenTable, vocab: object) -> None:
        make(table, vocab)  # type: ignore[operator]
        table.pieces = [b"" if set(p) & set(b"0123456789") else p for p in table.pieces]
        table.by_first = tuple(
            array("i", [t for t in group if table.pieces[t]]) for group in table.by_first
        )

    return init


def test_an_ambiguous_grammar_fails_the_reply_and_not_the_engine(
    local: LocalEngine, recorder: Recorder, mute: Path
) -> None:
    recorder.load(local, mute)
    failed = _ask(
        local,
        recorder,
        "r",
        Constraint(grammar='root ::= "a" root "x" | "a" root "y" | "a" root "z" | "b"'),
        sampling=Sampling(temperature=0.0, logit_bias=_favour(local, recorder, "a")),
    )
    assert isinstance(failed, Failed)
    assert failed.code == "bad_request"
    assert "ambiguous" in failed.message
    assert isinstance(_ask(local, recorder, "s", Constraint(grammar='root ::= "b"')), Finished)


def _favour(local: LocalEngine, recorder: Recorder, text: str) -> tuple[tuple[int, float], ...]:
    """A bias that makes one token the likeliest, found by having it drawn."""
    local.submit(
        Generate(
            run_id="probe",
            messages=(PromptMessage("user", "x"),),
            constraint=Constraint(grammar=f'root ::= "{text}"'),
            n_alternatives=0,
        )
    )
    recorder.wait_for_end("probe")
    event = next(e for e in recorder.events if isinstance(e, Text) and e.run_id == "probe")
    return ((event.tokens[0].chosen.token, 100.0),)


def test_b03_fifty_bad_grammars_and_schemas_and_the_child_lives(
    child: ChildEngine, recorder: Recorder, tiny: Path
) -> None:
    assert isinstance(recorder.load(child, tiny), Loaded)
    pid = child.state.pid
    bad = [Constraint(json_schema=text) for text in _BAD_SCHEMAS]
    bad += [Constraint(grammar=text) for text in _BAD_GRAMMARS]
    assert len(bad) >= 50
    for i, constraint in enumerate(bad):
        ended = _ask(child, recorder, f"bad-{i}", constraint, max_tokens=8)
        assert isinstance(ended, Failed), constraint
        assert ended.code == "bad_request"
        assert ended.message.endswith(".")
    ended = _ask(child, recorder, "good", Constraint(json_schema='{"enum": [true]}'))
    assert isinstance(ended, Finished)
    assert recorder.read_text("good") == "true"
    assert child.state.pid == pid


# --- against the library's own grammars ---

_GRAMMARS = (
    'root ::= "yes" | "no" | "yesterday"',
    'root ::= [a-z]+ (" " [a-z]+)* "."',
    'root ::= "(" root ")" | [0-9]{1,3} | "the " root',
    'root ::= item ("," " "? item){0,4}\nitem ::= "the" | "t" [a-h]* | "a" ("n" | "nd")?',
    r'root ::= "\"" ([^"\\\x00-\x1F] | "\\" ["\\/bfnrt])* "\""',
    'root ::= ("a" | "b"{2} | "and")+ [^a-z]',
    'root ::= [ \\n\\t]* ([^ \\n\\t]+ [ \\n\\t]+)* "!"',
    'root ::= (("x"? "y"*)* | "the"+) "end"?',
    (
        'root ::= value\nvalue ::= object | array | string | number | ("true" | "null") ws\n'
        'object ::= "{" ws (string ":" ws value ("," ws string ":" ws value)*)? "}" ws\n'
        'array ::= "[" ws (value ("," ws value)*)? "]" ws\n'
        'string ::= "\\"" [ a-z]* "\\"" ws\nnumber ::= "-"? [0-9]+ ws\nws ::= [ \\n]?'
    ),
)


@pytest.fixture(scope="module")
def model(tiny: Path) -> Iterator[Model]:
    library = Library(lambda _level, _text: None)
    opened = Model(str(tiny), ModelOptions(), lambda _done: True)
    yield opened
    opened.close()
    del library


@pytest.mark.parametrize("grammar", _GRAMMARS, ids=range(len(_GRAMMARS)))
def test_the_same_tokens_are_allowed_as_by_the_library(model: Model, grammar: str) -> None:
    table = TokenTable(model.vocab)
    zeros = memoryview(bytes(4 * model.vocab.n_tokens)).cast("f")
    candidates = Candidates(model.vocab.n_tokens)
    rng = random.Random(1)
    # Of control tokens the library takes the name for their text, and it lets bytes pass that no
    # UTF-8 holds; here neither is allowed.
    comparable = [i for i, piece in enumerate(table.pieces) if i in table.ends or _is_text(piece)]
    for _ in range(6):
        native = Sampler()
        native.add("grammar", model.vocab.handle, grammar.encode(), b"root")
        matcher = Matcher(Program(parse_grammar(grammar)))
        for _ in range(25):
            candidates.fill(zeros)
            candidates.apply(native)
            theirs = {i for i in comparable if candidates._logits[i] == 0.0}
            ours = {
                token
                for token in comparable
                if (
                    matcher.is_complete
                    if token in table.ends
                    else matcher.look(table.pieces[token]) is not None
                )
            }
            assert ours == theirs
            drawable = sorted(ours - set(table.ends))
            if not drawable:
                break
            token = rng.choice(drawable)
            assert matcher.take(table.pieces[token])
            native.accept([token])
        native.close()


def _is_text(piece: bytes) -> bool:
    try:
        return bool(piece.decode().strip("\0"))
    except UnicodeDecodeError:
        return False


# --- reasoning ---


def test_an_answer_obeys_and_what_is_thought_before_it_is_free(
    local: LocalEngine, recorder: Recorder, tmp_path: Path
) -> None:
    thoughts, answer = ["Let ", "me ", "see."], ["It ", "is ", "42", " now"]
    path = write_scripted_gguf(
        tmp_path / "thinker.gguf",
        ["<think>", *thoughts, "</think>", *answer],
        marks=["<think>", "</think>", *thoughts, *answer],
        n_embd=256,
        template=QWEN3,
    )
    recorder.load(local, path)

    def read(run_id: str, grammar: str, *, thinks: bool | None) -> tuple[str, str]:
        local.submit(
            Generate(
                run_id=run_id,
                messages=(PromptMessage("user", "How much is it?"),),
                sampling=GREEDY,
                max_tokens=40,
                constraint=Constraint(grammar=grammar),
                thinks=thinks,
            )
        )
        assert isinstance(recorder.wait_for_end(run_id), Finished)
        texts = [e for e in recorder.events if isinstance(e, Text) and e.run_id == run_id]
        thought = "".join(e.piece for e in texts if e.part == "reasoning")
        return thought, "".join(e.piece for e in texts if e.part == "answer")

    grammar = 'root ::= "It " ("is " | "was ") [0-9]{2}'
    assert read("as-it-likes", grammar, thinks=None) == ("Let me see.", "It is 42")
    assert read("otherwise", 'root ::= "42" " now"?', thinks=True) in {
        ("Let me see.", "42"),
        ("Let me see.", "42 now"),
    }
    thought, said = read("without", grammar, thinks=False)
    assert thought == ""
    assert said.startswith("It ")
