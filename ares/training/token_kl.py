"""A KL term with a weight per token, at the place where TRL has one number."""

from __future__ import annotations

from torch import Tensor


class TokenBeta(float):
    """A KL coefficient with a weight per token; TRL multiplies it with the per-token KL.

    `kl_BT` is the KL it was last multiplied with, in nats.
    """

    kl_BT: Tensor
    weight_BT: Tensor | None

    def __new__(cls, value: float, weight_BT: Tensor | None = None) -> TokenBeta:
        """`weight_BT` takes the place of `value` in the product; None: a plain coefficient."""
        beta = super().__new__(cls, value)
        beta.weight_BT = weight_BT
        return beta

    def __mul__(self, kl_BT: Tensor) -> Tensor:
        self.kl_BT = kl_BT.detach()
        return (float(self) if self.weight_BT is None else self.weight_BT) * kl_BT
