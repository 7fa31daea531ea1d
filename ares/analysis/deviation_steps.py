"""Paper against released code: what reaches the update, from the same rollouts put through steps.

The rollouts are split into batches and go through a preset as training would, with its state from
step to step; the policy stays as it is.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import numpy as np
import pandas as pd
import torch

from ares.analysis.deviations import OURS, PAPER, RELEASED, Corpus
from ares.method import reward
from ares.method.difficulty import BUCKETS, BucketSums
from ares.method.presets import Settings
from ares.method.step import Method, Rollouts, Shaped

#: The release with its buckets before its reward: without the filter that runs too early.
UNFILTERED = replace(RELEASED, filter="none")


def batches(data: Corpus, count: int, seed: int) -> list[Rollouts]:
    """Split the groups into `count` batches, in random order."""
    groups = int(data.group_B.max()) + 1
    batch_G = torch.from_numpy(np.random.default_rng(seed).permutation(groups) % count)
    return [data.part((batch_G[data.group_B] == i).nonzero()[:, 0]) for i in range(count)]


def run(settings: Settings, parts: list[Rollouts]) -> list[Shaped]:
    """Put batches through a preset one after the other, its state going from step to step."""
    method = Method(settings)
    return [method.shape(part) for part in parts]


def inversions(parts: list[Rollouts]) -> pd.DataFrame:
    """How often a wrong answer outscores a right one of its group, by preset.

    `released` is taken without its filter, so that the difficulty-aware reward acts at all. The
    first step, in which the release has no threshold yet, is left out.

    Returns:
        preset, inverted (fraction of the pairs of a wrong and a right rollout), pairs, margin (the
        smallest score of a right rollout less that of a wrong one, over all pairs).
    """
    variants = {"paper": PAPER, "released": UNFILTERED, "ares": OURS}
    rows = []
    for name, settings in variants.items():
        steps = list(zip(parts, run(settings, parts), strict=True))[1:]
        found = [reward.count_inversions(s.score_B, p.correct_B, p.group_B) for p, s in steps]
        inverted, pairs = (sum(column) for column in zip(*found, strict=True))
        margin = min(_smallest_margin(shaped.score_B, part) for part, shaped in steps)
        rows.append((name, inverted / max(pairs, 1), pairs, margin))
    return pd.DataFrame(rows, columns=["preset", "inverted", "pairs", "margin"])


def _smallest_margin(score_B: torch.Tensor, part: Rollouts) -> float:
    """Smallest (right - wrong) score over the pairs of a group; infinite where there is no pair."""
    right_B, group_B = part.correct_B.bool(), part.group_B
    pair_BB = right_B[:, None] & ~right_B[None, :] & (group_B[:, None] == group_B[None, :])
    return float((score_B[:, None] - score_B[None, :]).where(pair_BB, torch.inf).min())


def smallest_inverting_target(bucket: int, largest: int = 2000) -> int | None:
    """Smallest target (HWE tokens) from which the release CAN put a wrong answer above a right one.

    Over all counts from 0 to three times the target, at the first weight alpha; None if there is no
    such target up to `largest`.
    """
    for target in range(largest + 1):
        count_B = torch.arange(3 * target + 20)
        fixed = (torch.full_like(count_B, value) for value in (target, bucket))
        target_B, bucket_B = fixed
        alpha_B = torch.full(count_B.shape, RELEASED.entropy_weight)
        wrong, right = (
            outcome
            + reward.released_reward(
                torch.full_like(count_B, outcome), count_B, target_B, bucket_B, alpha_B
            )
            for outcome in (0, 1)
        )
        if wrong.max() > right.min():
            return target
    return None


def mean_targets(parts: list[Rollouts]) -> list[float]:
    """Mean target of the release per bucket over the steps but the first, in HWE tokens."""
    steps = run(UNFILTERED, parts)[1:]
    bucket_B = torch.cat([step.bucket_B for step in steps])
    target_B = torch.cat([step.target_B for step in steps])
    return [float(target_B[bucket_B == code].mean()) for code in range(len(BUCKETS))]


def filter_order(parts: list[Rollouts]) -> dict[str, float]:
    """What reaches the update when the release's filter runs before the buckets exist.

    Compared over the same steps (the first left out): the reward as shipped, and as it is when the
    buckets come first.
    """
    shipped = run(RELEASED, parts)[1:]
    meant = run(UNFILTERED, parts)[1:]
    bonus = [torch.cat([step.entropy_reward_B for step in steps]) for steps in (shipped, meant)]
    accuracy = run(replace(RELEASED, filter="accuracy"), parts)[1:]
    kept = [torch.cat([s.keep_B for s in steps]).double().mean() for steps in (shipped, accuracy)]
    difference = (bonus[0] - bonus[1]).abs()
    return {
        "rollouts whose reward differs": float((difference > 1e-9).double().mean()),
        "mean |difference| (reward)": float(difference.mean()),
        "correlation of the two rewards": float(torch.corrcoef(torch.stack(bonus))[0, 1]),
        "rollouts kept, filter on the reward": float(kept[0]),
        "rollouts kept, filter on accuracy": float(kept[1]),
    }


def reward_by_bucket(parts: list[Rollouts]) -> pd.DataFrame:
    """Mean entropy reward of right and wrong rollouts by their true bucket, first step left out.

    Returns:
        version ('as shipped', 'buckets first'), name ('easy, right' ...), value (reward), rollouts.
    """
    rows = []
    for version, settings in (("as shipped", RELEASED), ("buckets first", UNFILTERED)):
        steps = run(settings, parts)[1:]
        bucket_B = torch.cat([step.bucket_B for step in steps])
        correct_B = torch.cat([part.correct_B for part in parts[1:]])
        bonus_B = torch.cat([step.entropy_reward_B for step in steps])
        for code, bucket in enumerate(BUCKETS):
            for right, word in ((1, "right"), (0, "wrong")):
                chosen_B = bonus_B[(bucket_B == code) & (correct_B == right)]
                name, value = f"{bucket}, {word}", float(chosen_B.mean())
                rows.append((version, name, value, len(chosen_B)))
    return pd.DataFrame(rows, columns=["version", "name", "value", "rollouts"])


def printed_multiplier(parts: list[Rollouts]) -> float:
    """Largest lambda_d of the main text over all batches and buckets (1/tokens)."""
    sums = [BucketSums.of(step.count_B, step.bucket_B) for step in run(PAPER, parts)]
    # As printed, T_d is the mean of the very batch.
    multipliers = [reward.main_text_multiplier(s, s.mean_D) for s in sums]
    return float(torch.stack(multipliers).max())


def late_threshold(parts: list[Rollouts]) -> dict[str, float]:
    """The release's threshold over the steps: -1 at first, then an average used one step late."""
    steps = run(UNFILTERED, parts)
    counted = [float(step.count_B.double().mean()) for step in steps]
    return {
        "first threshold (nats)": float(steps[0].threshold),
        "triggers per rollout, first step": counted[0],
        "triggers per rollout, later steps": float(np.mean(counted[1:])),
        "steps until half of a change has arrived": float(
            np.log(0.5) / np.log(RELEASED.threshold_decay)
        ),
    }


def length_weight(parts: list[Rollouts]) -> dict[str, float]:
    """Share of all |advantage| on the tokens of the longest quarter of the rollouts (fractions)."""
    found = {}
    for name, settings in (("in Alg. 1", PAPER), ("in the release", UNFILTERED)):
        total = longest = tokens = 0.0
        for part, step in zip(parts, run(replace(settings, psi=False), parts), strict=True):
            length_B = part.mask_BT.sum(1)
            long_B = length_B >= length_B.double().quantile(0.75)
            weight_B = step.advantage_BT.abs().sum(1)
            total += float(weight_B.sum())
            longest += float(weight_B[long_B].sum())
            tokens += float(length_B[long_B].sum() / length_B.sum()) / len(parts)
        found[f"share of |advantage| {name}"] = longest / total
        found["share of tokens"] = tokens
    return found


def kl_weights(parts: list[Rollouts]) -> dict[str, float]:
    """What eq. 1's weights do on these rollouts; the release weighs every token alike."""
    steps = list(zip(parts, run(PAPER, parts), strict=True))
    hwe = sum(int(step.hwe_BT.sum()) for _, step in steps)
    share = hwe / sum(int(part.mask_BT.sum()) for part, _ in steps)
    return {
        "tokens with the smaller weight": share,
        "mean weight relative to beta_d": 1 - (1 - PAPER.kl_rho) * share,
        "positions per rollout at which a branch would start": hwe
        / sum(len(part.mask_BT) for part, _ in steps),
    }


def panels(
    definitions: pd.DataFrame,
    counts: pd.DataFrame,
    pairs: pd.DataFrame,
    rewards: pd.DataFrame,
    numbers: Mapping[str, Mapping[str, float]],
) -> pd.DataFrame:
    """All of it as one tidy table: panel, name, value, source (paper, released, ares), and more.

    Args:
        definitions: from `deviations.threshold_table`.
        counts: from `deviations.hwe_definitions`.
        pairs: from `inversions`.
        rewards: from `reward_by_bucket`.
        numbers: of the sections, by section and name.
    """
    single = [
        {"section": section, "name": name, "value": value}
        for section, named in numbers.items()
        for name, value in named.items()
    ]
    parts = {
        "threshold": definitions.rename(columns={"definition": "name", "threshold": "value"}),
        "N_HE": counts.rename(columns={"definition": "name", "mean_count": "value"}),
        "smallest margin": pairs.rename(columns={"preset": "name", "margin": "value"}),
        "mean entropy reward": rewards.assign(source="released"),
        "numbers": pd.DataFrame(single),
    }
    for name in ("threshold", "N_HE", "smallest margin"):
        first = parts[name]["name"].str.split(":").str[0]  # the rest are the paper's own places
        parts[name]["source"] = first.where(first.isin(["released", "ares"]), "paper")
    return pd.concat([rows.assign(panel=panel) for panel, rows in parts.items()])
