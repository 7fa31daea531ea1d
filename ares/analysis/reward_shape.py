"""The forms of the entropy reward side by side: their curves, their words, their guarantee."""

from __future__ import annotations

from typing import Any

import pandas as pd
import torch
from torch import Tensor

from ares.method.difficulty import BUCKETS
from ares.method.reward import ares_reward, main_text_reward, released_reward

#: The presets whose reward differs.
FORMS = ("paper", "released", "ares")


def added_reward(
    form: str, correct_B: Tensor, count_B: Tensor, target_B: Tensor, bucket: str, weight: float
) -> Tensor:
    """What a form adds to the accuracy, (B,), reward units.

    The main-text form has lambda_d = 1 / max(1, T_d) here: as printed it is 0, and a
    shape that is multiplied by 0 can't be seen.
    """
    bucket_B = torch.full(correct_B.shape, BUCKETS.index(bucket))
    if form == "ares":
        return ares_reward(correct_B, count_B, target_B, bucket_B, weight)
    if form == "released":
        return released_reward(
            correct_B, count_B, target_B, bucket_B, torch.full(correct_B.shape, weight)
        )
    plain = main_text_reward(correct_B, count_B, target_B, bucket_B, torch.ones(3))
    return plain / target_B.double().clamp(min=1.0)


def reward_curves(target: int, weight: float) -> pd.DataFrame:
    """Reward against delta from -target to 2 target: form, bucket, answer, delta, reward."""
    count_B = torch.arange(0.0, 3 * target + 1)
    target_B = torch.full_like(count_B, float(target))
    parts = []
    for form in FORMS:
        for bucket in BUCKETS:
            for answer, value in (("right", 1.0), ("wrong", 0.0)):
                correct_B = torch.full_like(count_B, value)
                reward_B = added_reward(form, correct_B, count_B, target_B, bucket, weight)
                parts.append(
                    pd.DataFrame(
                        {
                            "form": form,
                            "bucket": bucket,
                            "answer": answer,
                            "delta": (count_B - target).int().numpy(),
                            "reward": reward_B.numpy(),
                        }
                    )
                )
    return pd.concat(parts, ignore_index=True)


def shape_checks(curves: pd.DataFrame) -> pd.DataFrame:
    """The sentences of Fig. 9's text as yes or no, one column per form.

    "Far" is the largest delta of the curve, "short" the smallest, 0 the target.
    """

    def at(form: str, bucket: str, answer: str, where: str) -> float:
        part = curves.query("form == @form and bucket == @bucket and answer == @answer")
        delta = {"far": part.delta.max(), "short": part.delta.min(), "target": 0}[where]
        return float(part.reward[part.delta == delta].iloc[0])

    def rises(form: str, bucket: str, answer: str) -> bool:
        return at(form, bucket, answer, "far") > at(form, bucket, answer, "target")

    def symmetric(form: str) -> bool:
        part = curves.query("form == @form and bucket == 'medium' and answer == 'right'")
        reward = part.set_index("delta").reward
        reach = -int(part.delta.min())
        return all(abs(reward[d] - reward[-d]) < 1e-9 for d in range(1, reach + 1)) and (
            reward[reach] < reward[0]
        )

    sentences = {
        "easy, right: more than the target is penalised": lambda f: (
            at(f, "easy", "right", "far") < min(0.0, at(f, "easy", "right", "target"))
        ),
        "easy, wrong: more is mildly encouraged": lambda f: rises(f, "easy", "wrong"),
        "medium, right: symmetric penalty around the target": symmetric,
        "medium, wrong: more is encouraged": lambda f: rises(f, "medium", "wrong"),
        "hard, right: more is rewarded": lambda f: (
            rises(f, "hard", "right") and at(f, "hard", "right", "far") > 0
        ),
        "hard, wrong: more is rewarded": lambda f: (
            rises(f, "hard", "wrong") and at(f, "hard", "wrong", "far") > 0
        ),
    }
    rows = [
        {"sentence": sentence, **{form: "yes" if holds(form) else "no" for form in FORMS}}
        for sentence, holds in sentences.items()
    ]
    return pd.DataFrame(rows)


def smallest_lead(form: str, bucket: str, largest: int, weight: float) -> dict[str, Any]:
    """The smallest lead of a right answer over a wrong one that shares its bucket and target.

    Searched over all targets and counts from 0 to `largest`. Returns form, bucket, lead (reward
    units), and where it is reached: target, right_count, wrong_count (tokens).
    """
    count_N = torch.arange(0.0, largest + 1)
    best: dict[str, Any] = {"lead": float("inf")}
    for target in range(largest + 1):
        target_N = torch.full_like(count_N, float(target))
        right_N = 1 + added_reward(
            form, torch.ones_like(count_N), count_N, target_N, bucket, weight
        )
        wrong_N = added_reward(form, torch.zeros_like(count_N), count_N, target_N, bucket, weight)
        lead = float(right_N.min() - wrong_N.max())
        if lead < best["lead"]:
            best = {
                "form": form,
                "bucket": bucket,
                "lead": lead,
                "target": target,
                "right_count": int(right_N.argmin()),
                "wrong_count": int(wrong_N.argmax()),
            }
    return best


def all_leads(largest: int, weight: float) -> pd.DataFrame:
    """`smallest_lead` of every form and bucket, a row each."""
    return pd.DataFrame(
        [smallest_lead(form, bucket, largest, weight) for form in FORMS for bucket in BUCKETS]
    )


def in_words(checks: pd.DataFrame, leads: pd.DataFrame, weight: float) -> list[str]:
    """What `shape_checks` and `all_leads` come to, a sentence per form, and the bound of ours.

    Args:
        weight: that the leads are of.
    """
    sentences = []
    for form in FORMS:
        worst = leads[leads["form"] == form].sort_values("lead").iloc[0]
        wins = "a wrong answer CAN win" if worst["lead"] < 0 else "no wrong answer wins on the grid"
        sentences.append(
            f"{form}: follows {(checks[form] == 'yes').sum()} of {len(checks)} sentences; {wins} "
            f"(smallest lead {worst['lead']:.3f}: {worst['bucket']}, target {worst['target']})"
        )
    bound, least = 1 - 7 / 8 * weight, leads.loc[leads["form"] == "ares", "lead"].min()
    holds = "holds" if least >= bound else "FAILS"
    return [*sentences, f"ares: the proved bound of the lead, {bound:.4f}, {holds}"]
