"""A model's vocabulary: text to tokens, tokens to bytes."""

import ctypes
from typing import Any, Final

from inglenook.engine.llama.native import NativeError, native, read_text

_ATTR_UNKNOWN: Final = 1
_ATTR_CONTROL: Final = 8


class Vocab:
    """A model's vocabulary: read-only, usable from any thread while its `Model` is open."""

    def __init__(self, handle: Any) -> None:
        self.handle = handle
        self.n_tokens: int = native.llama_vocab_n_tokens(handle)
        self.adds_bos: bool = native.llama_vocab_get_add_bos(handle)
        kind = native.llama_vocab_type(handle)
        self.is_spm: bool = kind == native.LLAMA_VOCAB_TYPE_SPM
        self.is_usable: bool = kind != native.LLAMA_VOCAB_TYPE_NONE
        """Without a tokenizer in the file, the library ends the process over the first text."""
        self.bos: int = native.llama_vocab_bos(handle)
        self.eos: int = native.llama_vocab_eos(handle)
        self._room = ctypes.create_string_buffer(256)

    def tokenize(self, text: bytes, *, add_special: bool, parse_special: bool) -> list[int]:
        """Text to token ids. With `parse_special`, text of control tokens becomes those tokens."""
        room = len(text) + 8
        while True:
            tokens = (native.llama_token * room)()
            n_tokens: int = native.llama_tokenize(
                self.handle, text, len(text), tokens, room, add_special, parse_special
            )
            if n_tokens >= 0:
                ids: list[int] = tokens[:n_tokens]
                return ids
            if -n_tokens <= room:
                raise NativeError("tokenize")
            room = -n_tokens

    def piece(self, token: int) -> bytes:
        """The bytes of one token; empty for control tokens. Called by the worker thread alone."""
        n_bytes = native.llama_token_to_piece(
            self.handle, token, self._room, len(self._room), 0, False
        )
        if n_bytes < 0:
            self._room = ctypes.create_string_buffer(-n_bytes)
            return self.piece(token)
        return self._room.raw[:n_bytes]

    def list_pieces(self) -> list[bytes]:
        """The bytes of every token, as `piece` gives them. Any thread."""
        handle, piece_of, size = self.handle, native.llama_token_to_piece, 256
        room = ctypes.create_string_buffer(size)
        pieces = []
        for token in range(self.n_tokens):
            n_bytes = piece_of(handle, token, room, size, 0, False)
            if n_bytes < 0:
                size = -n_bytes
                room = ctypes.create_string_buffer(size)
                n_bytes = piece_of(handle, token, room, size, 0, False)
            pieces.append(ctypes.string_at(room, n_bytes))
        return pieces

    def is_end(self, token: int) -> bool:
        """Whether the model ends its turn with this token."""
        return bool(native.llama_vocab_is_eog(self.handle, token))

    def text(self, token: int) -> str:
        """A token as the file spells it; empty for "no such token" (-1)."""
        return read_text(native.llama_vocab_get_text(self.handle, token)) if token >= 0 else ""

    def find_control_texts(self) -> tuple[str, ...]:
        """The spellings that `parse_special` would turn into control tokens."""
        handle, attr_of = self.handle, native.llama_vocab_get_attr
        wanted = _ATTR_CONTROL | _ATTR_UNKNOWN
        found = (self.text(i) for i in range(self.n_tokens) if attr_of(handle, i) & wanted)
        return tuple(text for text in found if text)
