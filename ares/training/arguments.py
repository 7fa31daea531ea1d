"""From a preset and a few sizes to TRL's GRPOConfig: the one place where the two vocabularies meet.

TRL's `delta` bounds the ratio from above; together with its clip range that is the dual clip.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from trl import GRPOConfig

from ares.config import Aepo
from ares.errors import UserError
from ares.method.presets import MethodSettings

#: TRL's names of the two averages of `ares.method.surrogate`.
LOSS_TYPES = {"token": "dapo", "sequence": "grpo"}
#: Schedulers of transformers; both warm up.
_SCHEDULES = {"none": "constant_with_warmup", "linear": "linear"}


def common_arguments(folder: str | Path, seed: int, save_every: int) -> dict[str, Any]:
    """What AEPO and fine-tuning share: a log of every step, resumable states, a device."""
    on_gpu = torch.cuda.is_available()
    return {
        "output_dir": str(folder),
        "seed": seed,
        "save_steps": save_every,
        "save_total_limit": 2,
        "logging_steps": 1,
        "disable_tqdm": True,
        "use_cpu": not on_gpu,
        "dataloader_pin_memory": on_gpu,
        # TRL's default costs a CPU twice the time; on GPUs the launcher's mixed_precision decides.
        "bf16": False,
    }


def grpo_config(
    settings: MethodSettings,
    aepo: Aepo,
    output_dir: str | Path,
    seed: int,
    processes: int = 1,
    **changes: Any,
) -> GRPOConfig:
    """TRL's arguments for a preset.

    Args:
        aepo: sizes and rates of the run; its prompts are those of all processes together.
        output_dir: where checkpoints go.
        processes: that train together.
        changes: arguments of GRPOConfig that override ours, for instance use_vllm=True.

    Raises:
        UserError: a batch that can't be split as asked.
    """
    group, parts = settings.group_size, processes * aepo.updates * aepo.micro_batches
    rollouts, updates = aepo.prompts * group, aepo.steps * aepo.updates
    if aepo.prompts % processes or rollouts % parts:
        raise UserError(
            f"{rollouts} rollouts a batch ({aepo.prompts} prompts x {group}) can't be split into "
            f"{parts} equal parts (processes x updates x micro_batches) with whole groups on each "
            f"of {processes} processes: change aepo.prompts or aepo.updates"
        )
    arguments: dict[str, Any] = {
        **common_arguments(output_dir, seed, save_every=aepo.checkpoint_every * aepo.updates),
        # --- the preset
        "num_generations": group,
        "temperature": settings.temperature,
        "top_p": settings.top_p,
        "epsilon": settings.clip_low,
        "epsilon_high": settings.clip_high,
        "delta": settings.dual_clip,
        "loss_type": LOSS_TYPES[settings.loss_average],
        "scale_rewards": "group" if settings.advantage == "normalised" else "none",
        "beta": 0.0 if settings.kl == "none" else settings.kl_coefficient * settings.kl_beta,
        # The KL of paper and release is k3 as it stands, not times the importance ratio.
        "use_bias_correction_kl": False,
        # --- the schedule
        "per_device_train_batch_size": rollouts // parts,
        "gradient_accumulation_steps": aepo.micro_batches,
        "steps_per_generation": aepo.updates * aepo.micro_batches,
        "max_steps": updates,
        "max_completion_length": aepo.max_new_tokens,
        "learning_rate": aepo.lr,
        "lr_scheduler_type": _SCHEDULES[aepo.lr_decay],
        "warmup_steps": round(aepo.warmup * updates),
        "weight_decay": aepo.weight_decay,
        "max_grad_norm": aepo.max_grad_norm,
        # --- the rest
        "shuffle_dataset": False,  # the data come in the order in which they are used
        # With pictures in some prompts only, TRL's log of them is a collective that processes
        # without any would leave out.
        "log_multimodal": False,
        "activation_checkpointing": False,  # it would cost a CPU a fifth of the time
    }
    return GRPOConfig(**{**arguments, **changes})


#: Parts of TRL's loss that ours does not have, each with the value that leaves it out.
_LEFT_OUT = {
    "off_policy_mask_threshold": None,
    "top_entropy_quantile": 1.0,
    "entropy_coef": 0.0,
    "use_adaptive_entropy": False,
    "use_bias_correction_kl": False,
    "importance_sampling_level": "token",
}


def check_arguments(args: GRPOConfig) -> None:
    """Refuse arguments that the method can't be trained with, or resumed exactly.

    Raises:
        UserError: names the argument and what to choose.
    """
    known = LOSS_TYPES.values()
    if args.loss_type not in known:
        raise UserError(f"loss_type={args.loss_type!r}: choose from {', '.join(known)}")
    for name, off in _LEFT_OUT.items():
        if getattr(args, name) != off:
            raise UserError(f"{name}={getattr(args, name)}: AEPO's loss has no such part: {off}")
    accumulated = args.gradient_accumulation_steps
    cycle = args.steps_per_generation * args.num_iterations
    if args.steps_per_generation % accumulated:
        raise UserError(
            f"steps_per_generation={args.steps_per_generation}: a batch of rollouts must last "
            f"whole optimizer steps: choose a multiple of gradient_accumulation_steps={accumulated}"
        )
    if args.save_strategy != "no" and args.save_total_limit == 1:
        raise UserError(
            "save_total_limit=1: the last state would be removed before the next one is whole: "
            "keep at least 2"
        )
    if args.save_strategy == "steps" and args.save_steps * accumulated % cycle:
        raise UserError(
            f"save_steps={args.save_steps}: a batch of rollouts lasts {cycle / accumulated:g} "
            "optimizer steps, and only at its end a run can be resumed exactly: choose a multiple"
        )
