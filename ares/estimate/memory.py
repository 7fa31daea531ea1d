"""Memory of one GPU in each phase of a run, part by part, in GB (10^9 bytes)."""

from __future__ import annotations

from dataclasses import dataclass

from ares.estimate.inputs import Inputs
from ares.estimate.model_shapes import ModelShape

GB = 1e9
#: Tokens and vocabulary of a tile of logits in TRL 1.16.
TILE = (4096, 32768)


@dataclass(frozen=True)
class Phase:
    """What lies on a GPU at the peak of a phase. parts: name -> GB."""

    name: str
    parts: dict[str, float]

    @property
    def total(self) -> float:
        """GB."""
        return sum(self.parts.values())


def phases(shape: ModelShape, inputs: Inputs) -> list[Phase]:
    """The peaks of the cold start, and of AEPO's update and its generation on the same GPUs."""
    drawing = inputs.vllm_colocated * inputs.vllm_share * inputs.gpu_memory
    frozen = shape.vision.parameters if inputs.freeze_vision else 0
    cold_start = {
        **state(shape.parameters - frozen, frozen, inputs),
        **passing(shape, inputs, inputs.sft_rows * inputs.sft_longest, inputs.sft_longest, False),
    }
    longest = inputs.prompt_longest + inputs.response_longest
    held = state(shape.parameters, 0, inputs)
    # The reference policy is sharded as the policy is.
    bytes_held = inputs.reference * shape.parameters * inputs.reference_bytes
    held["reference policy"] = bytes_held / (inputs.gpus if inputs.sharded else 1) / GB
    update = {
        **held,
        # Logits are computed for the response alone.
        **passing(shape, inputs, inputs.rows * longest, inputs.response_longest, True),
        "vLLM, awake": 0.0 if inputs.vllm_sleeps else drawing,
    }
    # Gradients are freed between steps.
    generation = {**held, "gradients": 0.0, "vLLM": drawing}
    return [
        Phase(name, {**parts, "overhead": inputs.overhead})
        for name, parts in (
            ("cold start", cold_start),
            ("AEPO, update", update),
            ("AEPO, generation", generation),
        )
    ]


def state(trained: int, frozen: int, inputs: Inputs) -> dict[str, float]:
    """Weights, gradients and AdamW's moments on one GPU, in GB.

    Args:
        trained, frozen: numbers of weights; frozen ones have no gradients and no moments.
    """
    share = 1 / (inputs.gpus if inputs.sharded else 1) / GB
    return {
        "weights": (trained + frozen) * inputs.weight_bytes * share,
        "gradients": trained * inputs.gradient_bytes * share,
        "AdamW": trained * inputs.adamw_bytes * share,
    }


def passing(
    shape: ModelShape, inputs: Inputs, tokens: int, logits_a_row: int, vision: bool
) -> dict[str, float]:
    """What a forward and backward pass holds on one GPU, in GB.

    Args:
        tokens: of the pass, all its rows, at their longest.
        logits_a_row: tokens of a row whose logits are computed.
        vision: whether the vision tower is trained, so that it keeps activations too.
    """
    size, checkpointing = inputs.compute_bytes, bool(inputs.checkpointing)
    row = inputs.prompt_longest + inputs.response_longest
    patches = tokens / row * inputs.patches if vision else 0.0
    logit_tokens = (inputs.rows if vision else inputs.sft_rows) * logits_a_row
    kept = tokens * activation_bytes(shape, size, checkpointing)
    # With checkpointing one layer is made again at a time, after the logits are gone.
    again = tokens * shape.layer_activation_bytes(size) if checkpointing else 0
    last = max(logits(shape, inputs, logit_tokens), again)
    return {
        "gathered weights": gathered(shape, inputs) / GB,
        "activations": (kept + patches * vision_bytes(shape, size, checkpointing)) / GB,
        "logits" if last > again else "a layer made again": last / GB,
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


def activation_bytes(shape: ModelShape, size: int, checkpointing: bool) -> int:
    """Bytes per token that the language model keeps for its backward pass, without the logits.

    With checkpointing that is the input of every layer.
    """
    text = shape.text
    layer = size * text.hidden if checkpointing else shape.layer_activation_bytes(size)
    return text.layers * layer + shape.shared_activation_bytes(size)


def vision_bytes(shape: ModelShape, size: int, checkpointing: bool) -> int:
    """The same per patch of the vision tower.

    A block keeps what a layer keeps, and queries, keys and values twice (before and after the
    rotation), and its output before and after heads are joined. Kept once: pixels, the merger's
    norm, inputs of its two layers and of its activation, angles and window indices.
    """
    vision = shape.vision
    norm = 4 * vision.hidden + size * vision.hidden + 4
    block = 2 * norm + size * (9 * vision.hidden + 4 * vision.intermediate) + 4 * vision.heads
    pixels = size * vision.channels * vision.temporal * vision.patch**2
    shared = pixels + norm + 3 * size * vision.hidden + 8 * vision.hidden // vision.heads + 4
    return vision.layers * (size * vision.hidden if checkpointing else block) + shared


def gathered(shape: ModelShape, inputs: Inputs) -> float:
    """Bytes of whole weights beside the shards.

    FSDP keeps what belongs to no layer (embedding, output layer) whole from forward to backward,
    and two layers, the second fetched ahead; the gradients of the largest unit are whole once.
    Where nothing is sharded, autocast copies weights to the computing type as it goes: the same.
    """
    text = shape.text
    root = text.vocabulary * text.hidden * (1 if text.tied else 2)
    return (2 * root + 2 * text.layer_parameters) * inputs.compute_bytes


def vllm_cache_tokens(shape: ModelShape, inputs: Inputs) -> float:
    """Tokens that the KV cache of one copy of the model holds, over all its GPUs."""
    weights = shape.parameters * inputs.compute_bytes
    pool = inputs.vllm_share * inputs.gpu_memory - inputs.vllm_activations
    return (pool * GB * inputs.vllm_tensor_parallel - weights) / shape.kv_bytes(
        inputs.compute_bytes
    )
