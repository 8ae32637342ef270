"""The Muon optimiser in F32: momentum made orthogonal by a Newton-Schulz iteration.

Called by training for the matrices of the layers. PyTorch's own computes in BF16, which CPUs
without BF16 instructions emulate a hundred times slower. Method and constants: Keller Jordan,
https://kellerjordan.github.io/posts/muon/; steps are scaled to the size of AdamW's (Moonlight).
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import torch

if TYPE_CHECKING:
    from collections.abc import Iterable

    from torch import Tensor

CONSTANTS = (3.4445, -4.7750, 2.0315)
N_ITERATIONS = 4
RMS_OF_ADAMW = 0.2


class Muon(torch.optim.Optimizer):
    """Matrices only; decoupled weight decay, Nesterov momentum."""

    def __init__(
        self, matrices: Iterable[Tensor], lr: float, weight_decay: float, momentum: float = 0.95
    ) -> None:
        super().__init__(matrices, {"lr": lr, "weight_decay": weight_decay, "momentum": momentum})

    @torch.no_grad()
    def step(self, closure: Any = None) -> None:  # noqa: ARG002
        """Move every matrix that has a gradient; `closure` is of the interface, not called."""
        for group in self.param_groups:
            for matrix in group["params"]:
                if matrix.grad is None:
                    continue
                state = self.state[matrix]
                if not state:
                    state["momentum"] = torch.zeros_like(matrix)
                state["momentum"].lerp_(matrix.grad, 1 - group["momentum"])
                ahead = matrix.grad.lerp(state["momentum"], group["momentum"])
                scale = RMS_OF_ADAMW * math.sqrt(max(matrix.shape))
                matrix.mul_(1 - group["lr"] * group["weight_decay"])
                matrix.add_(make_orthogonal(ahead), alpha=-group["lr"] * scale)


def make_orthogonal(matrix: Tensor) -> Tensor:
    """The nearest orthogonal matrix, roughly: all singular values brought to about one."""
    first, second, third = CONSTANTS
    is_tall = matrix.shape[0] > matrix.shape[1]
    x = matrix.T if is_tall else matrix
    x = x / (x.norm() + 1e-7)
    square = x @ x.T
    product: Tensor | None = None
    # the iteration is one of polynomials of `square`: the small matrices alone are iterated
    for _ in range(N_ITERATIONS):
        factor = second * square + third * square @ square
        factor.diagonal().add_(first)
        product = factor if product is None else factor @ product
        square = factor @ square @ factor
    x = x if product is None else product @ x
    return x.T if is_tall else x
