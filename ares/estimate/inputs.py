"""Every number that an estimate rests on, with its unit and where its default is from.

"measured" sources are tests of this repository (`tests/estimate/`); "assumed" ones have been
measured nowhere here: change them when you know better, the table says which they are.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from typing import Any

from ares.errors import UserError

#: Dense bfloat16 TFLOP/s, memory bandwidth in TB/s, memory in GB, of the makers' data sheets.
GPUS = {
    "a100": (312.0, 2.04, 80.0),
    "h100": (989.0, 3.35, 80.0),
    "h200": (989.0, 4.8, 141.0),
}


def _of(default: float, unit: str, source: str) -> Any:
    return field(default=default, metadata={"unit": unit, "source": source})


@dataclass(frozen=True)
class Inputs:
    """All assumptions of an estimate; sizes of the run come first."""

    gpus: int = _of(8, "GPUs", "ours, config gpus.training")
    gpu_memory: float = _of(80.0, "GB per GPU", "data sheet, --gpu")
    peak: float = _of(989.0, "TFLOP/s per GPU, bfloat16", "data sheet, --gpu")
    bandwidth: float = _of(3.35, "TB/s of GPU memory", "data sheet, --gpu")
    sharded: int = _of(
        1, "1: FSDP or ZeRO-3; 0: every GPU holds all", "config/accelerate/fsdp.yaml"
    )
    checkpointing: int = _of(1, "1: activations are made again", "config/accelerate/fsdp.yaml")
    freeze_vision: int = _of(1, "1: in the cold start", "main text")
    reference: int = _of(1, "1: a reference policy is held (arms with KL)", "docs/presets.md")
    # Bytes.
    weight_bytes: int = _of(4, "bytes per weight between steps", "float32 masters, ares train")
    gradient_bytes: int = _of(4, "bytes per gradient", "measured: as the weights")
    adamw_bytes: int = _of(8, "bytes per weight of AdamW", "measured: two float32 moments")
    reference_bytes: int = _of(4, "bytes per weight of the reference", "TRL's default, float32")
    compute_bytes: int = _of(2, "bytes per value while computing", "mixed_precision: bf16")
    whole_logits: int = _of(0, "1: logits lie whole in memory", "0: TRL 1.16 makes tiles of them")
    logit_bytes: int = _of(12, "bytes per whole logit", "float32 logits, log-softmax, gradient")
    overhead: float = _of(6.0, "GB per GPU: context, NCCL, fragments", "assumed")
    # Cold start.
    sft_samples: int = _of(224_000, "samples", "main text")
    sft_epochs: float = _of(2.0, "passes over them", "main text")
    sft_mean: float = _of(17_000.0, "tokens a sample", "main text: thoughts of 6,237 to 28,159")
    sft_longest: int = _of(32_768, "tokens", "main text")
    sft_rows: int = _of(1, "sequences per pass and GPU", "ours, sft.micro_batch")
    # AEPO.
    steps: int = _of(267, "steps", "Fig. 6")
    arms: int = _of(1, "runs", "one arm, one seed")
    prompts: int = _of(512, "prompts a step", "main text")
    rollouts: int = _of(8, "rollouts a prompt", "main text")
    refill: float = _of(0.5, "extra rollouts for dropped groups, share", "assumed")
    prompt_mean: float = _of(600.0, "tokens, visual tokens included", "assumed")
    prompt_longest: int = _of(4_096, "tokens", "main text")
    patches: float = _of(1_600.0, "patches of a prompt's picture, 4 a visual token", "assumed")
    response_mean: float = _of(4_000.0, "tokens", "Fig. 4b: 2,871 (easy) to 5,280 (hard)")
    response_longest: int = _of(16_384, "tokens", "main text")
    rows: int = _of(1, "rollouts per pass and GPU", "ours, aepo.micro_batches")
    passes_without_gradient: float = _of(
        1.0, "forward passes over rollouts for old log-probabilities", "TRL, with updates > 1"
    )
    # Efficiencies.
    mfu: float = _of(0.35, "share of the peak in training and scoring", "assumed")
    causal: float = _of(0.5, "share of the square of attention scores", "FlashAttention")
    decode_bandwidth: float = _of(0.6, "share of the bandwidth while decoding", "assumed")
    straggle: float = _of(1.5, "time of generation / time with all slots full", "assumed")
    # vLLM.
    vllm_colocated: int = _of(1, "1: on the GPUs that train", "ours, vllm.mode")
    vllm_gpus: int = _of(0, "GPUs that draw rollouts; 0: as many as train", "ours")
    vllm_share: float = _of(0.6, "of GPU memory", "ours, vllm.gpu_memory")
    vllm_tensor_parallel: int = _of(2, "GPUs per copy", "ours, vllm.tensor_parallel")
    vllm_sleeps: int = _of(1, "1: its memory is free while training", "ours, vllm.sleep")
    vllm_activations: float = _of(3.0, "GB per GPU beside weights and cache", "assumed")
    vllm_sequences: int = _of(256, "sequences at once per copy, at most", "vLLM's max_num_seqs")

    def __post_init__(self) -> None:
        """Refuse what can't be."""
        for item in fields(self):
            value = getattr(self, item.name)
            if not 0 <= value < math.inf:
                raise UserError(f"{item.name} is {value}: it must be a number, not negative")
            if value == 0 and item.name not in _MAY_BE_ZERO:
                raise UserError(f"{item.name} is 0: it must be positive")
        for name in ("mfu", "decode_bandwidth", "causal", "vllm_share"):
            if getattr(self, name) > 1:
                raise UserError(f"{name} is {getattr(self, name)}: it is a share, at most 1")
        if self.drawing_gpus % self.vllm_tensor_parallel:
            raise UserError(
                f"{self.drawing_gpus} GPUs can't be shared by copies of the model on "
                f"{self.vllm_tensor_parallel} each"
            )

    @property
    def drawing_gpus(self) -> int:
        """GPUs that draw rollouts."""
        return self.vllm_gpus or self.gpus


_MAY_BE_ZERO = {
    *("sharded", "checkpointing", "freeze_vision", "reference", "whole_logits", "vllm_sleeps"),
    *("vllm_colocated", "vllm_gpus"),
    *("refill", "patches", "passes_without_gradient", "overhead", "vllm_activations"),
}


def from_config(config: Mapping[str, Any]) -> dict[str, Any]:
    """The inputs that a paper scale settles (`ares.config`, schema paper).

    Raises:
        UserError: rollouts are not drawn by vLLM.
    """
    aepo, sft = config["aepo"], config["cold_start"]["sft"]
    vllm = aepo["vllm"]
    if vllm["mode"] == "none":
        raise UserError("aepo.vllm.mode is none: only rollouts drawn by vLLM are estimated")
    gpus = config["gpus"]["training"]
    found = {
        "gpus": gpus,
        "freeze_vision": int(sft["freeze_vision"]),
        "sft_samples": config["cold_start"]["size"],
        "sft_epochs": sft["epochs"],
        "sft_longest": sft["max_length"],
        "sft_rows": sft["micro_batch"],
        "steps": aepo["steps"],
        "arms": sum(len(arm["seeds"]) for arm in aepo["arms"].values()),
        "prompts": aepo["prompts"],
        "rollouts": aepo["rollouts"],
        "prompt_longest": aepo["max_prompt_tokens"],
        "response_longest": aepo["max_new_tokens"],
        "rows": rows_of(aepo, gpus),
        "vllm_colocated": int(vllm["mode"] == "colocate"),
    }
    if vllm["mode"] == "colocate":
        found |= {
            "vllm_share": vllm["gpu_memory"],
            "vllm_tensor_parallel": vllm["tensor_parallel"],
            "vllm_sleeps": int(vllm["sleep"]),
        }
    return found


def rows_of(aepo: Mapping[str, Any], gpus: int) -> int:
    """Rollouts per forward pass and GPU: those of an update, over GPUs and micro-batches.

    >>> rows_of({"prompts": 512, "rollouts": 8, "updates": 4, "micro_batches": 128}, 8)
    1
    """
    update = aepo["prompts"] * aepo["rollouts"] / aepo["updates"]
    return max(1, round(update / gpus / aepo["micro_batches"]))
