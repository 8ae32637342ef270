"""From messages to prompt tokens: the model's own chat template, and text that stays text.

What a person types may spell a control token (`<|im_end|>`). The template's control tokens must
become tokens, the person's must not, though both arrive in one rendered text. So each one in a
message is broken by a mark that nobody can guess, and the text is tokenised in parts, cut at the
marks. Should a template have put such a spelling together from pieces, the control tokens of the
result differ from those of a render with harmless contents; then every message is broken wherever
a control token could begin.

How a reply begins belongs to its prompt: the template may open its reasoning, and a reply that goes
on from its middle needs the marks between what it has thought and said (`reasoning`).

Used on the host's prompt thread; rendering happens in the renderer process.
"""

import re
import secrets
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Final

from inglenook.base.errors import EngineError
from inglenook.engine.llama import Vocab
from inglenook.engine.parts import Begins
from inglenook.engine.prompts.reasoning import Variables, study_reasoning
from inglenook.engine.prompts.renderer import Render
from inglenook.engine.prompts.template import TemplateError, TemplateRenderer, try_template
from inglenook.engine.protocol import PromptMessage
from inglenook.engine.text import clean_text

_LIMIT_RUN_CHARACTERS: Final = 2048
_MARK_LENGTH: Final = 8
_CHATML: Final = (
    "{% for m in messages %}<|im_start|>{{ m.role }}\n{{ m.content }}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)
_LLAMA3: Final = (
    "{% for m in messages %}<|start_header_id|>{{ m.role }}<|end_header_id|>\n\n"
    "{{ m.content }}<|eot_id|>{% endfor %}"
    "{% if add_generation_prompt %}<|start_header_id|>assistant<|end_header_id|>\n\n{% endif %}"
)
_GEMMA: Final = (
    "{% for m in messages %}<start_of_turn>{{ 'model' if m.role == 'assistant' else 'user' }}\n"
    "{{ m.content }}<end_of_turn>\n{% endfor %}"
    "{% if add_generation_prompt %}<start_of_turn>model\n{% endif %}"
)
_PLAIN: Final = (
    "{% for m in messages %}{{ {'system': '', 'user': 'User: ', 'assistant': 'Assistant: '}"
    "[m.role] }}{{ m.content }}\n\n{% endfor %}{% if add_generation_prompt %}Assistant:{% endif %}"
)
_STAND_INS: Final = (("<|im_start|>", _CHATML), ("<|eot_id|>", _LLAMA3), ("<end_of_turn>", _GEMMA))
_PLAIN_STOPS: Final = ("\nUser:",)

type Messages = Sequence[PromptMessage]


@dataclass(frozen=True, slots=True)
class Prompt:
    """A prompt's tokens, and what the reply's first token belongs to.

    `n_reasoning` counts the tokens of reasoning that a continued reply holds already. The first
    `n_lasting` tokens are those that the conversation's next prompt will hold, too.
    """

    tokens: list[int]
    begins: Begins = "unknown"
    n_reasoning: int = 0
    n_lasting: int = 0


class PromptMaker:
    """Makes prompts for one loaded model. `note` says so when a plain template stands in.

    `stops` are texts that end a reply under the plain template, where no token does.
    """

    def __init__(self, vocab: Vocab, template: str | None, renderer: TemplateRenderer) -> None:
        self._vocab = vocab
        self._renderer = renderer
        controls = sorted(set(vocab.find_control_texts()), key=len, reverse=True)
        self._control_pattern = _compile_alternatives(controls)
        self._first_letters = frozenset(text[0] for text in controls)
        self._first_pattern = _compile_alternatives(sorted(self._first_letters))
        self._controls = frozenset(controls)
        self._bos, self._eos = vocab.text(vocab.bos), vocab.text(vocab.eos)
        self._template, self.note = self._choose_template(template)
        self.stops = _PLAIN_STOPS if self._template is _PLAIN else ()
        self.reasoning = study_reasoning(self._template, vocab, self._render_probe)

    def make(
        self, messages: Messages, *, continue_last: bool = False, thinks: bool | None = None
    ) -> Prompt:
        """The prompt, ready for a reply, or to go on with the last message.

        `thinks` turns reasoning on or off where the template can. Raises `EngineError` with code
        template_failed or bad_request.
        """
        if not messages:
            raise EngineError("There is no message to answer.", code="bad_request")
        if continue_last and messages[-1].role != "assistant":
            raise EngineError("Only an assistant's message can be continued.", code="bad_request")
        cleaned = [_clean(m) for m in messages]
        variables = self.reasoning.choose_variables(thinks)
        if not continue_last:
            prompt = self._make(cleaned, None, variables, add_generation_prompt=True)
            # Reasoning that the prompt has closed may come all the same, and is none of the answer.
            return replace(prompt, begins="unknown") if prompt.begins == "answer" else prompt
        return self._make_continued(cleaned[:-1], cleaned[-1], variables)

    def _make_continued(
        self, before: Messages, reply: PromptMessage, variables: Variables
    ) -> Prompt:
        """The prompt of a reply that goes on where it was, in its reasoning or in its answer."""
        reasoning = self.reasoning
        prompt = self._make(before, reply, variables, add_generation_prompt=True)
        if reply.reasoning and prompt.begins == "answer":
            # It was begun with reasoning, and so it goes on.
            prompt = self._make(before, reply, reasoning.on, add_generation_prompt=True)
        if reply.content or not reply.reasoning or reasoning.family is None:
            return Prompt(prompt.tokens, "answer" if reply.content else "unknown")
        return Prompt(prompt.tokens, "reasoning", len(self._tokenize_later(reply.reasoning)))

    def make_beginning(self, messages: Messages, *, thinks: bool | None = None) -> list[int]:
        """The tokens with which a prompt of these and later messages begins, or nearly."""
        variables = self.reasoning.choose_variables(thinks)
        cleaned = [_clean(m) for m in messages]
        return self._make(cleaned, None, variables, add_generation_prompt=False).tokens

    def make_ahead(self, messages: Messages, *, thinks: bool | None = None) -> list[int]:
        """The tokens worth reading before anything is asked.

        What is being typed is taken as asked: if Enter comes without another letter, all is read.
        """
        if messages and messages[-1].role == "user":
            return self.make(messages, thinks=thinks).tokens
        return self.make_beginning(messages, thinks=thinks)

    def count(self, messages: Messages) -> int:
        """How many tokens the messages take under the template, without a reply's beginning."""
        return len(self.make_beginning(messages))

    # --- rendering ---

    def _make(
        self,
        messages: Messages,
        reply: PromptMessage | None,
        variables: Variables,
        *,
        add_generation_prompt: bool,
    ) -> Prompt:
        """Render and tokenise, with what `reply` holds so far at the end.

        What the prompt begins is told as it is before that.
        """
        rendered = ""

        def tokenize(change: Callable[[str], str], mark: str) -> list[int]:
            nonlocal rendered
            changed = [_change(m, change) for m in messages]
            text = self._render(changed, variables, add_generation_prompt=add_generation_prompt)
            rendered = text
            if reply is not None:
                text += self.reasoning.join_reply(
                    text, change(reply.reasoning), change(reply.content)
                )
            return self._tokenize(text, mark)

        mark = "".join(chr(0xF0000 + secrets.randbelow(0xFFFD)) for _ in range(_MARK_LENGTH))
        said = [m.content for m in messages]
        if reply is not None:
            said += [reply.reasoning, reply.content]
        if not self._may_spell_controls(said):
            tokens = tokenize(str, mark)
        else:
            tokens = tokenize(lambda text: _break_matches(self._control_pattern, text, mark), mark)
            harmless = tokenize(lambda text: "x" if text.strip() else text, mark)
            if self._list_controls(tokens) != self._list_controls(harmless):
                tokens = tokenize(
                    lambda text: _break_matches(self._first_pattern, text, mark), mark
                )
        n_marks = len(self._tokenize_later(self.reasoning.find_end(rendered)))
        # The token before the marks may be written otherwise when something else follows.
        n_lasting = len(tokens) - n_marks - 1 if n_marks and reply is None else 0
        return Prompt(tokens, self.reasoning.judge_end(rendered), n_lasting=n_lasting)

    def _may_spell_controls(self, texts: Sequence[str]) -> bool:
        return any(letter in text for letter in self._first_letters for text in texts)

    def _list_controls(self, tokens: Sequence[int]) -> list[int]:
        controls = self._controls
        return [token for token in tokens if self._vocab.text(token) in controls]

    def _render(
        self, messages: Messages, variables: Variables, *, add_generation_prompt: bool
    ) -> str:
        """Render; when the template refuses the roles, put them in a form that it takes."""
        refusal = TemplateError("failed", "")
        for arrange in (list, _merge_system, _merge_neighbours):
            try:
                return self._render_as(
                    self._template,
                    arrange(messages),
                    variables,
                    add_generation_prompt=add_generation_prompt,
                )
            except TemplateError as error:
                refusal = error if not refusal.message else refusal
                if error.code not in {"raised", "failed"}:
                    break
        raise EngineError(
            f"The model's chat template could not be used: {refusal.message}.",
            "Retry, or choose another model.",
            code="template_failed",
        )

    def _render_probe(self, variables: Variables) -> str | None:
        """A short question with its generation prompt; None where the template refuses."""
        try:
            question = [PromptMessage("user", "probe")]
            return self._render_as(self._template, question, variables, add_generation_prompt=True)
        except TemplateError:
            return None

    def _render_as(
        self,
        template: str,
        messages: Messages,
        variables: Variables = (),
        *,
        add_generation_prompt: bool,
    ) -> str:
        return self._renderer.render(
            Render(
                template=template,
                messages=tuple((m.role, m.content) for m in messages),
                add_generation_prompt=add_generation_prompt,
                bos=self._bos,
                eos=self._eos,
                variables=variables,
            )
        )

    def _choose_template(self, template: str | None) -> tuple[str, str]:
        """Try the file's template on one message; returns the one to use, and a note."""
        stand_in = next((t for spelling, t in _STAND_INS if spelling in self._controls), _PLAIN)
        if not template:
            return stand_in, "The file has no chat template; a plain one stands in."
        reason = try_template(
            template, lambda text, said: self._render_as(text, [said], add_generation_prompt=True)
        )
        if not reason:
            return template, ""
        return (
            stand_in,
            f"The file's chat template could not be used ({reason}); a plain one stands in.",
        )

    # --- tokens ---

    def _tokenize(self, text: str, mark: str) -> list[int]:
        vocab = self._vocab
        tokens = []
        if vocab.adds_bos and vocab.bos >= 0:
            tokens.append(vocab.bos)
            text = text.removeprefix(self._bos)
        escaped = "".join(f"\\u{unit:04x}" for unit in _list_utf16_units(mark))
        parts = text.replace(escaped, mark).split(mark)
        for i, part in enumerate(parts):
            for j, run in enumerate(_split_long_runs(part)):
                is_first = i == 0 and j == 0
                tokens += self._tokenize_first(run) if is_first else self._tokenize_later(run)
        return tokens

    def _tokenize_first(self, text: str) -> list[int]:
        return self._vocab.tokenize(text.encode(), add_special=False, parse_special=True)

    def _tokenize_later(self, text: str) -> list[int]:
        """Tokenise from the middle of a text: SentencePiece would put a space before it."""
        if not self._vocab.is_spm:
            return self._tokenize_first(text)
        before = self._tokenize_first("\n")
        tokens = self._tokenize_first("\n" + text)
        if tokens[: len(before)] == before:
            return tokens[len(before) :]
        return self._tokenize_first(text)


def _clean(message: PromptMessage) -> PromptMessage:
    return _change(message, clean_text)


def _change(message: PromptMessage, change: Callable[[str], str]) -> PromptMessage:
    return PromptMessage(message.role, change(message.content), change(message.reasoning))


def _compile_alternatives(texts: Sequence[str]) -> re.Pattern[str]:
    return re.compile("|".join(map(re.escape, texts)) or r"(?!)")


def _break_matches(pattern: re.Pattern[str], text: str, mark: str) -> str:
    return pattern.sub(lambda found: found[0][0] + mark + found[0][1:], text)


def _split_long_runs(text: str) -> list[str]:
    """Cut what no space interrupts for thousands of characters: tokenisers are slow on that."""
    if len(text) <= _LIMIT_RUN_CHARACTERS:
        return [text]
    n = _LIMIT_RUN_CHARACTERS
    pieces: list[str] = []
    at = 0
    for found in re.finditer(rf"\S{{{n}}}", text):
        pieces.append(text[at : found.end()])
        at = found.end()
    return [*pieces, text[at:]]


def _list_utf16_units(text: str) -> list[int]:
    data = text.encode("utf-16-le")
    return [int.from_bytes(data[i : i + 2], "little") for i in range(0, len(data), 2)]


def _merge_system(messages: Messages) -> list[PromptMessage]:
    """Put a system message before the first user message, for templates that know none."""
    system = "\n\n".join(m.content for m in messages if m.role == "system")
    rest = [m for m in messages if m.role != "system"]
    for i, message in enumerate(rest):
        if system and message.role == "user":
            rest[i] = PromptMessage("user", f"{system}\n\n{message.content}")
            break
    return rest


def _merge_neighbours(messages: Messages) -> list[PromptMessage]:
    """Join messages of one role that follow each other, for templates that want turns."""
    merged: list[PromptMessage] = []
    for message in _merge_system(messages):
        if merged and merged[-1].role == message.role:
            content = f"{merged[-1].content}\n\n{message.content}"
            merged[-1] = PromptMessage(message.role, content)
        else:
            merged.append(message)
    return merged
