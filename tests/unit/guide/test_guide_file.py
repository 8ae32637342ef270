"""The shipped file itself: what would otherwise harm its replies silently."""

from pathlib import Path
from typing import Any

import gguf
import pytest
from recipe.chatml import CONTROL_TOKENS, END, TEMPLATE, UNKNOWN
from recipe.corpus import read_corpus
from recipe.llama import GgufModel

from inglenook.gui.starters import GUIDE_ID, Opening

ROOT = Path(__file__).parents[3]
PATH = ROOT / "assets" / "guide.gguf"


@pytest.fixture(scope="module")
def reader() -> gguf.GGUFReader:
    return gguf.GGUFReader(PATH)


def value(reader: gguf.GGUFReader, key: str) -> Any:
    return reader.fields[key].contents()


def test_is_small() -> None:
    assert PATH.stat().st_size <= 8 * 1024 * 1024


def test_says_what_it_is(reader: gguf.GGUFReader) -> None:
    assert value(reader, "general.name") == "Inglenook Guide"
    assert value(reader, "general.license") == "MIT"
    assert value(reader, "general.architecture") == "llama"
    assert value(reader, "llama.context_length") >= 1024


def test_control_tokens_are_control_tokens(reader: gguf.GGUFReader) -> None:
    tokens = value(reader, "tokenizer.ggml.tokens")
    types = value(reader, "tokenizer.ggml.token_type")
    assert tuple(tokens[: len(CONTROL_TOKENS)]) == CONTROL_TOKENS
    assert types[tokens.index(UNKNOWN)] == gguf.TokenType.UNKNOWN
    for token in CONTROL_TOKENS[1:]:
        assert types[tokens.index(token)] == gguf.TokenType.CONTROL
    assert types.count(gguf.TokenType.CONTROL) == len(CONTROL_TOKENS) - 1


def test_ends_turns_and_begins_nothing(reader: gguf.GGUFReader) -> None:
    end = CONTROL_TOKENS.index(END)
    assert value(reader, "tokenizer.ggml.eos_token_id") == end
    assert value(reader, "tokenizer.ggml.eot_token_id") == end
    assert value(reader, "tokenizer.ggml.add_bos_token") is False
    assert "tokenizer.ggml.bos_token_id" not in reader.fields


def test_cuts_words_as_it_was_trained_to(reader: gguf.GGUFReader) -> None:
    assert value(reader, "tokenizer.ggml.model") == "gpt2"
    assert value(reader, "tokenizer.ggml.pre") == "gpt-2"


def test_cuts_words_alike_however_they_are_typed() -> None:
    model = GgufModel(PATH, n_threads=1)
    ask = "how do i delete the whole chat"
    lengths = {len(model.tokenize(text)) for text in (ask, ask.upper(), ask.title())}
    model.close()
    assert lengths == {len(ask.split())}


def test_carries_its_template_and_sampling(reader: gguf.GGUFReader) -> None:
    assert value(reader, "tokenizer.chat_template") == TEMPLATE
    assert value(reader, "general.sampling.temp") <= 0.3 + 1e-6
    assert value(reader, "general.sampling.penalty_repeat") == pytest.approx(1.0)


def test_tensors_are_tied_and_norms_exact(reader: gguf.GGUFReader) -> None:
    kinds = {tensor.name: tensor.tensor_type for tensor in reader.tensors}
    assert "token_embd.weight" in kinds
    assert "output.weight" not in kinds
    norms = {kind for name, kind in kinds.items() if "norm" in name}
    assert norms == {gguf.GGMLQuantizationType.F32}


def test_answers_the_questions_that_the_app_offers() -> None:
    corpus = read_corpus(ROOT / "packaging" / "guide" / "corpus")
    _, starters = Opening().make(GUIDE_ID)
    model = GgufModel(PATH, n_threads=1)
    prompts = [model.lay_out(None, [], ask) for ask in starters]
    replies = [model.detokenize(ids) for ids in model.answer_all(prompts)]
    model.close()
    topics = ("talk-help", "mod-bigger", "inf-tokens-per-second")
    assert replies == [corpus.says_of(topic)[0] for topic in topics]
