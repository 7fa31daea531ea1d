"""`ares export`: a checkpoint of training as a folder that vLLM and stock transformers load."""

from __future__ import annotations

import argparse


def register(commands: argparse._SubParsersAction) -> None:
    """Add the subcommand `export`."""
    parser = commands.add_parser(
        "export", help="turn a checkpoint into a folder for vLLM and stock transformers"
    )
    parser.add_argument(
        "checkpoint", metavar="CHECKPOINT", help="folder, such as .../checkpoint-40"
    )
    parser.add_argument("--out", required=True, metavar="FOLDER", help="must not be there yet")
    parser.add_argument(
        "--dtype",
        choices=("bfloat16", "float16", "float32"),
        help="(default: float16 stays, all else becomes bfloat16)",
    )
    parser.add_argument(
        "--shard", default="5GB", metavar="SIZE", help="size of a weight file (default: 5GB)"
    )
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> None:
    """Write the folder and say what is in it.

    Raises:
        UserError: see `ares.model.export.export`.
    """
    import re

    from transformers.utils import logging

    from ares.errors import UserError
    from ares.model.export import export

    if not re.fullmatch(r"[1-9][0-9]*[KMG]B", options.shard):
        raise UserError(f"--shard {options.shard}: a number and KB, MB or GB, such as 5GB")
    logging.disable_progress_bar()
    for file in export(options.checkpoint, options.out, options.dtype, options.shard):
        print(f"{file.stat().st_size:>14,}  {file.name}")
    print(f"wrote {options.out}; serve it with: vllm serve {options.out}")
