"""The manifest of a run: what it made, from what, where and in what time."""

from __future__ import annotations

import hashlib
import os
import platform
import subprocess
from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any

import pandas as pd

from ares.analysis.agreement import promise
from ares.config import Scale
from ares.io import KEY, SCHEMA
from ares.paths import ROOT

#: Packages whose version can change a number or a picture.
PACKAGES = (
    *("ares", "torch", "transformers", "tokenizers", "numpy", "pandas", "pyarrow"),
    *("pillow", "matplotlib", "seaborn", "wordcloud"),
)


def manifest(
    config: Scale,
    benchmarks: Path,
    tables: Sequence[str],
    figures: Sequence[str],
    notebooks: Sequence[str],
    timed: Sequence[str],
) -> dict[str, Any]:
    """Return what is to be known about a run; nothing that names the machine or its user.

    Args:
        benchmarks: the folder of Snakemake's benchmark files.
        timed: tables and figures that hold wall times: their bytes differ from run to run, and so
            do those of executed notebooks; they are listed without a hash.
    """

    def hashes(files: Sequence[str]) -> dict[str, Any]:
        return {file: None if file in timed else fingerprint(Path(file)) for file in files}

    return {
        KEY: SCHEMA,
        "config": config.dump(),
        "commit": commit(),
        "machine": {
            "system": platform.system(),
            "architecture": platform.machine(),
            "processor": processor(),
            "cores": os.cpu_count(),
            "python": platform.python_version(),
        },
        **promise(),
        "packages": {name: version(name) for name in PACKAGES},
        "job_seconds": job_seconds(benchmarks),
        "wall_seconds": wall_seconds(benchmarks),
        "tables": hashes(tables),
        "figures": hashes(figures),
        "notebooks": list(notebooks),
    }


def fingerprint(path: Path) -> dict[str, Any]:
    """Return the SHA-256 and the size in bytes of a file."""
    content = path.read_bytes()
    return {"sha256": hashlib.sha256(content).hexdigest(), "bytes": len(content)}


def job_seconds(folder: Path) -> dict[str, float]:
    """Return the wall time of every job in seconds, from Snakemake's benchmark files."""
    files = sorted(folder.glob("*.tsv"))
    return {path.stem: float(pd.read_csv(path, sep="\t")["s"].sum()) for path in files}


def wall_seconds(folder: Path) -> float:
    """Return in how many seconds at least one job ran: pauses between runs do not count.

    Snakemake writes the benchmark file of a job when the job ends.
    """
    ends = {path.stem: path.stat().st_mtime for path in folder.glob("*.tsv")}
    spans = sorted((ends[name] - took, ends[name]) for name, took in job_seconds(folder).items())
    total, done = 0.0, 0.0
    for start, end in spans:
        total += max(0.0, end - max(start, done))
        done = max(done, end)
    return round(total, 2)


def git(*arguments: str) -> str | None:
    """Return what a git command prints, or None where there is no git or no repository."""
    try:
        done = subprocess.run(
            ["git", *arguments], cwd=ROOT, capture_output=True, text=True, check=True
        )
    except (FileNotFoundError, subprocess.CalledProcessError):
        return None
    return done.stdout.strip()


def commit() -> dict[str, Any] | None:
    """Return the commit of the repository and whether files differ from it; None without git."""
    head, status = git("rev-parse", "HEAD"), git("status", "--porcelain")
    return None if head is None else {"hash": head, "changed": bool(status)}


def processor() -> str:
    """Return the processor's name, as Linux tells it; what Python knows elsewhere."""
    cpus = Path("/proc/cpuinfo")
    lines = cpus.read_text(encoding="utf-8").splitlines() if cpus.is_file() else []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor()
