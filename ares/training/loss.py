"""The loss of AEPO in place of TRL's, and what its parts do to the policy.

Surrogate, KL and averages are those of `ares.method`. TRL's importance correction for vLLM, its
metrics and its loss types `dapo` and `grpo` stay. `loss_of` replaces `_compute_loss` of TRL 1.16's
GRPOTrainer; a test fails when TRL changes that function, so that this one is looked at again.
"""

from __future__ import annotations

from itertools import accumulate
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor
from trl.trainer.utils import nanmax, nanmin

from ares.method.advantages import group_normalised
from ares.method.kl import kl_estimate
from ares.method.surrogate import clipped_tokens, masked_average, policy_loss
from ares.training import passes

if TYPE_CHECKING:
    from ares.training.trainer import AEPOTrainer


def loss_of(trainer: AEPOTrainer, model: Any, inputs: dict[str, Any]) -> Tensor:
    """The loss of a forward pass, as TRL's `_compute_loss` gives it; writes TRL's metrics.

    `inputs` are TRL's, with what `Method.shape` yields: hwe_mask (B, T), bucket and keep (B,). An
    evaluation has none of them: all tokens count, with one KL coefficient.
    """
    mask_BT = inputs["completion_mask"]
    if "keep" in inputs:
        mask_BT = mask_BT * inputs["keep"][:, None]
    logprob_BT, entropy_BT, _ = trainer._get_per_token_logps_and_entropies(
        model,
        *passes.sequences(inputs),
        mask_BT.shape[1],
        compute_entropy=True,
        **{name: inputs.get(name) for name in passes.FORWARD},
    )
    advantage_BT = inputs["advantages"]
    if advantage_BT.dim() == 1:
        advantage_BT = advantage_BT[:, None]
    old_BT = inputs.get("old_per_token_logps")  # None: this is the first update of the batch
    log_ratio_BT = logprob_BT - (logprob_BT.detach() if old_BT is None else old_BT)
    clip = trainer.epsilon_low, trainer.epsilon_high
    loss_BT = policy_loss(log_ratio_BT, advantage_BT, *clip, trainer.args.delta)
    if trainer.use_vllm and trainer.vllm_importance_sampling_correction:
        loss_BT = loss_BT * inputs["importance_sampling_ratio"]
    measured = {"entropy": entropy_BT}
    if trainer.beta != 0.0:
        kl_BT = kl_estimate(logprob_BT, inputs["ref_per_token_logps"])
        weight: Tensor | float = trainer.beta
        if "hwe_mask" in inputs:
            weight = trainer.method.kl_weight(inputs["bucket"], inputs["hwe_mask"])
            trainer.observe_kl(kl_BT.detach(), mask_BT.bool(), inputs)
        loss_BT = loss_BT + weight * kl_BT
        measured["kl"] = kl_BT.detach()
    low_BT, high_BT = clipped_tokens(log_ratio_BT.detach(), advantage_BT, *clip)
    measured["clip_ratio/low_mean"] = low_BT.float()
    measured["clip_ratio/high_mean"] = high_BT.float()
    measured["clip_ratio/region_mean"] = (low_BT | high_BT).float()
    _log_means(trainer, measured, mask_BT)
    return _averaged(trainer, loss_BT, mask_BT, inputs)


def _averaged(
    trainer: AEPOTrainer, loss_BT: Tensor, mask_BT: Tensor, inputs: dict[str, Any]
) -> Tensor:
    """The share of a forward pass in the loss of the update."""
    training = trainer.model.training
    accumulated = trainer.current_gradient_accumulation_steps if training else 1.0
    if trainer.loss_type == "grpo":
        return masked_average(loss_BT, mask_BT, "sequence") / accumulated
    # The tokens of the whole batch of rollouts, of which an update has its share.
    tokens = inputs["num_items_in_batch"].clamp(min=1.0) / trainer.accelerator.num_processes
    if training:
        tokens = tokens * accumulated / trainer.args.steps_per_generation
    return masked_average(loss_BT, mask_BT, "token", tokens)


def _log_means(trainer: AEPOTrainer, values: dict[str, Tensor], mask_BT: Tensor) -> None:
    """TRL's metrics of a pass: means of (B, T) values over the response tokens of all processes."""
    metrics = trainer._metrics["train" if trainer.model.training else "eval"]
    sums = [
        torch.stack([(value_BT * mask_BT).sum(), mask_BT.sum().float()])
        for value_BT in values.values()
    ]
    total_N2 = trainer.accelerator.reduce(torch.stack(sums), reduction="sum")
    means = (total_N2[:, 0] / total_N2[:, 1].clamp(min=1.0)).tolist()
    for name, mean in zip(values, means, strict=True):
        metrics[name].append(mean)
    for name, extreme, function in (
        ("clip_ratio/low_mean", "clip_ratio/low_min", nanmin),
        ("clip_ratio/high_mean", "clip_ratio/high_max", nanmax),
    ):
        share_B = (values[name] * mask_BT).sum(-1) / mask_BT.sum(-1)
        metrics[extreme].append(function(trainer.accelerator.gather(share_B)).item())


def gradient_metrics(trainer: AEPOTrainer, batch: dict[str, Any]) -> dict[str, float]:
    """`gradient_cosine` (arm, accuracy alone; both without the KL) and `kl_gradient_ratio`.

    `batch` is what the method has shaped, before its first update: every ratio is 1 there, so the
    surrogate's gradient is the sum of A_t grad ln pi over the tokens in the loss. The process holds
    the whole model; the rows are those of one forward and backward pass, in whole groups. A
    gradient of 0 has no cosine: NaN.
    """
    ends = list(accumulate(trainer.sizes))
    groups = max(1, sum(end <= trainer.args.per_device_train_batch_size for end in ends))
    rows = list(range(ends[groups - 1]))
    ids_BT, whole_mask_BT = (values[rows] for values in passes.sequences(batch))
    mask_BT = batch["completion_mask"][rows] * batch["keep"][rows][:, None]
    fields = {name: batch[name] for name in passes.FORWARD if batch.get(name) is not None}
    every = slice(0, ids_BT.shape[1])
    # Unwrapped: the gradients of processes are not added up here, and their mean is not wanted.
    model = trainer.accelerator.unwrap_model(trainer.model)
    logprob_BT, _, _ = trainer._get_per_token_logps_and_entropies(
        model,
        ids_BT,
        whole_mask_BT,
        mask_BT.shape[1],
        batch_size=len(rows),
        **passes.fields_of(fields, rows, every),
    )
    if trainer.loss_type == "grpo":
        mask_BT = mask_BT / mask_BT.sum(1, keepdim=True).clamp(min=1)
    parameters = [each for each in model.parameters() if each.requires_grad]

    def gradient(weight_BT: Tensor) -> Tensor:
        """Of the sum of weight x ln pi over the tokens in the loss."""
        total = (weight_BT * mask_BT * logprob_BT).sum()
        parts = torch.autograd.grad(total, parameters, retain_graph=True, allow_unused=True)
        return torch.cat([part.flatten() for part in parts if part is not None])

    advantage_BT = batch["advantages"][rows]
    policy = gradient(advantage_BT if advantage_BT.dim() == 2 else advantage_BT[:, None])
    accuracy_B = torch.tensor(trainer.grader.last, device=mask_BT.device)[rows]
    sizes_G = torch.tensor(trainer.sizes[:groups], device=mask_BT.device)
    group_B = torch.arange(groups, device=mask_BT.device).repeat_interleave(sizes_G)
    accuracy = gradient(group_normalised(accuracy_B, group_B)[:, None].float())
    length = policy.norm() * accuracy.norm()
    found = {"gradient_cosine": float(policy @ accuracy / length)}
    if "ref_per_token_logps" in batch:
        # k3 = q/p - 1 - ln q/p, so d k3 / d ln p = 1 - q/p.
        moved_BT = 1 - (batch["ref_per_token_logps"][rows] - logprob_BT.detach()).exp()
        weight_BT = trainer.method.kl_weight(batch["bucket"][rows], batch["hwe_mask"][rows])
        found["kl_gradient_ratio"] = float(gradient(weight_BT * moved_BT).norm() / policy.norm())
    return found
