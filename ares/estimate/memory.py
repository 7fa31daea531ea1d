"""Memory of one GPU in each phase of a run, part by part, in GB (10^9 bytes)."""

from __future__ import annotations

from dataclasses import dataclass

from ares.estimate.inputs import Inputs
from ares.estimate.model_shapes import ModelShape

GB = 1e9


@dataclass(frozen=True)
class Phase:
    """What lies on a GPU at the peak of a phase. parts: name -> GB."""

    name: str
    parts: dict[str, float]

    @property
    def total(self) -> float:
        """GB."""
        return sum(self.parts.values())

    def fits(self, gpu_memory: float) -> bool:
        """Whether it fits into that many GB."""
        return self.total <= gpu_memory


def phases(shape: ModelShape, inputs: Inputs) -> list[Phase]:
    """The three peaks: cold start, update of AEPO, generation of AEPO with vLLM on the same GPUs."""
    asleep = 0.0 if inputs.vllm_sleeps else inputs.vllm_share * inputs.gpu_memory
    frozen = shape.vision.parameters if inputs.freeze_vision else 0
    cold_start = {
        **state(shape.parameters - frozen, frozen, inputs),
        **passing(shape, inputs, inputs.sft_rows * inputs.sft_longest, inputs.sft_longest, False),
    }
    longest = inputs.prompt_longest + inputs.response_longest
    update = {
        **state(shape.parameters, 0, inputs),
        "reference policy": reference(shape, inputs),
        # Logits are computed for the response alone.
        **passing(shape, inputs, inputs.rows * longest, inputs.response_longest, True),
        "vLLM, awake": asleep,
    }
    generation = {
        **state(shape.parameters, 0, inputs),
        "reference policy": reference(shape, inputs),
        "vLLM": inputs.vllm_share * inputs.gpu_memory,
    }
    # Gradients are freed between steps.
    generation.pop("gradients")
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


def reference(shape: ModelShape, inputs: Inputs) -> float:
    """The reference policy on one GPU, in GB; sharded as the policy is."""
    share = 1 / (inputs.gpus if inputs.sharded else 1) / GB
    return inputs.reference * shape.parameters * inputs.reference_bytes * share


def passing(
    shape: ModelShape, inputs: Inputs, tokens: int, logits_a_row: int, vision: bool
) -> dict[str, float]:
    """What a forward and backward pass holds on one GPU, in GB.

    Args:
        tokens: of the pass, all its rows, at their longest.
        logits_a_row: tokens of a row whose logits are computed.
        vision: whether the vision tower is trained, so that it keeps activations too.
    """
    size, text = inputs.compute_bytes, shape.text
    rows = tokens / (inputs.prompt_longest + inputs.response_longest) if vision else 0.0
    logit_tokens = (inputs.rows if vision else inputs.sft_rows) * logits_a_row
    return {
        "gathered weights": gathered(shape, inputs) / GB,
        "activations": tokens * activation_bytes(shape, size, bool(inputs.checkpointing)) / GB
        + rows * inputs.patches * vision_bytes(shape, size, bool(inputs.checkpointing)) / GB,
        "logits": logit_tokens * text.vocabulary * inputs.logit_bytes / GB,
    }


def activation_bytes(shape: ModelShape, size: int, checkpointing: bool) -> int:
    """Bytes per token that the language model keeps for its backward pass, without the logits.

    With checkpointing: the input of every layer, and one layer's activations as they are made
    again.
    """
    layer, text = shape.layer_activation_bytes(size), shape.text
    shared = shape.shared_activation_bytes(size)
    if checkpointing:
        return text.layers * size * text.hidden + layer + shared
    return text.layers * layer + shared


def vision_bytes(shape: ModelShape, size: int, checkpointing: bool) -> int:
    """The same per patch of the vision tower, whose blocks are built as the layers are."""
    vision = shape.vision
    norms = 2 * (4 * vision.hidden + size * vision.hidden + 4)
    block = norms + size * (6 * vision.hidden + 4 * vision.intermediate) + 4 * vision.heads
    if checkpointing:
        return vision.layers * size * vision.hidden + block
    return vision.layers * block


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
