"""Which of llama.cpp's two ways to compute attention a model is given on the processor.

Flash attention looks at one token after the other; plain attention multiplies whole matrices, so
that a follow-up of a few words after a long history is read more than twice as fast, and writing
after thousands of tokens is faster, too. It pays with room for the looks of all heads, and with
going through every used cell of the memory that conversations share.
"""

from typing import Final

PLAIN_ROOM_BYTES: Final = 128 * 1024 * 1024
"""So much plain attention may take to work in."""
_LEAST_STEP: Final = 64
_TILE: Final = 32
_FLOAT: Final = 4


def fit_plain_step(n_heads: int, n_ctx: int, n_ubatch: int) -> int:
    """The tokens, at most `n_ubatch`, that a step of plain attention may read; 0 for too few.

    With 0, flash attention is the better choice: its room does not grow with the context.
    """
    if n_heads <= 0 or n_ctx <= 0:
        return 0
    n_fitting = PLAIN_ROOM_BYTES // (_FLOAT * n_heads * n_ctx)
    if n_fitting >= n_ubatch:
        return n_ubatch
    return n_fitting // _TILE * _TILE if n_fitting >= _LEAST_STEP else 0
