"""Run a scale a second time, in a clean copy and on another number of cores, and compare.

    make test                                        (scale smoke, after the run in this checkout)
    make test-laptop                                 (scale laptop: twice the time of make figures)
    python tests/workflow/two_clones.py smoke --here 2

The copy holds what a clone would: everything but what .gitignore names. It imports its own `ares`;
only the installed packages are shared. What this checkout made for the scale, by `make figures` or
`make test`, is then compared with what the copy made, every file by its hash (`ares compare`).
"""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable
from fnmatch import fnmatch
from pathlib import Path

from ares import cli
from ares.config import load_config

ROOT = Path(__file__).resolve().parents[2]


def main() -> int:
    """Copy, run, compare; return the exit status of `ares compare`."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("scale")
    parser.add_argument("--here", default="all", help="cores that this checkout's run was given")
    parser.add_argument("--keep", action="store_true", help="keep the copy for a look")
    options = parser.parse_args()
    here = (os.cpu_count() or 1) if options.here == "all" else int(options.here)
    there = 1 if here > 1 else 2
    made = f"results/{load_config(options.scale).scale}/manifest.json"
    if not (ROOT / made).is_file():
        parser.error(f"no {made}: make figures SCALE={options.scale}")
    folder = Path(tempfile.mkdtemp(prefix="ares-two-clones-"))
    try:
        copy_repository(folder / "ares")
        print(f"the same again in {folder / 'ares'}: {there} cores there, {here} here", flush=True)
        run_workflow(folder / "ares", options.scale, there)
        return cli.main(["compare", str(ROOT / made), str(folder / "ares" / made)])
    finally:
        if not options.keep:
            shutil.rmtree(folder)


def copy_repository(target: Path, source: Path = ROOT) -> None:
    """Copy what a clone of the repository would hold, with changes that are not committed."""
    shutil.copytree(source, target, ignore=ignored_by_git(source))


def ignored_by_git(source: Path) -> Callable[[str, list[str]], set[str]]:
    """Return what `shutil.copytree` asks: which names of a folder .gitignore leaves out.

    Works where there is no git, as in an unpacked archive. Knows patterns of one name, and
    `folder/*` with exceptions after it.
    """
    lines = (source / ".gitignore").read_text(encoding="utf-8").splitlines()
    patterns = [line.strip().rstrip("/") for line in lines if line and line[0] != "#"]
    anywhere = [".git", *(name for name in patterns if "/" not in name)]
    placed = [name for name in patterns if "/" in name]

    def ignored(folder: str, names: list[str]) -> set[str]:
        found = {name for name in names if any(fnmatch(name, pattern) for pattern in anywhere)}
        for pattern in placed:
            paths = {name: (Path(folder) / name).relative_to(source).as_posix() for name in names}
            hit = {
                name
                for name, path in paths.items()
                if fnmatch(path, pattern.lstrip("!")) and path.count("/") == pattern.count("/")
            }
            found = found - hit if pattern[0] == "!" else found | hit
        return found

    return ignored


def run_workflow(folder: Path, scale: str, cores: int) -> None:
    """Run a scale in a copy.

    Raises:
        SystemExit: the copy does not import its own package, or the run fails; its last lines.
    """
    environment = {
        **os.environ,
        "PYTHONPATH": str(folder),
        "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
    }
    command = [sys.executable, "-c", "import ares; print(*ares.__path__)"]
    own = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True)
    if own.stdout.strip() != str(folder / "ares"):
        sys.exit(f"{folder} imports ares from {own.stdout.strip()} {own.stderr[-500:]}")
    command = [sys.executable, "-m", "snakemake", "--cores", str(cores)]
    done = subprocess.run(
        [*command, "--config", f"scale={scale}"],
        cwd=folder,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    if done.returncode:
        sys.exit(f"the run in the copy failed:\n{done.stdout[-3000:]}")


if __name__ == "__main__":
    sys.exit(main())
