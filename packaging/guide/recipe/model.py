"""The network: a small Llama (RMSNorm, rotary positions, SwiGLU, tied embeddings) in PyTorch.

Called by training, conversion and verification. The weights convert to GGUF's `llama`
architecture; `topic_head` serves training alone and is left out there.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional

CONTEXT = 2048
TWIN_LENGTH = 0.9
"""How long the embedding of a capital twin is beside that of its small letters."""


@dataclass(frozen=True, slots=True)
class Shape:
    """Sizes of the network. Widths are multiples of 32, as Q8_0 wants its rows."""

    n_tokens: int
    n_topics: int
    width: int = 256
    n_layers: int = 4
    n_heads: int = 4
    feed_forward: int = 704
    rope_base: float = 10_000.0
    norm_eps: float = 1e-2
    """Large, so that the first norm keeps the lengths of embeddings: small words stay short."""
    context: int = CONTEXT

    @property
    def head_width(self) -> int:
        """Numbers per attention head."""
        return self.width // self.n_heads


class Block(nn.Module):
    """One layer: attention, then feed-forward, each added to what came in."""

    def __init__(self, shape: Shape, dropout: float) -> None:
        super().__init__()
        self.n_heads = shape.n_heads
        self.dropout = dropout
        self.attn_norm = nn.RMSNorm(shape.width, eps=shape.norm_eps)
        self.qkv = nn.Linear(shape.width, 3 * shape.width, bias=False)
        self.attn_out = nn.Linear(shape.width, shape.width, bias=False)
        self.ffn_norm = nn.RMSNorm(shape.width, eps=shape.norm_eps)
        self.gate_up = nn.Linear(shape.width, 2 * shape.feed_forward, bias=False)
        self.down = nn.Linear(shape.feed_forward, shape.width, bias=False)

    def forward(self, x: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
        """(batch, length, width) to the same."""
        batch, length, _ = x.shape
        qkv = self.qkv(self.attn_norm(x)).view(batch, length, 3, self.n_heads, -1)
        q, k, v = (part.transpose(1, 2) for part in qkv.unbind(2))
        q, k = rotate(q, cos, sin), rotate(k, cos, sin)
        mixed = functional.scaled_dot_product_attention(q, k, v, is_causal=True)
        mixed = self.attn_out(mixed.transpose(1, 2).flatten(2))
        x = x + functional.dropout(mixed, self.dropout, self.training)
        gate, up = self.gate_up(self.ffn_norm(x)).chunk(2, dim=-1)
        fed = self.down(functional.silu(gate) * up)
        return x + functional.dropout(fed, self.dropout, self.training)

    def forward_ends(self, x: Tensor, cos: Tensor, sin: Tensor, ends: Tensor) -> Tensor:
        """The same at one place of each row alone: (batch, length, width) to (batch, width)."""
        batch, length, _ = x.shape
        width = self.attn_out.in_features
        rows = torch.arange(batch, device=x.device)
        normed = self.attn_norm(x)
        q = functional.linear(normed[rows, ends], self.qkv.weight[:width])
        kv = functional.linear(normed, self.qkv.weight[width:])
        k, v = kv.view(batch, length, 2, self.n_heads, -1).transpose(1, 3).unbind(2)
        q = rotate(q.view(batch, self.n_heads, 1, -1), cos[ends, None, None], sin[ends, None, None])
        mask = torch.arange(length, device=x.device) <= ends[:, None, None, None]
        mixed = functional.scaled_dot_product_attention(q, rotate(k, cos, sin), v, attn_mask=mask)
        mixed = self.attn_out(mixed.flatten(1))
        x = x[rows, ends] + functional.dropout(mixed, self.dropout, self.training)
        gate, up = self.gate_up(self.ffn_norm(x)).chunk(2, dim=-1)
        fed = self.down(functional.silu(gate) * up)
        return x + functional.dropout(fed, self.dropout, self.training)


class Llama(nn.Module):
    """The whole network, from token ids to hidden states; logits by the tied embedding."""

    def __init__(self, shape: Shape, dropout: float = 0.0) -> None:
        super().__init__()
        self.shape = shape
        self.dropout = dropout
        self.embedding = nn.Embedding(shape.n_tokens, shape.width)
        self.blocks = nn.ModuleList(Block(shape, dropout) for _ in range(shape.n_layers))
        self.norm = nn.RMSNorm(shape.width, eps=shape.norm_eps)
        self.topic_head = nn.Linear(shape.width, shape.n_topics)
        self.bag_head = nn.Linear(shape.width, shape.n_topics)
        self._start_weights()
        cos, sin = make_rotations(shape)
        self.register_buffer("cos", cos, persistent=False)
        self.register_buffer("sin", sin, persistent=False)

    def _start_weights(self) -> None:
        nn.init.normal_(self.embedding.weight, std=0.02)
        for name, weight in self.named_parameters():
            if weight.dim() == 2 and "embedding" not in name:
                is_output = name.endswith(("attn_out.weight", "down.weight"))
                std = 0.04 / math.sqrt(2 * self.shape.n_layers) if is_output else 0.04
                nn.init.normal_(weight, std=std)

    def forward(self, ids: Tensor, ends: Tensor | None = None) -> Tensor:
        """(batch, length) ids to (batch, length, width) hidden states.

        With `ends`, to (batch, width): those of one place of each row, which is a third cheaper.
        """
        length = ids.shape[1]
        x = self.embedding(ids)
        x = functional.dropout(x, self.dropout, self.training)
        cos, sin = self.cos[:length].to(x.dtype), self.sin[:length].to(x.dtype)
        for block in self.blocks[:-1]:
            x = block(x, cos, sin)
        last = self.blocks[-1]
        x = last(x, cos, sin) if ends is None else last.forward_ends(x, cos, sin, ends)
        return self.norm(x)

    def score_tokens(self, hidden: Tensor) -> Tensor:
        """Hidden states to logits over the tokens."""
        return functional.linear(hidden, self.embedding.weight)

    def judge_bag(self, ids: Tensor, starts: Tensor) -> Tensor:
        """Topic scores from the mean of a question's embeddings alone, whatever their order.

        Trained beside the rest, it gives words of one topic kindred embeddings.
        """
        mean = functional.embedding_bag(ids, self.embedding.weight, starts, mode="mean")
        mean = functional.rms_norm(mean, (self.shape.width,), eps=self.shape.norm_eps)
        return self.bag_head(functional.dropout(mean, 0.3, self.training))

    @torch.no_grad()
    def begin_as_mean(self) -> None:
        """Start the first layer as a mean over all words so far, and the topic head as the bag's.

        What the embeddings learnt by themselves is then there from the first step.
        """
        width = self.shape.width
        first = self.blocks[0]
        first.qkv.weight[: 2 * width].mul_(0.2)
        first.qkv.weight[2 * width :] = torch.eye(width)
        first.attn_out.weight.copy_(torch.eye(width))
        self.topic_head.load_state_dict(self.bag_head.state_dict())

    def count_weights(self) -> int:
        """Numbers in the model as it is shipped."""
        return sum(p.numel() for n, p in self.named_parameters() if "_head" not in n)


@torch.no_grad()
def spread_embeddings(model: Llama, small_of: list[int]) -> Tensor:
    """The embedding with rows for capital twins too, those of their small letters made shorter.

    A question reads alike in capitals; in a reply the small letters are always the likelier ones.
    """
    table = model.embedding.weight.detach().float()
    rows = table[torch.tensor(small_of)]
    rows[len(table) :] *= TWIN_LENGTH
    return rows


def make_rotations(shape: Shape) -> tuple[Tensor, Tensor]:
    """Cosine and sine per position and pair, (context, head_width / 2) each."""
    half = shape.head_width // 2
    speeds = shape.rope_base ** (-torch.arange(half, dtype=torch.float32) / half)
    angles = torch.outer(torch.arange(shape.context, dtype=torch.float32), speeds)
    return angles.cos(), angles.sin()


def rotate(x: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
    """Rotary positions on pairs (i, i + half); GGUF wants (2i, 2i + 1), see `convert`."""
    first, second = x.chunk(2, dim=-1)
    return torch.cat((first * cos - second * sin, second * cos + first * sin), dim=-1)
