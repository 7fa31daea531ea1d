"""`ares estimate` and `ares export`: what a model takes, and a folder that others load."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

from typer import Argument, Option

from ares.cli.options import Dtype


def estimate(
    config: Annotated[
        str | None, Option(metavar="SCALE", help="of the paper's kind, such as paper-7b")
    ] = None,
    model_shape: Annotated[
        str | None, Option(metavar="NAME", help="3b, 7b or a model folder; default: the config's")
    ] = None,
    gpus: Annotated[int | None, Option(min=1, metavar="N", help="of a training job")] = None,
    gpu: Annotated[
        Literal["a100", "h100", "h200"], Option(help="whose data sheet gives memory and speed")
    ] = "h100",
    gpu_memory: Annotated[float | None, Option(metavar="GB", help="of one GPU")] = None,
    change: Annotated[
        list[str] | None,
        Option("--set", metavar="NAME=VALUE", help="change a listed assumption; may be repeated"),
    ] = None,
) -> None:
    """Tell memory and time of a cold start and of AEPO, with every assumption and its source.

    Calculated, not measured: see docs/estimate.md.
    """
    from ares.estimate.report import inputs_of, report

    given = {"gpus": gpus, "gpu_memory": gpu_memory}
    print(report(*inputs_of(config, model_shape, gpu, given, change or [])))


def export(
    checkpoint: Annotated[str, Argument(metavar="CHECKPOINT", help="such as .../checkpoint-40")],
    out: Annotated[Path, Option(metavar="FOLDER", help="must not be there yet")],
    dtype: Annotated[
        Dtype | None, Option(help="default: float16 stays, all else becomes bfloat16")
    ] = None,
    shard: Annotated[str, Option(metavar="SIZE", help="of a weight file")] = "5GB",
) -> None:
    """Turn a checkpoint into a folder for vLLM and stock transformers."""
    import re

    from transformers.utils import logging

    from ares.errors import UserError
    from ares.model.export import export

    if not re.fullmatch(r"[1-9][0-9]*[KMG]B", shard):
        raise UserError(f"--shard {shard}: a number and KB, MB or GB, such as 5GB")
    logging.disable_progress_bar()
    for file in export(checkpoint, out, dtype, shard):
        print(f"{file.stat().st_size:>14,}  {file.name}")
    print(f"wrote {out}; serve it with: vllm serve {out}")
