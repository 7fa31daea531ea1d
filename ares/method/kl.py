"""The KL budget: estimate, token weights (eq. 1) and two controllers of the coefficients (eq. 27).

Deviations and choices:
1. The paper gives no values for rho, beta_d, delta_d and the gain a. Ours stand in presets.yaml.
2. The window controller is fed with sums and counts, reduced over processes by the caller, so all
   processes hold the same coefficients. The release does not.
3. A bucket without non-window tokens in a step keeps its coefficient.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field

import torch
from torch import Tensor

from ares.method.difficulty import EASY, HARD, MEDIUM, BucketSums
from ares.method.surrogate import LARGEST_LOG_RATIO
from ares.method.tensors import masked


def kl_estimate(logprob: Tensor, ref_logprob: Tensor) -> Tensor:
    """Per-token estimate q/p - 1 - ln q/p ("k3") of KL(policy || reference), in nats.

    Never negative, and unbiased where tokens are drawn from p. The log-ratio is cut off at +-20, so
    that nothing overflows in the first step of a large model. The gradient flows through `logprob`.

    >>> p, q = torch.tensor([0.5]).log(), torch.tensor([0.25]).log()
    >>> round(float(kl_estimate(p, q)), 4)  # 0.5 - 1 + ln 2
    0.1931
    """

    # Computed twice, not once under a name: that is the order in which TRL adds gradients up.
    def log_ratio() -> Tensor:
        return (ref_logprob - logprob).clamp(-LARGEST_LOG_RATIO, LARGEST_LOG_RATIO)

    return log_ratio().exp() - log_ratio() - 1


def token_weights(beta_B: Tensor, hwe_BT: Tensor, rho: float) -> Tensor:
    """beta_{i,t} = beta_d rho^{m_t}: the KL weight of each token, (B, T) (eq. 1).

    `beta_B` is the coefficient of each rollout's bucket, rho in (0, 1] the factor inside windows.

    >>> token_weights(torch.tensor([2.0]), torch.tensor([[True, False]]), 0.5).tolist()
    [[1.0, 2.0]]
    """
    return beta_B[:, None] * torch.where(hwe_BT.bool(), rho, 1.0)


def kl_sums(kl_BT: Tensor, tokens_BT: Tensor, bucket_B: Tensor) -> BucketSums:
    """Per-bucket sums of the KL (nats) over some tokens; eq. 27 takes those OUTSIDE windows.

    Raises:
        UserError: the KL of one of these tokens is NaN or infinite.
    """
    kl_BT = masked(kl_BT.detach(), tokens_BT, "kl_BT")
    bucket_BT = bucket_B[:, None].expand(kl_BT.shape)
    # On the CPU, where they can wait for the end of the step without holding memory of a GPU.
    return BucketSums(BucketSums.of(kl_BT[tokens_BT], bucket_BT[tokens_BT]).sums_3D.cpu())


@dataclass
class Controller:
    """Coefficients of the three buckets; an unknown bucket code counts as medium.

    Attributes:
        beta_D: the coefficients, the paper's kappa_d.
        budget: delta_d, the KL per (non-window) token that is aimed at, in nats, above 0.
        gain: a of eq. 27 in [0, 1]; above 1 a step without any KL would turn kappa negative. Of the
            release: the step size in log space.
        minimum, maximum: bounds of the coefficients.
    """

    beta_D: list[float] = field(default_factory=lambda: [1.0, 1.0, 1.0])
    budget: float = 0.01
    gain: float = 0.05
    minimum: float = 1e-4
    maximum: float = 100.0

    def beta(self, bucket_B: Tensor) -> Tensor:
        """Coefficient of each rollout, (B,) float32."""
        known_B = (bucket_B >= EASY) & (bucket_B <= HARD)
        return torch.tensor(self.beta_D, device=bucket_B.device)[bucket_B.where(known_B, MEDIUM)]


@dataclass
class WindowController(Controller):
    """kappa_d <- clip(kappa_d (1 + a (KL_d / delta_d - 1)), min, max) outside windows (eq. 27)."""

    def update(self, sums: BucketSums) -> None:
        """One step of eq. 27 from the (reduced) sums over non-window tokens."""
        for index, mean in sums.present():
            moved = self.beta_D[index] * (1 + self.gain * (mean / self.budget - 1))
            self.beta_D[index] = min(max(moved, self.minimum), self.maximum)


@dataclass
class ReleasedController(Controller):
    """The release's beta per bucket: log-space steps on a smoothed error, every 100th call.

    Attributes are the release's constants (`gain` 0.05), then its state: smoothed KL (nats, None
    until seen), smoothed relative error, number of calls. An unknown bucket is never updated from.
    """

    decay: float = 0.97
    clip: float = 0.2
    interval: int = 100
    dead_zone: float = 0.02
    kl_D: list[float | None] = field(default_factory=lambda: [None, None, None])
    error_D: list[float] = field(default_factory=lambda: [0.0, 0.0, 0.0])
    calls: int = 0

    def update(self, kl_B: Tensor, bucket_B: Tensor) -> None:
        """Take in one micro-batch: mean KL of each sequence (nats) and its bucket code."""
        self.calls += 1
        for index, mean in BucketSums.of(kl_B, bucket_B).present():
            past = self.kl_D[index]
            smooth = (1 - self.decay) * mean + self.decay * (mean if past is None else past)
            self.kl_D[index] = smooth
            error = smooth / max(self.budget, 1e-8) - 1
            if abs(error) >= self.dead_zone and self.calls % self.interval == 0:
                self.error_D[index] = (1 - self.decay) * error + self.decay * self.error_D[index]
                step = self.gain * min(max(self.error_D[index], -self.clip), self.clip)
                beta = min(max(self.beta_D[index], self.minimum), self.maximum)
                moved = math.exp(math.log(beta) + step)
                self.beta_D[index] = min(max(moved, self.minimum), self.maximum)
