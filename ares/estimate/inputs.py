"""Every number that an estimate rests on, with its unit and where its default is from.

"measured" sources are tests of this repository (`tests/estimate/`); "assumed" ones have been
measured nowhere here: change them when you know better, the table says which they are.
"""

from __future__ import annotations

from typing import Annotated, Any, Self

from pydantic import Field, model_validator

from ares.config import Scale
from ares.errors import UserError
from ares.settings import Natural, Positive, Settings

#: Dense bfloat16 TFLOP/s, memory bandwidth in TB/s, memory in GB, of the makers' data sheets.
GPUS = {
    "a100": (312.0, 2.04, 80.0),
    "h100": (989.0, 3.35, 80.0),
    "h200": (989.0, 4.8, 141.0),
}


#: 0 or 1; a number of things, 0 of them too; an amount, 0 too, or more than 0.
Flag = Annotated[int, Field(ge=0, le=1)]
CountOrNone = Annotated[int, Field(ge=0)]
AmountOrNone = Annotated[float, Field(ge=0)]
Amount = Annotated[float, Field(gt=0)]


def _of(default: float, unit: str, source: str) -> Any:
    return Field(default, json_schema_extra={"unit": unit, "source": source})


class Inputs(Settings, strict=False):
    """All assumptions of an estimate; sizes of the run come first."""

    gpus: Natural = _of(8, "GPUs", "ours, config gpus.training")
    gpu_memory: Amount = _of(80.0, "GB per GPU", "data sheet, --gpu")
    peak: Amount = _of(989.0, "TFLOP/s per GPU, bfloat16", "data sheet, --gpu")
    bandwidth: Amount = _of(3.35, "TB/s of GPU memory", "data sheet, --gpu")
    sharded: Flag = _of(
        1, "1: FSDP or ZeRO-3; 0: every GPU holds all", "config/accelerate/fsdp.yaml"
    )
    checkpointing: Flag = _of(1, "1: activations are made again", "config/accelerate/fsdp.yaml")
    freeze_vision: Flag = _of(1, "1: in the cold start", "main text")
    reference: Flag = _of(1, "1: a reference policy is held (arms with KL)", "docs/presets.md")
    # Bytes.
    weight_bytes: Natural = _of(4, "bytes per weight between steps", "float32 masters")
    gradient_bytes: Natural = _of(4, "bytes per gradient", "measured: as the weights")
    adamw_bytes: Natural = _of(8, "bytes per weight of AdamW", "measured: two float32 moments")
    reference_bytes: Natural = _of(4, "bytes per weight of the reference", "TRL's default, float32")
    compute_bytes: Natural = _of(2, "bytes per value while computing", "mixed_precision: bf16")
    whole_logits: Flag = _of(0, "1: logits lie whole in memory", "0: TRL 1.16 makes tiles of them")
    logit_bytes: Natural = _of(12, "bytes per whole logit", "float32 logits, log-softmax, gradient")
    overhead: AmountOrNone = _of(6.0, "GB per GPU: context, NCCL, fragments", "assumed")
    # Cold start.
    sft_samples: Natural = _of(224_000, "samples", "main text")
    sft_epochs: Amount = _of(2.0, "passes over them", "main text")
    sft_mean: Amount = _of(17_000.0, "tokens a sample", "main text: thoughts of 6,237 to 28,159")
    sft_longest: Natural = _of(32_768, "tokens", "main text")
    sft_rows: Natural = _of(1, "sequences per pass and GPU", "ours, sft.micro_batch")
    # AEPO.
    steps: Natural = _of(267, "steps", "Fig. 6")
    arms: Natural = _of(1, "runs", "one arm, one seed")
    prompts: Natural = _of(512, "prompts a step", "main text")
    rollouts: Natural = _of(8, "rollouts a prompt", "main text")
    refill: AmountOrNone = _of(0.5, "extra rollouts for dropped groups, share", "assumed")
    prompt_mean: Amount = _of(600.0, "tokens, visual tokens included", "assumed")
    prompt_longest: Natural = _of(4_096, "tokens", "main text")
    patches: AmountOrNone = _of(
        1_600.0, "patches of a prompt's picture, 4 a visual token", "assumed"
    )
    response_mean: Amount = _of(4_000.0, "tokens", "Fig. 4b: 2,871 (easy) to 5,280 (hard)")
    response_longest: Natural = _of(16_384, "tokens", "main text")
    rows: Natural = _of(1, "rollouts per pass and GPU", "ours, aepo.micro_batches")
    passes_without_gradient: AmountOrNone = _of(
        1.0, "forward passes over rollouts for old log-probabilities", "TRL, with updates > 1"
    )
    # Efficiencies.
    mfu: Positive = _of(0.35, "share of the peak in training and scoring", "assumed")
    causal: Positive = _of(0.5, "share of the square of attention scores", "FlashAttention")
    decode_bandwidth: Positive = _of(0.6, "share of the bandwidth while decoding", "assumed")
    straggle: Amount = _of(1.5, "time of generation / time with all slots full", "assumed")
    # vLLM.
    vllm_colocated: Flag = _of(1, "1: on the GPUs that train", "ours, vllm.mode")
    vllm_gpus: CountOrNone = _of(0, "GPUs that draw rollouts; 0: as many as train", "ours")
    vllm_share: Positive = _of(0.6, "of GPU memory", "ours, vllm.gpu_memory")
    vllm_tensor_parallel: Natural = _of(2, "GPUs per copy", "ours, vllm.tensor_parallel")
    vllm_sleeps: Flag = _of(1, "1: its memory is free while training", "ours, vllm.sleep")
    vllm_activations: AmountOrNone = _of(3.0, "GB per GPU beside weights and cache", "assumed")
    vllm_sequences: Natural = _of(256, "sequences at once per copy, at most", "vLLM's max_num_seqs")

    @model_validator(mode="after")
    def _possible(self) -> Self:
        if self.drawing_gpus % self.vllm_tensor_parallel:
            raise ValueError(
                f"{self.drawing_gpus} GPUs can't be shared by copies of the model on "
                f"{self.vllm_tensor_parallel} each"
            )
        return self

    @property
    def drawing_gpus(self) -> int:
        """GPUs that draw rollouts."""
        return self.vllm_gpus or self.gpus


def from_config(config: Scale) -> dict[str, Any]:
    """The inputs that a paper scale settles (`ares.config`).

    Raises:
        UserError: rollouts are not drawn by vLLM.
    """
    aepo, sft = config.aepo, config.cold_start.sft
    vllm = aepo.vllm
    if vllm.mode == "none":
        raise UserError("aepo.vllm.mode is none: only rollouts drawn by vLLM are estimated")
    gpus = config.gpus.training
    rollouts = aepo.rollouts or Inputs.model_fields["rollouts"].default
    of_update = aepo.prompts * rollouts / aepo.updates
    found = {
        "gpus": gpus,
        "freeze_vision": int(sft.freeze_vision),
        "sft_samples": config.cold_start.size,
        "sft_epochs": sft.epochs,
        "sft_longest": sft.max_length,
        "sft_rows": sft.micro_batch or max(1, sft.batch // gpus),
        "steps": aepo.steps,
        "arms": sum(len(arm.seeds) for arm in aepo.arms.values()),
        "prompts": aepo.prompts,
        "rollouts": rollouts,
        "prompt_longest": aepo.max_prompt_tokens,
        "response_longest": aepo.max_new_tokens,
        "rows": max(1, round(of_update / gpus / aepo.micro_batches)),
        "vllm_colocated": int(vllm.mode == "colocate"),
    }
    if vllm.mode == "colocate":
        found |= {
            "vllm_share": vllm.gpu_memory,
            "vllm_tensor_parallel": vllm.tensor_parallel,
            "vllm_sleeps": int(vllm.sleep),
        }
    return found
