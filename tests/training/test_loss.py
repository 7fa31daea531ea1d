"""The loss that trains: the one of the preset, and TRL's own with settings that change nothing.

For literal tensors, so that clip range, dual clip, average and KL arrive as they are meant.
"""

import hashlib
import inspect
from dataclasses import replace

import pytest
import torch
from trl import GRPOTrainer

from ares.method.kl import kl_estimate
from ares.method.surrogate import masked_average, policy_loss
from ares.training.arguments import LOSS_TYPES, grpo_config
from ares.training.trainer import AEPOTrainer

MASK = torch.tensor([[1, 1, 1, 1], [1, 1, 1, 0], [1, 1, 0, 0], [1, 0, 0, 0]])
# Ratios from far below every clip range to far above the dual clip.
LOG_RATIO = torch.tensor(
    [
        [0.0, 0.30, -0.40, 1.5],
        [-0.10, 1.40, 0.25, 9.0],
        [0.5, -0.5, 9.0, 9.0],
        [0.15, 9.0, 9.0, 9.0],
    ]
)
OLD = torch.tensor([[-1.0, -2.0, -0.5, -1.2]]).expand(4, 4)
REFERENCE = OLD + torch.tensor([[0.1, -0.2, 0.3, 0.0]])
ADVANTAGE = torch.tensor([1.0, -1.0, -0.5, 2.0])[:, None].expand(4, 4)
HWE = torch.tensor([[1, 0, 0, 1], [0, 1, 0, 0], [0, 0, 0, 0], [1, 0, 0, 0]]).bool()
BUCKET = torch.tensor([0, 1, 2, 2])


def prepared(scenes, folder, path, method, updates=1):
    """A trainer in the middle of a step, whose model says what we want it to say."""
    schedule = scenes.scheduled(updates=updates)
    made = scenes.trainer(folder, path, method, schedule=schedule, sampler=scenes.FixedSampler())
    made.model.train()
    made.current_gradient_accumulation_steps = 1
    return made


def batch(method, keep=None):
    inputs = {
        "prompt_ids": torch.zeros(4, 1, dtype=torch.long),
        "prompt_mask": torch.ones(4, 1, dtype=torch.long),
        "completion_ids": torch.zeros(4, 4, dtype=torch.long),
        "completion_mask": MASK,
        "advantages": ADVANTAGE,
        "old_per_token_logps": OLD,
        "num_items_in_batch": MASK.sum(),
        "hwe_mask": HWE,
        "bucket": BUCKET,
    }
    if method.kl != "none":
        inputs["ref_per_token_logps"] = REFERENCE
    if keep is not None:
        inputs["keep"] = keep
        inputs["num_items_in_batch"] = (MASK * keep[:, None]).sum()
    return inputs


def trained_loss(made, inputs, monkeypatch, of=AEPOTrainer):
    """The loss that a trainer optimises, and its gradient in the log-probabilities."""
    logprob_BT = (OLD + LOG_RATIO).clone().requires_grad_()
    monkeypatch.setattr(
        made, "_get_per_token_logps_and_entropies",
        lambda *args, **named: (logprob_BT, torch.ones(4, 4), None),
    )  # fmt: skip
    loss = of._compute_loss(made, made.model, inputs)
    loss.backward()
    return loss.detach(), logprob_BT.grad


def own_loss(method, weight_BT, mask_BT, total):
    """The same from `ares.method`."""
    logprob_BT = (OLD + LOG_RATIO).clone().requires_grad_()
    loss_BT = policy_loss(
        logprob_BT - OLD, ADVANTAGE, method.clip_low, method.clip_high, method.dual_clip
    )
    if weight_BT is not None:
        loss_BT = loss_BT + weight_BT * kl_estimate(logprob_BT, REFERENCE)
    loss = masked_average(loss_BT, mask_BT, method.loss_average, total)
    loss.backward()
    return loss.detach(), logprob_BT.grad


@pytest.mark.parametrize("name", ["grpo", "dapo", "ares", "ares-no-entropy", "paper", "released"])
def test_the_loss_is_that_of_the_preset(scenes, lively_folder, tmp_path, monkeypatch, name):
    method = scenes.settings(name, kl_beta=0.04, kl_coefficient=0.5)
    if method.kl == "window":
        method = replace(method, kl_rho=0.3)
    made = prepared(scenes, lively_folder, tmp_path, method)
    weight_BT = None
    if method.kl != "none":
        if made.method.controller is not None:  # one coefficient per bucket, all different
            made.method.controller.beta_D[:] = [0.5, 0.25, 0.125]
        beta_B1 = 0.5 * torch.tensor([0.5, 0.25, 0.125, 0.125])[:, None]
        weight_BT = {
            "fixed": torch.full((4, 4), 0.5 * 0.04),
            "bucket": beta_B1.expand(4, 4),
            "window": beta_B1 * torch.where(HWE, 0.3, 1.0),  # beta_d rho^m (eq. 1)
        }[method.kl]
    total = 10.0
    loss, gradient = trained_loss(made, batch(method), monkeypatch)
    expected, expected_gradient = own_loss(method, weight_BT, MASK, total)
    assert float(loss) == pytest.approx(float(expected), abs=1e-6)
    torch.testing.assert_close(gradient, expected_gradient, rtol=1e-4, atol=1e-7)


@pytest.mark.parametrize("vllm", [False, True])
@pytest.mark.parametrize("loss_type", LOSS_TYPES.values())
def test_neutral_settings_are_trls_loss_bit_for_bit(
    scenes, lively_folder, tmp_path, monkeypatch, loss_type, vllm
):
    """Loss, gradient and metrics; with vLLM its importance ratios weigh the tokens."""
    made = prepared(scenes, lively_folder, tmp_path, scenes.settings("grpo"))
    made.loss_type, made.use_vllm = loss_type, vllm
    made.current_gradient_accumulation_steps = 2
    inputs = batch(made.settings)
    if vllm:
        sampler_logprob = OLD + torch.linspace(-0.4, 0.4, 16).reshape(4, 4)
        inputs["importance_sampling_ratio"] = (OLD - sampler_logprob).exp().clamp(max=1.2)
    found = []
    for of in (AEPOTrainer, GRPOTrainer):
        made._metrics["train"].clear()
        loss, gradient = trained_loss(made, inputs, monkeypatch, of)
        found.append((loss, gradient, dict(made._metrics["train"])))
    (ours, our_gradient, our_metrics), (trls, trl_gradient, trl_metrics) = found
    assert torch.equal(ours, trls) and torch.equal(our_gradient, trl_gradient)
    assert our_metrics == trl_metrics and "kl" in our_metrics
    assert our_gradient.abs().max() > 0


def test_the_function_of_trl_that_our_loss_replaces_is_unchanged():
    """Our `_compute_loss` was written beside this one; where TRL's changes, look at ours again."""
    source = inspect.getsource(GRPOTrainer._compute_loss)
    known = "80295546bbdbf6f711acce7f6e69b0100ab40aa8f23ed8052cc564ff024e3e40"
    assert hashlib.sha256(source.encode()).hexdigest() == known


def test_rollouts_without_news_are_out_of_the_loss(scenes, lively_folder, tmp_path, monkeypatch):
    method = scenes.settings("ares", kl_rho=0.3, kl_beta=0.01, kl_budget=0.02, kl_gain=0.1)
    made = prepared(scenes, lively_folder, tmp_path, method)
    keep = torch.tensor([True, False, True, False])
    loss, gradient = trained_loss(made, batch(method, keep), monkeypatch)
    weight_BT = 0.01 * torch.where(HWE, 0.3, 1.0)
    mask_BT = MASK * keep[:, None]
    expected, expected_gradient = own_loss(method, weight_BT, mask_BT, total=6.0)
    assert float(loss) == pytest.approx(float(expected), abs=1e-6)
    torch.testing.assert_close(gradient, expected_gradient, rtol=1e-4, atol=1e-7)
    assert (gradient[~keep] == 0).all()
    # The controller sees neither them nor the tokens inside windows: tokens 1 and 2 of rollout 0.
    kl_BT = kl_estimate(OLD + LOG_RATIO, REFERENCE)
    easy = float(kl_BT[0, 1:3].double().mean())
    moved = 0.01 * (1 + 0.1 * (easy / 0.02 - 1))
    assert made.method.controller.beta_D[0] == pytest.approx(moved, rel=1e-5)
    assert made.method.controller.beta_D[1] == 0.01  # no rollout of that bucket was kept


def test_an_update_divides_by_its_share_of_the_tokens(scenes, lively_folder, tmp_path, monkeypatch):
    """Two updates a batch: each gets half of the batch's tokens as its divisor."""
    method = scenes.settings("dapo")
    made = prepared(scenes, lively_folder, tmp_path, method, updates=2)
    loss, _ = trained_loss(made, batch(method), monkeypatch)
    expected, _ = own_loss(method, None, MASK, total=5.0)
    assert float(loss) == pytest.approx(float(expected), abs=1e-6)


@pytest.mark.parametrize("name", ["grpo", "dapo", "ares", "paper", "released"])
def test_a_preset_in_trls_words(scenes, tmp_path, name):
    method = scenes.settings(name, temperature=0.9, dual_clip=2.5, clip_low=0.15)
    args = grpo_config(method, scenes.SCHEDULE, tmp_path, seed=4)
    assert (args.epsilon, args.epsilon_high, args.delta) == (0.15, method.clip_high, 2.5)
    assert (args.temperature, args.top_p, args.num_generations) == (0.9, method.top_p, 4)
    assert args.loss_type == {"grpo": "grpo", "ares": "grpo"}.get(name, "dapo")
    assert args.scale_rewards == {"paper": "none"}.get(name, "group")
    assert args.beta == (0 if name == "dapo" else method.kl_beta * method.kl_coefficient)
    assert (args.seed, args.num_iterations) == (4, 1)
