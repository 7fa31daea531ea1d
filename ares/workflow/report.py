"""`ares report`: the findings of a run beside the paper's claims, as one HTML page."""

from __future__ import annotations

import argparse
from pathlib import Path


def register(commands: argparse._SubParsersAction) -> None:
    """Add the subcommand `report`."""
    parser = commands.add_parser(
        "report", help="write the findings page of a run: claims, numbers, verdicts, figures"
    )
    chosen = parser.add_mutually_exclusive_group(required=True)
    chosen.add_argument("scale", nargs="?", metavar="SCALE", help="its last complete run is shown")
    chosen.add_argument(
        "--reference",
        action="store_true",
        help="show the run in data/reference instead, as docs/findings.html",
    )
    parser.add_argument(
        "--out",
        metavar="FOLDER",
        help="receives index.html, notebooks/ and data/ (default: results/SCALE/report)",
    )
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> None:
    """Write the page and say where it is.

    Raises:
        UserError: unknown scale, a scale without findings, or a run that did not end.
    """
    from ares import paths
    from ares.config import SMALL_WORLD, config_path, load_config
    from ares.errors import UserError
    from ares.report import folder

    if options.reference:
        if options.out:
            raise UserError("--out: the page of the reference run is docs/findings.html")
        written = folder.write_reference()
    else:
        config = load_config(options.scale, SMALL_WORLD)
        results = paths.RESULTS / config["scale"]
        if not (results / "manifest.json").is_file():
            raise UserError(
                f"scale '{config['scale']}' has not been run to its end: snakemake --cores all "
                f"--config scale={options.scale}"
            )
        out = paths.resolve(options.out) if options.out else results / "report"
        given = given_as(config_path(options.scale), config["scale"])
        written = folder.write_run(config["scale"], given, out)
    print(f"made {shown(written)}")


def given_as(path: Path, scale: str) -> str:
    """How a scale is named on a command line: by its name, or by a file elsewhere."""
    from ares import paths

    return scale if path.parent == paths.CONFIG else shown(path)


def shown(path: Path) -> str:
    """A path relative to the repository where it lies there."""
    from ares import paths

    return str(path.relative_to(paths.ROOT) if path.is_relative_to(paths.ROOT) else path)
