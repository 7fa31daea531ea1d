"""The `released` preset against recorded outputs of the released code.

The folder is `tests/golden`; ARES_GOLDEN names another one with the same files and schema.
"""

import json
import math
import os
from pathlib import Path

import pandas as pd
import pytest
import torch

from ares.errors import UserError
from ares.evaluation.grader import Grader
from ares.evaluation.grades import RIGHT, Question
from ares.method import (
    advantages,
    difficulty,
    entropy,
    kl,
    lexicon,
    reward,
    surrogate,
    thresholds,
    windows,
)
from ares.method.presets import PRESETS
from ares.method.tensors import pad_rows

FOLDER = Path(os.environ.get("ARES_GOLDEN", Path(__file__).parents[1] / "golden"))
RELEASED = PRESETS["released"]
CODES = {name: code for code, name in enumerate(difficulty.BUCKETS)}


@pytest.fixture(scope="module")
def grader():
    with Grader() as made:
        yield made


def golden(name: str) -> dict:
    return json.loads((FOLDER / f"{name}.json").read_text(encoding="utf-8"))


def codes(names: list[str]) -> torch.Tensor:
    return torch.tensor([CODES.get(name, 3) for name in names])


def pad_alternatives(rows: list, fill: float, dtype: torch.dtype) -> torch.Tensor:
    """(B, T, K) from lists of unequal length at both levels."""
    length = max(map(len, rows), default=0)
    width = max((len(token) for row in rows for token in row), default=1)
    out = torch.full((len(rows), length, width), fill, dtype=dtype)
    for b, row in enumerate(rows):
        for t, token in enumerate(row):
            out[b, t, : len(token)] = torch.tensor([float(x) for x in token], dtype=dtype)
    return out


class Sequences:
    """The recorded alternatives as padded tensors."""

    def __init__(self, sequences: list[dict]) -> None:
        logprobs = [sequence["logprobs"] for sequence in sequences]
        _, self.mask_BT = pad_rows([[0.0] * len(row) for row in logprobs])
        self.logprobs_BTK = pad_alternatives(logprobs, -math.inf, torch.float32)
        ids = [sequence["ids"] for sequence in sequences]
        self.ids_BTK = pad_alternatives(ids, 0, torch.int64)
        self.entropy_BT = entropy.topk_entropy(self.logprobs_BTK, self.mask_BT, tail=True)
        self.no_tail_BT = entropy.topk_entropy(self.logprobs_BTK, self.mask_BT, tail=False)

    def triggers(self, vocabulary: list[str], words: list[str]) -> torch.Tensor:
        trigger_V = lexicon.Lexicon({"golden": words}).vocabulary_mask(vocabulary)
        first_BT1 = self.logprobs_BTK.argmax(-1, keepdim=True)  # of equals the first listed wins
        top_BT = self.ids_BTK.gather(-1, first_BT1).squeeze(-1)
        return lexicon.token_match(top_BT, trigger_V, self.mask_BT)


@pytest.fixture(scope="module")
def recorded() -> dict:
    return golden("entropy_windows")


@pytest.fixture(scope="module")
def sequences(recorded) -> Sequences:
    return Sequences(recorded["sequences"])


def test_mean_entropy_and_normalised_tokens(recorded, sequences):
    mean_B = sequences.entropy_BT.sum(1) / sequences.mask_BT.sum(1).clamp(min=1)
    assert mean_B.tolist() == pytest.approx(recorded["out"]["mean_entropy"], abs=1e-5)
    for token, expected in recorded["normalize_token"]:
        assert lexicon.normalize_token(token) == expected, token


def test_token_entropy_with_and_without_tail(recorded, sequences):
    assert recorded["out"]["per_token"]
    for case in recorded["out"]["per_token"]:
        row, length = case["seq"], len(case["with_tail"])
        with_tail, without = sequences.entropy_BT[row], sequences.no_tail_BT[row]
        assert with_tail[:length].tolist() == pytest.approx(case["with_tail"], abs=1e-5)
        assert without[:length].tolist() == pytest.approx(case["without_tail"], abs=1e-5)


def test_trigger_counts(recorded, sequences):
    trigger_BT = sequences.triggers(recorded["vocab"], recorded["triggers"])
    for case in recorded["out"]["window"]:
        window_BT = windows.window_entropy(
            sequences.entropy_BT, sequences.mask_BT, case["window_size"], RELEASED.window_start
        )
        high_BT = windows.hwe_mask(window_BT, case["threshold"])
        excess_BT = windows.excess_entropy(window_BT, case["threshold"]).double()
        low_BT = trigger_BT & ~high_BT & ~window_BT.isnan()
        assert windows.count_hwe(high_BT & trigger_BT).tolist() == case["valid"]
        assert windows.count_hwe(low_BT).tolist() == case["invalid"]
        cost_B = (excess_BT * trigger_BT).sum(1)
        assert cost_B.tolist() == pytest.approx(case["soft_cost"], abs=1e-5, rel=1e-5)


def test_threshold_per_rollout(recorded, sequences):
    for case in recorded["out"]["threshold"]:
        window_BT = windows.window_entropy(
            sequences.no_tail_BT,
            sequences.mask_BT,
            case["window_size"],
            RELEASED.window_start,
            RELEASED.threshold_incomplete,
        )
        quantile_B = thresholds.rollout_quantiles(
            window_BT, sequences.mask_BT, case["percentile"] / 100, empty=0.0
        )
        assert quantile_B.tolist() == pytest.approx(case["value"], abs=1e-5)


def test_an_empty_batch_gives_empty_results(recorded):
    empty = Sequences([])
    window_BT = windows.window_entropy(empty.entropy_BT, empty.mask_BT, 4, "after")
    valid_B = windows.count_hwe(windows.hwe_mask(window_BT, 0.0))
    assert [valid_B.tolist()] * 3 == recorded["empty_batch"]["window"]
    quantile_B = thresholds.rollout_quantiles(window_BT, empty.mask_BT, 0.95, empty=0.0)
    assert quantile_B.tolist() == recorded["empty_batch"]["threshold"]


def test_minus_infinity_differs_from_the_release_on_purpose(recorded):
    """The release yields NaN (0 times -inf) and counts on; ours takes -inf as probability 0."""
    case = recorded["neg_inf_case"]
    assert case["mean_entropy"] == ["nan"]
    assert case["threshold95_w1"] == ["nan"]
    ours = Sequences([case])
    cleaned = Sequences(
        [
            {
                "ids": case["ids"],
                "logprobs": [[x for x in token if x != "-inf"] for token in case["logprobs"]],
            }
        ]
    )
    assert torch.equal(ours.entropy_BT, cleaned.entropy_BT)
    assert torch.isfinite(ours.entropy_BT).all()
    with pytest.raises(UserError, match="NaN"):
        entropy.topk_entropy(torch.tensor([[[-0.3, math.nan]]]), torch.tensor([[True]]))


def test_entropy_reward(grader):
    for case in golden("entropy_reward")["cases"]:
        given = case["input"]
        accuracy = float(given.get("accuracy") or 0.0)
        if not accuracy:
            grade = grader.grade(given["response"], Question(given["ground_truth"], "expression"))
            accuracy = float(grade.status == RIGHT)
        assert accuracy == case["accuracy"], given
        bonus_B = reward.released_reward(
            torch.tensor([accuracy]),
            torch.tensor([float(given.get("high_entropy_token_num", 1))], dtype=torch.float64),
            torch.tensor(
                [float(given.get("target_high_entropy_token_num", 1))], dtype=torch.float64
            ),
            codes([given.get("difficulty", "easy")]),
            torch.tensor(
                [given.get("alpha_entropy", RELEASED.entropy_weight)], dtype=torch.float64
            ),
        )
        assert float(bonus_B) == pytest.approx(case["entropy"], abs=1e-9), given
        assert accuracy + float(bonus_B) == pytest.approx(case["overall"], abs=1e-9), given


def step_of_difficulty(step: dict, targets: difficulty.ReleasedTargets):
    """One recorded step: updates the targets; bucket codes of groups and the group index."""
    group_B = torch.tensor(pd.factorize(pd.Series(step["global_id"]))[0])
    rate_G, _ = difficulty.group_means(torch.tensor(step["accuracy"]), group_B)
    count_G, _ = difficulty.group_means(torch.tensor(step["count"]), group_B)
    bucket_G = difficulty.buckets(rate_G, RELEASED.easy_from, RELEASED.medium_from)
    targets.update(difficulty.BucketSums.of(count_G, bucket_G))
    return bucket_G, group_B


def assert_targets(after: dict, targets: difficulty.ReleasedTargets):
    for name, value in after["target"].items():
        assert targets.target_D[CODES[name]] == value
    alpha = [after["alpha"][name] for name in difficulty.BUCKETS]
    assert targets.alpha_D == pytest.approx(alpha, abs=1e-9)


def difficulty_sequences() -> list[tuple[float, list]]:
    recorded = golden("difficulty_targets")
    edges = [(recorded["lr"], [step]) for step in recorded["independent_edges"]]
    rest = [(recorded["lr"], recorded["sequence"]), (5.0, recorded.get("lr5_sequence", []))]
    return rest + edges


@pytest.mark.parametrize(("rate", "steps"), difficulty_sequences())
def test_difficulty_and_targets(rate, steps):
    targets = difficulty.ReleasedTargets(rate=rate)
    for step in steps:
        bucket_G, group_B = step_of_difficulty(step, targets)
        for name, code in zip(step["global_id"], bucket_G[group_B].tolist(), strict=True):
            assert step["after"]["difficulty"][name] == difficulty.BUCKETS[code]
        assert_targets(step["after"], targets)


def test_threshold_average_and_targets():
    recorded = golden("threshold_ema_and_filter")
    average = thresholds.ThresholdEMA(recorded["ema_decay"])
    assert average.value == -1.0  # everything counts until the first batch
    targets = difficulty.ReleasedTargets()
    for step in recorded["sequence"]:
        quantile_B = torch.tensor(step["entropy_percentile_thresholds"], dtype=torch.float64)
        median = thresholds.batch_quantile(quantile_B[None], torch.ones(1, len(quantile_B)), 0.5)
        after = step["after"]
        assert average.update(median) == pytest.approx(after["threshold_ema"], abs=1e-9)
        bucket_G, _ = step_of_difficulty(step, targets)
        assert_targets(after, targets)
        for index, first in enumerate(after["first_of_each_prompt"]):
            code = int(bucket_G[index])
            assert first["difficulty"] == difficulty.BUCKETS[code]
            assert first["target"] == targets.target_D[code]
            assert first["alpha"] == pytest.approx(targets.alpha_D[code], abs=1e-9)


def test_online_filter():
    for case in golden("threshold_ema_and_filter")["online_filter"]:
        keep_B = advantages.informative_groups(
            torch.tensor(case[case["filter_key"]], dtype=torch.float64),
            torch.tensor(pd.factorize(pd.Series(case["uid"]))[0]),
            case["low"],
            case["high"],
        )
        assert keep_B.nonzero().flatten().tolist() == case["kept_indices"]


def test_kl_controller():
    recorded = golden("kl_controller_released")
    constants, run = recorded["constants"], recorded["default_microbatch1"]
    controller = kl.ReleasedController()
    assert controller.decay == constants["_ema_decay"]
    assert controller.gain == constants["_kl_lr"] == RELEASED.kl_gain
    assert controller.clip == constants["_kl_clip"]
    assert controller.interval == constants["_kl_update_interval"]
    assert controller.dead_zone == constants["_kl_deadzone"]
    assert [controller.budget] * 3 == list(constants["dtarg"].values())
    assert RELEASED.kl_budget == controller.budget
    bounds = (constants["_beta_min"], constants["_beta_max"])
    assert (controller.minimum, controller.maximum) == bounds
    assert bounds == (RELEASED.kl_minimum, RELEASED.kl_maximum)
    snapshots = iter(run["snapshots"])
    for call, (code, value) in enumerate(zip(run["difficulty"], run["kl"], strict=True), 1):
        # float32, as the release's sequence means are.
        controller.update(torch.tensor([value], dtype=torch.float32), torch.tensor([code]))
        if call % run["snapshot_every"] == 0:
            snapshot = next(snapshots)
            for state, key in (("beta_D", "beta"), ("kl_D", "last_kl"), ("error_D", "e_ema")):
                expected = [snapshot[key][name] for name in difficulty.BUCKETS]
                assert getattr(controller, state) == pytest.approx(expected, abs=1e-9)
            assert controller.calls == snapshot["count"]


def test_kl_coefficient_of_a_level():
    case = golden("kl_controller_released")["beta_for_levels"]
    controller = kl.ReleasedController(beta_D=[case["beta"][name] for name in difficulty.BUCKETS])
    beta_B1 = controller.beta(codes(case["levels"]))[:, None]
    assert list(beta_B1.shape) == case["shape"]
    assert beta_B1.tolist() == case["out"]


def test_kl_estimate():
    """The release clamps its estimate, low_var_kl, to +-10 as well; ours is not cut off there."""
    recorded = golden("kl_estimators")
    logprob = torch.tensor(recorded["log_probs"], requires_grad=True)
    estimate = kl.kl_estimate(logprob, torch.tensor(recorded["ref_log_probs"])).clamp(-10.0, 10.0)
    estimate.sum().backward()
    torch.testing.assert_close(estimate, torch.tensor(recorded["low_var_kl"]), atol=1e-5, rtol=1e-5)
    expected = torch.tensor(recorded["grad_low_var_kl"])
    torch.testing.assert_close(logprob.grad, expected, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("case", golden("policy_loss")["cases"])
def test_policy_loss(case):
    logprob_BT = torch.tensor(case["log_probs"], requires_grad=True)
    advantage_BT, mask_BT = torch.tensor(case["advantages"]), torch.tensor(case["mask"])
    average = {"token": "token", "seq": "sequence"}[case["mode"]]
    clip, dual_clip = (case["clip_low"], case["clip_high"]), case["clip_dual"]
    log_ratio_BT = logprob_BT - torch.tensor(case["old_log_probs"])
    loss_BT = surrogate.policy_loss(log_ratio_BT, advantage_BT, *clip, dual_clip)
    loss = surrogate.masked_average(loss_BT, mask_BT, average)
    loss.backward()
    assert float(loss.detach()) == pytest.approx(case["loss"], abs=1e-5)
    expected = torch.tensor(case["grad_log_probs"])
    torch.testing.assert_close(logprob_BT.grad, expected, atol=1e-5, rtol=1e-5)


def test_grpo_advantage():
    recorded = golden("grpo_advantage")
    assert recorded["eps"] == advantages.STD_EPS
    for case in recorded["cases"]:
        reward_B = torch.tensor(case["token_level_rewards"]).sum(1)
        group_B = torch.tensor(pd.factorize(pd.Series(case["index"]))[0])
        mask_BT = torch.tensor(case["response_mask"])
        advantage_BT = advantages.token_advantages(
            advantages.group_normalised(reward_B, group_B), mask_BT
        )
        expected = torch.tensor(case["advantages"])
        torch.testing.assert_close(advantage_BT, expected, atol=1e-5, rtol=1e-5)
        assert case["returns"] == case["advantages"]
    assert recorded["group_of_one"].startswith("raises")
    with pytest.raises(UserError, match="group of one"):
        advantages.group_normalised(torch.ones(1), torch.zeros(1, dtype=torch.int64))
