"""One step of the method under a preset: from entropies and verdicts to advantages and KL weights.

Training, the paper-against-code notebook and the tests all come through here, so a preset means the
same thing everywhere. Give it the WHOLE batch, gathered over processes: quantiles can't be reduced.

Choices:
1. The order of `released` is the release's: with its filter on, the score is computed before the
   buckets exist (easy, target 0, first alpha) and the same score is then trained on.
2. The mask m_t marks the token whose window is high, as in Alg. 1, not all tokens of that window.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any

import torch
from torch import Tensor

from ares.errors import UserError
from ares.method import advantages, kl, reward, thresholds, windows
from ares.method.difficulty import (
    EASY,
    BucketSums,
    EmaTargets,
    ReleasedTargets,
    buckets,
    group_means,
)
from ares.method.presets import MethodSettings


@dataclass(frozen=True)
class Rollouts:
    """What a step looks at."""

    entropy_BT: Tensor  #: token entropies in nats
    mask_BT: Tensor  #: True on response tokens
    accuracy_B: Tensor  #: 0 to 1; partial credit counts, and is not right, as the release has it
    group_B: Tensor  #: number of the rollout's prompt, counted from 0
    trigger_BT: Tensor | None = None  #: True on lexicon tokens; for presets with a trigger


@dataclass(frozen=True)
class Shaped:
    """What a step yields."""

    threshold: Tensor | float  #: theta in nats, one number or one per rollout
    window_BT: Tensor  #: nats
    hwe_BT: Tensor  #: m_t
    count_B: Tensor  #: N_HE
    pass_rate_B: Tensor
    bucket_B: Tensor
    target_B: Tensor  #: T_d, tokens
    entropy_reward_B: Tensor
    score_B: Tensor  #: accuracy + entropy reward
    keep_B: Tensor  #: the group survives the filter
    advantage_BT: Tensor


class Method:
    """The settings of a preset and the state that goes from step to step."""

    def __init__(self, settings: MethodSettings) -> None:
        s = self.settings = settings
        # The release's average starts slowly; everything else starts fast (see `thresholds`).
        self.threshold = thresholds.ThresholdEMA(s.threshold_decay, fast_start=not s.threshold_late)
        self.targets: EmaTargets | ReleasedTargets = EmaTargets(s.target_decay)
        if s.entropy_reward == "released":
            self.targets = ReleasedTargets(alpha_D=[s.entropy_weight] * 3)
        self.controller: kl.WindowController | kl.ReleasedController | None = None
        if s.kl in ("window", "bucket"):
            of = kl.WindowController if s.kl == "window" else kl.ReleasedController
            bounds = {"minimum": s.kl_minimum, "maximum": s.kl_maximum}
            self.controller = of([s.kl_beta] * 3, budget=s.kl_budget, gain=s.kl_gain, **bounds)
        self._kl = BucketSums(), BucketSums()  # inside and outside windows

    def shape(self, batch: Rollouts) -> Shaped:
        """Windows, threshold, HWE counts, buckets, reward, filter and advantages of one batch.

        Updates the threshold and the targets.

        Raises:
            UserError: inputs without meaning (NaN, shapes, a group of one, a missing trigger mask).
        """
        s, mask_BT, group_B = self.settings, batch.mask_BT, batch.group_B
        if s.trigger != "none" and batch.trigger_BT is None:
            raise UserError(f"trigger={s.trigger!r} needs the mask of lexicon tokens")
        window_BT = windows.window_entropy(batch.entropy_BT, mask_BT, s.window, s.window_start)
        threshold = self._threshold(batch)
        hwe_BT = windows.hwe_mask(window_BT, threshold)
        if s.trigger != "none":
            hwe_BT = hwe_BT & batch.trigger_BT.bool()
        count_B = windows.count_hwe(hwe_BT)
        pass_rate_B = group_means(batch.accuracy_B, group_B)[0][group_B]
        bucket_B = buckets(pass_rate_B, s.easy_from, s.medium_from)
        target_B, bonus_B, multiplier_B = self._reward(batch, count_B, bucket_B)
        if s.entropy_groups == "silent":
            bonus_B = torch.where((pass_rate_B == 0) | (pass_rate_B == 1), bonus_B, 0.0)
        score_B = batch.accuracy_B.double() + bonus_B
        if s.advantage == "length":
            advantage_B = advantages.length_normalised(score_B, group_B, mask_BT.sum(1))
        else:
            advantage_B = advantages.group_normalised(score_B, group_B, s.std_floor)
        keep_B = torch.ones_like(group_B, dtype=torch.bool)
        if s.filter != "none":
            filtered_B = score_B if s.filter == "reward_first" else batch.accuracy_B
            bounds = s.filter_low, s.filter_high
            keep_B = advantages.informative_groups(filtered_B, group_B, *bounds)
        psi_BT = None
        if s.psi:
            psi_BT = advantages.psi_bonus(window_BT, hwe_BT, mask_BT, threshold, multiplier_B)
        return Shaped(
            threshold=threshold,
            window_BT=window_BT,
            hwe_BT=hwe_BT,
            count_B=count_B,
            pass_rate_B=pass_rate_B,
            bucket_B=bucket_B,
            target_B=target_B,
            entropy_reward_B=bonus_B,
            score_B=score_B,
            keep_B=keep_B,
            advantage_BT=advantages.token_advantages(advantage_B, mask_BT, psi_BT),
        )

    @property
    def leaves_advantages(self) -> bool:
        """Whether the settings ask for plain GRPO advantages of the accuracy, nothing else."""
        s = self.settings
        plain = s.advantage == "normalised" and s.filter == "none" and not (s.probe or s.std_floor)
        return plain and s.entropy_reward == "none" and not s.psi

    def kl_weight(self, bucket_B: Tensor, hwe_BT: Tensor) -> Tensor:
        """Weight of each token's KL in the loss, (B, T): coefficient x beta_{i,t} (eq. 1)."""
        s = self.settings
        if self.controller is None:
            fixed = 0.0 if s.kl == "none" else s.kl_coefficient * s.kl_beta
            return torch.full(hwe_BT.shape, fixed, device=hwe_BT.device)
        beta_B = s.kl_coefficient * self.controller.beta(bucket_B)
        return kl.token_weights(beta_B, hwe_BT, s.kl_rho)

    def observe_kl(self, kl_BT: Tensor, mask_BT: Tensor, hwe_BT: Tensor, bucket_B: Tensor) -> None:
        """Take in the per-token KL (nats) of a micro-batch.

        It is only collected until `end_step`, so a step is the same in any number of micro-batches.
        The release's controller moves at once, and each process moves its own.
        """
        mask_BT, hwe_BT = mask_BT.bool(), hwe_BT.bool()
        inside, outside = self._kl
        inside += kl.kl_sums(kl_BT, mask_BT & hwe_BT, bucket_B)
        outside += kl.kl_sums(kl_BT, mask_BT & ~hwe_BT, bucket_B)
        self._kl = inside, outside
        if isinstance(self.controller, kl.ReleasedController):
            kl_BT = torch.where(mask_BT, kl_BT.detach(), 0.0)
            self.controller.update(kl_BT.sum(1) / mask_BT.sum(1).clamp(min=1), bucket_B)

    def end_step(
        self, reduce: Callable[[BucketSums], BucketSums] = lambda sums: sums
    ) -> tuple[BucketSums, BucketSums]:
        """Move the window controller (eq. 27) after an optimizer step.

        `reduce` adds the sums up over processes; every process has to call this. Returns the KL of
        the step inside and outside windows.
        """
        inside, outside = (reduce(sums) for sums in self._kl)
        self._kl = BucketSums(), BucketSums()
        if isinstance(self.controller, kl.WindowController):
            self.controller.update(outside)
        return inside, outside

    def state_dict(self) -> dict[str, Any]:
        """A copy of everything that goes from step to step, as plain numbers and lists."""
        parts = {name: getattr(self, name) for name in ("threshold", "targets", "controller")}
        return {name: part and asdict(part) for name, part in parts.items()}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Restore what `state_dict` gave under the same settings.

        Raises:
            TypeError: the state is of other settings, or of another version.
        """
        for name, saved in state.items():
            part = getattr(self, name)
            setattr(self, name, part and type(part)(**saved))

    def _threshold(self, batch: Rollouts) -> Tensor | float:
        s = self.settings
        window_BT = windows.window_entropy(
            batch.entropy_BT, batch.mask_BT, s.window, s.window_start, s.threshold_incomplete
        )
        ranked = (window_BT, batch.mask_BT, s.threshold_quantile)
        if s.threshold == "group":
            return thresholds.group_quantile(*ranked, batch.group_B)
        median = thresholds.median_rollout_quantile
        statistic = thresholds.batch_quantile if s.threshold == "batch" else median
        before, after = self.threshold.value, self.threshold.update(statistic(*ranked))
        return before if s.threshold_late else after

    def _reward(
        self, batch: Rollouts, count_B: Tensor, bucket_B: Tensor
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Targets, entropy reward and main-text multiplier of each rollout; updates the targets."""
        s = self.settings
        if isinstance(self.targets, ReleasedTargets):
            return self._released_reward(self.targets, batch, count_B, bucket_B)
        sums = BucketSums.of(count_B, bucket_B)
        target_D = self.targets.current(sums).to(count_B.device)
        self.targets.update(sums)
        target_B = target_D[bucket_B]
        multiplier_D = s.entropy_weight * reward.main_text_multiplier(sums, target_D)
        rollout = (batch.accuracy_B, count_B, target_B, bucket_B)
        bonus_B = torch.zeros_like(target_B)
        if s.entropy_reward == "main_text":
            bonus_B = reward.main_text_reward(*rollout, multiplier_D)
        elif s.entropy_reward == "ares":
            bonus_B = reward.ares_reward(*rollout, s.entropy_weight)
        return target_B, bonus_B, multiplier_D[bucket_B]

    def _released_reward(
        self, targets: ReleasedTargets, batch: Rollouts, count_B: Tensor, bucket_B: Tensor
    ) -> tuple[Tensor, Tensor, Tensor]:
        mean_G, _ = group_means(count_B, batch.group_B)
        bucket_G = torch.empty(len(mean_G), dtype=bucket_B.dtype, device=bucket_B.device)
        bucket_G[batch.group_B] = bucket_B
        targets.update(BucketSums.of(mean_G, bucket_G))
        if self.settings.filter == "reward_first":
            bucket_B = torch.full_like(bucket_B, EASY)
            target_B = torch.zeros(len(count_B), dtype=torch.float64, device=count_B.device)
            alpha_B = torch.full_like(target_B, self.settings.entropy_weight)
        else:
            known_D = [0.0 if target is None else target for target in targets.target_D]
            target_B = torch.tensor(known_D, dtype=torch.float64, device=count_B.device)[bucket_B]
            alpha_B = torch.tensor(targets.alpha_D, device=count_B.device)[bucket_B]
        bonus_B = reward.released_reward(batch.accuracy_B, count_B, target_B, bucket_B, alpha_B)
        return target_B, bonus_B, torch.zeros_like(target_B)
