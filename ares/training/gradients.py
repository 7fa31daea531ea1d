"""What moves the policy: the arm's gradient beside that of the accuracy alone, and that of the KL.

Measured on the first rows of a batch, before its first update: every ratio is 1 there, so the
surrogate's gradient is the sum of A_t grad ln pi over the tokens in the loss.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from ares.method.advantages import group_normalised
from ares.training import passes

if TYPE_CHECKING:
    from ares.training.trainer import AEPOTrainer


def gradient_metrics(trainer: AEPOTrainer, batch: dict[str, Any]) -> dict[str, float]:
    """`gradient_cosine` (arm, accuracy alone; both without the KL) and `kl_gradient_ratio`.

    `batch` is what the method has shaped, of a process that holds the whole model. The rows are
    those of one forward and backward pass, in whole groups. A gradient of 0 has no cosine: NaN.
    """
    size = trainer.num_generations
    rows = list(range(max(size, trainer.args.per_device_train_batch_size // size * size)))
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
    group_B = torch.arange(len(rows), device=mask_BT.device) // size
    accuracy = gradient(group_normalised(accuracy_B, group_B)[:, None].float())
    length = policy.norm() * accuracy.norm()
    found = {"gradient_cosine": float(policy @ accuracy / length)}
    if "ref_per_token_logps" in batch:
        # k3 = q/p - 1 - ln q/p, so d k3 / d ln p = 1 - q/p.
        moved_BT = 1 - (batch["ref_per_token_logps"][rows] - logprob_BT.detach()).exp()
        weight_BT = trainer.method.kl_weight(batch["bucket"][rows], batch["hwe_mask"][rows])
        found["kl_gradient_ratio"] = float(gradient(weight_BT * moved_BT).norm() / policy.norm())
    return found
