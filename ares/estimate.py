"""What a run at the paper's scale takes: memory and time, from shapes and named assumptions.

Memory is that of one GPU in each phase of a run, part by part, in GB (10^9 bytes). Time is FLOPs
over an assumed rate, and for decoding the roofline. "measured" sources are tests of this repository
(`tests/estimate/`); "assumed" ones have been measured nowhere here: change them when you know
better.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Any, Self, cast

from pydantic import Field, model_validator

from ares.config import Scale, load_config
from ares.errors import UserError
from ares.model.shapes import ModelShape, load_shape
from ares.settings import Natural, Positive, Settings, checked

#: Dense bfloat16 TFLOP/s, memory bandwidth in TB/s, memory in GB, of the makers' data sheets.
GPUS = {
    "a100": {"peak": 312.0, "bandwidth": 2.04, "gpu_memory": 80.0},
    "h100": {"peak": 989.0, "bandwidth": 3.35, "gpu_memory": 80.0},
    "h200": {"peak": 989.0, "bandwidth": 4.8, "gpu_memory": 141.0},
}
GB, HOUR = 1e9, 3600.0
#: Tokens and vocabulary of a tile of logits in TRL 1.16.
TILE = (4096, 32768)

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

    @property
    def shards(self) -> int:
        """Into how many parts weights, gradients and moments are divided."""
        return self.gpus if self.sharded else 1

    @property
    def rate(self) -> float:
        """FLOP/s of all GPUs."""
        return self.gpus * self.peak * 1e12 * self.mfu


def from_config(config: Scale) -> dict[str, Any]:
    """The inputs that a paper scale settles (`ares.config`).

    Raises:
        UserError: rollouts are not drawn by vLLM.
    """
    aepo, sft, gpus = config.aepo, config.cold_start.sft, config.gpus.training
    vllm = aepo.vllm
    if vllm.mode == "none":
        raise UserError("aepo.vllm.mode is none: only rollouts drawn by vLLM are estimated")
    rollouts = aepo.rollouts or Inputs.model_fields["rollouts"].default
    of_pass = aepo.prompts * rollouts / aepo.updates / gpus / aepo.micro_batches
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
        "rows": max(1, round(of_pass)),
        "vllm_colocated": int(vllm.mode == "colocate"),
    }
    if vllm.mode == "server":
        return found
    return found | {
        "vllm_share": vllm.gpu_memory,
        "vllm_tensor_parallel": vllm.tensor_parallel,
        "vllm_sleeps": int(vllm.sleep),
    }


def phases(shape: ModelShape, inputs: Inputs) -> dict[str, dict[str, float]]:
    """What lies on a GPU at the peak of each phase, part by part, in GB.

    The phases are the cold start, and AEPO's update and its generation on the same GPUs.
    """
    drawing = inputs.vllm_colocated * inputs.vllm_share * inputs.gpu_memory
    frozen = shape.vision_parameters if inputs.freeze_vision else 0
    longest = inputs.prompt_longest + inputs.response_longest
    # The reference policy is sharded as the policy is.
    reference = inputs.reference * shape.parameters * inputs.reference_bytes / inputs.shards / GB
    held = {**state(shape.parameters, 0, inputs), "reference policy": reference}
    # Logits are computed for the response alone.
    update = passing(shape, inputs, inputs.rows, longest, inputs.response_longest, True)
    fitted = passing(shape, inputs, inputs.sft_rows, inputs.sft_longest, inputs.sft_longest, False)
    last = {"overhead": inputs.overhead}
    awake = {"vLLM, awake": 0.0 if inputs.vllm_sleeps else drawing}
    return {
        "cold start": {**state(shape.parameters - frozen, frozen, inputs), **fitted, **last},
        "AEPO, update": {**held, **update, **awake, **last},
        # Gradients are freed between steps.
        "AEPO, generation": {**held, "gradients": 0.0, "vLLM": drawing, **last},
    }


def state(trained: int, frozen: int, inputs: Inputs) -> dict[str, float]:
    """Weights, gradients and AdamW's moments on one GPU, in GB.

    Args:
        trained, frozen: numbers of weights; frozen ones have no gradients and no moments.
    """
    share = 1 / inputs.shards / GB
    return {
        "weights": (trained + frozen) * inputs.weight_bytes * share,
        "gradients": trained * inputs.gradient_bytes * share,
        "AdamW": trained * inputs.adamw_bytes * share,
    }


def passing(
    shape: ModelShape, inputs: Inputs, rows: int, longest: int, with_logits: int, vision: bool
) -> dict[str, float]:
    """What a forward and backward pass over some rows holds on one GPU, in GB.

    FSDP keeps what belongs to no layer (embedding, output layer) whole from forward to backward,
    and two layers, the second fetched ahead; the gradients of the largest unit are whole once.
    Where nothing is sharded, autocast copies weights to the computing type as it goes: the same.

    Args:
        longest: tokens of every row. with_logits: those of them whose logits are computed.
        vision: whether the vision tower is trained, so that it keeps activations too.
    """
    size, checkpointing = inputs.compute_bytes, bool(inputs.checkpointing)
    gathered = 2 * (shape.embeddings + shape.text.layer_parameters) * size
    kept = rows * longest * shape.activation_bytes(size, checkpointing)
    kept += vision * rows * inputs.patches * shape.vision_bytes(size, checkpointing)
    # With checkpointing one layer is made again at a time, after the logits are gone.
    again = checkpointing * rows * longest * shape.text.layer_activation_bytes(size)
    last = logits(shape, inputs, rows * with_logits)
    return {
        "gathered weights": gathered / GB,
        "activations": kept / GB,
        "logits" if last > again else "a layer made again": max(last, again) / GB,
    }


def logits(shape: ModelShape, inputs: Inputs, tokens: int) -> float:
    """Bytes of the output layer's pass over that many tokens.

    In tiles: one tile, and float32 gradients of the tokens and of the layer's weights.
    """
    text = shape.text
    if inputs.whole_logits:
        return tokens * text.vocabulary * inputs.logit_bytes
    tile = min(tokens, TILE[0]) * min(text.vocabulary, TILE[1]) * inputs.compute_bytes
    return tile + 4 * text.hidden * (tokens + text.vocabulary)


def vllm_cache_tokens(shape: ModelShape, inputs: Inputs) -> float:
    """Tokens that the KV cache of one copy of the model holds, over all its GPUs."""
    size = inputs.compute_bytes
    pool = inputs.vllm_share * inputs.gpu_memory - inputs.vllm_activations
    free = pool * GB * inputs.vllm_tensor_parallel - shape.parameters * size
    return free / shape.kv_bytes(size)


@dataclass(frozen=True)
class StepTime:
    """Seconds of one step of AEPO, and what the rollouts meet while they are drawn.

    sequences: at once per copy of the model. bound: what decoding waits for, "memory" or "FLOPs".
    """

    generation: float
    scoring: float
    update: float
    sequences: float
    bound: str

    @property
    def total(self) -> float:
        """Seconds."""
        return self.generation + self.scoring + self.update


def forward_flops(shape: ModelShape, inputs: Inputs, tokens: float, with_logits: float) -> float:
    """FLOPs of a forward pass over one sequence with a picture of the usual size."""
    layers = shape.layer_flops([tokens], inputs.causal)
    return layers + shape.logit_flops(with_logits) + shape.vision_flops(inputs.patches)


def training_flops(
    shape: ModelShape, inputs: Inputs, tokens: float, with_logits: float, frozen_vision: bool
) -> float:
    """FLOPs of forward and backward over one sequence with a picture of the usual size.

    Three forward passes, and what is made again: activations with checkpointing, tiles of logits.
    One forward pass for a vision tower that is frozen.
    """
    layers = 3 * shape.layer_flops([tokens], inputs.causal)
    if inputs.checkpointing:
        layers += shape.recomputed_flops([tokens], inputs.causal)
    tiles = shape.logit_flops(with_logits) * (3 if inputs.whole_logits else 4)
    times = 1 if frozen_vision else 4 if inputs.checkpointing else 3
    return layers + tiles + times * shape.vision_flops(inputs.patches)


def cold_start_seconds(shape: ModelShape, inputs: Inputs) -> float:
    """Seconds of the whole cold start."""
    mean = min(inputs.sft_mean, inputs.sft_longest)
    flops = training_flops(shape, inputs, mean, mean, bool(inputs.freeze_vision))
    return inputs.sft_samples * inputs.sft_epochs * flops / inputs.rate


def step_of(shape: ModelShape, inputs: Inputs) -> StepTime:
    """One step of AEPO."""
    kept, drawn = inputs.prompts * inputs.rollouts, inputs.prompts * (1 + inputs.refill)
    response = min(inputs.response_mean, inputs.response_longest)
    tokens = inputs.prompt_mean + response
    passes = inputs.passes_without_gradient + inputs.reference
    scoring = passes * forward_flops(shape, inputs, tokens, response)
    update = training_flops(shape, inputs, tokens, response, False)
    prefill = forward_flops(shape, inputs, inputs.prompt_mean, 1)
    seconds, sequences, bound = decode(shape, inputs, drawn * inputs.rollouts, response)
    generation = seconds * inputs.straggle + drawn * prefill / inputs.rate
    passed = (kept * flops / inputs.rate for flops in (scoring, update))
    return StepTime(generation, *passed, sequences, bound)


def decode(
    shape: ModelShape, inputs: Inputs, rollouts: float, response: float
) -> tuple[float, float, str]:
    """Seconds to draw `rollouts` responses with all slots full, sequences at once, and the bound.

    A decoding step reads the weights once and the caches of all its sequences, and computes two
    FLOPs per weight and sequence; it takes the longer of the two times. The weights are all but the
    vision tower and an untied input embedding.

    Raises:
        UserError: the cache holds no single sequence.
    """
    per_copy, size = inputs.vllm_tensor_parallel, inputs.compute_bytes
    copies = inputs.drawing_gpus / per_copy
    context = inputs.prompt_mean + response / 2  # on average while it grows
    room = vllm_cache_tokens(shape, inputs) / context
    if room < 1:
        raise UserError(
            "vLLM's share of memory holds the weights and no cache: raise vllm_share or "
            "vllm_tensor_parallel"
        )
    sequences = min(room, inputs.vllm_sequences, rollouts / copies)
    text = shape.text
    weights = shape.language_parameters - (0 if shape.tied else text.vocabulary * text.hidden)
    read = weights * size + sequences * context * shape.kv_bytes(size)
    memory = read / (inputs.bandwidth * 1e12 * inputs.decode_bandwidth * per_copy)
    compute = 2 * weights * sequences / (inputs.peak * 1e12 * inputs.mfu * per_copy)
    steps = rollouts * response / copies / sequences
    return steps * max(memory, compute), sequences, "memory" if memory > compute else "FLOPs"


def inputs_of(
    config: str | None,
    model: str | None,
    gpu: str,
    given: Mapping[str, Any],
    changes: Sequence[str],
) -> tuple[ModelShape, Inputs, dict[str, str]]:
    """Shape, inputs, and where each input that is no default is from.

    Args:
        config: a scale of the paper's kind. model: a shape; None: that of the config.
        given: inputs by name, None where not given. changes: NAME=VALUE.

    Raises:
        UserError: neither a config nor a shape, an unknown assumption, impossible sizes.
    """
    scale = load_config(config, of_data_sets=True) if config else None
    model = model or (scale.model if scale else None)
    if model is None:
        raise UserError("say what to estimate: --config paper-7b, or --model-shape 7b")
    pairs = (change.replace(",", "").partition("=") for change in changes)
    told = {name: value for name, value in given.items() if value is not None}
    told |= {name: value for name, _, value in pairs}
    of_scale = from_config(scale) if scale else {}
    sources = dict.fromkeys(GPUS[gpu], f"data sheet of {gpu}")
    sources |= dict.fromkeys(of_scale, str(config)) | dict.fromkeys(told, "given")
    inputs = checked(Inputs, {**GPUS[gpu], **of_scale, **told}, "--set")
    return load_shape(model), inputs, sources


def report(shape: ModelShape, inputs: Inputs, sources: Mapping[str, str]) -> str:
    """The whole page."""
    lines = [
        f"{shape.name}: {shape.parameters:,} parameters, {shape.vision_parameters:,} of them in "
        f"the vision tower; KV cache {shape.kv_bytes(inputs.compute_bytes):,} bytes per token",
        "",
        f"Memory per GPU, GB of {inputs.gpu_memory:g} (calculated)",
    ]
    for phase, parts in phases(shape, inputs).items():
        total = sum(parts.values())
        verdict = "fits" if total <= inputs.gpu_memory else "DOES NOT FIT"
        listed = ", ".join(f"{name} {value:.1f}" for name, value in parts.items() if value)
        lines += [f"  {phase:18} {total:7.1f}  {verdict}", f"    {listed}"]
    lines += ["", *_time_lines(shape, inputs)]
    lines += ["", "Assumptions (change one with --set NAME=VALUE)"]
    for name, field in Inputs.model_fields.items():
        told = cast("dict", field.json_schema_extra)
        source = sources.get(name, told["source"])
        lines.append(f"  {name:24} {getattr(inputs, name):>10,g}  {told['unit']} [{source}]")
    return "\n".join(lines)


def _time_lines(shape: ModelShape, inputs: Inputs) -> list[str]:
    step = step_of(shape, inputs)
    cold_start = cold_start_seconds(shape, inputs) / HOUR
    aepo = step.total * inputs.steps * inputs.arms / HOUR
    return [
        f"Time on {inputs.gpus} GPUs (calculated; without loading, checkpoints, pass rates, "
        "evaluation)",
        f"  cold start         {cold_start:9.1f} h   {cold_start * inputs.gpus:,.0f} GPU hours",
        f"  a step of AEPO     {step.total:9.0f} s   generation {step.generation:.0f}, scoring "
        f"{step.scoring:.0f}, update {step.update:.0f}",
        f"  AEPO, {inputs.steps:g} x {inputs.arms:<9g} {aepo:9.1f} h   "
        f"{aepo * inputs.gpus:,.0f} GPU hours",
        f"  decoding: {step.sequences:.0f} sequences at once per copy of the model, bound by "
        f"{step.bound}; its cache holds {vllm_cache_tokens(shape, inputs):,.0f} tokens",
    ]
