"""Time of a cold start and of AEPO: FLOPs over an assumed rate, decoding by the roofline."""

from __future__ import annotations

from dataclasses import dataclass

from ares.errors import UserError
from ares.estimate.inputs import Inputs
from ares.estimate.memory import vllm_cache_tokens
from ares.estimate.model_shapes import ModelShape

HOUR = 3600.0


@dataclass(frozen=True)
class Step:
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


def forward_flops(
    shape: ModelShape, inputs: Inputs, tokens: float, logit_tokens: float, patches: float
) -> float:
    """FLOPs of a forward pass over one sequence, `logit_tokens` of it with logits."""
    return (
        shape.layer_flops([tokens], inputs.causal)
        + shape.logit_flops(logit_tokens)
        + shape.vision_flops(patches)
    )


def training_flops(
    shape: ModelShape, inputs: Inputs, tokens: float, logit_tokens: float, frozen_vision: bool
) -> float:
    """FLOPs of forward and backward over one sequence with a picture of the usual size.

    Three forward passes, and what is made again: activations with checkpointing, tiles of logits.
    One forward pass for a vision tower that is frozen.
    """
    layers = 3 * shape.layer_flops([tokens], inputs.causal)
    if inputs.checkpointing:
        layers += shape.recomputed_flops([tokens], inputs.causal)
    logits = shape.logit_flops(logit_tokens) * (3 if inputs.whole_logits else 4)
    times = 1 if frozen_vision else 4 if inputs.checkpointing else 3
    return layers + logits + times * shape.vision_flops(inputs.patches)


def cold_start_seconds(shape: ModelShape, inputs: Inputs) -> float:
    """Seconds of the whole cold start."""
    mean = min(inputs.sft_mean, inputs.sft_longest)
    flops = training_flops(shape, inputs, mean, mean, bool(inputs.freeze_vision))
    return inputs.sft_samples * inputs.sft_epochs * flops / rate(inputs)


def step_of(shape: ModelShape, inputs: Inputs) -> Step:
    """One step of AEPO."""
    kept = inputs.prompts * inputs.rollouts
    response = min(inputs.response_mean, inputs.response_longest)
    tokens = inputs.prompt_mean + response
    passes = inputs.passes_without_gradient + inputs.reference
    scoring = passes * forward_flops(shape, inputs, tokens, response, inputs.patches)
    drawn = inputs.prompts * (1 + inputs.refill)
    seconds, sequences, bound = decode(shape, inputs, drawn * inputs.rollouts, response)
    prefill = forward_flops(shape, inputs, inputs.prompt_mean, 1, inputs.patches)
    return Step(
        generation=seconds * inputs.straggle + drawn * prefill / rate(inputs),
        scoring=kept * scoring / rate(inputs),
        update=kept * training_flops(shape, inputs, tokens, response, False) / rate(inputs),
        sequences=sequences,
        bound=bound,
    )


def decode(
    shape: ModelShape, inputs: Inputs, rollouts: float, response: float
) -> tuple[float, float, str]:
    """Seconds to draw `rollouts` responses with all slots full, sequences at once, and the bound.

    A decoding step reads the weights once and the caches of all its sequences, and computes two
    FLOPs per weight and sequence; it takes the longer of the two times.

    Raises:
        UserError: the cache holds no single sequence.
    """
    copies = inputs.drawing_gpus / inputs.vllm_tensor_parallel
    context = inputs.prompt_mean + response / 2  # on average while it grows
    room = vllm_cache_tokens(shape, inputs) / context
    if room < 1:
        raise UserError(
            "vLLM's share of memory holds the weights and no cache: raise vllm_share or "
            "vllm_tensor_parallel"
        )
    sequences = min(room, inputs.vllm_sequences, rollouts / copies)
    weights = language_weights(shape) * inputs.compute_bytes
    read = weights + sequences * context * shape.kv_bytes(inputs.compute_bytes)
    per_copy = inputs.vllm_tensor_parallel
    memory = read / (inputs.bandwidth * 1e12 * inputs.decode_bandwidth * per_copy)
    compute = 2 * language_weights(shape) * sequences / (inputs.peak * 1e12 * inputs.mfu * per_copy)
    steps = rollouts * response / copies / sequences
    return steps * max(memory, compute), sequences, "memory" if memory > compute else "FLOPs"


def language_weights(shape: ModelShape) -> int:
    """Weights that a new token meets: all but the vision tower and an untied input embedding."""
    text = shape.text
    return text.parameters - (0 if text.tied else text.vocabulary * text.hidden)


def rate(inputs: Inputs) -> float:
    """FLOP/s of all GPUs."""
    return inputs.gpus * inputs.peak * 1e12 * inputs.mfu
