"""`ares estimate`: what a run at the paper's scale takes, before it is started."""

from __future__ import annotations

import argparse


def register(commands: argparse._SubParsersAction) -> None:
    """Add the subcommand `estimate`."""
    parser = commands.add_parser(
        "estimate",
        help="memory and time of a cold start and of AEPO at a model's shape and a cluster's size",
        description="Prints memory per GPU and time, and every assumption with its source. "
        "Calculated, not measured: see docs/estimate.md.",
    )
    parser.add_argument("--config", metavar="SCALE", help="of the paper's kind, such as paper-7b")
    parser.add_argument(
        "--model-shape", metavar="NAME", help="3b, 7b or a model folder; default: the config's"
    )
    parser.add_argument("--gpus", type=int, metavar="N", help="of a training job")
    parser.add_argument("--gpu", choices=("a100", "h100", "h200"), default="h100")
    parser.add_argument("--gpu-memory", type=float, metavar="GB", help="of one GPU")
    parser.add_argument(
        "--set",
        action="append",
        default=[],
        metavar="NAME=VALUE",
        help="change an assumption of the printed list; may be repeated",
    )
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> None:
    """Print the estimate.

    Raises:
        UserError: neither a config nor a shape, an unknown assumption, impossible sizes.
    """
    from ares.estimate.report import estimate, report

    print(report(*estimate(options)))
