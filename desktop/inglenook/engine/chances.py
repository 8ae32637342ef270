"""How likely the model itself held a token and its rivals: natural log-probabilities.

By the softmax over the raw logits, before any sampler. Used by the scheduler on the worker thread,
for replies that ask for it. The library does the sums: a vocabulary has a hundred thousand entries.
"""

import math
from typing import Final

from inglenook.engine.llama import Candidates, Context, Sampler, Vocab
from inglenook.engine.protocol import DrawnToken, TokenChance

ALTERNATIVES_LIMIT: Final = 20
_IMPOSSIBLE: Final = -9999.0
"""Stands for a probability of nought, whose logarithm no JSON can carry."""


class Chances:
    """Reads log-probabilities of one vocabulary; takes memory only once it is used."""

    def __init__(self, vocab: Vocab) -> None:
        self._vocab = vocab
        self._candidates: Candidates | None = None
        self._chains: dict[int, Sampler] = {}

    def read(self, context: Context, index: int, token: int, n_alternatives: int) -> DrawnToken:
        """What the model thought of `token` and the likeliest others after the batch's `index`."""
        candidates = self._candidates
        if candidates is None:
            candidates = self._candidates = Candidates(self._vocab.n_tokens)
        logits = context.read_logits(index)
        candidates.fill(logits)
        candidates.apply(self._get_chain(n_alternatives + 1))
        best = candidates.list_ids(n_alternatives + 1)
        first_chance = candidates.first_chance()
        # log p = logit - log(sum of exp(logits)), and the first token gives that sum.
        log_sum = logits[best[0]] - (math.log(first_chance) if first_chance > 0.0 else 0.0)

        def tell(other: int, piece: bytes) -> TokenChance:
            log_probability = logits[other] - log_sum
            is_possible = math.isfinite(log_probability)
            return TokenChance(other, piece, log_probability if is_possible else _IMPOSSIBLE)

        others = [other for other in best if other != token][:n_alternatives]
        return DrawnToken(
            tell(token, self._vocab.piece(token)),
            tuple(tell(other, self._spell(other)) for other in others),
        )

    def close(self) -> None:
        """Free the chains."""
        for chain in self._chains.values():
            chain.close()
        self._chains.clear()

    def _spell(self, token: int) -> bytes:
        """A token's bytes; a control token, which has none, by its name."""
        return self._vocab.piece(token) or self._vocab.text(token).encode()

    def _get_chain(self, n_best: int) -> Sampler:
        """Softmax over all, then the best few in order."""
        chain = self._chains.get(n_best)
        if chain is None:
            chain = Sampler()
            chain.add("dist", 0)
            chain.add("top_k", n_best)
            self._chains[n_best] = chain
        return chain
