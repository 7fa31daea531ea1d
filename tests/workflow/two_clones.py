"""Run a scale a second time, in a clean copy and on another number of cores, and compare.

    make test-twice                                  (scale smoke: about ten minutes)
    make test-laptop                                 (scale laptop: twice the time of make figures)
    python tests/workflow/two_clones.py smoke --here 2

The copy holds what a clone would, with changes that are not committed. It imports its own `ares`;
only the installed packages are shared. Every file that this checkout made for the scale is then
compared with the copy's by its hash (`ares compare`).
"""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from ares import cli
from ares.config import load_config

ROOT = Path(__file__).resolve().parents[2]


def main() -> int:
    """Copy, run, compare; return the exit status of `ares compare`."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("scale")
    parser.add_argument("--here", default="all", help="cores that this checkout's run was given")
    options = parser.parse_args()
    here = (os.cpu_count() or 1) if options.here == "all" else int(options.here)
    there = 1 if here > 1 else 2
    made = f"results/{load_config(options.scale).scale}/manifest.json"
    if not (ROOT / made).is_file():
        parser.error(f"no {made}: make figures SCALE={options.scale}")
    with tempfile.TemporaryDirectory(prefix="ares-two-clones-") as folder:
        copy = Path(folder) / "ares"
        copy_repository(copy)
        print(f"the same again in {copy}: {there} cores there, {here} here", flush=True)
        run_workflow(copy, options.scale, there)
        return cli.main(["compare", str(ROOT / made), str(copy / made)])


def copy_repository(target: Path, source: Path = ROOT) -> None:
    """Copy the files that git tracks, and new ones that it does not ignore."""
    command = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    listed = subprocess.run(command, cwd=source, stdout=subprocess.PIPE, text=True, check=True)
    for name in filter(None, listed.stdout.split("\0")):
        if (source / name).is_file():  # a file that was deleted is still listed
            (target / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(source / name, target / name)


def run_workflow(folder: Path, scale: str, cores: int) -> None:
    """Run a scale in a copy.

    Raises:
        SystemExit: the copy does not import its own package, or the run fails.
    """
    path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    environment = {**os.environ, "PYTHONPATH": str(folder), "PATH": path}
    command = [sys.executable, "-c", "import ares; print(*ares.__path__)"]
    own = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True)
    if own.stdout.strip() != str(folder / "ares"):
        sys.exit(f"{folder} imports ares from {own.stdout.strip()} {own.stderr[-500:]}")
    command = [sys.executable, "-m", "snakemake", "--cores", str(cores)]
    command += ["--config", f"scale={scale}"]
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True)
    if done.returncode:
        sys.exit(f"the run in the copy failed:\n{done.stdout[-1000:]}{done.stderr[-3000:]}")


if __name__ == "__main__":
    sys.exit(main())
