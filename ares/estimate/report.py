"""From options to inputs, and from an estimate to a page of text."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, cast

from ares.config import load_config
from ares.errors import UserError
from ares.estimate.inputs import GPUS, Inputs, from_config
from ares.estimate.memory import Phase, phases, vllm_cache_tokens
from ares.estimate.model_shapes import ModelShape, load_shape
from ares.estimate.timing import HOUR, cold_start_seconds, step_of
from ares.settings import checked


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
        gpu: a key of `GPUS`. given: inputs by name, None where not given. changes: NAME=VALUE.

    Raises:
        UserError: neither a config nor a shape, an unknown assumption, impossible sizes.
    """
    values: dict[str, Any] = {}
    sources: dict[str, str] = {}

    def take(found: dict[str, Any], source: str) -> None:
        values.update(found)
        sources.update(dict.fromkeys(found, source))

    sheet = zip(("peak", "bandwidth", "gpu_memory"), GPUS[gpu], strict=True)
    take(dict(sheet), f"data sheet of {gpu}")
    if config:
        scale = load_config(config, of_data_sets=True)
        take(from_config(scale), config)
        model = model or scale.model
    if model is None:
        raise UserError("say what to estimate: --config paper-7b, or --model-shape 7b")
    take({name: value for name, value in given.items() if value is not None}, "given")
    pairs = (change.replace(",", "").partition("=") for change in changes)
    take({name: value for name, _, value in pairs}, "given")
    return load_shape(model), checked(Inputs, values, "--set"), sources


def report(shape: ModelShape, inputs: Inputs, sources: dict[str, str]) -> str:
    """The whole page."""
    lines = [
        f"{shape.name}: {shape.parameters:,} parameters, {shape.vision.parameters:,} of them in "
        f"the vision tower; KV cache {shape.kv_bytes(inputs.compute_bytes):,} bytes per token",
        "",
        f"Memory per GPU, GB of {inputs.gpu_memory:g} (calculated)",
    ]
    found = phases(shape, inputs)
    for phase in found:
        lines += _memory_lines(phase, inputs.gpu_memory)
    lines += ["", *_time_lines(shape, inputs)]
    lines += ["", "Assumptions (change one with --set NAME=VALUE)"]
    for name, field in Inputs.model_fields.items():
        value, told = getattr(inputs, name), cast("dict", field.json_schema_extra)
        source = sources.get(name, told["source"])
        lines.append(f"  {name:24} {value:>10,g}  {told['unit']} [{source}]")
    return "\n".join(lines)


def _memory_lines(phase: Phase, gpu_memory: float) -> list[str]:
    verdict = "fits" if phase.total <= gpu_memory else "DOES NOT FIT"
    parts = ", ".join(f"{name} {value:.1f}" for name, value in phase.parts.items() if value)
    return [f"  {phase.name:18} {phase.total:7.1f}  {verdict}", f"    {parts}"]


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
