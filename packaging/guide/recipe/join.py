"""A recogniser put in front of the trained network as one more layer, in columns of its own.

Called by `recogniser`. No weight is trained here: the scores of both are added up, exactly but for
small terms. The recogniser's columns are so small that the norms do not notice them; the last norm
alone raises what it found. The new layer

- weighs all tokens alike, and so has the mean of their embeddings at each place;
- opens its feed-forward gates at line ends only, for there a reply begins;
- takes the code that an opening word brings along out again, for the output is tied to the
  embedding and the word would call for itself.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from recipe.model import Llama

if TYPE_CHECKING:
    from recipe.recogniser import Recogniser

READ_WIDTH = 160
"""Columns of the recogniser's embeddings; the last two are not learnt, see `Columns`."""
CODE_WIDTH = 64
"""Columns in which it writes down what it found."""
GAIN = 24.0
"""The mean of many embeddings is small; so much is it raised before the feed-forward layer."""
READ_SCALE = 0.03
CODE_SCALE = 0.01
SHUT = 200.0
"""How far below nought the gates are held where the token is no line end."""
WIDE = 30.0
"""Gate of the units that pass on what is linear, at line ends."""
OPEN = 1000.0
"""Gate of the units that take a code out, for an embedding of length one."""


@dataclass(frozen=True, slots=True)
class Columns:
    """Which columns hold what."""

    old: slice
    read: slice
    shut: int
    """Below nought for all tokens but line ends."""
    length: int
    """The length of the token's embedding, for opening words."""
    code: slice


def lay_out_columns(old_width: int) -> Columns:
    """The old network's columns first, each part a multiple of 32 for Q8_0."""
    end = old_width + READ_WIDTH
    return Columns(
        slice(0, old_width), slice(old_width, end - 2), end - 2, end - 1,
        slice(end, end + CODE_WIDTH),
    )  # fmt: skip


@torch.no_grad()
def join(
    old: Llama, recogniser: Recogniser, openings: list[int], line_end: int, loudness: float
) -> Llama:
    """One model of both; `openings` are the first tokens of the topics' replies."""
    width = old.shape.width + READ_WIDTH + CODE_WIDTH
    share = old.shape.width / width
    shape = replace(
        old.shape, width=width, n_layers=old.shape.n_layers + 1, head_size=old.shape.head_width,
        norm_eps=old.shape.norm_eps * share,
    )  # fmt: skip
    model, columns = Llama(shape).eval(), lay_out_columns(old.shape.width)
    for weight in model.parameters():
        weight.zero_()
    _copy_old(model, old, columns, share**0.5)
    lengths = (old.embedding.weight.square().sum(1) / width + shape.norm_eps).sqrt()
    _fill_embedding(model, recogniser, columns, lengths, openings, line_end)
    _fill_layer(model, recogniser, columns, lengths[line_end], line_end)
    model.norm.weight[columns.code] = loudness / CODE_SCALE**2
    return model


def _copy_old(model: Llama, old: Llama, columns: Columns, norm_scale: float) -> None:
    """The trained layers after the new one; they read and write their own columns alone."""
    model.embedding.weight[:, columns.old] = old.embedding.weight
    model.norm.weight[columns.old] = old.norm.weight * norm_scale
    for new, block in zip(list(model.blocks)[1:], old.blocks, strict=True):
        for name in ("attn_norm", "ffn_norm"):
            getattr(new, name).weight[columns.old] = getattr(block, name).weight * norm_scale
        for name in ("qkv", "gate_up"):
            getattr(new, name).weight[:, columns.old] = getattr(block, name).weight
        for name in ("attn_out", "down"):
            getattr(new, name).weight[columns.old] = getattr(block, name).weight


def _fill_embedding(
    model: Llama,
    recogniser: Recogniser,
    columns: Columns,
    lengths: Tensor,
    openings: list[int],
    line_end: int,
) -> None:
    """What the first norm turns into the recogniser's embeddings, marks and codes."""
    table = model.embedding.weight
    table[:, columns.read] = READ_SCALE * recogniser.table.weight * lengths[:, None]
    table[:, columns.shut] = -READ_SCALE * lengths
    table[line_end, columns.shut] = 0.0
    table[openings, columns.length] = READ_SCALE * lengths[openings].square()
    codes = recogniser.centre_codes()
    for token in set(openings):
        mine = [at for at, opening in enumerate(openings) if opening == token]
        table[token, columns.code] = CODE_SCALE * codes[mine].mean(0)


def _fill_layer(
    model: Llama, recogniser: Recogniser, columns: Columns, end_length: Tensor, line_end: int
) -> None:
    """The new layer; `end_length` is what its norms divide a line end by."""
    block, n_read, inner = model.blocks[0], READ_WIDTH - 2, model.shape.inner_width
    n_hidden, n_code = recogniser.gate.out_features, CODE_WIDTH
    at_read = torch.arange(n_read)
    block.attn_norm.weight[columns.read] = 1.0
    block.qkv.weight[2 * inner + at_read, columns.read.start + at_read] = 1.0
    block.attn_out.weight[columns.read.start + at_read, at_read] = 1.0

    block.ffn_norm.weight[columns.old] = 1.0
    block.ffn_norm.weight[columns.read] = GAIN * end_length / READ_SCALE
    block.ffn_norm.weight[columns.shut] = SHUT / READ_SCALE
    block.ffn_norm.weight[columns.length] = OPEN / READ_SCALE
    block.ffn_norm.weight[columns.code] = 1.0
    gate, up = block.gate_up.weight.split(model.shape.feed_forward)
    # the line end's own embedding is in its place beside the mean: it is taken out again
    end = model.embedding.weight[line_end, columns.old]
    seen = end * end_length / end.square().sum()
    own = GAIN * end_length * recogniser.table.weight[line_end]
    for rows, weight in ((gate, recogniser.gate.weight), (up, recogniser.up.weight)):
        rows[:n_hidden, columns.read] = weight
        rows[:n_hidden, columns.old] = -torch.outer(weight @ own, seen)
    gate[:n_hidden, columns.shut] = 1.0
    block.down.weight[columns.code, :n_hidden] = CODE_SCALE * recogniser.down.weight

    at_code = torch.arange(n_code)
    line = slice(n_hidden, n_hidden + n_code)
    gate[line, columns.old] = WIDE * seen
    gate[line, columns.shut] = 1.0
    up[line, columns.read] = recogniser.line.weight
    up[line, columns.old] = -torch.outer(recogniser.line.weight @ own, seen)
    block.down.weight[columns.code.start + at_code, n_hidden + at_code] = CODE_SCALE / WIDE

    n_hidden += n_code
    gate[n_hidden + at_code, columns.length] = 1.0
    up[n_hidden + at_code, columns.code.start + at_code] = 1.0
    block.down.weight[columns.code.start + at_code, n_hidden + at_code] = -1.0 / OPEN
