"""`ares estimate` and `ares export`: what a model takes, and a folder that others load."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

from typer import Argument

from ares.cli.options import Dtype, option

Gpu = Literal["a100", "h100", "h200"]


def estimate(
    config: Annotated[str | None, option("of the paper's kind, such as paper-7b", "SCALE")] = None,
    model_shape: Annotated[
        str | None, option("3b, 7b or a folder; else the config's", "NAME")
    ] = None,
    gpus: Annotated[int | None, option("of a training job", "N", min=1)] = None,
    gpu: Annotated[Gpu, option("whose data sheet gives memory and speed")] = "h100",
    gpu_memory: Annotated[float | None, option("of one GPU", "GB")] = None,
    change: Annotated[
        list[str] | None,
        option("change a listed assumption; may be repeated", "NAME=VALUE", name="--set"),
    ] = None,
) -> None:
    """Estimate memory and time of a cold start and of AEPO, with every assumption and its source.

    Calculated, not measured: see docs/estimate.md.
    """
    from ares.estimate import inputs_of, report

    given = {"gpus": gpus, "gpu_memory": gpu_memory}
    print(report(*inputs_of(config, model_shape, gpu, given, change or [])))


def export(
    checkpoint: Annotated[str, Argument(metavar="CHECKPOINT", help="such as .../checkpoint-40")],
    out: Annotated[Path, option("must not be there yet", "FOLDER")],
    dtype: Annotated[Dtype | None, option("default: float16 stays, others: bfloat16")] = None,
    shard: Annotated[str, option("of a weight file", "SIZE")] = "5GB",
) -> None:
    """Turn a checkpoint into a folder for vLLM and stock transformers."""
    import re

    from transformers.utils import logging

    from ares.errors import UserError
    from ares.model.save import export

    if not re.fullmatch(r"[1-9][0-9]*[KMG]B", shard):
        raise UserError(f"--shard {shard}: a number and KB, MB or GB, such as 5GB")
    logging.disable_progress_bar()
    for file in export(checkpoint, out, dtype, shard):
        print(f"{file.stat().st_size:>14,}  {file.name}")
    print(f"wrote {out}; serve it with: vllm serve {out}")
